"""How does each event change what is known of a request? Any order is bearable."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from authorization.domain.state import (
    APPEALED,
    COVERAGE_LOST,
    COVERAGE_RETURNED,
    DEATH_TOLD,
    DECEASED,
    DECEASED_CODE,
    DUPLICATIVE_PROGRAM,
    IN_CUSTODY,
    INCARCERATED,
    LOST_COVERAGE,
    PROGRAM_CHOSEN,
    SERVICE_ENDED,
    SERVICES_RECEIVED,
    Appeal,
    Authorization,
    Decision,
    Discontinuation,
    Ending,
    Grant,
    Pause,
    Reauthorization,
    Review,
    SecondClaim,
    Term,
)
from loopkeeper.contract.calendar import la_date
from loopkeeper.contract.events import (
    AssignmentAccepted,
    AssignmentEnded,
    AuthorizationAppealed,
    AuthorizationAppealResolved,
    AuthorizationApproved,
    AuthorizationCoverageLost,
    AuthorizationCoverageReturned,
    AuthorizationDeemedAdverse,
    AuthorizationDenied,
    AuthorizationEnded,
    AuthorizationEndingConfirmed,
    AuthorizationExpedited,
    AuthorizationExtended,
    AuthorizationOverdue,
    AuthorizationOverturned,
    AuthorizationPended,
    AuthorizationPresumptiveEnded,
    AuthorizationPresumptiveGranted,
    AuthorizationPresumptiveRefused,
    AuthorizationPresumptiveReminded,
    AuthorizationReauthorizationDue,
    AuthorizationReauthorizationRequested,
    AuthorizationResumed,
    AuthorizationReviewOpened,
    Event,
    NoticeDelivered,
    OutreachServiceEnded,
    OutreachTakenBack,
    ReferralAmended,
    ReferralBackInCustody,
    ReferralClosed,
    ReferralDeathConfirmed,
    ReferralDeathTakenBack,
    ReferralDeathTold,
    ReferralReceived,
    Rights,
)

# The answers of the roster that say the member is, or will be, covered.
COVERED = frozenset({"confirmed", "begins_later"})


def evolve(state: Authorization | None, event: Event) -> Authorization:
    """The request after this fact. Any order is bearable; a closing of an unknown referral leaves a tombstone."""
    state = state or Authorization()
    fold = FOLD.get(type(event))
    changes: Mapping[str, Any] = fold(state, event) if fold is not None else {}
    return state.model_copy(update=changes) if changes else state


def _received(state: Authorization, event: ReferralReceived) -> Mapping[str, Any]:
    copied = (
        "kind", "plan", "referrer", "member", "urgency", "county", "age_band", "form", "populations", "attested", "claim",
        "eligibility", "release_on", "plan_change", "linked", "flags",
    )  # fmt: skip
    return {
        "received_at": event.occurred_at,
        "was_covered": event.eligibility.state in COVERED,
        "asked_at": event.occurred_at if event.kind == "full" else None,
        "sealed": _identity(event.sealed),
        **{name: getattr(event, name) for name in copied},
    }


def _amended(state: Authorization, event: ReferralAmended) -> Mapping[str, Any]:
    """What changed of the referral. A referral that is not known here has nothing that could change."""
    if state.received_at is None:
        return {}
    copied = (
        "member", "urgency", "county", "age_band", "form", "populations", "attested", "claim", "eligibility",
        "release_on", "plan_change", "flags",
    )  # fmt: skip
    changes = {name: getattr(event, name) for name in copied if getattr(event, name) is not None}
    if event.kind == "full" and state.kind != "full":
        changes |= {"kind": "full", "asked_at": event.occurred_at}
    if event.claim is not None:
        changes |= {"claimed_by": event.joined_referrer or "", "second": _second(event)}
    if event.sealed is not None and _identity(event.sealed):
        changes["sealed"] = _identity(event.sealed)
    if _chosen_instead(event.flags or ()) - _chosen_instead(state.flags):
        changes |= _discontinued(state, event.occurred_at, PROGRAM_CHOSEN, DUPLICATIVE_PROGRAM)
    asked = state.discontinuation
    if event.release_on is not None and asked is not None and asked.why == IN_CUSTODY:
        changes["discontinuation"] = None
    confirmed = event.eligibility is not None and event.eligibility.state == "confirmed"
    if confirmed and state.eligibility.state != "confirmed":
        changes["enrolled_on"] = la_date(event.occurred_at)
    if event.eligibility is not None and event.eligibility.state in COVERED:
        changes["was_covered"] = True
    return {name: value for name, value in changes.items() if value != getattr(state, name)}


def _chosen_instead(flags: Sequence[str]) -> frozenset[str]:
    """The programs that the member chose over ECM."""
    return frozenset(
        flag for flag in flags if flag.startswith("chose_") and not flag.startswith("chose_ecm_over_")
    )


def _second(event: ReferralAmended) -> SecondClaim | None:
    """A claim that came with a referral that joined; one of the loop's own form is none."""
    joined = event.joined_claim
    if event.joined is None or joined is None:
        return None
    return SecondClaim(referral=event.joined, attested=joined.attested, start=joined.start)


