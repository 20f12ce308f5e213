"""The member information file: what a plan tells a provider of the members it offers or has given to it.

Written by us, it is the telling itself, so it says no more than the member's own contact rules allow. Read, a plan's
own file is compared with what is known here and writes nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from loopkeeper.contract.vocabulary import County, Population
from loopkeeper.contract.vocabulary.identifiers import npi_valid
from loopkeeper.plan_files.checks import (
    FileContext,
    check_cin,
    check_plan,
    judged_once,
    refuse_faults,
)
from loopkeeper.plan_files.fields import POPULATION
from loopkeeper.plan_files.outcomes import Judged, Outcome, RowRefused, fact, whole
from loopkeeper.plan_files.profile import Layout
from loopkeeper.plan_files.table import Record

READ = frozenset(
    {
        "plan.number", "plan.name", "member.cin", "member.last_name", "member.first_name", "member.name",
        "member.birth_date", "member.populations", "authorization.number", "authorization.from",
        "authorization.through", "provider.npi", *(f"{POPULATION}{code}" for code in Population.codes()),
    }
)  # fmt: skip


# ── written by us ─────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Provider:
    slug: str
    name: str
    npi: str = ""
    tin: str = ""
    phone: str = ""


@dataclass(frozen=True, slots=True)
class Told:
    """One member the file tells of. `engagement` is `assigned`, `outreach`, `enrolled` or `discontinued`; of a member
    that was withdrawn or has ended since the last file, `discontinued`."""

    cin: str
    first_name: str
    last_name: str
    birth_date: date | None
    populations: tuple[str, ...]
    engagement: str
    new: bool = False
    plan_member_id: str = ""
    gender: str = ""
    language: str = ""
    phone: str = ""
    email: str = ""
    street: str = ""
    city: str = ""
    state: str = ""
    zip: str = ""
    county: str = ""
    homeless: bool | None = None
    medicare: bool | None = None
    authorization: str = ""
    term_from: date | None = None
    term_through: date | None = None
    received_on: date | None = None
    source: str = ""
    # Words of the member's own contact rule; where there is one, only the designated contact is told.
    contact_rule: str = ""
    designated_contact: str = ""
    restricted: bool = False
    # What must be known before anything is passed on (42 CFR Part 2), and who consents for the member.
    notice: str = ""
    consent_holder: str = ""


def mif_rows(
    members: Iterable[Told],
    context: FileContext,
    provider: Provider,
    period: tuple[date, date],
) -> Iterator[Mapping[str, Any]]:
    """The rows of the file, by CIN, as our fields. `asking.today` is the day it is made."""
    for member in sorted(members, key=lambda each: each.cin):
        yield {
            "plan.number": context.plan_number,
            "plan.name": context.plan_name,
            "provider.name": provider.name,
            "provider.npi": provider.npi,
            "provider.tin": provider.tin,
            "provider.phone": provider.phone,
            "file.produced_on": context.today,
            "file.period": period,
            **_identity(member),
            **_contact(member),
            "member.populations": member.populations,
            **{f"{POPULATION}{code}": code in member.populations for code in Population.codes()},
            "member.homeless": member.homeless,
            "member.medicare": member.medicare,
            "member.new": member.new,
            "member.ecm_status": member.engagement,
            "authorization.number": member.authorization,
            "authorization.from": member.term_from,
            "authorization.through": member.term_through,
            "referral.received_on": member.received_on,
            "referral.source": member.source,
        }


def _identity(member: Told) -> Mapping[str, Any]:
    return {
        "member.cin": member.cin,
        "member.plan_member_id": member.plan_member_id,
        "member.first_name": member.first_name,
        "member.last_name": member.last_name,
        "member.name": ", ".join(part for part in (member.last_name, member.first_name) if part),
        "member.birth_date": member.birth_date,
        "member.gender": member.gender,
        "member.language": member.language,
        "member.county": County.label_of(member.county) if member.county else "",
        "member.notice": member.notice,
        "member.consent_holder": member.consent_holder,
    }


def _contact(member: Told) -> Mapping[str, Any]:
    """Of a restricted member the designated contact or none, with the rule's words (loop.md 6.2)."""
    if member.restricted:
        return {"member.street": member.designated_contact, "member.contact_rule": member.contact_rule}
    return {
        "member.phone": member.phone,
        "member.email": member.email,
        "member.street": member.street,
        "member.city": member.city,
        "member.state": member.state,
        "member.zip": member.zip,
        "member.contact_rule": member.contact_rule,
    }


# ── a plan's own, read ────────────────────────────────────────────────────────────────────────────────────────────


def judge_mif(
    records: Iterable[Record], providers: Mapping[str, str], layout: Layout, context: FileContext
) -> Judged:
    """What a plan's own file says, row by row, to be compared with what is known here; `providers` are slugs by NPI.
    Nothing is written by it. Pure."""
    given: dict[str, list[Outcome]] = defaultdict(list)

    def judge(record: Record) -> Outcome:
        outcome = _told(record, providers, layout, context)
        given[outcome.cin].append(outcome)
        return outcome

    outcomes = judged_once(records, judge)
    for rows in given.values():
        if len({outcome.facts[0]["provider"] for outcome in rows}) > 1:
            for outcome in rows:
                outcome.result, outcome.facts, outcome.cin = "refused", [], ""
                outcome.code, outcome.field = "contradiction", "provider.npi"
    return whole(outcomes)


def _told(record: Record, providers: Mapping[str, str], layout: Layout, context: FileContext) -> Outcome:
    refuse_faults(record, ())
    check_plan(record, context)
    cin = check_cin(record, context)
    _check_name(record, layout)
    refuse_faults(record, ("member.birth_date",))
    provider = _provider(record, providers)
    refuse_faults(record, ("authorization.number", "authorization.from", "authorization.through"))
    start, end = record["authorization.from"], record["authorization.through"]
    if start is not None and end is not None and end < start:
        raise RowRefused("dates-contradict", "authorization.through")
    said = fact(
        "told",
        provider=provider,
        birth_date=record["member.birth_date"],
        populations=sorted(marked_populations(record, layout)),
        authorization=record["authorization.number"],
        **{"from": start, "through": end},
    )
    return Outcome(record.row, "accepted", cin=cin, facts=[said])


def _check_name(record: Record, layout: Layout) -> None:
    refuse_faults(record, ("member.last_name", "member.first_name", "member.name"))
    if not any(record[f"member.{part}"] for part in ("last_name", "first_name", "name")):
        column = "member.last_name" if layout.has("member.last_name") else "member.name"
        raise RowRefused("name-missing", column)


def _provider(record: Record, providers: Mapping[str, str]) -> str:
    refuse_faults(record, ("provider.npi",))
    npi = record["provider.npi"]
    if not npi or not npi_valid(npi):
        raise RowRefused("npi-invalid", "provider.npi")
    if npi not in providers:
        raise RowRefused("provider-unknown", "provider.npi")
    return providers[npi]


def marked_populations(record: Record, layout: Layout) -> Sequence[str]:
    """The Populations of Focus a row marks, in one column or in one each. Raises `RowRefused`."""
    flags = [name for name in layout.by_field if name.startswith(POPULATION)]
    refuse_faults(record, ("member.populations", *flags))
    marked = [name.removeprefix(POPULATION) for name in flags if record[name]]
    found = tuple(dict.fromkeys((*(record["member.populations"] or ()), *marked)))
    if not found:
        column = "member.populations" if layout.has("member.populations") or not flags else flags[0]
        raise RowRefused("population-missing", column)
    return found
