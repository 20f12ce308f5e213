"""Is a service open? It takes commands and sends only while its database is known to have what the log has of it.

Closed at every start, and again at every sign that its database or the log stepped back (protocols.md §12). Closures are
counted: what began before the last one must not commit.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from loopkeeper.kernel.errors import Busy
from loopkeeper.kernel.logs import get

log = get("gate")

# Why a gate is closed that never was open.
AT_START = "the start"
# How long a caller waits at a closed gate before it hears 503.
PATIENCE = 5.0


class CatchingUp(Busy):
    """The service is closed until it has read what the log has: a 404 for what was answered 201 would be acted upon."""

    def __init__(self) -> None:
        super().__init__("what must be read of the log", retry_after=5)


class Closed(ConnectionError):
    """The gate was closed since this began: nothing of it was kept."""


class Gate:
    """One service's gate. `ready` is set while it is open; `reason` says why it was closed last."""

    def __init__(self, service: str) -> None:
        self.ready = asyncio.Event()
        self.ready.set()
        self.closures = 0
        self.reason = ""
        self._service = service
        self._closing = asyncio.Event()

    def close(self, reason: str) -> None:
        """Nothing that has begun commits, nothing new begins. Closing a closed gate counts too."""
        self.closures += 1
        self.reason = reason
        self.ready.clear()
        self._closing.set()
        self._closing = asyncio.Event()
        log.warning("closed", service=self._service, reason=reason)

    def open(self, closures: int) -> bool:
        """Take commands again, unless it was closed since it was counted; whether it is open."""
        if closures == self.closures:
            self.ready.set()
        return self.ready.is_set()

    def check(self, closures: int) -> None:
        """Raises `Closed` where it was closed since it was counted."""
        if closures != self.closures:
            raise Closed(self.reason)

    async def passed(self, patience: float = PATIENCE) -> None:
        """Wait until it is open, for as long as a caller may. Raises `CatchingUp`."""
        if self.ready.is_set():
            return
        try:
            async with asyncio.timeout(patience):
                await self.ready.wait()
        except TimeoutError:
            raise CatchingUp from None

    async def while_open(self, run: Callable[[], Awaitable[None]]) -> bool:
        """Run this, which writes or sends, until the gate is closed; whether it ended by itself. What it raises is raised,
        unless the gate was closed."""
        closing = asyncio.ensure_future(self._closing.wait())
        work = asyncio.ensure_future(run())
        try:
            await asyncio.wait({work, closing}, return_when=asyncio.FIRST_COMPLETED)
            if closing.done():
                return False
            work.result()
            return True
        finally:
            closing.cancel()
            work.cancel()
            await asyncio.wait({work, closing})
            if not work.cancelled():
                work.exception()
