"""What the member file tells a provider of one member, and what it must not. Pure.

A flagged member's row has the designated contact or none, with the words of the rule (loop.md 6.2). What a Part 2
program said goes to nobody but with its notice and the scope of a consent (6.5): without one the row names neither who
referred nor a population. Words for which the plan's layout has no column cannot travel, and what needs them stays here.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from loopkeeper.plan_files.members import State
from loopkeeper.plan_files.mif import Told
from loopkeeper.plan_files.profile import Layout
from notification.domain.notices.visibility import part2
from notification.domain.outreach.state import DO_NOT_CONTACT, Outreach, restricted

ENGAGEMENT: Mapping[State, str] = {
    "offered": "assigned",
    "accepted": "assigned",
    "outreach": "outreach",
    "serving": "enrolled",
}
DISCONTINUED = "discontinued"
NOBODY_CONTACTS = "Nobody may contact the member."
RULE, NOTICE = "member.contact_rule", "member.notice"
HOMELESS = "homelessness"
CONSENT_HOLDERS = {
    "parent": "A parent", "guardian": "A guardian", "court": "A court", "county": "The county", "self": "The member",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Reader:
    """Whom the file is for, and what holds on the day it is written. `programs` are the Part 2 programs."""

    provider: str
    on: date
    programs: frozenset[str]
    # How who referred is called.
    names: Mapping[str, str]


def row_of(
    cin: str,
    identity: Mapping[str, Any],
    contact: Mapping[str, Any],
    outreach: Outreach,
    state: State,
    reader: Reader,
    layout: Layout,
    *,
    received_on: date | None,
    new: bool,
) -> Told:
    """The row of a member who is offered to this provider, or whom it serves."""
    address: Mapping[str, Any] = contact.get("address") or {}
    term = outreach.term
    whole = Told(
        cin=cin,
        first_name=identity.get("first_name") or "",
        last_name=identity.get("last_name") or "",
        birth_date=_day(identity.get("birth_date")),
        populations=outreach.populations,
        engagement=ENGAGEMENT[state],
        new=new,
        plan_member_id=identity.get("plan_member_id") or "",
        language=contact.get("language_spoken") or outreach.language,
        phone=contact.get("phone") or "",
        email=contact.get("email") or "",
        street=address.get("street") or "",
        city=address.get("city") or "",
        state=address.get("state") or "",
        zip=address.get("zip") or "",
        county=contact.get("county") or outreach.county,
        homeless=True if contact.get("no_fixed_address") or HOMELESS in outreach.populations else None,
        authorization=term.number if term is not None else "",
        term_from=term.from_ if term is not None else None,
        term_through=term.through if term is not None else None,
        received_on=received_on,
        source=reader.names.get(outreach.referrer, outreach.referrer),
        consent_holder=CONSENT_HOLDERS.get(outreach.consent_holder, ""),
    )
    return _within_part2(_within_contact_rule(whole, contact, outreach, layout), outreach, reader, layout)


def ended_row(cin: str, identity: Mapping[str, Any]) -> Told:
    """The row of a member whom the provider was told of and has no more: who it was, and nothing else."""
    return Told(
        cin=cin,
        first_name=identity.get("first_name") or "",
        last_name=identity.get("last_name") or "",
        birth_date=_day(identity.get("birth_date")),
        populations=(),
        engagement=DISCONTINUED,
    )


def _within_contact_rule(told: Told, contact: Mapping[str, Any], outreach: Outreach, layout: Layout) -> Told:
    if outreach.deceased:
        return replace(told, restricted=True)
    if not restricted(outreach):
        return told
    # Neither the way a county nor a county's name leads to a member who hides.
    hidden = replace(told, restricted=True, county="", homeless=None)
    if not layout.has(RULE):
        return hidden
    rules: Mapping[str, Any] = contact.get("safe_contact") or {}
    if DO_NOT_CONTACT in outreach.flags:
        return replace(hidden, contact_rule=NOBODY_CONTACTS)
    designated = rules.get("designated_address") or ""
    return replace(hidden, designated_contact=designated, contact_rule=_rule_in_words(rules))


def _rule_in_words(rules: Mapping[str, Any]) -> str:
    """The rule as a person follows it."""
    said = ["Contact only as this says."]
    if channels := rules.get("channels"):
        said.append(f"Ways that are safe: {', '.join(str(each).replace('_', ' ') for each in channels)}.")
    if hours := rules.get("hours"):
        said.append(f"When: {hours}.")
    if words := rules.get("words_to_avoid"):
        said.append(f"Words to avoid: {words}.")
    return " ".join(said)


def _within_part2(told: Told, outreach: Outreach, reader: Reader, layout: Layout) -> Told:
    sources = [outreach.referrer, outreach.claimed_by, *(each.referrer for each in outreach.joined)]
    found = part2(sources, reader.programs, reader.provider, outreach.consent, reader.on)
    if found is None:
        return told
    consent: Mapping[str, str] = found["consent"]
    if consent["scope"] in ("none", "revoked") or not layout.has(NOTICE):
        return replace(told, source="", populations=(), homeless=None)
    through = f" through {consent['through']}" if "through" in consent else ""
    return replace(told, notice=f"{found['notice']} Consent: {consent['scope']}, {consent['on']}{through}.")


def changed(before: Mapping[str, Mapping[str, Any]], now: Mapping[str, Mapping[str, Any]]) -> bool:
    """Whether a file written now would tell anything that the last one did not."""
    return any(before.get(stream) != said for stream, said in now.items())


Interval = tuple[int, int]


def with_interval(fetched: Collection[Interval], start: int, end: int) -> list[Interval]:
    """The parts of a file that were fetched, with these bytes too; parts that meet are one."""
    found: list[Interval] = []
    for first, last in sorted([*fetched, (start, end)]):
        if first >= last:
            continue
        if found and first <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], last))
        else:
            found.append((first, last))
    return found


def _day(text: str | None) -> date | None:
    return date.fromisoformat(text) if text else None
