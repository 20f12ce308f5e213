"""What an outreach looks like to those who may see it, and the parts its routes share."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Annotated, Any

import orjson
from pydantic import BaseModel, ConfigDict, Field

from loopkeeper.contract.blanks import BlankIsMissing
from loopkeeper.http.person import Person
from loopkeeper.runtime.service import Call
from loopkeeper.store.row_access import OWN, visible_row
from notification.domain.outreach.contact import FLAGS
from notification.domain.outreach.rules import allowed
from notification.domain.outreach.state import CHANNEL, Outreach, attempts_of, dead, status

# A referrer does not see outreach, so its key opens nothing here.
KEYS = ("plan_id", "provider_id")


class Body(BlankIsMissing):
    model_config = ConfigDict(frozen=True, extra="forbid")


class StaffPerson(Person):
    """Who acted, by an id without blanks: events carry it, and a name must not be there by mistake."""

    person: str = Field(
        min_length=1,
        max_length=100,
        pattern=r"^[A-Za-z0-9_.-]+$",
        description="The organization's own staff id",
    )


# What a provider's body says of who acted.
Actor = Annotated[
    StaffPerson | None, Field(description="Who of yours acted; the lead care manager, where it is missing")
]


class OutreachAttemptShown(BaseModel):
    """One attempt to reach the member."""

    model_config = ConfigDict(frozen=True)

    assignment: str
    number: int
    at: datetime
    actor_kind: str
    modality: str
    outcome: str
    reached: bool
    minutes: int | None = None
    taken_back: bool = False


class OutreachShown(BaseModel):
    """`status`: waiting, open, services_started, member_declined, unable_to_reach, closed. `contact_rules` override
    every default; their words are with the member's identity. `overdue`: clocks that ran out."""

    model_config = ConfigDict(frozen=True)

    referral: str
    status: str
    assignment: str | None = None
    provider: str | None = None
    attempts: tuple[OutreachAttemptShown, ...] = ()
    contact_rules: tuple[str, ...] = ()
    consent_holder: str | None = None
    overdue: tuple[str, ...] = ()
    ended_on: date | None = None
    outcome: str | None = None
    # Somebody concerned told that the member has died: contact nobody.
    told_dead: bool = False
    allowed: tuple[str, ...] = ()
    updated_at: datetime | None = None


async def row_of(call: Call, referral: str) -> Mapping[str, Any]:
    """The outreach's row, if this client may see it. Raises 404 otherwise."""
    return await visible_row(
        call.service.readers,
        call.client,
        f"SELECT id, state, at, n FROM referral WHERE id = $1 AND {OWN}",  # noqa: S608 own fragments
        referral,
        keys=KEYS,
    )


def state_of(row: Mapping[str, Any]) -> Outreach:
    """The outreach's state in this row."""
    return Outreach.model_validate(orjson.loads(row["state"]))


def recorded(referral: str, outreach: Outreach) -> OutreachShown:
    """The attempt just recorded, to who does not see the outreach: nothing else of it (loop.md 6.1)."""
    last = outreach.attempts[-1:]
    tried = tuple(OutreachAttemptShown.model_validate(each.model_dump()) for each in last)
    return OutreachShown(referral=referral, status="waiting", attempts=tried)


def shown(referral: str, outreach: Outreach, at: datetime | None) -> OutreachShown:
    held = outreach.assignment if outreach.assignment and outreach.assignment.accepted_at else None
    # Another provider's attempts are not this one's to see; the plan reads them in its feed.
    tried = attempts_of(outreach, held.assignment) if held is not None else ()
    rules = [flag for flag in outreach.flags if flag in FLAGS or flag.startswith(CHANNEL)]
    late = [each.split(" ", 1)[1] for each in outreach.raised if held and each.startswith(held.assignment)]
    return OutreachShown(
        referral=referral,
        status=status(outreach),
        assignment=held.assignment if held else None,
        provider=held.provider if held else None,
        attempts=tuple(OutreachAttemptShown.model_validate(each.model_dump()) for each in tried),
        told_dead=dead(outreach),
        contact_rules=tuple(rules) if held else (),
        consent_holder=outreach.consent_holder or None,
        overdue=tuple(late),
        ended_on=outreach.ending.on if outreach.ending else None,
        outcome=outreach.closing.outcome if outreach.closing else None,
        allowed=allowed(outreach),
        updated_at=at,
    )
