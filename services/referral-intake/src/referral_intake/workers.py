"""What intake does without being asked: it asks again, and gives up waiting for answers."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from loopkeeper.decider import Command
from loopkeeper.service import Equipment
from referral_intake.rules import MeetDeadline


def on_timer(equipment: Equipment) -> Callable[[str, datetime], Command]:
    """What fires when a deadline is due; the rule checks whether it still stands."""

    def command(kind: str, due_at: datetime) -> Command:
        return MeetDeadline(kind=kind, due_at=due_at)

    return command
