"""How does a declared operation become an answer over HTTP? Key, role, body, handler, reply: the same for every one.

Each path is one plain Starlette route inside the FastAPI app (a FastAPI handler with a response model costs
almost three times the CPU). A program that serves one service and one that serves four differ only in their parts.
"""

from __future__ import annotations

import asyncio
import functools
import re
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast

import orjson
from fastapi import FastAPI
from prometheus_client import CollectorRegistry
from pydantic import BaseModel, ConfigDict
from starlette.routing import Route as PathRoute
from starlette.types import Receive, Scope, Send

from loopkeeper.contract import ids
from loopkeeper.contract.decider import Refused
from loopkeeper.http import health, idempotency, json_body, middleware, openapi
from loopkeeper.http.catching_up import until_open
from loopkeeper.http.health import Health, Ready
from loopkeeper.http.paging import Listing, Page, listing
from loopkeeper.http.problems import malformed
from loopkeeper.http.route import Api, Call, Reply, Route, check_match
from loopkeeper.kernel.errors import Busy, Problem, Unsound, not_found
from loopkeeper.kernel.settings import Settings
from loopkeeper.observability.exchange import Exchange, Observe, exchange_of
from loopkeeper.postgres.connections import passes
from loopkeeper.security.organizations import Client

__all__ = [
    "Api",
    "Call",
    "Health",
    "Listing",
    "Page",
    "Part",
    "Reply",
    "build_app",
    "check_match",
    "listing",
    "not_found",
]

# What may stand for an id in a path: typed ids, slugs, claims. Anything else names nothing.
KEY = r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}"


class Directory(Protocol):
    """Whose key it is; None where it is nobody's or revoked."""

    def authenticate(self, key: str) -> Client | None: ...


@dataclass(frozen=True, slots=True)
class Part:
    """One running service: what it declares, what its handlers get as `call.service`, and how it is."""

    api: Api
    context: Any
    ready: Ready


