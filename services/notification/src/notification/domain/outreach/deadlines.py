"""Which deadlines of the outreach live, by kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

from loopkeeper.policy import Policy
from notification.domain.outreach.rules import running_clocks
from notification.domain.outreach.state import Outreach


def timers(policy: Policy) -> Callable[[Outreach], Mapping[str, datetime]]:
    """The deadlines of outreach that stand, by the clock rows of the day it began. Notices keep their own."""

    def due(state: Outreach) -> Mapping[str, datetime]:
        held = state.assignment
        begun = held.accepted_at if held is not None else None
        if begun is None:
            return {}
        return {clock: policy.due(clock, begun).at for clock in running_clocks(state)}

    return due
