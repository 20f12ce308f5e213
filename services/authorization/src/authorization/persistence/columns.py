"""What a request's row is searched, sorted and seen by, next to its state."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

from authorization.domain.deadlines import due
from authorization.domain.state import Authorization, status

# What a route reads of a row to show it.
READ_COLUMNS = 'authorization_id AS id, id AS referral, state, n, due_at, "at"'
# While a reauthorization waits, the term lives on, however long.
FOR_NOW = date.max


def columns(state: Authorization) -> Mapping[str, Any]:
    """What is searched and sorted by, computed from the state alone."""
    grant, term, waiting = state.grant, state.term, state.waiting
    undecided = status(state) in ("pending", "started")
    open_through = (FOR_NOW if state.lives_on else term.last_day) if term is not None else None
    return {
        "plan_id": state.plan,
        "provider_id": state.holder or (grant.provider if grant is not None and state.grant_live else ""),
        "authorization_id": state.authorization,
        "member": state.member,
        "status": status(state),
        "waits_for": waits_for(state),
        "due_at": _iso(due_at(state)),
        "at_risk_at": _iso(waiting.at_risk_at if waiting is not None and waiting.pause is None else None),
        "grant_live": state.grant_live,
        "grant_through": grant.through.isoformat() if grant else None,
        "approved_through": open_through.isoformat() if open_through else None,
        "holder": state.holder,
        "awaiting_provider": state.awaited if undecided else "",
    }


def waits_for(state: Authorization) -> str:
    """What of this request waits for a person of the plan."""
    if status(state) == "pending":
        return "decision"
    if state.reauthorization is not None:
        return "reauthorization"
    return "discontinuation" if state.discontinuation is not None else ""


def due_at(state: Authorization) -> datetime | None:
    """The deadline that sorts the queue: the sooner of clock and cap; a discontinuation by when it was opened."""
    if state.waiting is None and state.discontinuation is not None:
        return state.discontinuation.due_at or state.discontinuation.at
    found = due(state, state.received_at) if state.received_at is not None else None
    return found.due_at if found is not None else None


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment is not None else None
