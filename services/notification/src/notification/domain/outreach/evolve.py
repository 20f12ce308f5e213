"""How does each event change what is known of the outreach to a member? Any order is bearable."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, timedelta
from typing import Any

from loopkeeper.contract.calendar import la_date
from loopkeeper.contract.events import (
    AssignmentAccepted,
    AssignmentAnswerRefused,
    AssignmentDeclined,
    AssignmentEnded,
    AssignmentLeadChanged,
    AssignmentMade,
    AssignmentWithdrawn,
    AuthorizationAppealed,
    AuthorizationAppealResolved,
    AuthorizationApproved,
    AuthorizationDenied,
    AuthorizationEnded,
    AuthorizationExtended,
    AuthorizationPresumptiveEnded,
    AuthorizationPresumptiveGranted,
    AuthorizationPresumptiveRefused,
    Event,
    NoticeDelivered,
    NoticeTakenBack,
    OutreachAnswered,
    OutreachAttempted,
    OutreachClosingReported,
    OutreachContactChanged,
    OutreachInitiated,
    OutreachMemberDeclined,
    OutreachMonthCounted,
    OutreachOverdue,
    OutreachServiceEnded,
    OutreachServicesStarted,
    OutreachTakenBack,
    OutreachUnableToReach,
    ReferralAmended,
    ReferralBackInCustody,
    ReferralClosed,
    ReferralDeathTakenBack,
    ReferralDeathTold,
    ReferralReceived,
    ScreenedPopulation,
)
from loopkeeper.contract.vocabulary import DenialReason
from notification.domain.outreach.state import (
    DECEASED_CODE,
    IN_PERSON,
    SERVICES_RECEIVED,
    WEEKLY_VISIT,
    Answered,
    Assignment,
    Attempt,
    Closing,
    Ending,
    Grant,
    Joined,
    Month,
    Outreach,
    ReportedClosing,
    Term,
    over,
    raised,
)


def evolve(outreach: Outreach | None, event: Event) -> Outreach:
    """The row after this fact."""
    state = outreach or Outreach()
    fold = FOLD.get(type(event))
    changes: Mapping[str, Any] = fold(state, event) if fold is not None else {}
    return state.model_copy(update=changes) if changes else state


def _received(state: Outreach, event: ReferralReceived) -> Mapping[str, Any]:
    copied = (
        "plan",
        "referrer",
        "kind",
        "member",
        "county",
        "age_band",
        "language",
        "flags",
        "consent_holder",
    )
    return {
        **{name: getattr(event, name) for name in copied},
        "populations": _concerned(event.populations),
        "pcp": event.pcp or "",
        "programs": event.program_providers,
        "contact": event.sealed.get("contact", ""),
        "claimed_by": event.claim.provider if event.claim else "",
        "release_told_by": (event.referrer,) if event.release_on is not None else (),
    }


def _amended(state: Outreach, event: ReferralAmended) -> Mapping[str, Any]:
    """A field that is None did not change."""
    copied = ("kind", "member", "county", "age_band", "language", "flags", "consent_holder", "pcp")
    changes: dict[str, Any] = {name: value for name in copied if (value := getattr(event, name)) is not None}
    if event.populations is not None:
        changes["populations"] = _concerned(event.populations)
    if event.program_providers is not None:
        changes["programs"] = event.program_providers
    if event.claim is not None:
        changes["claimed_by"] = event.claim.provider
    if event.sealed is not None and "contact" in event.sealed:
        changes["contact"] = event.sealed["contact"]
    if event.release_on is not None:
        teller = event.acted_by.organization if event.acted_by is not None else state.referrer
        changes["release_told_by"] = tuple(dict.fromkeys((*state.release_told_by, teller)))
    held = state.assignment
    if event.release_on is not None and held is not None and (held.starts_on is not None or held.inside):
        # A release that moves moves the start of what is planned, or taken back.
        changes["assignment"] = held.model_copy(update={"starts_on": event.release_on, "inside": False})
    if event.joined is not None:
        others = tuple(each for each in state.joined if each.referral != event.joined)
        added = Joined(referral=event.joined, referrer=event.joined_referrer or "")
        changes["joined"] = (*others, added) if event.cause == "joined" else others
    return changes


def _concerned(populations: tuple[ScreenedPopulation, ...]) -> tuple[str, ...]:
    """Which populations a referral is about: those met, and those claimed."""
    return tuple(each.code for each in populations if each.result == "met" or each.claimed)


def _contact_changed(state: Outreach, event: OutreachContactChanged) -> Mapping[str, Any]:
    return {
        "flags": event.flags,
        "contact": event.sealed.get("contact", state.contact),
        "consent": event.consent if event.consent is not None else state.consent,
    }


def _closed(state: Outreach, event: ReferralClosed) -> Mapping[str, Any]:
    if state.closing is not None:
        return {}
    closing = Closing(
        outcome=event.outcome,
        at=event.occurred_at,
        detail=event.detail or "",
        right_plan=event.right_plan or "",
        text=event.text,
    )
    changes: dict[str, Any] = {"closing": closing}
    held = state.assignment
    if event.outcome != SERVICES_RECEIVED and held is not None:
        ended_on = held.ended_on or la_date(event.occurred_at)
        changes["assignment"] = held.model_copy(update={"ended": True, "ended_on": ended_on})
    return changes


# ── authorization ─────────────────────────────────────────────────────────────────────────────────────────


def _granted(state: Outreach, event: AuthorizationPresumptiveGranted) -> Mapping[str, Any]:
    if event.carried_by:
        # The answer to a claim that joined another loop, which has the grant and tells of it.
        return {}
    return {"grant": Grant(grant=event.grant, provider=event.provider)}


def _refused(state: Outreach, event: AuthorizationPresumptiveRefused) -> Mapping[str, Any]:
    """Of a referral that was over as it came in, nothing but the answer to its claim is heard."""
    return {"plan": event.plan, "claimed_by": event.provider} if event.plan and not state.plan else {}


def _grant_ended(state: Outreach, event: AuthorizationPresumptiveEnded) -> Mapping[str, Any]:
    return {"grant": None} if state.grant and state.grant.grant == event.grant else {}


def _approved(state: Outreach, event: AuthorizationApproved) -> Mapping[str, Any]:
    return {"decision": "approved", "term": _term(event)}


def _extended(state: Outreach, event: AuthorizationExtended) -> Mapping[str, Any]:
    return {"term": _term(event)}


def _term(event: AuthorizationApproved | AuthorizationExtended) -> Term:
    return Term(at=event.occurred_at, through=event.through, from_=event.from_, number=event.number)


def _appealed(state: Outreach, event: AuthorizationAppealed) -> Mapping[str, Any]:
    return {"appealed": event.continues}


def _appeal_resolved(state: Outreach, event: AuthorizationAppealResolved) -> Mapping[str, Any]:
    return {"appealed": False}


def _term_ended(state: Outreach, event: AuthorizationEnded) -> Mapping[str, Any]:
    through = {"term": state.term.model_copy(update={"through": event.on})} if state.term else {}
    return through | ({"deceased": True} if event.code == DECEASED_CODE else {})


def _denied(state: Outreach, event: AuthorizationDenied) -> Mapping[str, Any]:
    return {"decision": "denied", "deceased": event.reason == DenialReason.DECEASED.value}


# ── assignment ────────────────────────────────────────────────────────────────────────────────────────────


def _made(state: Outreach, event: AssignmentMade) -> Mapping[str, Any]:
    """A late offer of what was accepted already changes nothing; one for a closed loop is never live."""
    if state.assignment is not None and state.assignment.assignment == event.assignment:
        return {}
    offer = Assignment(
        assignment=event.assignment,
        provider=event.provider,
        answer_due_at=event.answer_due_at,
        starts_on=event.starts_on,
        ended=over(state),
    )
    former = _former(state, event.assignment, la_date(event.occurred_at))
    return {"assignment": offer, **former} | ({} if state.closing else {"ending": None})


def _former(state: Outreach, assignment: str, on: date) -> Mapping[str, Any]:
    """Keeps an accepted assignment that another one follows."""
    held = state.assignment
    if held is None or held.accepted_at is None or held.assignment == assignment:
        return {}
    over_now = held.model_copy(update={"ended": True, "ended_on": held.ended_on or on})
    return {"former": (*state.former, over_now)}


def _taken(state: Outreach, event: AssignmentAccepted) -> Mapping[str, Any]:
    held = state.assignment
    if held is not None and held.assignment != event.assignment and not held.ended:
        return {}
    former = _former(state, event.assignment, la_date(event.occurred_at))
    return {"assignment": _accepted(state, event), **former}


def _lead_changed(state: Outreach, event: AssignmentLeadChanged) -> Mapping[str, Any]:
    held = state.assignment
    if held is None or held.assignment != event.assignment:
        return {}
    return {"assignment": held.model_copy(update={"lead": event.lead})}


def _taken_back(
    state: Outreach, event: AssignmentDeclined | AssignmentWithdrawn | AssignmentEnded
) -> Mapping[str, Any]:
    held = state.assignment
    if held is None or held.assignment != event.assignment:
        return {}
    last = event.on if isinstance(event, AssignmentEnded) else la_date(event.occurred_at)
    gone: dict[str, Any] = {"ended": True, "ended_on": held.ended_on or last}
    if isinstance(event, AssignmentDeclined):
        gone["declined_on"] = la_date(event.occurred_at)
    return {"assignment": held.model_copy(update=gone)}


def _accepted(state: Outreach, event: AssignmentAccepted) -> Assignment:
    held = state.assignment
    if held is None or held.assignment != event.assignment:
        held = Assignment(assignment=event.assignment, provider=event.provider, ended=over(state))
    return held.model_copy(update={"accepted_at": event.occurred_at, "lead": event.lead})


def _attempted(state: Outreach, event: OutreachAttempted) -> Mapping[str, Any]:
    made = Attempt(
        assignment=event.assignment,
        number=event.number,
        at=event.occurred_at,
        actor_kind=event.actor_kind,
        modality=event.modality,
        outcome=event.outcome,
        reached=event.reached,
        minutes=event.minutes,
        before_acceptance=event.before_acceptance,
    )
    changes: dict[str, Any] = {"attempts": (*state.attempts, made)}
    if made.modality == IN_PERSON and not made.before_acceptance:
        changes["raised"] = _next_week(state.raised, made.assignment)
    return changes


def _started(state: Outreach, event: OutreachServicesStarted) -> Mapping[str, Any]:
    return {"ending": Ending(how="services_started", on=event.on)}


def _member_declined(state: Outreach, event: OutreachMemberDeclined) -> Mapping[str, Any]:
    return {"ending": Ending(how="member_declined", on=event.on)}


def _unreached(state: Outreach, event: OutreachUnableToReach) -> Mapping[str, Any]:
    return {"ending": Ending(how="unable_to_reach", on=event.on)}


def _service_ended(state: Outreach, event: OutreachServiceEnded) -> Mapping[str, Any]:
    return {
        "ended_service": event.assignment,
        "ended_service_on": event.on,
        "ended_service_as": event.code,
        # A provider tells a death by its code, too (loop.md 7.7).
        **({"death_told": True} if event.code == DECEASED_CODE else {}),
    }


# ── what a provider's file says ───────────────────────────────────────────────────────────────────────────


def _answered(state: Outreach, event: OutreachAnswered) -> Mapping[str, Any]:
    return _of_the_held(state, event.assignment, answered=Answered(answer=event.answer, on=event.on))


def _answer_refused(state: Outreach, event: AssignmentAnswerRefused) -> Mapping[str, Any]:
    held = state.assignment
    said = held.answered if held is not None else None
    if said is None or said.answer != event.answer:
        return {}
    refused = said.model_copy(update={"refused": event.reason})
    return _of_the_held(state, event.assignment, answered=refused)


def _initiated(state: Outreach, event: OutreachInitiated) -> Mapping[str, Any]:
    return _of_the_held(state, event.assignment, initiated_on=event.on)


def _closing_reported(state: Outreach, event: OutreachClosingReported) -> Mapping[str, Any]:
    said = ReportedClosing(assignment=event.assignment, reason=event.reason, on=event.on)
    return {"reported": (*state.reported, said)}


def _month_counted(state: Outreach, event: OutreachMonthCounted) -> Mapping[str, Any]:
    key = (event.assignment, event.month)
    others = tuple(each for each in state.months if (each.assignment, each.month) != key)
    month = Month(
        assignment=event.assignment, month=event.month, in_person=event.in_person, remote=event.remote
    )
    return {"months": (*others, month)}


def _back_in_custody(state: Outreach, event: ReferralBackInCustody) -> Mapping[str, Any]:
    held = state.assignment
    if held is None or held.ended:
        return {}
    return {"assignment": held.model_copy(update={"starts_on": None, "inside": True})}


def _death_told(state: Outreach, event: ReferralDeathTold) -> Mapping[str, Any]:
    return {"death_told": True}


def _death_taken_back(state: Outreach, event: ReferralDeathTakenBack) -> Mapping[str, Any]:
    return {"death_told": False}


def _fact_taken_back(state: Outreach, event: OutreachTakenBack) -> Mapping[str, Any]:
    """A fact recorded in error is one no more; it stays among what was recorded (loop.md 8.7)."""
    match event.what:
        case "attempted":
            same = (event.assignment, event.number)
            tried = (
                each.model_copy(update={"taken_back": True})
                if (each.assignment, each.number) == same
                else each
                for each in state.attempts
            )
            return {"attempts": tuple(tried)}
        case "initiated":
            return _of_the_held(state, event.assignment, initiated_on=None)
        case "service_ended":
            died = {"death_told": False} if state.ended_service_as == DECEASED_CODE else {}
            return {"ended_service": "", "ended_service_on": None, "ended_service_as": 0, **died}
        case _:
            return {"ending": None}


def _of_the_held(state: Outreach, assignment: str, **changes: object) -> Mapping[str, Any]:
    held = state.assignment
    if held is None or held.assignment != assignment:
        return {}
    return {"assignment": held.model_copy(update=changes)}


def _overdue(state: Outreach, event: OutreachOverdue) -> Mapping[str, Any]:
    said = (*state.raised, raised(event.assignment, event.clock, event.state))
    if (event.clock, event.state) != (WEEKLY_VISIT, "breached"):
        return {"raised": said}
    # The next week counts from the last day of the one without a visit, which ends as the next day begins.
    last = event.due_at - timedelta.resolution
    return {"raised": _next_week(said, event.assignment), "week_from": last}


def _next_week(said: tuple[str, ...], assignment: str) -> tuple[str, ...]:
    """Without what was said of the week that is over: it is said of the next one again."""
    last = {raised(assignment, WEEKLY_VISIT, how) for how in ("at_risk", "breached")}
    return tuple(each for each in said if each not in last)


def _told(state: Outreach, event: NoticeDelivered) -> Mapping[str, Any]:
    return {} if event.notice in state.told else {"told": (*state.told, event.notice)}


def _untold(state: Outreach, event: NoticeTakenBack) -> Mapping[str, Any]:
    return {"told": tuple(each for each in state.told if each != event.notice)}


# Every event that changes this state; whatever else is heard is noted, and changes nothing here.
FOLD: Mapping[type[Event], Callable[[Outreach, Any], Mapping[str, Any]]] = {
    ReferralReceived: _received,
    ReferralAmended: _amended,
    ReferralClosed: _closed,
    AuthorizationPresumptiveGranted: _granted,
    AuthorizationPresumptiveRefused: _refused,
    AuthorizationPresumptiveEnded: _grant_ended,
    AuthorizationApproved: _approved,
    AuthorizationExtended: _extended,
    AuthorizationEnded: _term_ended,
    AuthorizationAppealed: _appealed,
    AuthorizationAppealResolved: _appeal_resolved,
    AuthorizationDenied: _denied,
    AssignmentMade: _made,
    AssignmentAccepted: _taken,
    AssignmentLeadChanged: _lead_changed,
    AssignmentDeclined: _taken_back,
    AssignmentWithdrawn: _taken_back,
    AssignmentEnded: _taken_back,
    OutreachAttempted: _attempted,
    OutreachServicesStarted: _started,
    OutreachMemberDeclined: _member_declined,
    OutreachUnableToReach: _unreached,
    OutreachServiceEnded: _service_ended,
    OutreachTakenBack: _fact_taken_back,
    ReferralBackInCustody: _back_in_custody,
    ReferralDeathTold: _death_told,
    ReferralDeathTakenBack: _death_taken_back,
    OutreachContactChanged: _contact_changed,
    AssignmentAnswerRefused: _answer_refused,
    OutreachAnswered: _answered,
    OutreachInitiated: _initiated,
    OutreachClosingReported: _closing_reported,
    OutreachMonthCounted: _month_counted,
    OutreachOverdue: _overdue,
    NoticeDelivered: _told,
    NoticeTakenBack: _untold,
}
