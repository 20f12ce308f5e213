"""How does each event change the state of a referral? Any order is bearable."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from loopkeeper.contract.calendar import la_date
from loopkeeper.contract.events import (
    AssignmentAccepted,
    AssignmentDeclined,
    AssignmentEnded,
    AssignmentLeadChanged,
    AssignmentMade,
    AssignmentOverdue,
    AssignmentPlanAsked,
    AssignmentQuestionTakenBack,
    AssignmentWithdrawn,
    AuthorizationApproved,
    AuthorizationDenied,
    AuthorizationEnded,
    AuthorizationExpedited,
    AuthorizationExtended,
    AuthorizationOverdue,
    AuthorizationPended,
    AuthorizationPresumptiveEnded,
    AuthorizationPresumptiveGranted,
    AuthorizationPresumptiveRefused,
    AuthorizationReauthorizationRequested,
    AuthorizationResumed,
    AuthorizationReviewOpened,
    Event,
    NoticeDelivered,
    NoticeTakenBack,
    OutreachAttempted,
    OutreachClosingReported,
    OutreachContactChanged,
    OutreachInitiated,
    OutreachOverdue,
    OutreachServicesStarted,
    OutreachTakenBack,
    ReferralAmended,
    ReferralBackInCustody,
    ReferralClosed,
    ReferralDeathConfirmed,
    ReferralDeathTakenBack,
    ReferralDeathTold,
    ReferralOverdue,
    ReferralPlanAsked,
    ReferralQuestionsAsked,
    ReferralReceived,
    ReferralSetAside,
    ReferralSupportMoved,
)
from referral_intake.domain.state import (
    AMENDABLE,
    AUTHORIZATION_ENDED,
    OF_THE_ACCEPTED,
    RECEIVED_FIELDS,
    REPORTED,
    START_WITHOUT_FORM,
    Approval,
    Closing,
    Death,
    Decided,
    Grant,
    Joined,
    Offer,
    Overdue,
    PlanAsked,
    Referral,
    Review,
    Support,
    TermEnding,
)


def evolve(referral: Referral | None, event: Event) -> Referral:
    """The referral after this fact. Any order is bearable: an unknown referral becomes a bare row."""
    state = referral or Referral()
    fold = FOLD.get(type(event))
    changes: Mapping[str, Any] = fold(state, event) if fold is not None else {}
    return state.model_copy(update=changes) if changes else state


# ── authorization ─────────────────────────────────────────────────────────────────────────────────────────


def _review_opened(state: Referral, event: AuthorizationReviewOpened) -> Mapping[str, Any]:
    review = Review(
        authorization=event.authorization, clock=event.clock, due_at=event.due_at, cap_at=event.cap_at
    )
    return {"review": review}


def _granted(state: Referral, event: AuthorizationPresumptiveGranted) -> Mapping[str, Any]:
    if event.carried_by:
        # The answer to a claim that joined another loop, which has the grant.
        return {}
    grant = Grant(
        grant=event.grant, provider=event.provider, population=event.population, through=event.through
    )
    return {"grant": grant, "grant_refused": ""}


def _grant_refused(state: Referral, event: AuthorizationPresumptiveRefused) -> Mapping[str, Any]:
    return {"grant_refused": event.reason}


def _grant_ended(state: Referral, event: AuthorizationPresumptiveEnded) -> Mapping[str, Any]:
    return {"grant": None} if state.grant and state.grant.grant == event.grant else {}


def _pended(state: Referral, event: AuthorizationPended) -> Mapping[str, Any]:
    review = state.review.model_copy(update={"pended_until": event.by}) if state.review else None
    return {"asked_by_plan": event.asks, **({"review": review} if review else {})}


def _resumed(state: Referral, event: AuthorizationResumed) -> Mapping[str, Any]:
    left = tuple(q for q in state.questions if q.id not in state.asked_by_plan)
    review = state.review
    if review is not None:
        review = review.model_copy(update={"pended_until": None, "due_at": event.due_at})
    return {"asked_by_plan": (), "questions": left, "review": review}


def _expedited(state: Referral, event: AuthorizationExpedited) -> Mapping[str, Any]:
    if state.review is None:
        return {}
    cap_at = event.cap_at or state.review.cap_at
    changed = {"clock": "expedited", "due_at": event.due_at, "cap_at": cap_at}
    return {"review": state.review.model_copy(update=changed)}


def _approved(state: Referral, event: AuthorizationApproved) -> Mapping[str, Any]:
    approval = Approval(
        number=event.number, from_=event.from_, through=event.through, populations=event.populations
    )
    return {"approval": approval, "review": None, "decided": _decided(state, event.occurred_at)}


def _denied(state: Referral, event: AuthorizationDenied) -> Mapping[str, Any]:
    return {"denied": True, "review": None, "decided": _decided(state, event.occurred_at)}


def _extended(state: Referral, event: AuthorizationExtended) -> Mapping[str, Any]:
    if state.approval is None:
        return {}
    longer = {"number": event.number, "from_": event.from_, "through": event.through}
    return {"approval": state.approval.model_copy(update=longer), **_not_ending(state)}


def _reauthorization_requested(
    state: Referral, event: AuthorizationReauthorizationRequested
) -> Mapping[str, Any]:
    """Asked in time, the term lives on until that is decided (loop.md 4.7)."""
    return _not_ending(state)


def _not_ending(state: Referral) -> Mapping[str, Any]:
    asked = state.plan_asked
    over = {"plan_asked": None} if asked is not None and asked.reason == AUTHORIZATION_ENDED else {}
    return {"ending": None, **over}


def _plan_asked_of_the_end(state: Referral, event: ReferralPlanAsked) -> Mapping[str, Any]:
    return {"plan_asked": PlanAsked(reason=event.reason, due_at=event.due_at), "ending": None}


def _term_ended(state: Referral, event: AuthorizationEnded) -> Mapping[str, Any]:
    ending = TermEnding(code=event.code, on=event.on)
    ended = state.approval.model_copy(update={"through": event.on}) if state.approval else None
    return {"ending": ending, **({"approval": ended} if ended else {})}


def _decided(state: Referral, at: datetime) -> Decided | None:
    """The first decision counts: what is decided later again keeps no clock here."""
    review = state.review
    if state.decided is not None or review is None:
        return state.decided
    return Decided(clock=f"decision_{review.clock}", due_at=review.due_at, at=at)


# ── assignment, outreach, notices ─────────────────────────────────────────────────────────────────────────


def _asks(state: Referral, asked: PlanAsked | None) -> Mapping[str, Any]:
    """What the plan is asked next, if anything. What happens at a provider does not answer how it goes on once the term is
    over: it was before that, and only comes later (loop.md 7.6)."""
    before = state.plan_asked
    return {} if before is not None and before.reason == AUTHORIZATION_ENDED else {"plan_asked": asked}


def _made(state: Referral, event: AssignmentMade) -> Mapping[str, Any]:
    offer = Offer(assignment=event.assignment, provider=event.provider, answer_due_at=event.answer_due_at)
    return {"offer": offer, **_asks(state, None)}


def _accepted(state: Referral, event: AssignmentAccepted) -> Mapping[str, Any]:
    held = state.offer or Offer(
        assignment=event.assignment, provider=event.provider, answer_due_at=event.occurred_at
    )
    if held.assignment != event.assignment:
        return {}
    taken = held.model_copy(update={"accepted_at": event.occurred_at, "lead": event.lead.name})
    return {"offer": taken, **_asks(state, None), "served_by": event.provider}


def _lead_changed(state: Referral, event: AssignmentLeadChanged) -> Mapping[str, Any]:
    held = state.offer
    if held is None or held.assignment != event.assignment:
        return {}
    return {"offer": held.model_copy(update={"lead": event.lead.name})}


def _taken_back(
    state: Referral, event: AssignmentDeclined | AssignmentWithdrawn | AssignmentEnded
) -> Mapping[str, Any]:
    held, asked = state.offer, state.plan_asked
    if held is None or held.assignment != event.assignment:
        return {}
    over = {"plan_asked": None} if asked and asked.reason in OF_THE_ACCEPTED else {}
    return {"offer": None, **over}


def _plan_asked(state: Referral, event: AssignmentPlanAsked) -> Mapping[str, Any]:
    return _asks(state, PlanAsked(reason=event.reason, due_at=event.due_at))


def _question_taken_back(state: Referral, event: AssignmentQuestionTakenBack) -> Mapping[str, Any]:
    asked = state.plan_asked
    if asked is None or asked.reason != event.reason:
        return {}
    return {"plan_asked": PlanAsked(reason=event.open, due_at=event.due_at) if event.open else None}


def _attempted(state: Referral, event: OutreachAttempted) -> Mapping[str, Any]:
    held = state.offer
    if held is None or held.assignment != event.assignment or event.before_acceptance:
        return {}
    asked = state.plan_asked
    goes_on = asked is not None and asked.on is not None and la_date(event.occurred_at) > asked.on
    return {
        "offer": held.model_copy(update={"attempts": max(held.attempts, event.number)}),
        **({"plan_asked": None} if goes_on else {}),
    }


def _outreach_taken_back(state: Referral, event: OutreachTakenBack) -> Mapping[str, Any]:
    """A fact recorded in error; what it closed stays closed (loop.md 8.7)."""
    if event.what == "services_started":
        return {"services_started_on": None}
    held = state.offer
    if held is None or held.assignment != event.assignment:
        return {}
    match event.what:
        case "attempted":
            return {"offer": held.model_copy(update={"taken_back": held.taken_back + 1})}
        case "initiated":
            return {"offer": held.model_copy(update={"initiated_on": None})}
        case _:
            return {}


def _initiated(state: Referral, event: OutreachInitiated) -> Mapping[str, Any]:
    held = state.offer
    if held is None or held.assignment != event.assignment:
        return {}
    return {"offer": held.model_copy(update={"initiated_on": event.on})}


def _closing_reported(state: Referral, event: OutreachClosingReported) -> Mapping[str, Any]:
    """The provider would close; a named person of the plan decides. Outreach that goes on takes it back."""
    held = state.offer
    if held is None or held.assignment != event.assignment or state.closing is not None:
        return {}
    return _asks(state, PlanAsked(reason=f"{REPORTED}{event.reason}", due_at=event.due_at, on=event.on))


def _started(state: Referral, event: OutreachServicesStarted) -> Mapping[str, Any]:
    return {"services_started_on": event.on}


def _contact_changed(state: Referral, event: OutreachContactChanged) -> Mapping[str, Any]:
    consent = {"consent": event.consent} if event.consent is not None else {}
    return {"flags": event.flags, "sealed": {**state.sealed, **event.sealed}, **consent}


def _told(state: Referral, event: NoticeDelivered) -> Mapping[str, Any]:
    """Of a referrer's notices only those of the closing are published."""
    first = state.told_at is None and event.recipient_kind == "referrer"
    return {"told_at": event.occurred_at} if first else {}


