"""Speak HTTP to a served app byte by byte."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import httpx
import orjson
import uvicorn
from fastapi import FastAPI

from loopkeeper.http.protocol import Door, behind
from tests.shared.web_example import CANARY

PROBLEM_KEYS = {"type", "title", "status", "slug", "detail", "trace_id"}


def problem(answer: httpx.Response, status: int, slug: str) -> dict[str, object]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert body.keys() >= PROBLEM_KEYS
    assert body["status"] == status
    assert body["slug"] == slug
    assert body["trace_id"] == answer.headers["x-trace-id"]
    return body


def strings_of(tree: object, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    if isinstance(tree, str):
        yield path
    elif isinstance(tree, dict):
        for key, value in tree.items():
            yield from strings_of(value, (*path, key))
    elif isinstance(tree, list):
        for position, value in enumerate(tree):
            yield from strings_of(value, (*path, position))


def with_text(tree: object, path: tuple[str | int, ...], text: str) -> object:
    if not path:
        return text
    if isinstance(tree, dict):
        return {
            key: with_text(value, path[1:], text) if key == path[0] else value for key, value in tree.items()
        }
    assert isinstance(tree, list)
    return [with_text(value, path[1:], text) if n == path[0] else value for n, value in enumerate(tree)]


WHOLE = {
    "name": CANARY,
    "born": "1964-03-02",
    "urgency": "urgent",
    "needs": ["a warm coat", "a bus pass"],
    "reach": {"kind": "place", "place": "a tent behind the gas station"},
    "answers": {"slept": "outside", "nights": 40, "alone": True},
}


def malformed_bodies() -> Iterator[bytes]:
    raw = orjson.dumps(WHOLE)
    yield from (raw[:length] for length in range(1, len(raw)))
    yield from (raw[:at] + b"\xff" + raw[at:] for at in range(0, len(raw), 2))
    yield from (raw[:at] + b"\x00" + raw[at:] for at in range(0, len(raw), 3))
    for path in strings_of(WHOLE):
        for bad in ("\0", "x\0", CANARY + "\0" + CANARY):
            yield json.dumps(with_text(WHOLE, path, bad)).encode()
        for bad in ("\ud800", "\udc00", "a\udfffb", "\ud83d\ud83d"):
            yield json.dumps(with_text(WHOLE, path, bad)).encode()
    for key in WHOLE:
        yield raw[:-1] + f',"{key}":"again"}}'.encode()
        for bad in (
            b"NaN",
            b"Infinity",
            b"-Infinity",
            b"1e999",
            b"9" * 5000,
            b"99999999999999999999",
            b"01",
            b"'x'",
            b"\\u0000",
        ):
            yield b'{"name":"D","' + key.encode() + b'":' + bad + b"}"
        yield b'{"name":"D","' + key.encode() + b'\\u0000":1}'
    for opened, closed in ((b"[", b"]"), (b'{"a":', b"}")):
        for depth in (120, 900, 1000, 1100, 10_000, 100_000):
            yield opened * depth
            yield b'{"name":"D","answers":' + opened * depth + b"1" + closed * depth + b"}"
    yield b"\xef\xbb\xbf" + raw
    yield raw.decode().encode("utf-16")
    yield raw + raw
    yield from (
        b"null",
        b"true",
        b"1",
        b'"x"',
        b"[]",
        b"[{}]",
        b" ",
        b"{}",
        b'{"name":null}',
        b"<x/>",
        b"name=David",
    )


class Server(uvicorn.Server):
    """Says when it listens."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listening.set()


@asynccontextmanager
async def serving(app: FastAPI, door: Door | None = None) -> AsyncIterator[int]:
    http = behind(door or Door(1_000, 1_000))
    server = Server(
        uvicorn.Config(app, http=http, port=0, log_config=None, access_log=False, ws="none", lifespan="off")
    )
    async with asyncio.TaskGroup() as group:
        group.create_task(server.serve())
        await server.listening.wait()
        yield server.servers[0].sockets[0].getsockname()[1]
        server.should_exit = True


async def exchange(port: int, request: bytes, body: bytes = b"", repeat: int = 0) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    try:
        for _ in range(repeat):
            writer.write(body)
            await writer.drain()
    except ConnectionError:
        pass  # The server answered and left: what it said is still to be read.
    try:
        return await asyncio.wait_for(reader.read(4096), 5)
    finally:
        writer.close()
