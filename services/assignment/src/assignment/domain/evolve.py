"""How does each event change what is known of a referral and its turns? Any order is bearable."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

from assignment.domain.state import (
    AUTHORIZATION_ENDED,
    NOT_REAUTHORIZED,
    OPENED,
    PROVIDER_LEFT,
    Assignment,
    Change,
    Grant,
    Offer,
    mark,
)
from loopkeeper.contract.events import (
    AssignmentAccepted,
    AssignmentDeclined,
    AssignmentEnded,
    AssignmentLeadChanged,
    AssignmentMade,
    AssignmentOverdue,
    AssignmentPlanAsked,
    AssignmentQuestionTakenBack,
    AssignmentStarted,
    AssignmentWithdrawn,
    AuthorizationApproved,
    AuthorizationEnded,
    AuthorizationExtended,
    AuthorizationPresumptiveEnded,
    AuthorizationPresumptiveGranted,
    AuthorizationReauthorizationRequested,
    Event,
    OutreachContactChanged,
    ReferralAmended,
    ReferralBackInCustody,
    ReferralClosed,
    ReferralReceived,
)


def evolve(state: Assignment | None, event: Event) -> Assignment:
    """The row after this fact. Any order is bearable; a closing of an unknown referral leaves a tombstone."""
    state = state or Assignment()
    fold = FOLD.get(type(event))
    changes: Mapping[str, Any] = fold(state, event) if fold is not None else {}
    return state.model_copy(update=changes) if changes else state


def _received(state: Assignment, event: ReferralReceived) -> Mapping[str, Any]:
    copied = (
        "plan", "referrer", "member", "county", "age_band", "language", "preferred", "chosen", "flags",
        "release_on", "linked", "family_of", "eligibility",
    )  # fmt: skip
    return {
        **{name: getattr(event, name) for name in copied},
        "populations": tuple(p.code for p in event.populations if p.result == "met"),
        "programs": event.program_providers,
        "pcp": event.pcp or "",
        "sealed": {part: text for part, text in event.sealed.items() if part in OPENED},
    }


def _amended(state: Assignment, event: ReferralAmended) -> Mapping[str, Any]:
    copied = (
        "member", "county", "age_band", "language", "preferred", "chosen", "flags", "pcp", "release_on",
        "eligibility",
    )  # fmt: skip
    changes: dict[str, Any] = {name: value for name in copied if (value := getattr(event, name)) is not None}
    if event.program_providers is not None:
        changes["programs"] = event.program_providers
    if event.populations is not None:
        changes["populations"] = tuple(p.code for p in event.populations if p.result == "met")
    if event.sealed is not None:
        kept = {part: text for part, text in event.sealed.items() if part in OPENED}
        changes["sealed"] = {**state.sealed, **kept}
    if event.release_on is not None:
        changes["inside"] = False
        changes["offers"] = tuple(
            offer.model_copy(update={"starts_on": event.release_on, "inside": False})
            if offer.held and (offer.starts_on is not None or offer.inside)
            else offer
            for offer in state.offers
        )
    return changes


def _back_in_custody(state: Assignment, event: ReferralBackInCustody) -> Mapping[str, Any]:
    """The start is taken back: the provider keeps its place, and the member has nobody live (loop.md 3.7)."""
    offers = tuple(
        offer.model_copy(update={"starts_on": None, "inside": True}) if offer.held else offer
        for offer in state.offers
    )
    return {"release_on": None, "inside": True, "offers": offers}


def _closed(state: Assignment, event: ReferralClosed) -> Mapping[str, Any]:
    return {} if state.outcome else {"outcome": event.outcome, "asked": ""}


def _contact_changed(state: Assignment, event: OutreachContactChanged) -> Mapping[str, Any]:
    contact = {part: text for part, text in event.sealed.items() if part in OPENED}
    return {"flags": event.flags, "sealed": {**state.sealed, **contact}}


# ── authorization ─────────────────────────────────────────────────────────────────────────────────────────


def _granted(state: Assignment, event: AuthorizationPresumptiveGranted) -> Mapping[str, Any]:
    if event.carried_by:
        # Told under the claim's own referral: the grant is the loop's that it joined.
        return {}
    grant = Grant(
        grant=event.grant, provider=event.provider, population=event.population, populations=event.populations
    )
    return {"grant": grant, "authorized_at": state.authorized_at or event.occurred_at}


def _grant_ended(state: Assignment, event: AuthorizationPresumptiveEnded) -> Mapping[str, Any]:
    over = state.grant is not None and state.grant.grant == event.grant and event.reason != "approved"
    return {"grant": None, **_unauthorized(state)} if over else {}


def _approved(state: Assignment, event: AuthorizationApproved) -> Mapping[str, Any]:
    return {
        "approved": event.populations or state.populations,
        "authorized_at": state.authorized_at or event.occurred_at,
        "asked": "",
        "ends_on": None,
        "ends_by": 0,
    }


def _extended(state: Assignment, event: AuthorizationExtended) -> Mapping[str, Any]:
    """What ended before may go on: then it is authorized as it was."""
    again = (
        state.populations if state.approved is None and state.authorized_at is not None else state.approved
    )
    return {"ends_on": None, "ends_by": 0, "approved": again}


def _reauthorization_requested(
    state: Assignment, event: AuthorizationReauthorizationRequested
) -> Mapping[str, Any]:
    """Asked in time, the term lives on until that is decided (loop.md 4.7)."""
    return {"ends_on": None, "ends_by": 0} if state.ends_by == NOT_REAUTHORIZED else {}


def _term_ended(state: Assignment, event: AuthorizationEnded) -> Mapping[str, Any]:
    return {"ends_on": event.on, "ends_by": event.code, "grant": None}


def _unauthorized(state: Assignment) -> Mapping[str, Any]:
    """With a grant that nothing followed, the time in which a provider must be told is over; the next one is its own."""
    if state.approved is not None:
        return {}
    kept = tuple(each for each in state.raised if not each.startswith("provider_told"))
    return {"authorized_at": None, "told_due_at": None, "told_at_risk_at": None, "raised": kept}


# ── turns ─────────────────────────────────────────────────────────────────────────────────────────────────


def _made(state: Assignment, event: AssignmentMade) -> Mapping[str, Any]:
    return {
        "offers": (*state.offers, _offer(event).model_copy(update={"inside": state.inside})),
        "asked": "",
        "told_due_at": state.told_due_at or event.told_due_at,
        "told_at_risk_at": state.told_at_risk_at or event.told_at_risk_at,
    }


def _accepted(state: Assignment, event: AssignmentAccepted) -> Mapping[str, Any]:
    taken = {"status": "accepted", "accepted_at": event.occurred_at, "lead": event.lead}
    return {"offers": _with(state, event.assignment, taken), "asked": "", **_changed(state, event)}


def _started(state: Assignment, event: AssignmentStarted) -> Mapping[str, Any]:
    return {"offers": _with(state, event.assignment, {"starts_on": None})}


def _lead_changed(state: Assignment, event: AssignmentLeadChanged) -> Mapping[str, Any]:
    return {"offers": _with(state, event.assignment, {"lead": event.lead})}


def _declined(state: Assignment, event: AssignmentDeclined) -> Mapping[str, Any]:
    return {"offers": _with(state, event.assignment, {"status": "declined", "reason": event.reason})}


def _withdrawn(state: Assignment, event: AssignmentWithdrawn) -> Mapping[str, Any]:
    return _taken_back(state, event, "withdrawn")


def _ended(state: Assignment, event: AssignmentEnded) -> Mapping[str, Any]:
    return _taken_back(state, event, "ended")


def _overdue(state: Assignment, event: AssignmentOverdue) -> Mapping[str, Any]:
    return {"raised": (*state.raised, mark(event.clock, event.state, event.assignment))}


def _taken_back(
    state: Assignment, event: AssignmentWithdrawn | AssignmentEnded, how: Literal["withdrawn", "ended"]
) -> Mapping[str, Any]:
    gone = {"offers": _with(state, event.assignment, {"status": how, "reason": event.reason})}
    return gone | ({"approved": None} if event.reason == AUTHORIZATION_ENDED else {})


def _changed(state: Assignment, event: AssignmentAccepted) -> Mapping[str, Any]:
    """The change the member asked for is done once another provider has accepted."""
    done = state.change is not None and state.change.assignment != event.assignment
    return {"change": None} if done else {}


def _plan_asked(state: Assignment, event: AssignmentPlanAsked) -> Mapping[str, Any]:
    asked: dict[str, Any] = {
        "asked": event.reason,
        "asked_skipped": event.skipped or (),
        "asked_policy": event.policy,
    }
    if event.reason in ("change_requested", PROVIDER_LEFT) and event.assignment is not None:
        before = state.change if state.change and state.change.assignment == event.assignment else None
        change = Change(
            assignment=event.assignment,
            wished=event.wished or (before.wished if before is not None else ""),
            left=event.reason == PROVIDER_LEFT or (before is not None and before.left),
            requested=event.reason != PROVIDER_LEFT or (before is not None and before.requested),
            due_at=event.due_at,
            at_risk_at=event.at_risk_at,
        )
        return asked | {"change": change}
    if event.reason == "none_left":
        asked |= {"told_due_at": state.told_due_at or event.due_at}
        asked |= {"told_at_risk_at": state.told_at_risk_at or event.at_risk_at}
    return asked


def _question_taken_back(state: Assignment, event: AssignmentQuestionTakenBack) -> Mapping[str, Any]:
    change = state.change
    if change is None or change.assignment != event.assignment:
        return {}
    kept = change.model_copy(update={"left": False}) if event.open else None
    return {"change": kept, "asked": event.open or ""}


def _offer(event: AssignmentMade) -> Offer:
    copied = (
        "assignment", "provider", "kind", "basis", "answer_due_at", "answer_at_risk_at", "starts_on", "ranked",
        "skipped", "policy",
    )  # fmt: skip
    return Offer(made_at=event.occurred_at, **{name: getattr(event, name) for name in copied})


def _with(state: Assignment, assignment: str, changes: Mapping[str, Any]) -> tuple[Offer, ...]:
    return tuple(
        offer.model_copy(update=changes) if offer.assignment == assignment and offer.held else offer
        for offer in state.offers
    )


# Every event that changes an assignment: what of other services is read here (`consumers.REACTIONS`), and the own ones.
FOLD: Mapping[type[Event], Callable[[Assignment, Any], Mapping[str, Any]]] = {
    ReferralReceived: _received,
    ReferralAmended: _amended,
    ReferralBackInCustody: _back_in_custody,
    ReferralClosed: _closed,
    OutreachContactChanged: _contact_changed,
    AuthorizationPresumptiveGranted: _granted,
    AuthorizationPresumptiveEnded: _grant_ended,
    AuthorizationApproved: _approved,
    AuthorizationExtended: _extended,
    AuthorizationReauthorizationRequested: _reauthorization_requested,
    AuthorizationEnded: _term_ended,
    AssignmentMade: _made,
    AssignmentAccepted: _accepted,
    AssignmentStarted: _started,
    AssignmentLeadChanged: _lead_changed,
    AssignmentDeclined: _declined,
    AssignmentWithdrawn: _withdrawn,
    AssignmentEnded: _ended,
    AssignmentPlanAsked: _plan_asked,
    AssignmentQuestionTakenBack: _question_taken_back,
    AssignmentOverdue: _overdue,
}