def _untold(state: Referral, event: NoticeTakenBack) -> Mapping[str, Any]:
    return {"told_at": None} if event.recipient_kind == "referrer" else {}


# ── intake's own ──────────────────────────────────────────────────────────────────────────────────────────


def _received(state: Referral, event: ReferralReceived) -> Mapping[str, Any]:
    return {
        "received_at": event.occurred_at,
        "release_told_by": (event.referrer,) if event.release_on is not None else (),
        **{name: getattr(event, name) for name in RECEIVED_FIELDS},
    }


def _set_aside(state: Referral, event: ReferralSetAside) -> Mapping[str, Any]:
    return _received(state, event.received)


def _support_moved(state: Referral, event: ReferralSupportMoved) -> Mapping[str, Any]:
    moved = Support(code=event.code, status=event.status, provider=event.provider, at=event.occurred_at)
    return {"supports": {**state.supports, event.support: moved}}


def _asked(state: Referral, event: ReferralQuestionsAsked) -> Mapping[str, Any]:
    if event.reminder:
        return {"reminders": event.reminder}
    return {
        "questions": event.questions,
        "questions_due_at": event.due_at,
        "remind_at": event.remind_at,
        "reminders": 0,
        "overdue": tuple(o for o in state.overdue if o.clock != "information"),
    }


