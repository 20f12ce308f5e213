"""What a referral's row is searched and seen by in notification, next to its state."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from notification.domain.outreach.state import Outreach, seen_by, status


def columns(state: Outreach) -> Mapping[str, Any]:
    """What is searched and seen by, computed from the state alone."""
    return {
        "plan_id": state.plan,
        "referrer_id": state.referrer,
        "provider_id": seen_by(state),
        "status": status(state),
        "held_by": state.assignment.provider if state.assignment is not None else "",
        "formerly_held_by": sorted({each.provider for each in state.former}) or None,
    }