def _identity(sealed: Mapping[str, str]) -> Mapping[str, str]:
    return {part: text for part, text in sealed.items() if part == "identity"}


def _closed(state: Authorization, event: ReferralClosed) -> Mapping[str, Any]:
    """The first closing counts (loop.md 7.1). Without service and after authorization, it opens the discontinuation."""
    if state.outcome:
        return {}
    if event.outcome == SERVICES_RECEIVED:
        return {"outcome": event.outcome}
    return {"outcome": event.outcome, **_discontinued(state, event.occurred_at, event.outcome, None)}


def _discontinued(state: Authorization, at: datetime, why: str, code: int | None) -> Mapping[str, Any]:
    if state.term is None or state.term.ending is not None or state.discontinuation is not None:
        return {}
    return {"discontinuation": Discontinuation(at=at, why=why, code=code)}


def _told(state: Authorization, event: NoticeDelivered) -> Mapping[str, Any]:
    """The provider heard the decision; what else is delivered changes nothing here."""
    decided = event.recipient_kind == "provider" and event.code == "decided" and state.decision is not None
    return {"told_on": la_date(event.occurred_at)} if decided and state.told_on is None else {}


def _approved(state: Authorization, event: AuthorizationApproved) -> Mapping[str, Any]:
    copied = ("by", "number", "populations", "from_", "through", "must", "adverse", "policy")
    decision = Decision(
        kind="approved",
        at=event.occurred_at,
        person=event.acted_by.person if event.acted_by else "",
        external_number=event.external_number or "",
        **{name: getattr(event, name) for name in copied},
    )
    term = Term(
        number=event.number,
        from_=event.from_,
        through=event.through,
        prompts_on=event.prompts_on,
        notice_on=event.notice_on,
    )
    return {"decision": decision, "term": term}


def _denied(state: Authorization, event: AuthorizationDenied) -> Mapping[str, Any]:
    copied = ("reason", "citation", "appeal_by", "notice_due_at", "rights", "unmet", "policy")
    decision = Decision(
        kind="denied",
        at=event.occurred_at,
        person=event.acted_by.person if event.acted_by else "",
        external_number=event.external_number or "",
        **{name: getattr(event, name) for name in copied},
    )
    return {"decision": decision}


def _overturned(state: Authorization, event: AuthorizationOverturned) -> Mapping[str, Any]:
    if state.decision is None:
        return {}
    return {"decision": state.decision.model_copy(update={"overturned_on": event.on})}


# ── the grant ─────────────────────────────────────────────────────────────────────────────────────────────


