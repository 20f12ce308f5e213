"""What a referral may do: the loop from reception to its one closing, and who must act until then.

    received → needs_information | pending_authorization → authorized → assigned → accepted
             → outreach_initiated → closed, once, with its outcome; then the referrer is told.

Intake decides reception, withdrawal and closing; every other step is a fact it notes. The status is a pure
function of the facts noted, never "the last event wins": a decline steps back to authorized.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from enum import StrEnum
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from loopkeeper.decider import Command, Decider, Refused, State
from loopkeeper.events import (
    ActedBy,
    AssignmentAccepted,
    AssignmentDeclined,
    AssignmentEnded,
    AssignmentMade,
    AssignmentPlanAsked,
    AssignmentWithdrawn,
    AuthorizationApproved,
    AuthorizationDenied,
    AuthorizationPresumptiveEnded,
    AuthorizationPresumptiveGranted,
    AuthorizationPresumptiveRefused,
    AuthorizationReviewOpened,
    Claim,
    Eligibility,
    Event,
    Linked,
    NoticeDelivered,
    OutreachAttempted,
    OutreachMemberDeclined,
    OutreachServicesStarted,
    OutreachUnableToReach,
    Question,
    ReferralClosed,
    ReferralQuestionsAsked,
    ReferralReceived,
    ScreenedPopulation,
)
from loopkeeper.vocabulary.outcomes import clr_reason


class Status(StrEnum):
    RECEIVED = "received"
    NEEDS_INFORMATION = "needs_information"
    PENDING_AUTHORIZATION = "pending_authorization"
    AUTHORIZED = "authorized"
    ASSIGNED = "assigned"
    ACCEPTED = "accepted"
    OUTREACH_INITIATED = "outreach_initiated"
    CLOSED = "closed"


class Fact(BaseModel):
    """A group of fields that came with one event."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Review(Fact):
    authorization: str
    due_at: datetime
    cap_at: datetime


class Grant(Fact):
    grant: str
    provider: str
    population: str
    through: date


class Approval(Fact):
    number: str
    from_: date
    through: date


class Offer(Fact):
    """The live offer or assignment: at most one."""

    assignment: str
    provider: str
    answer_due_at: datetime
    accepted_at: datetime | None = None
    lead: str = ""
    attempts: int = 0


class PlanAsked(Fact):
    reason: str
    due_at: datetime | None = None


class Closing(Fact):
    outcome: str
    clr_reason: str
    at: datetime
    text: str = ""


class Referral(State):
    """The referral as the facts so far make it."""

    received_at: datetime | None = None
    plan: str = ""
    referrer: str = ""
    member: str = ""
    kind: str = "full"
    form: str = "adult"
    received_via: str = ""
    urgency: str = "routine"
    age_band: str = ""
    county: str = ""
    language: str = ""
    populations: tuple[ScreenedPopulation, ...] = ()
    attested: bool = False
    claim: Claim | None = None
    preferred: tuple[str, ...] = ()
    chosen: tuple[str, ...] = ()
    pcp: str | None = None
    program_providers: Mapping[str, str] = {}
    eligibility: Eligibility = Eligibility()
    flags: tuple[str, ...] = ()
    consent_holder: str = ""
    release_on: date | None = None
    linked: Linked | None = None
    sealed: Mapping[str, str] = {}
    questions: tuple[Question, ...] = ()
    questions_due_at: datetime | None = None
    review: Review | None = None
    grant: Grant | None = None
    grant_refused: str = ""
    approval: Approval | None = None
    denied: bool = False
    offer: Offer | None = None
    plan_asked: PlanAsked | None = None
    services_started_on: date | None = None
    closing: Closing | None = None
    told_at: datetime | None = None


# ── commands ──────────────────────────────────────────────────────────────────────────────────────────────


class ReceiveReferral(Command):
    """A referral as screened and sealed at the edge; the store's view adds member and eligibility."""

    received: ReferralReceived
    questions: tuple[Question, ...] = ()
    member_key: str = ""
    roster_key: str = ""
    birth_key: str = ""


class WithdrawReferral(Command):
    """Taken back by the referrer before authorization, by the member at any time (loop.md 2.13)."""

    by: Literal["referrer", "member"]
    acted_by: ActedBy


class NoteFact(Command):
    """Another service's event about this referral."""


# ── decide ────────────────────────────────────────────────────────────────────────────────────────────────


def decide(referral: Referral | None, command: Command) -> Sequence[Event]:
    match command:
        case ReceiveReferral():
            return receive(command)
        case WithdrawReferral():
            return withdraw(referral, command)
        case NoteFact(fact=Event() as fact):
            return close_if_over(referral, fact, command.at)
        case _:
            raise TypeError(f"intake has no rule for {type(command).__name__}")


