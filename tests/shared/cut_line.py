"""A line to PostgreSQL that can be cut at the worst moment: after a COMMIT took effect, before its reply arrives."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit


@dataclass(frozen=True)
class Trap:
    """Sprung once, by the next piece from a client that has these bytes: before the server has it, or when it has
    answered. The connection ends with it."""

    needle: bytes
    spring: Callable[[], None]
    before: bool


@dataclass
class CutLine:
    """Passes bytes between a client and the server of `url`; cuts the connection at the next `cut_commits` COMMITs, or
    where a trap is sprung."""

    url: str
    cut_commits: int = 0
    commits: int = 0
    # So many connections are let through; every later one is closed at once. None: all are.
    lets_through: int | None = None
    refused: int = 0
    through: str = ""
    trap: Trap | None = None
    # Each piece waits so many seconds, in both directions.
    delay: float = 0.0
    _tasks: set[asyncio.Task[None]] = field(default_factory=set[asyncio.Task[None]])

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.lets_through == 0:
            self.refused += 1
            writer.close()
            return
        if self.lets_through is not None:
            self.lets_through -= 1
        server_reader, server_writer = await self._server()
        committing = asyncio.Event()
        sprung: list[Trap] = []

        async def up() -> None:
            while piece := await reader.read(65536):
                if (trap := self.trap) is not None and trap.needle in piece:
                    self.trap = None
                    if trap.before:
                        trap.spring()
                        return
                    sprung.append(trap)
                if b"COMMIT" in piece:
                    self.commits += 1
                    if self.cut_commits:
                        self.cut_commits -= 1
                        committing.set()
                await asyncio.sleep(self.delay)
                server_writer.write(piece)

        async def down() -> None:
            while piece := await server_reader.read(65536):
                if committing.is_set():
                    # The server has answered, so the commit is durable; its answer goes nowhere.
                    return
                if sprung:
                    sprung[0].spring()
                    return
                await asyncio.sleep(self.delay)
                writer.write(piece)

        tasks = [asyncio.create_task(up()), asyncio.create_task(down())]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
        for each in (writer, server_writer):
            each.close()
            with suppress(OSError):
                await each.wait_closed()

    async def _server(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        parts = urlsplit(self.url)
        folder = parse_qs(parts.query).get("host", [""])[0]
        port = int(parse_qs(parts.query).get("port", [str(parts.port or 5432)])[0])
        if folder.startswith("/"):
            return await asyncio.open_unix_connection(f"{folder}/.s.PGSQL.{port}")
        return await asyncio.open_connection(parts.hostname, port)


@asynccontextmanager
async def cut_line(url: str) -> AsyncGenerator[CutLine]:
    """A line to this database; `through` is the URL that uses it."""
    line = CutLine(url)
    server = await asyncio.start_server(line._pass, "127.0.0.1", 0)
    parts = urlsplit(url)
    port = server.sockets[0].getsockname()[1]
    line.through = f"postgresql://{parts.username}:{parts.password}@127.0.0.1:{port}{parts.path}"
    try:
        yield line
    finally:
        server.close()
