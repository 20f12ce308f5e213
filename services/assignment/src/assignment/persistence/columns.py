"""What a referral's row is searched and seen by in assignment, next to its state."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from assignment.domain.state import Assignment, status


def columns(state: Assignment) -> Mapping[str, Any]:
    """What is searched and seen by, computed from the state alone. Only who accepted sees the referral's row."""
    held = state.held_offer
    accepted = held is not None and held.status == "accepted"
    return {
        "plan_id": state.plan,
        "referrer_id": state.referrer,
        "provider_id": held.provider if held is not None and accepted else "",
        "member": state.member,
        "status": status(state),
    }
