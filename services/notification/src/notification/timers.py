"""Which command each deadline of outreach and of notices becomes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from loopkeeper.contract.decider import Command
from loopkeeper.runtime.service import Resources
from notification.domain.outreach.commands import RaiseClock, RaiseNotice
from notification.domain.outreach.rules import CLOCKS
from notification.persistence import notice_proof

# All of them tell, and none decides.
TELLING = (*CLOCKS, notice_proof.TIMER)


def on_timer(equipment: Resources) -> Callable[[str, datetime], Command]:
    """Clocks of outreach and of notices: each raises a fact if it still applies, and ends nothing."""

    def command(kind: str, due_at: datetime) -> Command:
        if kind in CLOCKS:
            return RaiseClock(clock=kind, due_at=due_at)
        if kind.startswith(notice_proof.TIMER):
            return RaiseNotice(notice=notice_proof.notice_of(kind), due_at=due_at)
        raise LookupError(f"no deadline of kind {kind} is known here")

    return command
