"""Whose turn it is at the reading connections: the caller that used them least of late comes first, and nobody has more than half.

Time is counted, not requests: one dear list is worth a hundred cheap ones. What an organization used halves every few
seconds, so nobody pays long for a busy minute.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from loopkeeper.kernel.errors import Busy, TooMany
from loopkeeper.postgres.connections import Connection, Pool

# After so many seconds half of what was used is forgotten.
HALVED_IN = 5.0
# Organizations remembered; those that used least are forgotten first.
MOST_REMEMBERED = 4096


class Turns:
    """The line before a number of connections."""

    def __init__(self, size: int, now: Callable[[], float] = time.monotonic) -> None:
        self._free, self._most, self._now = size, max(1, size // 2), now
        self._running: Counter[str] = Counter()
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}
        self._used: dict[str, tuple[float, float]] = {}

    @asynccontextmanager
    async def turn(self, organization: str, patience: float) -> AsyncGenerator[None]:
        """One turn, once it is this organization's. Raises after `patience` seconds: `TooMany` where it waited for its own
        others, `Busy` where for everybody's."""
        asked = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(organization, deque()).append(asked)
        self._next()
        try:
            async with asyncio.timeout(patience):
                await asked
        except TimeoutError:
            self._left(organization, asked)
            if self._running[organization] >= self._most:
                raise TooMany("reading", self._most, retry_after=1) from None
            raise Busy("the reading pool") from None
        except asyncio.CancelledError:
            self._left(organization, asked)
            raise
        begun = self._now()
        try:
            yield
        finally:
            self._done(organization, self._now() - begun)

    def used(self, organization: str) -> float:
        """Seconds this organization used of late."""
        seconds, at = self._used.get(organization, (0.0, 0.0))
        return seconds * 0.5 ** ((self._now() - at) / HALVED_IN)

    def _next(self) -> None:
        while self._free:
            may = [name for name in self._waiting if self._running[name] < self._most]
            if not may:
                return
            name = min(may, key=self.used)
            line = self._waiting[name]
            asked = line.popleft()
            if not line:
                del self._waiting[name]
            if not asked.done():
                self._free -= 1
                self._running[name] += 1
                asked.set_result(None)

    def _left(self, organization: str, asked: asyncio.Future[None]) -> None:
        """Nobody waits for this turn any more; one given in the same moment goes back."""
        if asked.done() and not asked.cancelled():
            self._done(organization, 0.0)
            return
        asked.cancel()
        line = self._waiting.get(organization)
        if line is not None and asked in line:
            line.remove(asked)
            if not line:
                del self._waiting[organization]

    def _done(self, organization: str, seconds: float) -> None:
        self._free += 1
        self._running[organization] -= 1
        if not self._running[organization]:
            del self._running[organization]
        self._used[organization] = (self.used(organization) + seconds, self._now())
        if len(self._used) > MOST_REMEMBERED:
            for name in sorted(self._used, key=self.used)[: MOST_REMEMBERED // 2]:
                del self._used[name]
        self._next()


class FairPool:
    """The reading pool with its line: who reads for an organization waits for its turn and then finds a connection."""

    def __init__(self, pool: Pool, size: int) -> None:
        self.pool, self.turns = pool, Turns(size)

    def acquire(self, *, timeout: float | None = None) -> AbstractAsyncContextManager[Connection]:
        return self.pool.acquire(timeout=timeout)

    async def fetch(self, query: str, *args: object, timeout: float | None = None) -> list[Any]:  # noqa: ASYNC109 asyncpg's own
        return await self.pool.fetch(query, *args, timeout=timeout)

    async def fetchrow(self, query: str, *args: object) -> Any | None:
        return await self.pool.fetchrow(query, *args)

    async def fetchval(self, query: str, *args: object) -> Any:
        return await self.pool.fetchval(query, *args)

    async def execute(self, query: str, *args: object) -> str:
        return await self.pool.execute(query, *args)

    async def executemany(self, command: str, args: Iterable[Sequence[object]]) -> None:
        await self.pool.executemany(command, args)

    async def close(self) -> None:
        await self.pool.close()

    def terminate(self) -> None:
        self.pool.terminate()

    async def expire_connections(self) -> None:
        await self.pool.expire_connections()
