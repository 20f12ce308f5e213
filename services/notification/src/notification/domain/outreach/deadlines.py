"""Which deadlines of the outreach live, by kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from loopkeeper.contract.calendar import end_of_la_day
from loopkeeper.policy import Policy
from notification.domain.outreach.rules import VISITS, last_visit, running_clocks
from notification.domain.outreach.state import Outreach


def timers(policy: Policy) -> Callable[[Outreach], Mapping[str, datetime]]:
    """The deadlines of outreach that apply, by the clock rows of the day it began. Notices keep their own. Until the day
    of a release, the member being inside, they are paused (loop.md 3.7)."""

    def due(state: Outreach) -> Mapping[str, datetime]:
        held = state.assignment
        begun = held.accepted_at if held is not None else None
        if held is None or begun is None:
            return {}
        if held.starts_on is not None:
            begun = max(begun, end_of_la_day(held.starts_on - timedelta(days=1)))
        visited = max(begun, last_visit(state) or begun, state.week_from or begun)
        return {
            clock: policy.due(clock, visited if clock in VISITS else begun).at
            for clock in running_clocks(state)
        }

    return due
