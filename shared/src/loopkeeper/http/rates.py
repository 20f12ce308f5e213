"""How many requests one client may have under way, and how many a second: past that it waits a moment, then is told 429.

Who is over its share waits before it is refused, the longer the more of its requests wait: a caller that asks again at
once, whatever Retry-After says, then costs so many refusals a second in all, however many connections it has.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field

from loopkeeper.http.slices import Slices
from loopkeeper.kernel.errors import TooMany

# At once, of one client in one process. Reads pass through few connections, writes are committed together.
READS_AT_ONCE, WRITES_AT_ONCE = 32, 256
# A quiet client may send so many seconds' worth at once.
BURST = 5
# Nobody is refused before so many seconds, nobody waits longer than the most, and between the two so many requests of one
# client are refused a second.
PATIENCE, LONGEST = 1.0, 20.0
REFUSALS = 25
MOST_REMEMBERED = 4096


@dataclass
class Share:
    """What one client has of this process."""

    tokens: float
    at: float
    under_way: int = 0
    waiting: int = 0
    reads: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(READS_AT_ONCE))
    writes: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(WRITES_AT_ONCE))


def patience(share: Share) -> float:
    """How many seconds the last of those who wait now waits before it is refused."""
    return min(max(PATIENCE, share.waiting / REFUSALS), LONGEST)


@contextmanager
def _waits(share: Share) -> Generator[float]:
    """One request more waits, for at most so many seconds."""
    share.waiting += 1
    try:
        yield patience(share)
    finally:
        share.waiting -= 1


def nothing_to_leave() -> None:
    """For a request that holds no place."""


class Rates:
    """Of every client: a bucket that fills by `a_second` tokens, and places for requests under way."""

    def __init__(
        self, a_second: float, now: Callable[[], float] = time.monotonic, slices: Slices | None = None
    ) -> None:
        """`slices`: told which organizations have requests under way."""
        self._a_second, self._now = a_second, now
        self._slices = slices or Slices()
        self._shares: dict[str, Share] = {}

    async def enter(
        self, who: str, *, writes: bool, holds: bool, organization: str = ""
    ) -> Callable[[], None]:
        """Take a token, and a place where the request `holds` one; call what is returned when it is over. Raises `TooMany`
        where neither comes free in time."""
        share = self._of(who)
        share.tokens -= 1.0
        if share.tokens < 0.0:
            await self._wait_for_token(share)
        if not holds:
            return nothing_to_leave
        places = share.writes if writes else share.reads
        if places.locked():
            await self._wait_for_place(share, places, WRITES_AT_ONCE if writes else READS_AT_ONCE)
        else:
            await places.acquire()
        if not writes:
            try:
                await self._slices.let_in(organization)
            except BaseException:
                places.release()
                raise
        share.under_way += 1
        self._slices.entered(organization)

        def leave() -> None:
            share.under_way -= 1
            places.release()
            self._slices.left(organization)

        return leave

    async def _wait_for_token(self, share: Share) -> None:
        wait = -share.tokens / self._a_second
        if wait <= PATIENCE:
            await asyncio.sleep(wait)
            return
        share.tokens += 1.0
        with _waits(share) as longest:
            await asyncio.sleep(longest)
        raise TooMany("a-second", round(self._a_second), retry_after=math.ceil(wait))

    async def _wait_for_place(self, share: Share, places: asyncio.Semaphore, most: int) -> None:
        with _waits(share) as longest:
            try:
                async with asyncio.timeout(longest):
                    await places.acquire()
            except TimeoutError:
                # As long as those who wait now will wait.
                raise TooMany("at-once", most, retry_after=math.ceil(patience(share))) from None

    def _of(self, who: str) -> Share:
        share = self._shares.get(who)
        if share is None:
            if len(self._shares) >= MOST_REMEMBERED:
                self._forget()
            share = self._shares[who] = Share(self._a_second * BURST, self._now())
        self._fill(share)
        return share

    def _fill(self, share: Share) -> None:
        now = self._now()
        share.tokens = min(self._a_second * BURST, share.tokens + (now - share.at) * self._a_second)
        share.at = now

    def _forget(self) -> None:
        """Those that have everything a new one would have."""
        full = self._a_second * BURST
        for who, share in list(self._shares.items()):
            self._fill(share)
            if share.tokens >= full and not share.under_way and not share.waiting:
                del self._shares[who]
