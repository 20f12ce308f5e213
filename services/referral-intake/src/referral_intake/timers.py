"""Which command each deadline of a referral becomes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from loopkeeper.contract.decider import Command
from loopkeeper.runtime.service import Resources
from referral_intake.domain.commands import EndOfTerm, MeetDeadline
from referral_intake.domain.deadlines import TERM

# What only tells that something is at risk, breached or to be sent, and decides nothing.
TELLING = ("remind-",)


def on_timer(equipment: Resources) -> Callable[[str, datetime], Command]:
    """What fires when a deadline is due; the rule checks whether it still applies."""

    def command(kind: str, due_at: datetime) -> Command:
        return EndOfTerm(due_at=due_at) if kind == TERM else MeetDeadline(kind=kind, due_at=due_at)

    return command
