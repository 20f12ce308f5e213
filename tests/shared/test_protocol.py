"""Before there is a request: heads that never end, callers who are slow, connections without number (protocols.md §14.4)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import orjson
import pytest

from loopkeeper.http import protocol
from loopkeeper.http.protocol import Door
from tests.shared.web_calls import serving
from tests.shared.web_example import example

LIVE = b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n"
# Endless, each in its own way: header, address, trailer, what is between chunks.
POST = b"POST /v1/visits HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer key-plan\r\nContent-Type: application/json\r\n"
ENDLESS = {
    "header": (b"GET / HTTP/1.1\r\nX: ", b"y" * 65536, 431, "headers-too-large"),
    "many headers": (b"GET / HTTP/1.1\r\n", b"x: y\r\n" * 8192, 431, "headers-too-large"),
    "address": (b"GET /", b"y" * 65536, 414, "address-too-long"),
    "trailer": (
        POST + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n", b"x: y\r\n" * 8192, 431, "headers-too-large"
    ),
    "chunk extension": (
        POST + b"Transfer-Encoding: chunked\r\n\r\n1;", b"x" * 65536, 431, "headers-too-large"
    ),
}  # fmt: skip


@asynccontextmanager
async def connected(port: int) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield reader, writer
    finally:
        writer.close()


async def told(reader: asyncio.StreamReader) -> tuple[int, dict[str, object]]:
    """Status and problem of the answer that ends this connection."""
    answer = await asyncio.wait_for(reader.read(65536), 5)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"content-type: application/problem+json" in head.lower(), answer[:300]
    return int(head.split(b" ")[1]), orjson.loads(body)


@pytest.mark.parametrize("kind", ENDLESS)
async def test_a_head_that_does_not_end_is_refused_as_a_problem_and_others_are_answered_meanwhile(
    kind: str,
) -> None:
    start, more, status, slug = ENDLESS[kind]
    async with serving(example().app) as port, AsyncExitStack() as held:
        senders = [await held.enter_async_context(connected(port)) for _ in range(4)]
        for _, writer in senders:
            writer.write(start)
        slowest = 0.0
        for _ in range(8):
            for _, writer in senders:
                writer.write(more)
            begun = time.monotonic()
            async with connected(port) as (reader, writer):
                writer.write(LIVE)
                assert (await reader.readline()).startswith(b"HTTP/1.1 200")
            slowest = max(slowest, time.monotonic() - begun)
        assert slowest < 0.5
        for reader, _ in senders:
            answered, problem = await told(reader)
            assert (answered, problem["slug"]) == (status, slug)


async def test_a_head_that_is_slow_is_refused_and_one_after_another_has_its_own_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(protocol, "SECONDS_FOR_A_HEAD", 0.15)
    async with serving(example().app) as port:
        async with connected(port) as (reader, writer):
            writer.write(LIVE[:-2])
            assert (await told(reader))[1]["slug"] == "head-too-slow"
        async with connected(port) as (reader, writer):
            # Nothing at all is as slow as that.
            assert (await told(reader))[0] == 408
        async with connected(port) as (reader, writer):
            for _ in range(3):
                writer.write(LIVE)
                assert (await reader.readuntil(b"}")).startswith(b"HTTP/1.1 200")
            # Between two requests an empty line is no head, and gets no longer than one.
            writer.write(b"\r\n")
            assert (await told(reader))[0] == 408


async def test_a_large_body_in_small_chunks_is_none_of_this() -> None:
    body = orjson.dumps({"name": "D" * 100, "needs": ["coat"] * 20})
    padded = b" " * 150_000 + body
    chunks = b"".join(
        b"%x\r\n%b\r\n" % (len(part), part)
        for part in (padded[at : at + 1000] for at in range(0, len(padded), 1000))
    )
    async with serving(example().app) as port, connected(port) as (reader, writer):
        writer.write(POST + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n")
        status = (await reader.readline()).split(b" ")[1]
        # Judged by its content, whatever that is: not by what was between its chunks.
        assert status in (b"201", b"422")


async def test_what_is_no_http_is_told_so() -> None:
    async with serving(example().app) as port, connected(port) as (reader, writer):
        writer.write(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
        assert await told(reader) == (400, _any_problem("not-http"))


class _any_problem(dict[str, object]):  # noqa: N801 reads as a value
    def __init__(self, slug: str) -> None:
        super().__init__(slug=slug)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, dict) and other["slug"] == self["slug"] and "fix" in other


async def test_a_connection_over_the_bound_is_told_to_come_back_and_one_that_ends_makes_room() -> None:
    door = Door(100, 2)
    async with serving(example().app, door) as port, AsyncExitStack() as held:
        for _ in range(2):
            reader, writer = await held.enter_async_context(connected(port))
            writer.write(LIVE)
            assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        async with connected(port) as (reader, writer):
            writer.write(LIVE)
            answer = await asyncio.wait_for(reader.read(65536), 5)
        assert answer.startswith(b"HTTP/1.1 503")
        assert b"Retry-After: 2" in answer
        assert b"too-many-connections" in answer
        await held.aclose()
        async with asyncio.timeout(5):
            while door.total:  # noqa: ASYNC110 the server hears of it when the socket says so
                await asyncio.sleep(0.01)
        async with connected(port) as (reader, writer):
            writer.write(LIVE)
            assert (await reader.readline()).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize(
    ("trusted", "address", "taken"),
    [
        ("", "10.0.0.7", 2),
        ("10.0.0.7", "10.0.0.7", 5),
        ("192.0.2.1, 10.0.0.0/8", "10.0.0.7", 5),
        ("10.0.0.0/8", "203.0.113.9", 2),
        ("2001:db8::/32", "2001:db8::5", 5),
        ("2001:db8::/32", "10.0.0.7", 2),
        ("10.0.0.0/8", "", 2),
    ],
)
def test_a_trusted_proxy_stands_for_many_callers_and_counts_in_all_only(
    trusted: str, address: str, taken: int
) -> None:
    door = Door(5, 2, trusted)
    assert [door.enter(address) for _ in range(7)].count(True) == taken
    assert door.total == taken
    for _ in range(taken):
        door.leave(address)
    assert (door.total, dict(door.by_address)) == (0, {})
