"""How does each event change what is known of a referral and its turns? Any order is bearable."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from assignment.domain.state import (
    AUTHORIZATION_ENDED,
    NOT_REAUTHORIZED,
    OPENED,
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
    ReferralClosed,
    ReferralReceived,
)


def evolve(state: Assignment | None, event: Event) -> Assignment:
    """The row after this fact. Any order is bearable; a closing of an unknown referral leaves a tombstone."""
    now = state or Assignment()
    changes = _changes(now, event)
    return now.model_copy(update=changes) if changes else now


def _changes(now: Assignment, event: Event) -> Mapping[str, Any]:
    match event:
        case ReferralReceived():
            return _received(event)
        case ReferralAmended():
            return _amended(now, event)
        case ReferralClosed():
            return {} if now.outcome else {"outcome": event.outcome, "asked": ""}
        case OutreachContactChanged():
            contact = {part: text for part, text in event.sealed.items() if part in OPENED}
            return {"flags": event.flags, "sealed": {**now.sealed, **contact}}
        case (
            AuthorizationPresumptiveGranted()
            | AuthorizationPresumptiveEnded()
            | AuthorizationApproved()
            | AuthorizationExtended()
            | AuthorizationReauthorizationRequested()
            | AuthorizationEnded()
        ):
            return _authorization(now, event)
        case _:
            return _own(now, event)


def _received(event: ReferralReceived) -> Mapping[str, Any]:
    copied = (
        "plan", "referrer", "member", "county", "age_band", "language", "preferred", "chosen", "flags",
        "release_on", "linked", "family_of",
    )  # fmt: skip
    return {
        **{name: getattr(event, name) for name in copied},
        "populations": tuple(p.code for p in event.populations if p.result == "met"),
        "programs": event.program_providers,
        "pcp": event.pcp or "",
        "sealed": {part: text for part, text in event.sealed.items() if part in OPENED},
    }


def _amended(now: Assignment, event: ReferralAmended) -> Mapping[str, Any]:
    copied = (
        "member", "county", "age_band", "language", "preferred", "chosen", "flags", "pcp", "release_on",
    )  # fmt: skip
    changes: dict[str, Any] = {name: value for name in copied if (value := getattr(event, name)) is not None}
    if event.program_providers is not None:
        changes["programs"] = event.program_providers
    if event.populations is not None:
        changes["populations"] = tuple(p.code for p in event.populations if p.result == "met")
    if event.sealed is not None:
        kept = {part: text for part, text in event.sealed.items() if part in OPENED}
        changes["sealed"] = {**now.sealed, **kept}
    if event.release_on is not None:
        changes["offers"] = tuple(
            offer.model_copy(update={"starts_on": event.release_on})
            if offer.held and offer.starts_on is not None
            else offer
            for offer in now.offers
        )
    return changes


def _authorization(now: Assignment, event: Event) -> Mapping[str, Any]:
    match event:
        case AuthorizationPresumptiveGranted():
            grant = Grant(grant=event.grant, provider=event.provider, population=event.population)
            return {"grant": grant, "authorized_at": now.authorized_at or event.occurred_at}
        case AuthorizationPresumptiveEnded():
            over = now.grant is not None and now.grant.grant == event.grant and event.reason != "approved"
            return {"grant": None, **_unauthorized(now)} if over else {}
        case AuthorizationApproved():
            return {
                "approved": event.populations or now.populations,
                "authorized_at": now.authorized_at or event.occurred_at,
                "asked": "",
                "ends_on": None,
                "ends_by": 0,
            }
        case AuthorizationExtended():
            return {"ends_on": None, "ends_by": 0}
        case AuthorizationReauthorizationRequested():
            # Asked in time, the term lives on until that is decided (loop.md 4.7).
            return {"ends_on": None, "ends_by": 0} if now.ends_by == NOT_REAUTHORIZED else {}
        case AuthorizationEnded():
            return {"ends_on": event.on, "ends_by": event.code, "grant": None}
        case _:
            return {}


def _unauthorized(now: Assignment) -> Mapping[str, Any]:
    """With a grant that nothing followed, the time in which a provider must be told is over; the next one is its own."""
    if now.approved is not None:
        return {}
    kept = tuple(each for each in now.raised if not each.startswith("provider_told"))
    return {"authorized_at": None, "told_due_at": None, "told_at_risk_at": None, "raised": kept}


def _own(now: Assignment, event: Event) -> Mapping[str, Any]:
    match event:
        case AssignmentMade():
            return {
                "offers": (*now.offers, _offer(event)),
                "asked": "",
                "told_due_at": now.told_due_at or event.told_due_at,
                "told_at_risk_at": now.told_at_risk_at or event.told_at_risk_at,
            }
        case AssignmentAccepted():
            taken = {"status": "accepted", "accepted_at": event.occurred_at, "lead": event.lead}
            return {"offers": _with(now, event.assignment, taken), "asked": "", **_changed(now, event)}
        case AssignmentStarted():
            return {"offers": _with(now, event.assignment, {"starts_on": None})}
        case AssignmentLeadChanged():
            return {"offers": _with(now, event.assignment, {"lead": event.lead})}
        case AssignmentDeclined():
            return {"offers": _with(now, event.assignment, {"status": "declined", "reason": event.reason})}
        case AssignmentWithdrawn():
            return _taken_back(now, event, "withdrawn")
        case AssignmentEnded():
            return _taken_back(now, event, "ended")
        case AssignmentPlanAsked():
            return _plan_asked(now, event)
        case AssignmentOverdue():
            return {"raised": (*now.raised, mark(event.clock, event.state, event.assignment))}
        case _:
            return {}


def _taken_back(
    now: Assignment, event: AssignmentWithdrawn | AssignmentEnded, how: Literal["withdrawn", "ended"]
) -> Mapping[str, Any]:
    gone = {"offers": _with(now, event.assignment, {"status": how, "reason": event.reason})}
    return gone | ({"approved": None} if event.reason == AUTHORIZATION_ENDED else {})


def _changed(now: Assignment, event: AssignmentAccepted) -> Mapping[str, Any]:
    """The change the member asked for is done once another provider has accepted."""
    done = now.change is not None and now.change.assignment != event.assignment
    return {"change": None} if done else {}


def _plan_asked(now: Assignment, event: AssignmentPlanAsked) -> Mapping[str, Any]:
    asked: dict[str, Any] = {
        "asked": event.reason,
        "asked_skipped": event.skipped or (),
        "asked_policy": event.policy,
    }
    if event.reason == "change_requested" and event.assignment is not None:
        change = Change(
            assignment=event.assignment,
            wished=event.wished or "",
            due_at=event.due_at,
            at_risk_at=event.at_risk_at,
        )
        return asked | {"change": change}
    if event.reason == "none_left":
        asked |= {"told_due_at": now.told_due_at or event.due_at}
        asked |= {"told_at_risk_at": now.told_at_risk_at or event.at_risk_at}
    return asked


def _offer(event: AssignmentMade) -> Offer:
    copied = (
        "assignment", "provider", "kind", "basis", "answer_due_at", "answer_at_risk_at", "starts_on", "ranked",
        "skipped", "policy",
    )  # fmt: skip
    return Offer(made_at=event.occurred_at, **{name: getattr(event, name) for name in copied})


def _with(now: Assignment, assignment: str, changes: Mapping[str, Any]) -> tuple[Offer, ...]:
    return tuple(
        offer.model_copy(update=changes) if offer.assignment == assignment and offer.held else offer
        for offer in now.offers
    )
