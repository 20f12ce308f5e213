"""How do tests begin and end the lives of services? Through the fork server, which costs its imports once."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

ROOT = Path(__file__).parents[2]
# A start on a busy machine, its first migration included; a fork serves in half a second.
SERVES_WITHIN = 120.0
# Longer than the product's own grace for what is under way, and for its tasks behind it.
ENDS_WITHIN = 90.0
LOOK_EVERY = 0.005


@dataclass
class Lives:
    """The fork server, and the lives it has begun that have not ended yet."""

    living: set[int] = field(default_factory=set[int])
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    _server: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Self:
        self._server = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.chaos.fork_server",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            cwd=ROOT,
            # Ctrl-C is for the tests to take: they end the lives in their order.
            start_new_session=True,
        )  # fmt: skip
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.end_all()
        assert self._server is not None
        assert self._server.stdin is not None
        self._server.stdin.close()
        await self._server.wait()

    async def begin(self, words: Sequence[str], environment: Mapping[str, str], log: Path) -> Life:
        """A process that runs `loopkeeper` with these words in this environment, and no variable more. With `uvicorn` as
        the first word it is that program."""
        answer = await self._order({"words": words, "environment": dict(environment), "log": str(log)})
        self.living.add(answer["pid"])
        return Life(answer["pid"], dict(environment), log, self)

    async def end_all(self) -> None:
        """Kill whatever still lives."""
        for pid in list(self.living):
            os.kill(pid, signal.SIGKILL)
            await self.end_of(pid)

    async def end_of(self, pid: int) -> int:
        """The exit code of a life, once it has ended; negative: the signal that ended it."""
        async with asyncio.timeout(ENDS_WITHIN):
            answer = await self._order({"pid": pid})
        self.living.discard(pid)
        return answer["code"]

    async def _order(self, order: Mapping[str, Any]) -> Any:
        assert self._server is not None
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        async with self._turn:
            self._server.stdin.write(json.dumps(order).encode() + b"\n")
            answer = await self._server.stdout.readline()
        assert answer, "the fork server ended"
        return json.loads(answer)


@dataclass
class Life:
    """One process of services, from its fork to its end."""

    pid: int
    environment: dict[str, str]
    log: Path
    _lives: Lives

    async def serves(self, port: int) -> None:
        """Until it takes connections, which it does once its services have started."""
        try:
            await until(lambda: taken(port), SERVES_WITHIN)
        except TimeoutError:
            raise AssertionError(f"nothing serves at {port}: {self.said()}") from None

    def kill(self) -> None:
        """Kill -9, in the middle of whatever it is doing."""
        os.kill(self.pid, signal.SIGKILL)

    def ask_to_stop(self) -> None:
        os.kill(self.pid, signal.SIGTERM)

    async def ended(self) -> int:
        return await self._lives.end_of(self.pid)

    def said(self) -> str:
        """The end of what it wrote."""
        return self.log.read_text()[-2000:] if self.log.exists() else ""


async def until(holds: Callable[[], Awaitable[bool]], within: float) -> None:
    """Look until it holds; TimeoutError where it does not in time. For what happens in other processes, which ring no
    bell of ours."""
    async with asyncio.timeout(within):
        while not await holds():  # noqa: ASYNC110 see above
            await asyncio.sleep(LOOK_EVERY)


async def taken(port: int) -> bool:
    """Whether somebody takes connections at this port."""
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()
    return True