def _granted(state: Authorization, event: AuthorizationPresumptiveGranted) -> Mapping[str, Any]:
    if event.carried_by:
        # Told under the claim's own referral: the grant is the other loop's.
        return {}
    own = {"authorization": event.authorization} if event.authorization else {}
    return {"grant": _grant(event), "grant_refused": "", "way_on": "", "awaited": "", **own}


def _grant_refused(state: Authorization, event: AuthorizationPresumptiveRefused) -> Mapping[str, Any]:
    own = {"authorization": event.authorization} if event.authorization else {}
    return {"grant_refused": event.reason, "way_on": event.way_on, "awaited": event.awaits, **own}


def _reminded(state: Authorization, event: AuthorizationPresumptiveReminded) -> Mapping[str, Any]:
    if state.grant is None or state.grant.grant != event.grant:
        return {}
    reached = state.grant.from_ + timedelta(days=event.day)
    left = tuple(day for day in state.grant.remind_on if day > reached)
    return {"grant": state.grant.model_copy(update={"remind_on": left})}


def _grant_ended(state: Authorization, event: AuthorizationPresumptiveEnded) -> Mapping[str, Any]:
    if state.grant is None or state.grant.grant != event.grant:
        return {}
    return {"grant": state.grant.model_copy(update={"ended": event.reason, "through": event.through})}


def _grant(event: AuthorizationPresumptiveGranted) -> Grant:
    copied = (
        "grant", "provider", "provider_version", "population", "from_", "through", "policy", "referral_by",
        "remind_on",
    )  # fmt: skip
    return Grant(**{name: getattr(event, name) for name in copied})


# ── the review, or the reauthorization that waits ─────────────────────────────────────────────────────────


def _review_opened(state: Authorization, event: AuthorizationReviewOpened) -> Mapping[str, Any]:
    copied = ("authorization", "clock", "due_at", "cap_at", "at_risk_at", "needs_person", "policy")
    review = Review(**{name: getattr(event, name) for name in copied})
    return {"review": review, "authorization": event.authorization}


def _pended(state: Authorization, event: AuthorizationPended) -> Mapping[str, Any]:
    return _waiting(state, pause=Pause(asks=event.asks, at=event.occurred_at, by=event.by))


def _resumed(state: Authorization, event: AuthorizationResumed) -> Mapping[str, Any]:
    return _waiting(state, pause=None, due_at=event.due_at, at_risk_at=event.at_risk_at)


def _expedited(state: Authorization, event: AuthorizationExpedited) -> Mapping[str, Any]:
    waiting = state.waiting
    if waiting is None:
        return {}
    return _waiting(
        state,
        clock="expedited",
        due_at=event.due_at,
        at_risk_at=event.at_risk_at,
        cap_at=event.cap_at or waiting.cap_at,
        urgent_since=event.since or event.occurred_at,
        policy=event.policy,
        # What was said of a deadline is said of the next one again.
        said=waiting.said if event.due_at == waiting.due_at else (),
    )


def _overdue(state: Authorization, event: AuthorizationOverdue) -> Mapping[str, Any]:
    said = state.waiting.said if state.waiting else ()
    return _waiting(state, said=(*said, event.state))


def _deemed(state: Authorization, event: AuthorizationDeemedAdverse) -> Mapping[str, Any]:
    appeal = Rights(appeal_by=event.appeal_by, hearing_days=0, unanswered_days=0)
    return _waiting(state, deemed=event.rights or appeal)


def _waiting(state: Authorization, **changes: Any) -> Mapping[str, Any]:
    """The question that waits, changed."""
    waiting = state.waiting
    if waiting is None:
        return {}
    name = "reauthorization" if isinstance(waiting, Reauthorization) else "review"
    return {name: waiting.model_copy(update=changes)}


# ── the term ──────────────────────────────────────────────────────────────────────────────────────────────


def _reauthorization_due(state: Authorization, event: AuthorizationReauthorizationDue) -> Mapping[str, Any]:
    if state.term is None:
        return {}
    left = tuple(day for day in state.term.prompts_on if day > la_date(event.occurred_at))
    return {"term": state.term.model_copy(update={"prompts_on": left})}


