"""How a partner's endpoint can behave, well or badly: a local HTTP server that tests point webhooks at."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import json
import socket
import struct
from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ssl import SSLContext
from types import TracebackType
from typing import Any, Literal, Self, cast

from aiohttp import web
from standardwebhooks.webhooks import Webhook

from loopkeeper.kernel.clock import Clock, SystemClock

Manner = Literal["whole", "echo", "hang", "drip", "endless", "reset", "drop"]

CHALLENGE_TYPE = "ecm.endpoint.challenge.v1"
# Standard Webhooks: a signature older or younger than this is a replay.
TOLERANCE = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Answer:
    """What the partner answers, and in which manner.

    `whole` sends it at once; `echo` sends back what it was sent, as errors of careless servers do; `hang` sends
    nothing until the server stops; `drip` sends the head, then a byte now and then without end; `endless` sends
    the head, then as much as is taken; `reset` sends the head and half a body, then resets the connection;
    `drop` closes it without a word.
    """

    status: int = 204
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict[str, str])
    manner: Manner = "whole"


@dataclass(frozen=True, slots=True)
class Taken:
    """One request as it came in; `signed` is whether its signature, by the partner's secrets, is right and fresh."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    signed: bool

    @property
    def webhook_id(self) -> str:
        return self.headers.get("webhook-id", "")

    def json(self) -> Any:
        return json.loads(self.body)


class Partner:
    """Listens on 127.0.0.1 at a free port while it is entered; `requests` holds what came in, oldest first,
    and `connections` counts how many connections brought it.

    Answers in the order of `next_answers`, then with `answer` forever. A signed challenge is echoed with 200
    as long as `echoes_challenges` is set and no next answer waits.
    """

    def __init__(self, *secrets: str, clock: Clock | None = None, tls: SSLContext | None = None) -> None:
        self.secrets = list(secrets)
        self.requests: list[Taken] = []
        self.answer = Answer()
        self.next_answers: deque[Answer] = deque()
        self.echoes_challenges = True
        self._peers: set[object] = set()
        self._clock = clock or SystemClock()
        self._tls = tls
        self._came = asyncio.Condition()
        self._stopping = asyncio.Event()

    async def __aenter__(self) -> Self:
        application = web.Application(client_max_size=16 * 1024 * 1024)
        application.router.add_route("*", "/{path:.*}", self._take)
        # Nothing is graceful about a misbehaving partner: handlers end by `_stopping`, not by waiting.
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=self._tls)
        await site.start()
        self.port = int(self._runner.addresses[0][1])
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        await self._runner.cleanup()

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}/webhooks"

    @property
    def connections(self) -> int:
        return len(self._peers)

    async def came(self, count: int, within: timedelta = timedelta(seconds=10)) -> list[Taken]:
        """Waits until at least `count` requests came in; raises TimeoutError if they do not in real time `within`."""
        async with asyncio.timeout(within.total_seconds()), self._came:
            await self._came.wait_for(lambda: len(self.requests) >= count)
        return list(self.requests)

    async def _take(self, request: web.Request) -> web.StreamResponse:
        if request.transport is not None:
            self._peers.add(request.transport.get_extra_info("peername"))
        body = await request.read()
        headers = {name.lower(): value for name, value in request.headers.items()}
        taken = Taken(request.method, request.path_qs, headers, body, self._is_signed(headers, body))
        async with self._came:
            self.requests.append(taken)
            self._came.notify_all()
        return await self._respond(request, self._choose(taken))

    def _choose(self, taken: Taken) -> Answer:
        if self.next_answers:
            return self.next_answers.popleft()
        if self.echoes_challenges and taken.signed and (challenge := _challenge(taken.body)) is not None:
            return Answer(
                200, json.dumps({"challenge": challenge}).encode(), {"content-type": "application/json"}
            )
        return self.answer

    def _is_signed(self, headers: dict[str, str], body: bytes) -> bool:
        webhook_id, second = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
        if not webhook_id or not second.isdigit() or len(second) > 11:
            return False
        at = datetime.fromtimestamp(int(second), UTC)
        if abs(self._clock.now() - at) > TOLERANCE:
            return False
        given = headers.get("webhook-signature", "").split(" ")
        right = [Webhook(secret).sign(webhook_id, at, body.decode()) for secret in self.secrets]
        return any(hmac.compare_digest(one.encode(), other.encode()) for one in given for other in right)

    async def _respond(self, request: web.Request, answer: Answer) -> web.StreamResponse:
        if answer.manner == "whole":
            return web.Response(status=answer.status, body=answer.body, headers=answer.headers)
        if answer.manner == "echo":
            return web.Response(status=answer.status, body=await request.read(), headers=answer.headers)
        response = web.StreamResponse(status=answer.status, headers=answer.headers)
        # The other side may leave first, which is what it should do.
        with contextlib.suppress(ConnectionError):
            await self._misbehave(request, response, answer)
        return response

    async def _misbehave(self, request: web.Request, response: web.StreamResponse, answer: Answer) -> None:
        if answer.manner == "hang":
            await self._stopping.wait()
        elif answer.manner == "drop":
            _abort(request)
        elif answer.manner == "reset":
            response.content_length = len(answer.body) + 1000
            await response.prepare(request)
            await response.write(answer.body or b"{")
            _abort(request)
        elif answer.manner == "drip":
            await response.prepare(request)
            while not await self._stops_within(0.02):
                await response.write(b".")
        else:
            await response.prepare(request)
            while not self._stopping.is_set():
                await response.write(b"x" * 16 * 1024)

    async def _stops_within(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                return await self._stopping.wait()
        except TimeoutError:
            return False


def _abort(request: web.Request) -> None:
    transport = request.transport
    if transport is None:
        return
    connection: socket.socket | None = transport.get_extra_info("socket")
    if connection is not None:
        # Linger 0 makes the close a reset (RST) instead of an orderly end.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


def _challenge(body: bytes) -> str | None:
    try:
        question: Any = json.loads(body)
    except ValueError:
        return None
    if not isinstance(question, dict):
        return None
    asked = cast(dict[str, Any], question)
    return asked["data"]["challenge"] if asked.get("type") == CHALLENGE_TYPE else None