class NoQuery(BaseModel):
    """No parameter: one that is not known is refused, so that a misspelt `dry_run` never runs in earnest."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def build_app(
    parts: Sequence[Part],
    *,
    directory: Directory,
    settings: Settings,
    registry: CollectorRegistry,
    observe: Observe | None = None,
) -> FastAPI:
    """One app for one or several services, with health, figures and reference of them all.

    `observe` is called once a request, when it is over, and must not raise: metrics and the server span hang there.
    """
    routes = {part.api.name: part.api.routes for part in parts}
    own = health.open_context(routes, {part.api.name: part.ready for part in parts}, registry)
    app = _App(title="Loopkeeper", docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False)
    app.document = lambda: own.whole
    app.router.default = _nothing_here
    by_path: dict[str, dict[str, _Operation]] = {}
    for api, context in [*((part.api, part.context) for part in parts), (health.api, own)]:
        for route in api.routes:
            methods = by_path.setdefault(route.path, {})
            if route.method in methods:
                raise Unsound(f"{route.method} {route.path} is declared twice")
            methods[route.method] = _Operation(route, context, directory, settings)
    app.router.routes.extend(_path_route(path, methods) for path, methods in by_path.items())
    app.add_middleware(middleware.Edge, observe=observe)
    return app


class _App(FastAPI):
    """FastAPI, with the document computed from our declarations."""

    document: Callable[[], Mapping[str, Any]]

    def openapi(self) -> dict[str, Any]:
        return dict(self.document())


async def _nothing_here(scope: Scope, receive: Receive, send: Send) -> None:
    raise not_found()


def _path_route(path: str, methods: Mapping[str, _Operation]) -> PathRoute:
    route = PathRoute(path, _Resource(methods))
    # Starlette would take anything but a slash for an id, and `$` would let a line feed through.
    route.path_regex = re.compile(route.path_regex.pattern.replace("[^/]+", KEY).removesuffix("$") + r"\Z")
    return route


class _Resource:
    """One path: picks the operation by method. HEAD is GET; the server leaves the body out."""

    def __init__(self, methods: Mapping[str, _Operation]) -> None:
        self._methods = {**methods, **({"HEAD": methods["GET"]} if "GET" in methods else {})}
        self._allow = ", ".join(sorted(self._methods))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        operation = self._methods.get(scope["method"])
        if operation is None:
            raise Problem(
                405,
                "method-not-allowed",
                f"This address takes {self._allow}.",
                fix="Use one of these methods.",
                headers={"Allow": self._allow},
            )
        await operation(scope, receive, send)


class _Operation:
    """One declared route, bound to the running service."""

    def __init__(self, route: Route, context: Any, directory: Directory, settings: Settings) -> None:
        self._route = route
        self._context = context
        self._directory = directory
        self._largest = route.largest(settings)
        self._query = route.query or (None if route.public else NoQuery)
        self._repeatable = route.repeatable()
        self._template = f"{route.method} {route.path}"
        self._problems = {
            (status, slug) for status, slugs in openapi.problems_of(route).items() for slug in slugs
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = exchange_of(scope)
        exchange.route, exchange.service = self._template, self._route.service
        headers = idempotency.joined(scope)
        caller = None if self._route.public else self._authorized(headers)
        call = await self._call(scope, receive, headers, caller, exchange.traceparent)
        reply = await self._answer(call, exchange)
        pieces = reply.body
        if isinstance(pieces, AsyncGenerator):
            await _stream(receive, send, reply, cast("AsyncGenerator[bytes]", pieces))
        else:
            await _send(send, reply)

    async def _answer(self, call: Call[Any, Any, Any], exchange: Exchange) -> Reply:
        """What the handler says, noting where the document does not know it: a defect, but no reason to fail."""
        try:
            await until_open(self._context, self._route.path)
            reply = await self._route.handler(call)
        except (Refused, Problem) as refusal:
            exchange.declared = (refusal.status, refusal.slug) in self._problems
            raise
        except Exception as error:
            # Whatever a handler wrote or read beside the store, a database that is away is nobody's fault.
            if passes(error):
                raise Busy("the database") from error
            raise
        exchange.declared = reply.status in self._route.answers
        return reply

    def _authorized(self, headers: idempotency.Headers) -> Client:
        scheme, _, key = headers.get(b"authorization", b"").decode("latin-1").partition(" ")
        client = (
            self._directory.authenticate(key.strip()) if scheme.lower() == "bearer" and key.strip() else None
        )
        if client is None:
            raise Problem(
                401,
                "unauthenticated",
                "This needs a key that is known and not revoked.",
                fix="Send Authorization: Bearer and the key.",
                headers={"WWW-Authenticate": "Bearer"},
            )
        if client.roles.isdisjoint(self._route.roles):
            roles = " or ".join(sorted(self._route.roles))
            raise Problem(
                403, "role-missing", f"This needs the role {roles}.", fix="Use a key that holds it."
            )
        return client

    async def _call(
        self,
        scope: Scope,
        receive: Receive,
        headers: idempotency.Headers,
        caller: Client | None,
        traceparent: str,
    ) -> Call[Any, Any, Any]:
        route = self._route
        claim = idempotency.claim_of(route, headers, caller)
        query = None
        if self._query is not None:
            query = json_body.query(self._query, scope["query_string"], self._repeatable)
        if route.needs_if_match and b"if-match" not in headers:
            raise Problem(
                428,
                "if-match-missing",
                "This needs If-Match.",
                fix="Read it first and send its ETag as If-Match.",
            )
        raw = await self._raw(receive, headers)
        return Call(
            caller=caller,
            body=json_body.validate(route.body, raw) if route.body is not None else None,
            query=query if route.query is not None else None,
            raw=raw,
            path=scope["path_params"],
            address=scope["path"],
            claim=claim or ids.uuid(),
            keyed=claim is not None,
            body_hash=idempotency.body_hash(scope, raw),
            traceparent=traceparent,
            if_match=headers[b"if-match"].decode("latin-1") if b"if-match" in headers else None,
            service=self._context,
            pieces=functools.partial(
                json_body.pieces, receive, self._largest, idempotency.announced(headers)
            ),
            media=idempotency.media_of(headers),
            head=scope["method"] == "HEAD",
            headers=headers,
        )

    async def _raw(self, receive: Receive, headers: idempotency.Headers) -> bytes:
        route = self._route
        if route.method == "GET":
            return b""
        if route.takes_body and (route.stream or idempotency.sends_body(headers)):
            idempotency.check_media(headers, route.media)
        if route.stream:
            return b""
        raw = await json_body.whole(receive, self._largest, idempotency.announced(headers))
        if raw and not route.takes_body and raw.strip() != b"{}":
            raise malformed("This takes no body.", "Send none.")
        return raw


async def _send(send: Send, reply: Reply) -> None:
    headers = [(name.lower().encode(), value.encode()) for name, value in reply.headers.items()]
    if reply.etag is not None:
        headers.append((b"etag", f'W/"{reply.etag}"'.encode()))
    await middleware.reply(send, reply.status, _rendered(reply.body), reply.media_type, headers)


async def _stream(receive: Receive, send: Send, reply: Reply, pieces: AsyncGenerator[bytes]) -> None:
    """Pieces as they come. The first is made before the answer begins, so that it can still be refused."""
    gone = asyncio.create_task(_left(receive))
    upcoming = asyncio.ensure_future(_next(pieces))
    try:
        piece = await upcoming
        headers = [(name.lower().encode(), value.encode()) for name, value in reply.headers.items()]
        headers.append((b"content-type", reply.media_type.encode()))
        await send({"type": "http.response.start", "status": reply.status, "headers": headers})
        while piece:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
            upcoming = asyncio.ensure_future(_next(pieces))
            await asyncio.wait({upcoming, gone}, return_when=asyncio.FIRST_COMPLETED)
            if not upcoming.done():
                return
            piece = upcoming.result()
        await send({"type": "http.response.body", "body": b""})
    finally:
        gone.cancel()
        upcoming.cancel()
        await asyncio.wait({gone, upcoming})
        await pieces.aclose()


async def _next(pieces: AsyncGenerator[bytes]) -> bytes:
    return await anext(pieces, b"")


async def _left(receive: Receive) -> None:
    """Until whoever asked is gone."""
    while (await receive())["type"] != "http.disconnect":
        pass


def _rendered(body: object) -> bytes:
    if body is None:
        return b""
    if isinstance(body, bytes):
        return body
    if isinstance(body, BaseModel):
        return body.__pydantic_serializer__.to_json(body)
    return orjson.dumps(body, default=_as_json, option=orjson.OPT_UTC_Z)


def _as_json(value: object) -> object:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, Mapping):
        return dict(cast("Mapping[str, object]", value))
    if isinstance(value, frozenset | set):
        return sorted(cast("frozenset[str]", value))
    raise TypeError(type(value).__name__)
