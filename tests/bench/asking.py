"""Callers of a service over real sockets, in this process or in one of their own, where they take nothing of its loop."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import Counter
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any


class Asking:
    """One connection that is kept, and how long each answer took."""

    def __init__(self, port: int, key: str) -> None:
        self._port, self._key = port, key
        self.took: list[float] = []
        self.statuses: dict[int, int] = {}
        self._line: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def __call__(self, method: str, path: str, body: bytes = b"") -> int:
        if self._line is None:
            self._line = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._line
        head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {self._key}\r\n"
        if body:
            head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        begun = time.perf_counter()
        writer.write(head.encode() + b"\r\n" + body)
        start = await reader.readuntil(b"\r\n\r\n")
        lines = start.lower().split(b"\r\n")
        length = next((int(line[15:]) for line in lines if line.startswith(b"content-length:")), 0)
        await reader.readexactly(length)
        self.took.append(time.perf_counter() - begun)
        status = int(lines[0].split(b" ")[1])
        self.statuses[status] = self.statuses.get(status, 0) + 1
        if b"connection: close" in lines:
            await self.close()
        return status

    async def close(self) -> None:
        if self._line is not None:
            self._line[1].close()
            self._line = None


async def quiet(port: int, key: str, path: str, seconds: float) -> Asking:
    """One look after the other, fifty a second, for so long."""
    asking, until = Asking(port, key), time.monotonic() + seconds
    while time.monotonic() < until:
        await asking("GET", path)
        await asyncio.sleep(0.02)
    await asking.close()
    return asking


@dataclass
class Found:
    """How long each answer took, in seconds, and how many there were of each status."""

    took: list[float] = field(default_factory=list[float])
    statuses: Mapping[str, int] = field(default_factory=dict[str, int])


@dataclass(frozen=True)
class Callers:
    """A process of `count` callers with one key, each of which asks for `path` again as soon as it is answered; one alone
    pauses in between."""

    port: int
    key: str
    path: str
    count: int = 1

    async def seconds(self, seconds: float) -> Found:
        """What one caller finds in so long."""
        async with self.asking(seconds) as found:
            pass
        return found

    @asynccontextmanager
    async def asking(self, seconds: float = 0.0) -> AsyncGenerator[Found]:
        """The callers ask for so long, or as long as this is open; afterwards it holds what they found."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.bench.asking", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
        )  # fmt: skip
        assert process.stdin is not None
        asked = {
            "port": self.port,
            "key": self.key,
            "path": self.path,
            "count": self.count,
            "seconds": seconds,
        }
        process.stdin.write(json.dumps(asked).encode() + b"\n")
        await process.stdin.drain()
        found = Found()
        try:
            yield found
        finally:
            if not seconds:
                process.stdin.close()
            assert process.stdout is not None
            out = await process.stdout.read()
            await process.wait()
        told = json.loads(out)
        found.took, found.statuses = told["took"], told["statuses"]


async def crowd(port: int, key: str, path: str, count: int) -> list[Asking]:
    """Callers that ask without a pause, until somebody ends our input."""
    made = [Asking(port, key) for _ in range(count)]

    async def ask(one: Asking) -> None:
        while True:
            await one("GET", path)

    tasks = [asyncio.ensure_future(ask(each)) for each in made]
    await asyncio.to_thread(sys.stdin.read)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return made


async def main(asked: Mapping[str, Any]) -> None:
    port, key, path, seconds = asked["port"], asked["key"], asked["path"], asked["seconds"]
    made = (
        [await quiet(port, key, path, seconds)] if seconds else await crowd(port, key, path, asked["count"])
    )
    statuses = Counter[int]()
    for each in made:
        statuses.update(each.statuses)
    print(json.dumps({"took": [took for each in made for took in each.took], "statuses": statuses}))


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.stdin.readline())))
