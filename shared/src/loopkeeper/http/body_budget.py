"""Request bodies held at once by one process: past the budget a request is answered 503 and comes back.

A body costs memory from its first byte until its request is answered: the bytes, what they are parsed into, and what
waits for the store. The bound on one body says nothing about three hundred of them. Bodies read piece by piece (files)
are not held and are not counted.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager

from loopkeeper.kernel.errors import Busy


class Share:
    """What one request holds of the budget."""

    __slots__ = ("_budget", "held", "leave")

    def __init__(self, budget: BodyBudget) -> None:
        self._budget = budget
        self.held = 0
        # What else the request gives back when it is over.
        self.leave: Callable[[], None] | None = None

    def take(self, count: int) -> None:
        """Hold this many bytes more. Raises `Busy` (503 with Retry-After) where the budget has no room for them."""
        self._budget.take(count)
        self.held += count


class BodyBudget:
    """How many bytes of bodies may be held at once. Bytes count when they arrive: a caller who announces much and sends
    little holds little."""

    def __init__(self, most: int) -> None:
        self._most = most
        self.held = 0

    @contextmanager
    def share(self) -> Generator[Share]:
        """A share for the length of one request; what it took is free again when the request is over."""
        share = Share(self)
        try:
            yield share
        finally:
            self.held -= share.held
            if share.leave is not None:
                share.leave()

    def take(self, count: int) -> None:
        if self.held + count > self._most:
            raise Busy("the memory for bodies")
        self.held += count
