"""Which deadlines of a request live, and what is the state of the one that counts? Clocks escalate, they never decide."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Literal, NamedTuple

from authorization.domain.contexts import ClockRules
from authorization.domain.coverage import coverage_ends_on
from authorization.domain.state import Authorization, Grant, Review, Term
from loopkeeper.contract.calendar import end_of_la_day
from loopkeeper.contract.events import ActedBy, AuthorizationExpedited

AT_RISK, BREACHED = "at_risk", "breached"
# What `timers` may name, next to the end of a grant.
KINDS = frozenset({"reminder", "at_risk", "due", "cap", "pause", "reauthorization", "term", "coverage"})
ClockState = Literal["on_track", "at_risk", "breached", "met"]


class Due(NamedTuple):
    """A clock, its deadline, and its state now."""

    clock: str
    due_at: datetime
    state: ClockState


def timers(state: Authorization) -> Mapping[str, datetime]:
    """The deadlines that live, by kind: each ends with the event that follows when it comes."""
    found: dict[str, datetime | None] = {}
    if state.grant is not None and state.grant_live:
        found |= _of_grant(state, state.grant)
    if state.waiting is not None:
        found |= _of_review(state.waiting)
    elif state.term is not None and state.term.ending is None and state.appeal is None:
        found |= _of_term(state.term)
    covered = coverage_ends_on(state)
    found["coverage"] = end_of_la_day(covered) if covered is not None else None
    return {kind: at for kind, at in found.items() if at is not None}


def _of_grant(state: Authorization, grant: Grant) -> Mapping[str, datetime | None]:
    waits = state.decision is None and bool(grant.remind_on)
    return {
        "grant": grant_over_at(state, grant),
        "reminder": day_begins(grant.remind_on[0]) if waits else None,
    }


def _of_review(review: Review) -> Mapping[str, datetime | None]:
    runs = review.pause is None
    return {
        "at_risk": review.at_risk_at if runs and not review.said else None,
        "due": review.due_at if runs and BREACHED not in review.said else None,
        "cap": review.cap_at if review.deemed is None else None,
        "pause": review.pause.by if review.pause is not None else None,
    }


def _of_term(term: Term) -> Mapping[str, datetime | None]:
    return {
        "reauthorization": day_begins(term.prompts_on[0]) if term.prompts_on else None,
        "term": day_begins(term.notice_on) if term.notice_on is not None else None,
    }


def due(state: Authorization, now: datetime) -> Due | None:
    """The clock that counts now: of what waits for the plan, else of what was decided; None where none runs."""
    waiting, decision, review = state.waiting, state.decision, state.review
    if waiting is not None:
        return _waiting(waiting, now)
    if decision is not None and review is not None:
        in_time = decision.at < review.due_at
        return Due(f"decision_{review.clock}", review.due_at, "met" if in_time else "breached")
    grant = state.grant
    if review is None and grant is not None and state.grant_live and grant.referral_by is not None:
        by, risk = end_of_la_day(grant.referral_by), day_begins(grant.referral_by)
        return Due("presumptive_referral", by, _clock_state(now, by, risk))
    return None


def _waiting(review: Review, now: datetime) -> Due:
    """The decision's own clock, or the cap where it comes first or is the only one that runs."""
    if review.pause is None and review.due_at <= review.cap_at:
        return Due(
            f"decision_{review.clock}", review.due_at, _clock_state(now, review.due_at, review.at_risk_at)
        )
    risk = review.at_risk_at if review.pause is None else None
    return Due("decision_cap", review.cap_at, _clock_state(now, review.cap_at, risk))


def _clock_state(now: datetime, due_at: datetime, at_risk_at: datetime | None) -> ClockState:
    if now >= due_at:
        return "breached"
    return "at_risk" if at_risk_at is not None and now >= at_risk_at else "on_track"


def grant_through(state: Authorization, grant: Grant) -> date:
    """The last day of a grant: it ends with the last covered day, if that comes sooner (loop.md 2.5)."""
    covered = state.eligibility.last_day
    return min(grant.through, covered) if covered is not None else grant.through


def grant_over_at(state: Authorization, grant: Grant) -> datetime:
    """The end of that Los Angeles day."""
    return end_of_la_day(grant_through(state, grant))


def day_begins(day: date) -> datetime:
    """The first instant of this Los Angeles day."""
    return end_of_la_day(day - timedelta(days=1))


# ── what becomes urgent while it waits ────────────────────────────────────────────────────────────────────

EXPEDITED = "expedited"


def expedited(
    state: Authorization, clocks: ClockRules, at: datetime, since: datetime, acted_by: ActedBy | None = None
) -> AuthorizationExpedited | None:
    """The expedited clock and its cap, both counted from `since`, where either ends before what runs now; None where
    neither does, nothing waits, or the cap has passed already (loop.md 4.5)."""
    waiting = state.waiting
    if (
        waiting is None
        or clocks.clock != EXPEDITED
        or waiting.clock == EXPEDITED
        or waiting.deemed is not None
    ):
        return None
    due_at, cap_at = _due(waiting, clocks, since), min(clocks.cap_at, waiting.cap_at)
    if due_at >= waiting.due_at and cap_at == waiting.cap_at:
        return None
    due_at = min(due_at, waiting.due_at)
    return AuthorizationExpedited(
        occurred_at=at,
        acted_by=acted_by,
        policy=clocks.refs,
        authorization=state.authorization,
        due_at=due_at,
        at_risk_at=clocks.at_risk_at if clocks.at_risk_at < due_at else None,
        cap_at=cap_at,
        since=since,
    )


def _due(waiting: Review, clocks: ClockRules, since: datetime) -> datetime:
    """When the decision is due from now on; a clock that is paused keeps what was left of it, if that is less."""
    pause = waiting.pause
    if pause is None:
        return clocks.due_at
    left = max(waiting.due_at - pause.at, timedelta())
    return min(clocks.due_at, since + left) if left else waiting.due_at