def _reauthorization_requested(
    state: Authorization, event: AuthorizationReauthorizationRequested
) -> Mapping[str, Any]:
    """Asked before the end: a notice that it would end is taken back (loop.md 4.7)."""
    if state.term is None:
        return {}
    copied = ("authorization", "provider", "clock", "at_risk_at", "policy")
    asked = Reauthorization(
        due_at=event.due_at or event.occurred_at,
        cap_at=event.cap_at or event.occurred_at,
        **{name: getattr(event, name) for name in copied},
    )
    return {
        "reauthorization": asked,
        "term": state.term.model_copy(update={"ending": None, "prompts_on": ()}),
    }


def _extended(state: Authorization, event: AuthorizationExtended) -> Mapping[str, Any]:
    if state.term is None:
        return {}
    copied = ("number", "from_", "through", "prompts_on", "notice_on")
    renewals = state.term.renewals + (state.reauthorization is not None)
    longer = Term(renewals=renewals, **{name: getattr(event, name) for name in copied})
    # One that goes on until an appeal is resolved is still to be judged.
    kept = state.discontinuation if state.appeal is not None else None
    return {"term": longer, "reauthorization": None, "discontinuation": kept}


def _appealed(state: Authorization, event: AuthorizationAppealed) -> Mapping[str, Any]:
    asked = Discontinuation(at=event.occurred_at, why=APPEALED, code=event.code, due_at=event.due_at)
    return {"appeal": Appeal(on=event.on, continues=event.continues), "discontinuation": asked}


def _appeal_resolved(state: Authorization, event: AuthorizationAppealResolved) -> Mapping[str, Any]:
    return {"appeal": None, "discontinuation": None}


def _term_ended(state: Authorization, event: AuthorizationEnded) -> Mapping[str, Any]:
    if state.term is None:
        return {}
    copied = ("code", "on", "notice_due_at", "rights", "policy")
    ending = Ending(
        at=event.occurred_at,
        person=event.acted_by.person if event.acted_by else "",
        **{name: getattr(event, name) for name in copied},
    )
    ended = state.term.model_copy(update={"ending": ending, "prompts_on": ()})
    return {"term": ended, "reauthorization": None, "discontinuation": None}


# ── the coverage ──────────────────────────────────────────────────────────────────────────────────────────


def _coverage_lost(state: Authorization, event: AuthorizationCoverageLost) -> Mapping[str, Any]:
    if state.term is None:
        return {}
    asked = Discontinuation(at=event.occurred_at, why=COVERAGE_LOST, code=LOST_COVERAGE, due_at=event.due_at)
    # What is asked already is judged with it.
    return {"coverage_lost": True, "discontinuation": state.discontinuation or asked}


def _coverage_returned(state: Authorization, event: AuthorizationCoverageReturned) -> Mapping[str, Any]:
    asked = state.discontinuation
    if asked is not None and asked.why == COVERAGE_LOST:
        asked = None
    if event.due_at is not None and state.term is not None:
        asked = Discontinuation(at=event.occurred_at, why=COVERAGE_RETURNED, due_at=event.due_at)
    return {"coverage_lost": False, "discontinuation": asked}


def _ending_confirmed(state: Authorization, event: AuthorizationEndingConfirmed) -> Mapping[str, Any]:
    return {"discontinuation": None}


# ── who serves ────────────────────────────────────────────────────────────────────────────────────────────


def _accepted(state: Authorization, event: AssignmentAccepted) -> Mapping[str, Any]:
    """A later claim of another provider then knows who serves under the term."""
    return {"holder": event.provider}


def _assignment_ended(state: Authorization, event: AssignmentEnded) -> Mapping[str, Any]:
    return {"holder": ""} if event.provider in ("", state.holder) else {}


