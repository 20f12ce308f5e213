"""A line to PostgreSQL that can be cut at the worst moment: after a COMMIT took effect, before its reply arrives; and one to
Kafka, at a request of one kind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

# A request to Kafka begins with its length and the number of its kind.
REQUEST = 6


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
                if (trap := self.trap) is not None and self._has(piece, trap.needle):
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
                writer.write(self._told(piece))

        tasks = [asyncio.create_task(up()), asyncio.create_task(down())]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
        for each in (writer, server_writer):
            each.close()
            with suppress(OSError):
                await each.wait_closed()

    def _has(self, piece: bytes, needle: bytes) -> bool:
        return needle in piece

    def _told(self, piece: bytes) -> bytes:
        return piece

    async def _server(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        parts = urlsplit(self.url)
        folder = parse_qs(parts.query).get("host", [""])[0]
        port = int(parse_qs(parts.query).get("port", [str(parts.port or 5432)])[0])
        if folder.startswith("/"):
            return await asyncio.open_unix_connection(f"{folder}/.s.PGSQL.{port}")
        return await asyncio.open_connection(parts.hostname, port)


class KafkaLine(CutLine):
    """The same to a broker. A needle is the number of a kind of request; the address that the broker gives of itself is
    this line's, so that all connections come through it."""

    def _has(self, piece: bytes, needle: bytes) -> bool:
        while len(piece) >= REQUEST:
            if not needle or piece[4:REQUEST] == needle:
                return True
            piece = piece[4 + int.from_bytes(piece[:4]) :]
        return False

    def _told(self, piece: bytes) -> bytes:
        server, line = urlsplit(self.url), urlsplit(self.through)
        host = (server.hostname or "").encode()
        return piece.replace(host + (server.port or 0).to_bytes(4), host + (line.port or 0).to_bytes(4))


@asynccontextmanager
async def cut_line(url: str) -> AsyncGenerator[CutLine]:
    """A line to this database or broker; `through` is the URL that uses it."""
    parts = urlsplit(url)
    of_kafka = parts.scheme == "kafka"
    line = KafkaLine(url) if of_kafka else CutLine(url)
    server = await asyncio.start_server(line._pass, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    user = "" if of_kafka else f"{parts.username}:{parts.password}@"
    line.through = f"{parts.scheme}://{user}127.0.0.1:{port}{parts.path}"
    try:
        yield line
    finally:
        server.close()
