"""Which command each deadline of a referral becomes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from loopkeeper.contract.decider import Command
from loopkeeper.runtime.service import Resources
from referral_intake.domain.commands import MeetDeadline


def on_timer(equipment: Resources) -> Callable[[str, datetime], Command]:
    """What fires when a deadline is due; the rule checks whether it still stands."""

    def command(kind: str, due_at: datetime) -> Command:
        return MeetDeadline(kind=kind, due_at=due_at)

    return command
