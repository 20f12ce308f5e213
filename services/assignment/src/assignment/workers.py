"""What assignment does by itself: an offer that is not answered in time asks the plan."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from assignment.rules import AskPlan
from loopkeeper.decider import Command
from loopkeeper.service import Equipment


def on_timer(equipment: Equipment) -> Callable[[str, datetime], Command]:
    """The answer's deadline is the only one."""

    def command(kind: str, due_at: datetime) -> Command:
        if kind == "answer":
            return AskPlan()
        raise LookupError(f"no deadline of kind {kind} is known here")

    return command
