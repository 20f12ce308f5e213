"""What a referral's row is searched, sorted and seen by in intake, next to its state."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from referral_intake.domain.next_step import next_step
from referral_intake.domain.state import Referral, status

# What a route reads of a row to show it.
READ_COLUMNS = "id, state, n, created_at, at"
# Which referrals are loops that somebody must still move.
IS_OPEN = "status NOT IN ('closed', '')"
# By when something is due, with what has no deadline last.
DUE_KEY = "coalesce(next_due_at, '9999-12-31 00:00:00+00'::timestamptz)"
# Which loops may be another's member: few, and found by an index of their own.
MAY_BE_TWICE = "(state #>> '{linked,why}') = 'possible_duplicate'"
# What open loops are filtered and counted by.
COUNTED = ("status", "next_actor", "next_step", "county")


def columns(state: Referral) -> Mapping[str, Any]:
    """What is searched and sorted by, computed from the state alone."""
    step = next_step(state)
    return {
        "plan_id": state.plan,
        "referrer_id": state.referrer,
        "provider_id": state.offer.provider if state.offer and state.offer.accepted_at else "",
        "member": state.member,
        # A row that only facts of other services have touched is no referral yet, and shown to nobody.
        "status": status(state).value if state.received_at else "",
        "outcome": state.closing.outcome if state.closing else "",
        "populations": listed(state),
        "next_actor": step.actor,
        "next_step": step.step,
        "county": state.county,
        "next_due_at": _iso(step.due_at),
        "told_at": _iso(state.told_at),
    }


def listed(state: Referral) -> list[str]:
    """The populations by which a list finds it."""
    return [each.code for each in state.populations if each.claimed or each.result == "met"]


def _iso(at: datetime | None) -> str | None:
    return at.isoformat() if at is not None else None
