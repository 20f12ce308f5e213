"""How uvicorn runs inside a program that stops itself: it must not take the signals."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from contextlib import contextmanager, suppress

import uvicorn

from loopkeeper.kernel import beats

# The date that every answer bears is made so often.
DATED_EVERY = 1.0


class Server(uvicorn.Server):
    """Ends when asked by `leave`, after answering what is under way; Ctrl-C and SIGTERM are the program's to take."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._leaving = asyncio.Event()

    def leave(self) -> None:
        self.should_exit = True
        self._leaving.set()

    async def main_loop(self) -> None:
        """uvicorn looks ten times a second whether it should end; this one is told."""
        while not await self.on_tick(0):
            with suppress(TimeoutError):
                async with asyncio.timeout_at(beats.after(asyncio.get_running_loop().time(), DATED_EVERY)):
                    await self._leaving.wait()

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        yield
