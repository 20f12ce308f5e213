"""Callers who want nothing but that others wait: heads that never end, heads and bodies too large, connections that say nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass

HEAD = b"POST /v1/referrals HTTP/1.1\r\nHost: loop.test\r\nContent-Type: application/json\r\n"
# Of each kind so many at once.
CALLERS = 12
SPEAKS_EVERY = 0.02
LOCAL = "127.0.0.1"


@dataclass(frozen=True)
class Place:
    """Where they shout: a port, a key that somebody has, and the address they come from."""

    port: int
    key: str
    address: str = LOCAL


async def slow_heads(at: Place, until: asyncio.Event) -> None:
    """A head of which a byte comes now and then."""
    async with Line(at.port, at.address) as (_, writer):
        writer.write(HEAD + b"X-Slow: ")
        while not until.is_set():
            writer.write(b"a")
            await writer.drain()
            await asyncio.sleep(SPEAKS_EVERY)


async def endless_heads(at: Place, until: asyncio.Event) -> None:
    """Headers without end, as fast as they are taken."""
    async with Line(at.port, at.address) as (_, writer):
        writer.write(HEAD)
        while not until.is_set():
            writer.write(b"X-More: " + b"a" * 4096 + b"\r\n")
            await writer.drain()
            await asyncio.sleep(SPEAKS_EVERY)


async def endless_addresses(at: Place, until: asyncio.Event) -> None:
    async with Line(at.port, at.address) as (_, writer):
        writer.write(b"GET /v1/referrals?county=")
        while not until.is_set():
            writer.write(b"a" * 4096)
            await writer.drain()
            await asyncio.sleep(SPEAKS_EVERY)


async def bodies_dear_to_refuse(at: Place, until: asyncio.Event) -> None:
    """A megabyte of small objects, from somebody who has a key."""
    body = b'[{"a":1}' + b',{"a":1}' * 100_000 + b"]"
    head = HEAD + f"Authorization: Bearer {at.key}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    while not until.is_set():
        async with Line(at.port, at.address) as (reader, writer):
            writer.write(head + body)
            await writer.drain()
            await reader.read(4096)
        await asyncio.sleep(SPEAKS_EVERY)


async def silence(at: Place, until: asyncio.Event) -> None:
    """A connection that says nothing."""
    async with Line(at.port, at.address):
        await until.wait()


Caller = Callable[[Place, asyncio.Event], Awaitable[None]]
KINDS: Mapping[str, Caller] = {
    "slow heads": slow_heads,
    "endless heads": endless_heads,
    "endless addresses": endless_addresses,
    "bodies dear to refuse": bodies_dear_to_refuse,
    "silence": silence,
}


class Line:
    """One connection, from this address of the loopback network. That the other side ends it, or never takes it, is what
    is asked for."""

    def __init__(self, port: int, address: str = LOCAL) -> None:
        self._port, self._address = port, address

    async def __aenter__(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, self._writer = await asyncio.open_connection(LOCAL, self._port, local_addr=(self._address, 0))
        return reader, self._writer

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> bool:
        self._writer.close()
        with suppress(OSError):
            await self._writer.wait_closed()
        return kind is not None and issubclass(kind, OSError)


async def shout(
    kind: str, port: int, key: str, until: asyncio.Event, callers: int = CALLERS, address: str = LOCAL
) -> None:
    """So many of this kind at this process, from one address, until the event is set."""

    async def one() -> None:
        while not until.is_set():
            with suppress(OSError):
                await KINDS[kind](Place(port, key, address), until)
            await asyncio.sleep(SPEAKS_EVERY)

    await asyncio.gather(*(one() for _ in range(callers)))
