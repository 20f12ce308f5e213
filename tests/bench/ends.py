"""Who asks and who is told, in the process of the services, at as little cost as can be: what they spend is told apart.

The endpoint looks at no signature and keeps what came; the caller speaks ASGI. So what is measured is the services.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from time import perf_counter, thread_time
from typing import Any, cast

import orjson

from loopkeeper.testing.partner import CHALLENGE_TYPE, Partner, Taken

# Whatever is said of a referral.
ANY = ""
TOLD = b"HTTP/1.1 204 No Content\r\n\r\n"


@dataclass
class Spent:
    """Processor seconds of both ends so far."""

    seconds: float = 0.0


class Endpoint(Partner):
    """A partner that takes all it is told. A desk that waits is woken by what it waits for, not by every webhook."""

    def __init__(self, spent: Spent) -> None:
        super().__init__()
        self.spent = spent
        self.told: dict[tuple[str, str], Any] = {}
        # When each referral was first spoken of.
        self.first: dict[str, float] = {}
        self._awaited: dict[tuple[str, str], list[asyncio.Future[None]]] = {}
        self._counts: list[tuple[int, asyncio.Future[None]]] = []

    async def __aenter__(self) -> Endpoint:
        self._server = await asyncio.get_running_loop().create_server(lambda: _Wire(self), "127.0.0.1", 0)
        self.port = int(self._server.sockets[0].getsockname()[1])
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    async def came(self, count: int, within: timedelta = timedelta(seconds=10)) -> list[Taken]:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if len(self.requests) < count:
            self._counts.append((count, future))
            await asyncio.wait_for(future, within.total_seconds())
        return self.requests

    async def until_told(self, kind: str, referral: str) -> Any:
        """What was said of this referral under this kind."""
        if (kind, referral) not in self.told:
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._awaited.setdefault((kind, referral), []).append(future)
            await future
        return self.told[kind, referral]

    def take(self, path: str, body: bytes) -> bytes:
        """Keep what came; the answer."""
        event = orjson.loads(body)
        self.requests.append(Taken("POST", path, {}, body, signed=False))
        if event["type"] == CHALLENGE_TYPE:
            said = orjson.dumps({"challenge": event["data"]["challenge"]})
            head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(
                said
            )
            return head + said
        kind, referral = event["type"], event["data"].get("referral", "")
        self.first.setdefault(referral, perf_counter())
        for key in ((kind, referral), (ANY, referral)):
            self.told[key] = event["data"]
            for future in self._awaited.pop(key, ()):
                future.set_result(None)
        if self._counts:
            for count, future in self._counts:
                if len(self.requests) >= count and not future.done():
                    future.set_result(None)
            self._counts = [each for each in self._counts if not each[1].done()]
        return TOLD


class _Wire(asyncio.Protocol):
    """One connection: heads with a Content-Length and a body, one after the other."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._left = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        began = thread_time()
        self._left += data
        while (end := self._left.find(b"\r\n\r\n")) >= 0:
            head = self._left[:end]
            at = head.lower().find(b"content-length:") + 15
            whole = end + 4 + int(head[at : head.find(b"\r\n", at) if b"\r\n" in head[at:] else None])
            if len(self._left) < whole:
                break
            body, self._left = self._left[end + 4 : whole], self._left[whole:]
            self._transport.write(self._endpoint.take(head.split(b" ", 2)[1].decode(), body))
        self._endpoint.spent.seconds += thread_time() - began


class Caller:
    """The clients of a bench: requests straight to the app."""

    def __init__(self, app: Any, keys: Mapping[str, str], spent: Spent) -> None:
        self._app, self._keys, self._spent = app, keys, spent

    async def ask(
        self, organization: str, method: str, path: str, body: Any = None, status: int = 200
    ) -> Any:
        """One request that must be answered with this status; its body."""
        began = thread_time()
        raw = orjson.dumps(body) if body is not None else b""
        sent: list[bytes] = []
        answered = 0
        scope = {
            "type": "http",
            "http_version": "1.1",
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "root_path": "",
            "scheme": "http",
            "server": ("loop.test", 80),
            "client": ("127.0.0.1", 5000),
            "headers": [
                (b"host", b"loop.test"),
                (b"authorization", b"Bearer " + self._keys[organization].encode()),
                (b"user-agent", b"bench"),
                (b"content-type", b"application/json"),
                (b"content-length", b"%d" % len(raw)),
            ],
        }

        async def receive() -> Any:
            return {"type": "http.request", "body": raw, "more_body": False}

        async def send(message: Any) -> None:
            nonlocal answered
            answered = message.get("status", answered)
            sent.append(message.get("body", b""))

        self._spent.seconds += thread_time() - began
        await self._app(scope, receive, send)
        began = thread_time()
        text = b"".join(sent)
        assert answered == status, f"{method} {path}: {answered} {text!r}"
        found = orjson.loads(text) if text else None
        self._spent.seconds += thread_time() - began
        return found
