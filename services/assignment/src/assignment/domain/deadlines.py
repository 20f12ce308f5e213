"""Which deadlines of an assignment live, by kind."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, timedelta

from assignment.domain.state import Assignment, asked_about, unraised
from loopkeeper.contract.calendar import end_of_la_day


def timers(state: Assignment) -> Mapping[str, datetime]:
    """`answer`: until the plan was asked about the silence; `watch`: the next limit at risk or breached; `start` of a
    planned assignment; `term`: the end of the authorization's last day."""
    held_offer = state.held_offer
    found: dict[str, datetime] = {}
    if held_offer is not None and held_offer.status == "offered" and not asked_about(state, held_offer):
        found["answer"] = held_offer.answer_due_at
    if moments := [moment for _, _, moment in unraised(state)]:
        found["watch"] = min(moments)
    if held_offer is not None and held_offer.starts_on is not None:
        found["start"] = _beginning(held_offer.starts_on)
    if held_offer is not None and state.ends_on is not None:
        found["term"] = end_of_la_day(state.ends_on)
    return found


def _beginning(day: date) -> datetime:
    return end_of_la_day(day - timedelta(days=1))
