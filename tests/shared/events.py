"""Events of other services that chassis tests note."""

from __future__ import annotations

from datetime import date, timedelta

from loopkeeper.contract.events import (
    AuthorizationReviewOpened,
    OutreachServicesStarted,
)
from tests.shared.stores import (
    AT,
)

REVIEW = AuthorizationReviewOpened(
    occurred_at=AT,
    authorization="auth_1",
    clock="routine",
    due_at=AT + timedelta(days=7),
    cap_at=AT + timedelta(days=7),
)
STARTED = OutreachServicesStarted(occurred_at=AT, assignment="asg_1", on=date(2026, 3, 2))
