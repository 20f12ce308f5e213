"""How does each event change how a referral stands? Any order is bearable."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from loopkeeper.contract.events import (
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
    Event,
    NoticeDelivered,
    OutreachAttempted,
    OutreachContactChanged,
    OutreachOverdue,
    OutreachServicesStarted,
    ReferralAmended,
    ReferralClosed,
    ReferralOverdue,
    ReferralQuestionsAsked,
    ReferralReceived,
    ReferralSetAside,
    ReferralSupportMoved,
)
from referral_intake.domain.state import (
    AMENDABLE,
    OF_THE_ACCEPTED,
    RECEIVED_FIELDS,
    Approval,
    Closing,
    Decided,
    Grant,
    Joined,
    Offer,
    Overdue,
    PlanAsked,
    Referral,
    Review,
    Support,
)


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
