"""Which command each deadline of a request becomes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from authorization.domain.commands import ExpireGrant, PassDeadline
from authorization.domain.deadlines import KINDS
from loopkeeper.contract.decider import Command
from loopkeeper.runtime.service import Resources

# What only tells that something is at risk, breached or to be sent, and decides nothing.
TELLING = tuple(sorted(KINDS))


def on_timer(equipment: Resources) -> Callable[[str, datetime], Command]:
    """The end of a grant and the notice of a term's end act; clocks of a decision escalate, they never decide."""

    def command(kind: str, due_at: datetime) -> Command:
        if kind == "grant":
            return ExpireGrant()
        if kind in KINDS:
            return PassDeadline(kind=kind)
        raise LookupError(f"no deadline of kind {kind} is known here")

    return command