def receive(command: ReceiveReferral) -> Sequence[Event]:
    asked = [
        ReferralQuestionsAsked(occurred_at=command.at, questions=command.questions)
    ] if command.questions else []  # fmt: skip
    return [command.received, *asked]


def withdraw(referral: Referral | None, command: WithdrawReferral) -> Sequence[Event]:
    if referral is None or referral.received_at is None:
        raise Refused("not-found", "There is no such referral.", status=404)
    if referral.closing is not None:
        raise Refused("already-closed", "This referral's loop is already closed.", allowed=allowed(referral))
    if command.by == "referrer" and referral.approval is not None:
        raise Refused(
            "already-authorized",
            "The plan has authorized the service, so only the member can withdraw now.",
            fix="If the member wishes to withdraw, send `by: member`.",
            allowed=("withdraw as the member",),
        )
    return [close(referral, "withdrawn", command.at, acted_by=command.acted_by, text=f"by the {command.by}")]


# The facts that end a loop, and its outcome (loop.md 7.1).
ENDINGS: Mapping[type[Event], str] = {
    OutreachServicesStarted: "services_received",
    OutreachMemberDeclined: "declined_by_member",
    OutreachUnableToReach: "unable_to_reach",
    AuthorizationDenied: "not_authorized",
}


def close_if_over(referral: Referral | None, fact: Event, at: datetime) -> Sequence[Event]:
    outcome = ENDINGS.get(type(fact))
    if outcome is None or referral is None or referral.received_at is None or referral.closing is not None:
        return []
    assignment = getattr(fact, "assignment", None)
    return [close(referral, outcome, at, assignment=assignment)]


def close(
    referral: Referral,
    outcome: str,
    at: datetime,
    *,
    acted_by: ActedBy | None = None,
    text: str = "",
    assignment: str | None = None,
) -> ReferralClosed:
    held = referral.offer.assignment if referral.offer else None
    return ReferralClosed(
        occurred_at=at,
        acted_by=acted_by,
        outcome=outcome,
        clr_reason=clr_reason(outcome),
        text=text,
        assignment=assignment or held,
        authorized=referral.approval is not None,
    )


def allowed(referral: Referral) -> tuple[str, ...]:
    """What a person may still do with this referral."""
    if referral.closing is not None:
        return ()
    return ("withdraw",) if referral.approval is None else ("withdraw as the member",)


# ── evolve ────────────────────────────────────────────────────────────────────────────────────────────────


def evolve(referral: Referral | None, event: Event) -> Referral:
    """The referral after this fact. Any order is bearable: an unknown referral becomes a bare row."""
    now = referral or Referral()
    changes = _changes(now, event)
    return now.model_copy(update=changes) if changes else now


def _changes(now: Referral, event: Event) -> Mapping[str, Any]:
    match event:
        case ReferralReceived():
            return _received(event)
        case ReferralQuestionsAsked():
            return {"questions": event.questions, "questions_due_at": event.due_at}
        case ReferralClosed():
            return _closed(now, event)
        case AuthorizationReviewOpened():
            return {
                "review": Review(authorization=event.authorization, due_at=event.due_at, cap_at=event.cap_at)
            }
        case AuthorizationPresumptiveGranted():
            grant = Grant(
                grant=event.grant, provider=event.provider, population=event.population, through=event.through
            )
            return {"grant": grant, "grant_refused": ""}
        case AuthorizationPresumptiveRefused():
            return {"grant_refused": event.reason}
        case AuthorizationPresumptiveEnded():
            return {"grant": None} if now.grant and now.grant.grant == event.grant else {}
        case AuthorizationApproved():
            approval = Approval(number=event.number, from_=event.from_, through=event.through)
            return {"approval": approval, "review": None}
        case AuthorizationDenied():
            return {"denied": True, "review": None}
        case NoticeDelivered():
            first = now.told_at is None and event.recipient_kind == "referrer"
            return {"told_at": event.occurred_at} if first else {}
        case OutreachServicesStarted():
            return {"services_started_on": event.on}
        case _:
            return _assignment_changes(now, event)