def _amended(state: Referral, event: ReferralAmended) -> Mapping[str, Any]:
    changed: dict[str, Any] = {
        name: getattr(event, name) for name in AMENDABLE if getattr(event, name) is not None
    }
    if event.sealed:
        changed["sealed"] = {**state.sealed, **event.sealed}
    if event.release_on is not None:
        teller = event.acted_by.organization if event.acted_by is not None else state.referrer
        changed["release_told_by"] = tuple(dict.fromkeys((*state.release_told_by, teller)))
        changed["custody_due_at"] = None
    if event.kind == "full" and state.plan_asked and state.plan_asked.reason == START_WITHOUT_FORM:
        changed["plan_asked"] = None
    if event.joined and event.joined_referrer:
        second = Joined(referral=event.joined, referrer=event.joined_referrer)
        rest = tuple(each for each in state.joined if each.referral != event.joined)
        changed["joined"] = rest if event.cause == "split" else (*rest, second)
    return changed


def _overdue(
    state: Referral, event: ReferralOverdue | AuthorizationOverdue | AssignmentOverdue | OutreachOverdue
) -> Mapping[str, Any]:
    rest = tuple(each for each in state.overdue if each.clock != event.clock)
    late = Overdue(clock=event.clock, due_at=event.due_at, state=event.state)
    return {"overdue": (*rest, late)}


