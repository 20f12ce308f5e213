"""How does a referral stand? Its state as the facts so far make it, and its status.

    received → needs_information | pending_authorization → authorized → assigned → accepted
             → outreach_initiated → closed, once, with its outcome; then the referrer is told.

The status is a pure function of the facts noted, never "the last event wins": a decline steps back to authorized.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict

from loopkeeper.decider import State
from loopkeeper.events import (
    AssignmentAccepted,
    AssignmentDeclined,
    AssignmentEnded,
    AssignmentLeadChanged,
    AssignmentMade,
    AssignmentOverdue,
    AssignmentPlanAsked,
    AssignmentWithdrawn,
    AuthorizationApproved,
    AuthorizationDenied,
    AuthorizationEnded,
    AuthorizationExpedited,
    AuthorizationOverdue,
    AuthorizationPended,
    AuthorizationPresumptiveEnded,
    AuthorizationPresumptiveGranted,
    AuthorizationPresumptiveRefused,
    AuthorizationResumed,
    AuthorizationReviewOpened,
    Claim,
    Eligibility,
    Event,
    Linked,
    NoticeDelivered,
    OutreachAttempted,
    OutreachContactChanged,
    OutreachOverdue,
    OutreachServicesStarted,
    Question,
    ReferralAmended,
    ReferralClosed,
    ReferralOverdue,
    ReferralQuestionsAsked,
    ReferralReceived,
    ReferralSetAside,
    ReferralSupportMoved,
    ScreenedPopulation,
)

# Questions whose answer is no field of the form: the right plan (the id ends in its slug, or in nothing where no plan
# served here is right), and whether a member already served wishes to change to the provider that referred.
REDIRECT = "redirect"
PROVIDER_CHANGE = "provider-change"
# Why a referral is linked to one that may be the same member's.
POSSIBLE = "possible_duplicate"


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
    clock: str = ""
    due_at: datetime
    cap_at: datetime
    pended_until: datetime | None = None


class Grant(Fact):
    grant: str
    provider: str
    population: str
    through: date


class Decided(Fact):
    """By when the plan was to decide, and when it did."""

    clock: str
    due_at: datetime
    at: datetime


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


class Overdue(Fact):
    """A step that took too long, or soon will have: a fact beside the status, never an end."""

    clock: str
    due_at: datetime
    state: str


class Joined(Fact):
    """A second referral of the same member that was merged into this one, and who sent it."""

    referral: str
    referrer: str


class Support(Fact):
    """A Community Supports referral of the lead care manager: its own small loop, linked to this one."""

    code: str
    status: str
    provider: str
    at: datetime


class Closing(Fact):
    outcome: str
    clr_reason: str
    at: datetime
    text: str = ""
    merged_into: str | None = None


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
    family_of: str | None = None
    eligibility: Eligibility = Eligibility()
    flags: tuple[str, ...] = ()
    consent_holder: str = ""
    release_on: date | None = None
    linked: Linked | None = None
    sealed: Mapping[str, str] = {}
    questions: tuple[Question, ...] = ()
    questions_due_at: datetime | None = None
    remind_at: tuple[datetime, ...] = ()
    reminders: int = 0
    # The plan's own questions while a person of it waits for them (the standard's only, loop.md 2.15).
    asked_by_plan: tuple[str, ...] = ()
    joined: tuple[Joined, ...] = ()
    overdue: tuple[Overdue, ...] = ()
    supports: Mapping[str, Support] = {}
    review: Review | None = None
    grant: Grant | None = None
    grant_refused: str = ""
    approval: Approval | None = None
    decided: Decided | None = None
    denied: bool = False
    offer: Offer | None = None
    plan_asked: PlanAsked | None = None
    services_started_on: date | None = None
    closing: Closing | None = None
    told_at: datetime | None = None

    @property
    def blocked(self) -> bool:
        """Whether a question must be answered before anybody can decide; past its time it holds nothing up."""
        return any(q.blocking for q in self.questions) and not self.lapsed("information")

    @property
    def in_ecm(self) -> bool:
        """Whether the member is served through this referral, its loop being closed as it should."""
        served = self.closing is not None and self.closing.outcome == "services_received"
        return served and self.offer is not None and self.offer.accepted_at is not None

    def lapsed(self, clock: str) -> bool:
        return any(o.clock == clock and o.state == "breached" for o in self.overdue)


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
        case ReferralSetAside():
            return _received(event.received)
        case ReferralQuestionsAsked():
            return _asked(now, event)
        case ReferralAmended():
            return _amended(now, event)
        case ReferralClosed():
            return _closed(now, event)
        case ReferralSupportMoved():
            moved = Support(
                code=event.code, status=event.status, provider=event.provider, at=event.occurred_at
            )
            return {"supports": {**now.supports, event.support: moved}}
        case ReferralOverdue() | AuthorizationOverdue() | AssignmentOverdue() | OutreachOverdue():
            return _overdue(now, event.clock, event.due_at, event.state)
        case NoticeDelivered():
            # Of a referrer's notices only those of the closing are published.
            first = now.told_at is None and event.recipient_kind == "referrer"
            return {"told_at": event.occurred_at} if first else {}
        case OutreachServicesStarted():
            return {"services_started_on": event.on}
        case OutreachContactChanged():
            return {"flags": event.flags, "sealed": {**now.sealed, **event.sealed}}
        case _:
            return _authorization_changes(now, event) or _assignment_changes(now, event)


# What the plan may be asked while a provider holds the referral.
OF_THE_ACCEPTED = frozenset({"conflicted", "change_requested"})


def _authorization_changes(now: Referral, event: Event) -> Mapping[str, Any]:
    match event:
        case AuthorizationReviewOpened():
            review = Review(
                authorization=event.authorization, clock=event.clock, due_at=event.due_at, cap_at=event.cap_at
            )
            return {"review": review}
        case AuthorizationPresumptiveGranted():
            grant = Grant(
                grant=event.grant, provider=event.provider, population=event.population, through=event.through
            )
            return {"grant": grant, "grant_refused": ""}
        case AuthorizationPresumptiveRefused():
            return {"grant_refused": event.reason}
        case AuthorizationPresumptiveEnded():
            return {"grant": None} if now.grant and now.grant.grant == event.grant else {}
        case AuthorizationPended():
            asked = {"asked_by_plan": event.asks}
            review = now.review.model_copy(update={"pended_until": event.by}) if now.review else None
            return asked | ({"review": review} if review else {})
        case AuthorizationResumed():
            left = tuple(q for q in now.questions if q.id not in now.asked_by_plan)
            review = now.review
            if review is not None:
                review = review.model_copy(update={"pended_until": None, "due_at": event.due_at})
            return {"asked_by_plan": (), "questions": left, "review": review}
        case AuthorizationExpedited() if now.review is not None:
            return {"review": now.review.model_copy(update={"clock": "expedited", "due_at": event.due_at})}
        case AuthorizationApproved():
            approval = Approval(number=event.number, from_=event.from_, through=event.through)
            return {"approval": approval, "review": None, "decided": _decided(now, event.occurred_at)}
        case AuthorizationDenied():
            return {"denied": True, "review": None, "decided": _decided(now, event.occurred_at)}
        case AuthorizationEnded():
            ended = now.approval.model_copy(update={"through": event.on}) if now.approval else None
            return {"approval": ended} if ended else {}
        case _:
            return {}


def _decided(now: Referral, at: datetime) -> Decided | None:
    """The first decision counts: what is decided later again keeps no clock here."""
    review = now.review
    if now.decided is not None or review is None:
        return now.decided
    return Decided(clock=f"decision_{review.clock}", due_at=review.due_at, at=at)


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
        case AssignmentLeadChanged():
            held = now.offer
            if held is None or held.assignment != event.assignment:
                return {}
            return {"offer": held.model_copy(update={"lead": event.lead.name})}
        case AssignmentDeclined() | AssignmentWithdrawn() | AssignmentEnded():
            held, asked = now.offer, now.plan_asked
            if held is None or held.assignment != event.assignment:
                return {}
            over = {"plan_asked": None} if asked and asked.reason in OF_THE_ACCEPTED else {}
            return {"offer": None, **over}
        case AssignmentPlanAsked():
            return {"plan_asked": PlanAsked(reason=event.reason, due_at=event.due_at)}
        case OutreachAttempted():
            held = now.offer
            if held is None or held.assignment != event.assignment:
                return {}
            return {"offer": held.model_copy(update={"attempts": max(held.attempts, event.number)})}
        case _:
            return {}


RECEIVED_FIELDS = (
    "plan", "referrer", "member", "kind", "form", "received_via", "urgency", "age_band", "county", "language",
    "populations", "attested", "claim", "preferred", "chosen", "pcp", "program_providers", "eligibility",
    "family_of", "flags", "consent_holder", "release_on", "linked", "sealed",
)  # fmt: skip
# What `referral.amended` may change of them; `sealed` part by part.
AMENDABLE = (
    "member", "kind", "form", "urgency", "age_band", "county", "language", "populations", "attested", "claim",
    "preferred", "chosen", "pcp", "program_providers", "eligibility", "flags", "consent_holder", "release_on",
    "linked", "questions",
)  # fmt: skip


def _received(event: ReferralReceived) -> Mapping[str, Any]:
    return {
        "received_at": event.occurred_at,
        **{name: getattr(event, name) for name in RECEIVED_FIELDS},
    }


def _asked(now: Referral, event: ReferralQuestionsAsked) -> Mapping[str, Any]:
    if event.reminder:
        return {"reminders": event.reminder}
    return {
        "questions": event.questions,
        "questions_due_at": event.due_at,
        "remind_at": event.remind_at,
        "reminders": 0,
        "overdue": tuple(o for o in now.overdue if o.clock != "information"),
    }


def _amended(now: Referral, event: ReferralAmended) -> Mapping[str, Any]:
    changed: dict[str, Any] = {
        name: getattr(event, name) for name in AMENDABLE if getattr(event, name) is not None
    }
    if event.sealed:
        changed["sealed"] = {**now.sealed, **event.sealed}
    if event.joined and event.joined_referrer:
        second = Joined(referral=event.joined, referrer=event.joined_referrer)
        rest = tuple(each for each in now.joined if each.referral != event.joined)
        changed["joined"] = rest if event.cause == "split" else (*rest, second)
    return changed


def _overdue(now: Referral, clock: str, due_at: datetime, state: str) -> Mapping[str, Any]:
    rest = tuple(each for each in now.overdue if each.clock != clock)
    return {"overdue": (*rest, Overdue(clock=clock, due_at=due_at, state=state))}


def _closed(now: Referral, event: ReferralClosed) -> Mapping[str, Any]:
    if now.closing is not None:
        return {}
    closing = Closing(
        outcome=event.outcome,
        clr_reason=event.clr_reason,
        at=event.occurred_at,
        text=event.text,
        merged_into=event.merged_into,
    )
    over = {} if event.outcome == "services_received" else {"offer": None, "plan_asked": None}
    return {"closing": closing, "questions": (), "asked_by_plan": (), **over}


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
    if referral.blocked:
        return Status.NEEDS_INFORMATION
    return Status.PENDING_AUTHORIZATION if referral.review is not None else Status.RECEIVED
