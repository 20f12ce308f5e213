"""When does a service look at its deadlines next? What its own commits know of it, so that none of them asks the database.

The sweep (`flow/timers.py`) looks into the tables when the earliest deadline it knows of has come, when something happened
that may let a deadline act that could not before, and now and then for what other replicas wrote.
"""

from __future__ import annotations

from datetime import UTC, datetime

from loopkeeper.kernel.wake import Waker

# Later than any deadline.
LATEST = datetime.max.replace(tzinfo=UTC)


class Deadlines(Waker):
    """The earliest deadline of a service that this process knows of; `None` while it must look."""

    def __init__(self) -> None:
        super().__init__()
        self.earliest: datetime | None = None
        # A deadline has come and waits for facts that are not read yet.
        self.withheld = False

    def begin_look(self) -> None:
        """The sweep looks: what is written from now on counts, and what it finds is added."""
        self.earliest, self.withheld = LATEST, False

    def looked(self, following: datetime | None, *, withheld: bool) -> None:
        """The next that will come, as the tables have it; whether one that has come may not act yet."""
        self.withheld = withheld
        if self.earliest is not None and following is not None:
            self.earliest = min(self.earliest, following)

    def wrote(self, earliest: datetime) -> None:
        """A commit wrote deadlines, of which this is the earliest."""
        if self.earliest is not None and earliest < self.earliest:
            self.earliest = earliest
            self.wake()

    def look(self) -> None:
        """Something may act now that could not before, or is to be tried again: only the tables know."""
        self.earliest = None
        self.wake()

    def read_on(self) -> None:
        """More of the log was read, which a deadline may have waited for."""
        if self.withheld:
            self.look()
