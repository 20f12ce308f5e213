"""Which command each deadline of an assignment becomes: silence asks the plan, limits are watched, a planned assignment
begins, a term ends."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

from assignment.domain.commands import AskPlan, EndTerm, Start, Watch
from loopkeeper.contract.decider import Command
from loopkeeper.runtime.service import Resources

# The command of each kind of deadline (`domain.deadlines`).
COMMANDS: Mapping[str, Callable[[], Command]] = {
    "answer": AskPlan,
    "watch": Watch,
    "start": Start,
    "term": EndTerm,
}


# What only tells that something is at risk, breached or to be sent, and decides nothing.
TELLING = ("watch",)


def on_timer(equipment: Resources) -> Callable[[str, datetime], Command]:
    """What fires when a deadline is due. Raises `LookupError` for a kind nobody knows."""

    def command(kind: str, due_at: datetime) -> Command:
        if kind not in COMMANDS:
            raise LookupError(f"no deadline of kind {kind} is known here")
        return COMMANDS[kind]()

    return command
