"""What follows when something becomes urgent while it waits for the plan? Its clocks are shortened, never lengthened."""

from __future__ import annotations

from datetime import datetime, timedelta

from authorization.domain.contexts import ClockRules
from authorization.domain.state import Authorization, Review
from loopkeeper.contract.events import ActedBy, AuthorizationExpedited

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
    """When the decision is due from now on; a clock that stands still keeps what was left of it, if that is less."""
    pause = waiting.pause
    if pause is None:
        return clocks.due_at
    left = max(waiting.due_at - pause.at, timedelta())
    return min(clocks.due_at, since + left) if left else waiting.due_at
