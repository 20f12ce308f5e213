"""Who is answered while others hold thousands of connections, never end their heads, or send without measure? Everybody else:
soon, from a process whose memory stays what it was."""

from __future__ import annotations

import asyncio
import resource
import time
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, suppress
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio

from tests.builders.organizations import CLINIC, OPERATIONS
from tests.chaos import hostile
from tests.chaos.campaign import ANSWERED_WITHIN
from tests.chaos.cluster import Cluster
from tests.chaos.hostile import Line
from tests.chaos.lives import Lives
from tests.chaos.town import Town, town

# As many as one address may have, from as many addresses as it takes; fewer where we may open fewer files.
OF_ONE = 400
IDLE = 5_000
FILES_BESIDE = 1_000
OPENED_AT_ONCE = 100
# Of each kind of caller so many, for so long; bodies are a megabyte each, and written by this process.
CALLERS, SECONDS = 200, 8.0
BODIES = 24
LIVE = b"GET /health/live HTTP/1.1\r\nHost: loop.test\r\n"
QUESTIONS = 12
# What a process may weigh more than before: a connection has buffers of its own, a caller that sends without measure has none.
PER_CONNECTION, BESIDE = 24 * 1024, 48 * 1024 * 1024

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(900)]


@pytest_asyncio.fixture(scope="module")
async def place(
    lives: Lives, cluster: Cluster, tmp_path_factory: pytest.TempPathFactory
) -> AsyncGenerator[Town]:
    """One process of all services that takes a few more connections than are idle here."""
    async with town(lives, cluster, tmp_path_factory.mktemp("callers")) as opened:
        await opened.kill()
        opened.through["LOOPKEEPER_CONNECTIONS"] = str(IDLE + 2 * OF_ONE)
        await opened.begin()
        yield opened


async def test_five_thousand_connections_that_say_nothing_more_keep_nobody_waiting(place: Town) -> None:
    others = Others(place)
    weighed = others.weight()
    async with AsyncExitStack() as held:
        lines: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

        async def one(number: int) -> None:
            """One question, and then it stays."""
            address = f"127.0.1.{1 + number // OF_ONE}"
            reader, writer = await held.enter_async_context(Line(others.port, address))
            writer.write(LIVE + b"\r\n")
            assert (await reader.readuntil(b"}")).startswith(b"HTTP/1.1 200")
            lines.append((reader, writer))

        idle = as_many_as_may_be(IDLE)
        for first in range(0, idle, OPENED_AT_ONCE):
            await asyncio.gather(*(one(first + each) for each in range(OPENED_AT_ONCE)))
        await others.ask()
        assert sum(not reader.at_eof() for reader, _ in lines) == idle
        assert others.weight() - weighed < BESIDE + idle * PER_CONNECTION
    others.none_waited()


async def test_one_address_has_its_share_of_the_connections_and_no_more(place: Town) -> None:
    others = Others(place)
    async with AsyncExitStack() as held:
        lines = [await held.enter_async_context(Line(others.port, "127.0.2.1")) for _ in range(2 * OF_ONE)]
        for _, writer in lines:
            writer.write(LIVE + b"Connection: close\r\n\r\n")
        await others.ask()
        told = Counter(await asyncio.gather(*(last_word(reader) for reader, _ in lines)))
    assert told[b"HTTP/1.1 200"] == OF_ONE
    # Some are told why; of those that are too many even for that, none is answered.
    assert told[b"HTTP/1.1 503"] > 0
    assert told.keys() <= {b"HTTP/1.1 200", b"HTTP/1.1 503", b""}
    others.none_waited()


@pytest.mark.parametrize("kind", hostile.KINDS)
async def test_whoever_shouts_keeps_nobody_waiting(place: Town, kind: str) -> None:
    others, enough = Others(place), asyncio.Event()
    weighed = others.weight()
    callers = BODIES if kind == "bodies dear to refuse" else CALLERS
    shouting = asyncio.create_task(
        hostile.shout(kind, others.port, place.keys[CLINIC], enough, callers, "127.0.3.1")
    )
    until = time.monotonic() + SECONDS
    try:
        while time.monotonic() < until:
            await others.ask(1)
    finally:
        enough.set()
        shouting.cancel()
        with suppress(asyncio.CancelledError):
            await shouting
    assert others.weight() - weighed < BESIDE + callers * PER_CONNECTION
    others.none_waited()


class Others:
    """Everybody else: a probe, operations, another referrer, each time over a connection of their own."""

    def __init__(self, place: Town) -> None:
        self._place = place
        self.port = place.port_of()
        self.took: list[float] = []

    async def ask(self, times: int = QUESTIONS) -> None:
        bearer = {name: {"Authorization": f"Bearer {self._place.keys[name]}"} for name in (OPERATIONS,)}
        for _ in range(times):
            began = time.monotonic()
            async with aiohttp.ClientSession(f"http://127.0.0.1:{self.port}") as session:
                async with session.get("/health/live") as answer:
                    assert answer.status == 200
                async with session.get("/v1/operations/intake/status", headers=bearer[OPERATIONS]) as answer:
                    assert answer.status == 200
            self.took.append(time.monotonic() - began)
            await asyncio.sleep(0.05)

    def none_waited(self) -> None:
        assert max(self.took) < ANSWERED_WITHIN, sorted(self.took)[-5:]

    def weight(self) -> int:
        """Of the process, in bytes."""
        pid = self._place.living[()].pid
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize()


async def last_word(reader: asyncio.StreamReader) -> bytes:
    """The start of the only line that this connection is told; nothing where it was cut off."""
    try:
        return (await reader.read())[:12]
    except ConnectionError:
        return b""


def as_many_as_may_be(wanted: int) -> int:
    """So many connections, or what this process may open."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return min(wanted, most - FILES_BESIDE) // OPENED_AT_ONCE * OPENED_AT_ONCE
