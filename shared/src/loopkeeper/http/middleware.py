"""What does every request pass, whatever its route? Bounds, a trace, and an answer even to a defect.

Plain ASGI: a class around a function costs nothing, Starlette's `BaseHTTPMiddleware` 2.9 times the request.
"""

from __future__ import annotations

import time
import traceback
from typing import Any, cast

import structlog
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from loopkeeper.http import problems
from loopkeeper.kernel.errors import Problem, not_found
from loopkeeper.observability.exchange import KEY, Exchange, Observe, begin

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

# Twice what browsers and proxies send; anything longer is a mistake or an attack.
MOST_HEADER_BYTES = 32 * 1024
MOST_ADDRESS_BYTES = 8 * 1024
# Set where the request asked for the head of an answer only: reading what nobody receives must not count.
HEAD = "loopkeeper.head"


class EdgeMiddleware:
    """The outermost layer of an app. `observe` is called once for each request that is over; it must not raise."""

    def __init__(self, app: ASGIApp, observe: Observe | None = None) -> None:
        self._app = app
        self._observe = observe

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        exchange = begin(scope)
        scope[KEY] = exchange
        try:
            await self._guarded(scope, receive, _Answer(send, exchange))
        finally:
            exchange.seconds = time.perf_counter() - started
            if self._observe is not None:
                self._observe(exchange)

    async def _guarded(self, scope: Scope, receive: Receive, answer: _Answer) -> None:
        try:
            _bounded(scope)
            if not cast("str", scope["path"]).isprintable():
                raise not_found()
            if scope["method"] == "HEAD":
                # It is GET; the server leaves the body out.
                scope = {**scope, "method": "GET", HEAD: True}
            await self._app(scope, receive, answer)
        except ClientDisconnect:
            log.info("caller left", trace_id=answer.exchange.trace_id, route=answer.exchange.route)
        except Exception as error:  # noqa: BLE001 - the boundary: everything is answered and the unknown is logged
            await answer.fail(error)


class _Answer:
    """The way back: adds what every answer carries, and knows whether one has begun."""

    def __init__(self, send: Send, exchange: Exchange) -> None:
        self._send = send
        self.exchange = exchange

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.exchange.status = cast("int", message["status"])
            message["headers"] = [
                *message.get("headers", ()),
                (b"x-trace-id", self.exchange.trace_id.encode()),
                (b"x-request-id", self.exchange.request_id.encode()),
                # Almost every answer concerns a person: nobody on the way may keep it.
                (b"cache-control", b"no-store"),
                (b"x-content-type-options", b"nosniff"),
            ]
        await self._send(message)

    async def fail(self, error: Exception) -> None:
        problem = problems.known(error)
        if problem is None or problem.status >= 500:
            self._record(error, problem)
        if self.exchange.status:
            return  # Begun and not finished: the server breaks the connection, which is the only honest answer left.
        await self.problem(problem or problems.defect())

    async def problem(self, problem: Problem) -> None:
        self.exchange.slug = problem.slug
        body = problems.render(problem, self.exchange.trace_id)
        headers = [(name.lower().encode(), value.encode()) for name, value in problem.headers.items()]
        await reply(self, problem.status, body, problems.MEDIA_TYPE, headers)

    def _record(self, error: Exception, problem: Problem | None) -> None:
        attributes: dict[str, Any] = {
            "error": type(error).__name__,
            "cause": type(error.__cause__).__name__,
            "trace_id": self.exchange.trace_id,
            "method": self.exchange.method,
            "route": self.exchange.route,
        }
        if problem is not None:
            log.warning("request not served", **attributes)
            return
        # Where it happened without what it said: an exception's words may hold what was sent.
        frames = traceback.extract_tb(error.__traceback__)[-8:]
        log.error(
            "request failed", frames=[f"{frame.filename}:{frame.lineno}" for frame in frames], **attributes
        )


async def reply(
    send: Send, status: int, body: bytes, media_type: str, headers: list[tuple[bytes, bytes]]
) -> None:
    """One whole answer."""
    if body or media_type:
        headers = [*headers, (b"content-type", media_type.encode())] if body else headers
    if status != 204:
        headers = [*headers, (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def address_too_long() -> Problem:
    """The refusal of an address above the bound."""
    return Problem(
        414,
        "address-too-long",
        f"The address is longer than {MOST_ADDRESS_BYTES} bytes.",
        fix="Shorten the query.",
    )


def headers_too_large() -> Problem:
    """The refusal of headers above the bound; the connection ends, for more of them may be on their way."""
    return Problem(
        431,
        "headers-too-large",
        f"The headers are larger than {MOST_HEADER_BYTES} bytes.",
        fix="Send fewer or shorter headers.",
        headers={"Connection": "close"},
    )


def _bounded(scope: Scope) -> None:
    headers = cast("list[tuple[bytes, bytes]]", scope["headers"])
    if sum(len(name) + len(value) for name, value in headers) > MOST_HEADER_BYTES:
        raise headers_too_large()
    if len(scope["path"]) + len(scope["query_string"]) > MOST_ADDRESS_BYTES:
        raise address_too_long()