def _assignment_changes(now: Referral, event: Event) -> Mapping[str, Any]:
    match event:
        case AssignmentMade():
            offer = Offer(
                assignment=event.assignment, provider=event.provider, answer_due_at=event.answer_due_at
            )
            return {"offer": offer, "plan_asked": None}
        case AssignmentAccepted():
            held = now.offer or Offer(
                assignment=event.assignment, provider=event.provider, answer_due_at=event.occurred_at
            )
            if held.assignment != event.assignment:
                return {}
            taken = held.model_copy(update={"accepted_at": event.occurred_at, "lead": event.lead.name})
            return {"offer": taken, "plan_asked": None}
        case AssignmentDeclined() | AssignmentWithdrawn() | AssignmentEnded():
            held = now.offer
            return {"offer": None} if held and held.assignment == event.assignment else {}
        case AssignmentPlanAsked():
            return {"plan_asked": PlanAsked(reason=event.reason, due_at=event.due_at)}
        case OutreachAttempted():
            held = now.offer
            if held is None or held.assignment != event.assignment:
                return {}
            return {"offer": held.model_copy(update={"attempts": max(held.attempts, event.number)})}
        case _:
            return {}


def _received(event: ReferralReceived) -> Mapping[str, Any]:
    copied = (
        "plan", "referrer", "member", "kind", "form", "received_via", "urgency", "age_band", "county", "language",
        "populations", "attested", "claim", "preferred", "chosen", "pcp", "program_providers", "eligibility",
        "flags", "consent_holder", "release_on", "linked", "sealed",
    )  # fmt: skip
    return {"received_at": event.occurred_at, **{name: getattr(event, name) for name in copied}}


def _closed(now: Referral, event: ReferralClosed) -> Mapping[str, Any]:
    if now.closing is not None:
        return {}
    closing = Closing(
        outcome=event.outcome, clr_reason=event.clr_reason, at=event.occurred_at, text=event.text
    )
    over = {} if event.outcome == "services_received" else {"offer": None, "plan_asked": None}
    return {"closing": closing, "questions": (), **over}


# ── what can be read from the state ───────────────────────────────────────────────────────────────────────


def status(referral: Referral) -> Status:
    """The first that holds (loop.md 8.1)."""
    offer = referral.offer
    if referral.closing is not None:
        return Status.CLOSED
    if offer is not None and offer.accepted_at is not None:
        return Status.OUTREACH_INITIATED if offer.attempts else Status.ACCEPTED
    if offer is not None:
        return Status.ASSIGNED
    if referral.approval is not None:
        return Status.AUTHORIZED
    if any(question.blocking for question in referral.questions):
        return Status.NEEDS_INFORMATION
    return Status.PENDING_AUTHORIZATION if referral.review is not None else Status.RECEIVED


class NextStep(Fact):
    """Who must act, what, by when. `actor` is empty for a closed loop, `loopkeeper` where a service must."""

    actor: str
    step: str
    due_at: datetime | None = None


def next_step(referral: Referral) -> NextStep:
    """Who must act on an open loop (loop.md 7.6)."""
    offer, asked = referral.offer, referral.plan_asked
    match status(referral):
        case Status.CLOSED:
            return NextStep(actor="", step="")
        case Status.OUTREACH_INITIATED:
            return NextStep(actor="provider", step="keep reaching out until the member answers")
        case Status.ACCEPTED:
            return NextStep(actor="provider", step="make the first outreach attempt")
        case Status.ASSIGNED if offer is not None and asked is not None:
            return NextStep(actor="plan", step=PLAN_STEPS.get(asked.reason, ""), due_at=asked.due_at)
        case Status.ASSIGNED if offer is not None:
            return NextStep(actor="provider", step="accept or decline the offer", due_at=offer.answer_due_at)
        case _:
            return _before_assignment(referral)


def _before_assignment(referral: Referral) -> NextStep:
    asked, review = referral.plan_asked, referral.review
    if asked is not None:
        return NextStep(actor="plan", step=PLAN_STEPS.get(asked.reason, ""), due_at=asked.due_at)
    if referral.approval is not None:
        return NextStep(actor="loopkeeper", step="offer the referral to a provider")
    if any(question.blocking for question in referral.questions):
        due_at = referral.questions_due_at
        return NextStep(actor="referrer", step="answer the open questions", due_at=due_at)
    if review is not None:
        return NextStep(actor="plan", step="decide the authorization", due_at=review.due_at)
    return NextStep(actor="loopkeeper", step="open the plan's review")


PLAN_STEPS: Mapping[str, str] = {
    "none_left": "name a provider: every candidate declined or none fits",
    "no_answer": "ask the provider or name another: the offer was not answered in time",
    "member_already_assigned": "say how to go on: the member already has a provider through another referral",
    "conflicted": "say which of two assignments of this member stands",
}

DECIDER: Decider[Referral] = Decider("referral", Referral, decide, evolve)
