"""How does a declared operation become an answer over HTTP? Key, role, body, handler, reply: the same for every one.

Each path is one plain Starlette route inside the FastAPI app (a FastAPI handler with a response model costs
almost three times the CPU). A program that serves one service and one that serves four differ only in their parts.
"""

from __future__ import annotations

import asyncio
import functools
import re
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any, cast

import orjson
from pydantic import BaseModel, ConfigDict, ValidationError
from starlette.routing import Route as PathRoute
from starlette.types import Receive, Scope, Send

from loopkeeper.contract import ids
from loopkeeper.contract.decider import Refused
from loopkeeper.http import headers, idempotency, json_body, middleware, query
from loopkeeper.http.catching_up import until_open
from loopkeeper.http.old import openapi
from loopkeeper.http.old.route import Api, Call, Reply, Route
from loopkeeper.http.problems import from_validation, malformed
from loopkeeper.http.serving import Serving, serving_of
from loopkeeper.kernel.errors import Busy, Problem
from loopkeeper.observability.exchange import Exchange, exchange_of
from loopkeeper.postgres.connections import passes
from loopkeeper.security.organizations import Client

# What may stand for an id in a path: typed ids, slugs, claims. Anything else names nothing.
KEY = r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}"


class NoQuery(BaseModel):
    """No parameter: one that is not known is refused, so that a misspelt `dry_run` never runs in earnest."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def paths_of(apis: Sequence[Api]) -> list[PathRoute]:
    """The routes of these, one for each path."""
    by_path: dict[str, dict[str, _Operation]] = {}
    for api in apis:
        for route in api.routes:
            by_path.setdefault(route.path, {})[route.method] = _Operation(route)
    return [_path_route(path, methods) for path, methods in by_path.items()]


def joined_to(document: dict[str, Any], apis: Sequence[Api]) -> dict[str, Any]:
    """A document with the operations of these as well."""
    if not apis:
        return document
    more = openapi.document([route for api in apis for route in api.routes], "")
    schemas = {**more["components"]["schemas"], **document["components"]["schemas"]}
    paths = {**document["paths"]}
    for path, methods in more["paths"].items():
        paths[path] = {**paths.get(path, {}), **methods}
    schemes = document["components"].get("securitySchemes", more["components"]["securitySchemes"])
    return {**document, "paths": paths, "components": {"schemas": schemas, "securitySchemes": schemes}}


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

    def __init__(self, route: Route) -> None:
        self._route = route
        self._query = route.query or (None if route.public else NoQuery)
        self._repeatable = route.repeatable()
        self._template = f"{route.method} {route.path}"
        self._problems = {
            (status, slug) for status, slugs in openapi.problems_of(route).items() for slug in slugs
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = exchange_of(scope)
        exchange.route, exchange.service = self._template, self._route.service
        serving = serving_of(scope)
        if self._route.service not in serving.services:
            raise Busy("the start", retry_after=5)
        sent = headers.joined(scope)
        caller = None if self._route.public else self._authorized(sent, serving)
        call = await self._call(scope, receive, sent, caller, exchange.traceparent)
        reply = await self._answer(call, exchange)
        pieces = reply.body
        if isinstance(pieces, AsyncGenerator):
            await _stream(receive, send, reply, cast("AsyncGenerator[bytes]", pieces))
        else:
            await _send(send, reply)

    async def _answer(self, call: Call[Any, Any, Any], exchange: Exchange) -> Reply:
        """What the handler says, noting where the document does not know it: a defect, but no reason to fail."""
        try:
            if openapi.closes(self._route):
                await until_open(call.service)
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

    def _authorized(self, sent: headers.Headers, serving: Serving) -> Client:
        scheme, _, key = sent.get(b"authorization", b"").decode("latin-1").partition(" ")
        client = (
            serving.directory.authenticate(key.strip())
            if scheme.lower() == "bearer" and key.strip()
            else None
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
        sent: headers.Headers,
        caller: Client | None,
        traceparent: str,
    ) -> Call[Any, Any, Any]:
        route = self._route
        serving = serving_of(scope)
        largest = route.largest(serving.settings)
        claim = None
        if caller is not None and route.method != "GET":
            claim = idempotency.keyed_command(sent, caller)
        query = None
        if self._query is not None:
            query = _query(self._query, scope["query_string"], self._repeatable)
        if route.needs_if_match and b"if-match" not in sent:
            raise Problem(
                428,
                "if-match-missing",
                "This needs If-Match.",
                fix="Read it first and send its ETag as If-Match.",
            )
        raw = await self._raw(receive, sent, largest)
        return Call(
            caller=caller,
            body=json_body.validate(route.body, raw) if route.body is not None else None,
            query=query if route.query is not None else None,
            raw=raw,
            path=scope["path_params"],
            address=scope["path"],
            claim=claim or ids.uuid(),
            keyed=claim is not None,
            body_hash=idempotency.body_hash(
                scope["method"], scope["path"], cast("bytes", scope["query_string"]), raw
            ),
            traceparent=traceparent,
            if_match=sent[b"if-match"].decode("latin-1") if b"if-match" in sent else None,
            service=serving.services[route.service],
            pieces=functools.partial(json_body.pieces, receive, largest, headers.announced(sent)),
            media=headers.media_of(sent),
            head=middleware.HEAD in scope,
            headers=sent,
        )

    async def _raw(self, receive: Receive, sent: headers.Headers, largest: int) -> bytes:
        route = self._route
        if route.method == "GET":
            return b""
        if route.takes_body and (route.stream or headers.sends_body(sent)):
            headers.check_media(sent, route.media)
        if route.stream:
            return b""
        raw = await json_body.whole(receive, largest, headers.announced(sent))
        if raw and not route.takes_body and raw.strip() != b"{}":
            raise malformed("This takes no body.", "Send none.")
        return raw


def _query(model: type[BaseModel], text: bytes, repeatable: frozenset[str]) -> BaseModel:
    values = query.parameters(text, repeatable)
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise from_validation(error, values, prefix="query") from None


async def _send(send: Send, reply: Reply) -> None:
    found = [(name.lower().encode(), value.encode()) for name, value in reply.headers.items()]
    if reply.etag is not None:
        found.append((b"etag", f'W/"{reply.etag}"'.encode()))
    await middleware.reply(send, reply.status, _rendered(reply.body), reply.media_type, found)


async def _stream(receive: Receive, send: Send, reply: Reply, pieces: AsyncGenerator[bytes]) -> None:
    """Pieces as they come. The first is made before the answer begins, so that it can still be refused."""
    gone = asyncio.create_task(_left(receive))
    upcoming = asyncio.ensure_future(_next(pieces))
    try:
        piece = await upcoming
        found = [(name.lower().encode(), value.encode()) for name, value in reply.headers.items()]
        found.append((b"content-type", reply.media_type.encode()))
        await send({"type": "http.response.start", "status": reply.status, "headers": found})
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
