"""Who may see what of an event outside the house: the plan all but what is sealed, a partner what the plan granted it.

Population codes and criteria are in no webhook body but the plan's (loop.md 6.3), so a partner's body is built from
an allow-list: a new field of an event shows to nobody before it is named here. A grant is a policy row of the plan,
by population and county; without one a partner hears nothing (loop.md 1.6).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import orjson

from loopkeeper.contract.events import Consent, Event, ProviderRecorded
from loopkeeper.contract.vocabulary import Population, ProviderType

# A provider of these types, or one serving only this population, is known for treating substance use.
REVEALING_TYPES = frozenset({ProviderType.SPECIALTY_BH_OPERATED, ProviderType.SPECIALTY_BH_CONTRACTED})
REVEALING_POPULATION = Population.SMI_SUD

# Ids, days, times and states. No provider: its name can reveal; no reason, flag or question: they tell criteria.
PARTNER_FIELDS = frozenset(
    {
        "occurred_at", "plan", "assignment", "authorization", "grant", "from", "through", "on", "due_at", "cap_at",
        "answer_due_at", "outcome", "clr_reason", "clock", "state", "status", "attempts",
    }
)  # fmt: skip
# Of these a partner hears nothing at all: what they say is asked or corrected between others.
PARTNER_NEVER = frozenset(
    {
        "referral.questions_asked", "referral.amended", "outreach.contact_changed", "notice.delivered",
        "notice.overdue", "authorization.presumptive_reminded", "referral.support_moved", "assignment.started",
        "authorization.appealed", "authorization.appeal_resolved", "referral.death_told", "referral.death_confirmed",
        "referral.death_taken_back", "referral.back_in_custody", "outreach.taken_back", "assignment.answer_refused", "outreach.answered", "outreach.closing_reported", "outreach.month_counted",
    }
)  # fmt: skip

REDISCLOSURE = "42 CFR part 2 prohibits unauthorized use or disclosure of these records."


@dataclass(frozen=True, slots=True)
class Grant:
    """One policy row of a plan: what a partner may hear of. `county` empty: of every county."""

    ref: str
    partner: str
    population: str
    county: str


def granting(
    grants: Iterable[Grant], partner: str, populations: Sequence[str], county: str
) -> tuple[Grant, ...]:
    """The rows by which this partner hears of such a referral; none: it does not."""
    return tuple(
        each
        for each in grants
        if each.partner == partner and each.population in populations and each.county in ("", county)
    )


def why_not(
    grants: Iterable[Grant], partner: str, populations: Sequence[str], county: str
) -> tuple[str, ...]:
    """Why no row lets this partner hear of such a referral, one sentence each."""
    mine = [each for each in grants if each.partner == partner]
    if not mine:
        return ("The plan granted this partner nothing.",)
    found: list[str] = []
    if not any(each.population in populations for each in mine):
        found.append("None of the referral's populations was granted.")
    if not any(each.county in ("", county) for each in mine):
        found.append("The referral's county was not granted.")
    return tuple(found) or ("No one row grants both the population and the county.",)


def event_body(event: Event, payload: bytes) -> dict[str, Any]:
    """What a plan's endpoint gets of an event: its data, without the sealed parts."""
    data: dict[str, Any] = orjson.loads(payload)
    data.pop("sealed", None)
    return data


def partner_body(event: Event, payload: bytes) -> dict[str, Any] | None:
    """What a partner's feed gets of an event; None where it hears nothing of it."""
    if event.wire in PARTNER_NEVER:
        return None
    data: dict[str, Any] = orjson.loads(payload)
    return {name: value for name, value in data.items() if name in PARTNER_FIELDS}


def fields_shown(kind: type[Event]) -> tuple[str, ...]:
    """Which fields of an event a partner's feed has."""
    if kind.wire in PARTNER_NEVER:
        return ()
    names = {info.alias or name for name, info in kind.model_fields.items()}
    return tuple(sorted(names & PARTNER_FIELDS))


def reveals(entry: ProviderRecorded) -> bool:
    """Whether this provider's name alone tells that it treats substance use."""
    only = bool(entry.populations) and set(entry.populations) == {REVEALING_POPULATION}
    return only or not REVEALING_TYPES.isdisjoint(entry.types)


def consented(consent: Consent | None, reader: str, on: date) -> bool:
    """Whether a recorded consent lets this organization read what a Part 2 program knows (42 CFR 2.31)."""
    return consent is not None and consent.lets_read(reader, on)


def part2(
    sources: Iterable[str], programs: Iterable[str], reader: str, consent: Consent | None, on: date
) -> Mapping[str, Any] | None:
    """What travels with a disclosure that comes from a Part 2 program: the notice, and the scope of the consent. By
    source, never by population (loop.md 6.5). None where no source is one, or it reads its own."""
    found = sorted(set(sources) & set(programs) - {reader})
    if not found:
        return None
    scope: dict[str, Any] = {"scope": "none"}
    if consented(consent, reader, on) and consent is not None:
        scope = {"scope": consent.scope, "on": consent.on.isoformat()}
        scope |= {"through": consent.through.isoformat()} if consent.through else {}
    return {"notice": REDISCLOSURE, "consent": scope}