def _service_ended(state: Authorization, event: OutreachServiceEnded) -> Mapping[str, Any]:
    """The provider ends services under a term: a person of the plan judges whether the term ends."""
    return _discontinued(state, event.occurred_at, SERVICE_ENDED, event.code)


def _back_in_custody(state: Authorization, event: ReferralBackInCustody) -> Mapping[str, Any]:
    """The day of release is not known any more; whether the term ends for it, a person judges."""
    found = _discontinued(state, event.occurred_at, IN_CUSTODY, INCARCERATED)
    asked = found.get("discontinuation")
    due = {"discontinuation": asked.model_copy(update={"due_at": event.due_at})} if asked is not None else {}
    return {"release_on": None, **due}


def _death_told(state: Authorization, event: ReferralDeathTold) -> Mapping[str, Any]:
    """A term that runs is to be judged; what may end it already is judged with it."""
    found = _discontinued(state, event.occurred_at, DEATH_TOLD, DECEASED_CODE)
    asked = found.get("discontinuation")
    return {"discontinuation": asked.model_copy(update={"due_at": event.due_at})} if asked is not None else {}


def _death_confirmed(state: Authorization, event: ReferralDeathConfirmed) -> Mapping[str, Any]:
    asked = state.discontinuation
    if asked is not None and asked.why == DEATH_TOLD:
        return {"discontinuation": asked.model_copy(update={"why": DECEASED})}
    return _discontinued(state, event.occurred_at, DECEASED, DECEASED_CODE)


def _death_taken_back(state: Authorization, event: ReferralDeathTakenBack) -> Mapping[str, Any]:
    asked = state.discontinuation
    return {"discontinuation": None} if asked is not None and asked.why in (DEATH_TOLD, DECEASED) else {}


def _outreach_taken_back(state: Authorization, event: OutreachTakenBack) -> Mapping[str, Any]:
    """An ending of services that was recorded in error opens nothing to judge (loop.md 8.7)."""
    asked = state.discontinuation
    over = event.what == "service_ended" and asked is not None and asked.why == SERVICE_ENDED
    return {"discontinuation": None} if over else {}


# Every event that changes a request: what of other services is read here (`consumers.REACTIONS`), and the own ones.
FOLD: Mapping[type[Event], Callable[[Authorization, Any], Mapping[str, Any]]] = {
    ReferralReceived: _received,
    ReferralAmended: _amended,
    ReferralClosed: _closed,
    AssignmentAccepted: _accepted,
    AssignmentEnded: _assignment_ended,
    OutreachServiceEnded: _service_ended,
    OutreachTakenBack: _outreach_taken_back,
    ReferralBackInCustody: _back_in_custody,
    ReferralDeathTold: _death_told,
    ReferralDeathConfirmed: _death_confirmed,
    ReferralDeathTakenBack: _death_taken_back,
    NoticeDelivered: _told,
    AuthorizationReviewOpened: _review_opened,
    AuthorizationPended: _pended,
    AuthorizationResumed: _resumed,
    AuthorizationExpedited: _expedited,
    AuthorizationOverdue: _overdue,
    AuthorizationDeemedAdverse: _deemed,
    AuthorizationApproved: _approved,
    AuthorizationDenied: _denied,
    AuthorizationOverturned: _overturned,
    AuthorizationPresumptiveGranted: _granted,
    AuthorizationPresumptiveRefused: _grant_refused,
    AuthorizationPresumptiveReminded: _reminded,
    AuthorizationPresumptiveEnded: _grant_ended,
    AuthorizationReauthorizationDue: _reauthorization_due,
    AuthorizationReauthorizationRequested: _reauthorization_requested,
    AuthorizationExtended: _extended,
    AuthorizationEnded: _term_ended,
    AuthorizationAppealed: _appealed,
    AuthorizationAppealResolved: _appeal_resolved,
    AuthorizationCoverageLost: _coverage_lost,
    AuthorizationCoverageReturned: _coverage_returned,
    AuthorizationEndingConfirmed: _ending_confirmed,
}
