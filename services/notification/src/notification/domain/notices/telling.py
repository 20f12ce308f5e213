"""Who is told what of one event, as policy has it? Pure: from the event, the states around it, names and the plans' rows.

An organization hears of an event twice at most: as the event itself, less what it may not know (`copies`), and in words
(`tellings`, over `notices`). What travels with a Part 2 program's word travels with both (loop.md 6.5).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from loopkeeper.contract.calendar import la_date
from loopkeeper.contract.events import Event
from loopkeeper.policy import Policy
from notification.domain.notices import notice_policy
from notification.domain.notices.notice_policy import Duty
from notification.domain.notices.notices import notices
from notification.domain.notices.visibility import event_body, granting, part2, partner_body
from notification.domain.notices.wording import Names, Notice
from notification.domain.outreach.state import Outreach


@dataclass(frozen=True, slots=True)
class Happened:
    """One event in the journal of a referral, with the states before and after it. `at` is when it was made."""

    id: UUID
    referral: str
    at: datetime
    event: Event
    payload: bytes
    before: Outreach | None
    after: Outreach


@dataclass(frozen=True, slots=True)
class Copy:
    """The event itself, as far as this organization may know it."""

    organization: str
    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Telling:
    """One notice that must be told: how, by when, and what travels with it."""

    notice: Notice
    duty: Duty
    protected: Mapping[str, Any]


def copies(policy: Policy, happened: Happened) -> Iterator[Copy]:
    """The plan gets the event itself, a partner what the plan granted of it (loop.md 7.5)."""
    after, on = happened.after, la_date(happened.at)
    told: dict[str, Mapping[str, Any]] = {after.plan: event_body(happened.event, happened.payload)}
    grants = notice_policy.grants(policy, after.plan, on)
    for partner in sorted({each.partner for each in grants} - {after.plan}):
        if granting(grants, partner, after.populations, after.county):
            body = partner_body(happened.event, happened.payload)
            if body is not None:
                told[partner] = body
    for organization, body in told.items():
        travels = _protected(policy, after, organization, on)
        yield Copy(organization, {**body, "event": str(happened.id), **travels})


def tellings(policy: Policy, names: Names, happened: Happened, at: datetime) -> Iterator[Telling]:
    """The notices of this event that policy wants told; `at` is when it was noted here. An organization that is concerned
    in two ways, as referrer and as provider, is told a thing once, in the words that come first."""
    after, told = happened.after, set[str]()
    for notice in notices(happened.referral, happened.before, happened.event, after, names):
        duty = notice_policy.duty(policy, notice, happened.event, after, at)
        if duty is not None and notice.said_to not in told:
            told.add(notice.said_to)
            yield Telling(notice, duty, _protected(policy, after, notice.recipient, la_date(at)))


def _protected(policy: Policy, after: Outreach, reader: str, on: date) -> Mapping[str, Any]:
    """What must travel with a Part 2 program's word (loop.md 6.5); nothing for all others."""
    programs = notice_policy.part2_programs(policy, on)
    sources = [after.referrer, after.claimed_by, after.assignment.provider if after.assignment else ""]
    found = part2(sources, programs, reader, after.consent, on) if programs else None
    return {"part2": found} if found is not None else {}
