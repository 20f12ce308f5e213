"""The register's rules: a referral is received, joins the open one of the same member, waits for facts, and closes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from loopkeeper.contract.decider import Command, Context, Decider, EventOn, Plain, Refused, State
from loopkeeper.contract.events import (
    AuthorizationApproved,
    AuthorizationReviewOpened,
    Event,
    OutreachServicesStarted,
    ReferralAmended,
    ReferralClosed,
    ReferralReceived,
    ReferralSetAside,
)


class Closing(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    outcome: str
    merged_into: str | None = None


class Case(State):
    """One referral in the register."""

    plan: str = ""
    referrer: str = ""
    member: str = ""
    county: str = ""
    authorization: str = ""
    number: str = ""
    joined: tuple[str, ...] = ()
    closing: Closing | None = None


class Receive(Command):
    """A referral comes in. `key` recognises its member; without one it is somebody nobody knows."""

    received: ReferralReceived
    key: str = ""


class Withdraw(Command):
    """Who sent it takes it back."""


class Note(Command):
    """Another service's event."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Known(Context):
    """What the register has of the member: the member's id, and the open referral that this one joins, if there is one."""

    own: str
    member: str
    open: str | None


Asked = tuple[Receive, Known] | tuple[Withdraw, Plain] | tuple[Note, Plain]
Status = Literal["", "received", "pending_authorization", "authorized", "closed"]


def status(case: Case) -> Status:
    """Where it is; empty for a referral of which only others' facts have come."""
    if case.closing is not None:
        return "closed"
    if not case.plan:
        return ""
    if case.number:
        return "authorized"
    return "pending_authorization" if case.authorization else "received"


def decide(case: Case | None, asked: Asked) -> Sequence[Event | EventOn]:
    match asked:
        case Receive(received=received), Known() as known:
            return receive(received, known)
        case Withdraw(), Plain(at=at):
            if case is None or not case.plan:
                raise Refused("not-found", "There is no such referral.", status=404)
            if case.closing is not None:
                raise Refused("already-closed", "This referral is closed.")
            return [ReferralClosed(occurred_at=at, outcome="withdrawn", clr_reason="other")]
        case Note(fact=OutreachServicesStarted()), Plain(at=at) if case is not None and case.closing is None:
            return [
                ReferralClosed(occurred_at=at, outcome="services_received", clr_reason="services_received")
            ]
        case _:
            return []


def receive(received: ReferralReceived, known: Known) -> Sequence[Event | EventOn]:
    """Kept as it is; or set aside and closed, with a word to the open referral of the same member."""
    received = received.model_copy(update={"member": known.member})
    if known.open is None:
        return [received]
    at, joined = received.occurred_at, known.own
    return [
        ReferralSetAside(occurred_at=at, received=received),
        ReferralClosed(occurred_at=at, outcome="merged", clr_reason="other", merged_into=known.open),
        EventOn(known.open, ReferralAmended(occurred_at=at, cause="joined", joined=joined)),
    ]


def evolve(case: Case | None, event: Event) -> Case | None:
    before = case or Case()
    match event:
        case ReferralReceived() | ReferralSetAside():
            received = event if isinstance(event, ReferralReceived) else event.received
            fields = {
                name: getattr(received, name) or "" for name in ("plan", "referrer", "member", "county")
            }
            return before.model_copy(update=fields)
        case ReferralAmended(joined=str() as joined):
            return before.model_copy(update={"joined": (*before.joined, joined)})
        case ReferralClosed(outcome=outcome, merged_into=into):
            return before.model_copy(update={"closing": Closing(outcome=outcome, merged_into=into)})
        case AuthorizationReviewOpened(authorization=authorization):
            return before.model_copy(update={"authorization": authorization})
        case AuthorizationApproved(number=number):
            return before.model_copy(update={"number": number})
        case _:
            return before


DECIDER: Decider[Case, Any] = Decider("register", Case, decide, evolve)
