"""Wake-ups: how a task that sleeps between its rounds is told that there may be work.

A `Waker` is a source of wake-ups: commits of a store, jumps of a clock. A task sleeps on one event of its own,
which any number of wakers set and only the task clears.
"""

from __future__ import annotations

import asyncio
from weakref import WeakSet


class Waker:
    """Wakes every task that asked for it. An event nobody holds any more is forgotten."""

    def __init__(self) -> None:
        self._sleepers: WeakSet[asyncio.Event] = WeakSet()
        # How often it woke.
        self.times = 0

    def add(self, sleeper: asyncio.Event) -> None:
        """From now on set this event at each wake-up."""
        self._sleepers.add(sleeper)

    def forget(self, sleeper: asyncio.Event) -> None:
        """No longer set this event."""
        self._sleepers.discard(sleeper)

    def wake(self) -> None:
        """Set the events of all sleepers. A task that is at work looks once more after its round."""
        self.times += 1
        for sleeper in self._sleepers:
            sleeper.set()


def woken_by(*wakers: Waker) -> asyncio.Event:
    """An event of the caller's own that each of these sets; by none, for work that only its period repeats."""
    event = asyncio.Event()
    for waker in wakers:
        waker.add(event)
    return event