def _closed(state: Referral, event: ReferralClosed) -> Mapping[str, Any]:
    if state.closing is not None:
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


def _back_in_custody(state: Referral, event: ReferralBackInCustody) -> Mapping[str, Any]:
    by = (event.acted_by.organization,) if event.acted_by is not None else ()
    told_by = tuple(dict.fromkeys((*state.release_told_by, *by)))
    return {"release_on": None, "custody_due_at": event.due_at, "release_told_by": told_by}


def _death_told(state: Referral, event: ReferralDeathTold) -> Mapping[str, Any]:
    return {"death": Death(by=event.by, due_at=event.due_at)}


def _death_confirmed(state: Referral, event: ReferralDeathConfirmed) -> Mapping[str, Any]:
    return {"death": state.death.model_copy(update={"confirmed": True})} if state.death is not None else {}


def _death_taken_back(state: Referral, event: ReferralDeathTakenBack) -> Mapping[str, Any]:
    return {"death": None}


# Every event that changes the state of a referral; everything else that is heard is in its timeline only.
FOLD: Mapping[type[Event], Callable[[Referral, Any], Mapping[str, Any]]] = {
    ReferralReceived: _received,
    ReferralSetAside: _set_aside,
    ReferralQuestionsAsked: _asked,
    ReferralAmended: _amended,
    ReferralClosed: _closed,
    ReferralSupportMoved: _support_moved,
    ReferralBackInCustody: _back_in_custody,
    ReferralDeathTold: _death_told,
    ReferralDeathConfirmed: _death_confirmed,
    ReferralDeathTakenBack: _death_taken_back,
    ReferralOverdue: _overdue,
    ReferralPlanAsked: _plan_asked_of_the_end,
    AuthorizationReviewOpened: _review_opened,
    AuthorizationPended: _pended,
    AuthorizationResumed: _resumed,
    AuthorizationExpedited: _expedited,
    AuthorizationOverdue: _overdue,
    AuthorizationApproved: _approved,
    AuthorizationDenied: _denied,
    AuthorizationEnded: _term_ended,
    AuthorizationExtended: _extended,
    AuthorizationReauthorizationRequested: _reauthorization_requested,
    AuthorizationPresumptiveGranted: _granted,
    AuthorizationPresumptiveRefused: _grant_refused,
    AuthorizationPresumptiveEnded: _grant_ended,
    AssignmentMade: _made,
    AssignmentAccepted: _accepted,
    AssignmentLeadChanged: _lead_changed,
    AssignmentDeclined: _taken_back,
    AssignmentWithdrawn: _taken_back,
    AssignmentEnded: _taken_back,
    AssignmentPlanAsked: _plan_asked,
    AssignmentQuestionTakenBack: _question_taken_back,
    AssignmentOverdue: _overdue,
    OutreachAttempted: _attempted,
    OutreachServicesStarted: _started,
    OutreachTakenBack: _outreach_taken_back,
    OutreachContactChanged: _contact_changed,
    OutreachInitiated: _initiated,
    OutreachClosingReported: _closing_reported,
    OutreachOverdue: _overdue,
    NoticeDelivered: _told,
    NoticeTakenBack: _untold,
}
