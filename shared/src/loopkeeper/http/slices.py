"""Long answers are made in slices, and between two of them other callers have their turn.

A process has one processor. A page of two hundred entries takes it for twenty milliseconds in one piece, and another
caller's request, which needs it for a moment at each of a dozen steps, waits at each of them. So entries are made a few
at a time, one slice of one caller in each round of the event loop. The caller that used least of late comes first, and
one that used much steps back while requests of others are under way; with nobody there it has the processor for itself.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from typing import TypeVar

R = TypeVar("R")
T = TypeVar("T")

# Entries made at once.
ENTRIES = 5
# After so many seconds half of what was used is forgotten.
HALVED_IN = 5.0
# Seconds of late: who used less steps back for nobody.
LITTLE = 0.1
# For so long one steps back, then has a slice: everybody gets on, however much others ask.
PATIENCE = 0.025
# Organizations remembered; those that used least are forgotten first.
MOST_REMEMBERED = 4096


class Slices:
    """Whose slice is next. Counts seconds of making entries, by organization: a second key must not be a second share."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._under_way: Counter[str] = Counter()
        self._used: dict[str, tuple[float, float]] = {}
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}
        # Since when each steps back.
        self._stepped_back: dict[str, float] = {}
        self._given = False
        self._later: asyncio.TimerHandle | None = None

    async def made(self, organization: str, rows: Sequence[R], show: Callable[[R], T]) -> tuple[T, ...]:
        """What `show` makes of each row."""
        entries: list[T] = []
        for first in range(0, len(rows), ENTRIES):
            await self._turn(organization, begun=first > 0)
            begun = self._now()
            try:
                entries += map(show, rows[first : first + ENTRIES])
            finally:
                self._over(organization, self._now() - begun)
        if len(rows) > ENTRIES:
            # Writing them is one more: it happens as soon as this returns.
            await self._turn(organization, begun=True)
            self._over(organization, 0.0)
        return tuple(entries)

    async def let_in(self, organization: str) -> None:
        """Return when a reading of this organization may begin: at once, or in its turn where it used much."""
        if self.used(organization) >= LITTLE:
            await self._turn(organization, begun=False)
            self._over(organization, 0.0)

    def entered(self, organization: str) -> None:
        """A request of this organization is under way, until `left`."""
        self._under_way[organization] += 1

    def left(self, organization: str) -> None:
        self._under_way[organization] -= 1
        if not self._under_way[organization]:
            del self._under_way[organization]
            if self._stepped_back:
                self._next()

    def used(self, organization: str) -> float:
        """Seconds this organization used of late."""
        seconds, at = self._used.get(organization, (0.0, 0.0))
        return seconds * 0.5 ** ((self._now() - at) / HALVED_IN)

    @property
    def idle(self) -> bool:
        """Whether no request is under way."""
        return not self._under_way

    async def _turn(self, organization: str, *, begun: bool) -> None:
        asked = asyncio.get_running_loop().create_future()
        line = self._waiting.setdefault(organization, deque())
        # An answer that was begun comes first: half-made ones are nothing but memory.
        if begun:
            line.appendleft(asked)
        else:
            line.append(asked)
        self._next()
        try:
            await asked
        except asyncio.CancelledError:
            if asked.done() and not asked.cancelled():
                self._over(organization, 0.0)
            raise

    def _over(self, organization: str, seconds: float) -> None:
        self._used[organization] = (self.used(organization) + seconds, self._now())
        if len(self._used) > MOST_REMEMBERED:
            for name in sorted(self._used, key=self.used)[: MOST_REMEMBERED // 2]:
                del self._used[name]
        # In the next round, so that whatever came meanwhile is looked at first.
        asyncio.get_running_loop().call_soon(self._free)

    def _free(self) -> None:
        self._given = False
        self._next()

    def _next(self) -> None:
        if self._given:
            return
        if self._later is not None:
            self._later.cancel()
            self._later = None
        for name in sorted(self._waiting, key=self.used):
            if (wait := self._steps_back(name)) > 0.0:
                # Those who used more would step back as well.
                self._later = asyncio.get_running_loop().call_later(wait, self._next)
                return
            if self._give(name):
                return

    def _give(self, name: str) -> bool:
        """Whether somebody still waits for this organization's slice."""
        line = self._waiting[name]
        self._stepped_back.pop(name, None)
        while line:
            asked = line.popleft()
            if not asked.done():
                self._given = True
                asked.set_result(None)
                break
        if not line:
            del self._waiting[name]
        return self._given

    def _steps_back(self, name: str) -> float:
        """For how many seconds yet this organization steps back."""
        used = self.used(name)
        if used < LITTLE or not any(self.used(other) < used for other in self._under_way if other != name):
            return 0.0
        since = self._stepped_back.setdefault(name, self._now())
        return since + PATIENCE - self._now()
