"""How does a declared operation become an answer over HTTP? Key, role, body, handler, reply: the same for every one.

Each path is one plain Starlette route inside the FastAPI app (a FastAPI handler with a response model costs
almost three times the CPU). A program that serves one service and one that serves four differ only in their parts.
"""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast
from uuid import UUID, uuid5

import orjson
from fastapi import FastAPI
from prometheus_client import CollectorRegistry
from pydantic import BaseModel, ConfigDict
from starlette.routing import Route as PathRoute
from starlette.types import Receive, Scope, Send

from loopkeeper import bodies, edge, ids, openapi
from loopkeeper.clients import Client
from loopkeeper.errors import Problem
from loopkeeper.house import Health, Ready, house
from loopkeeper.paging import Listing, Page, listing
from loopkeeper.problems import FieldError, field_invalid, malformed, not_found
from loopkeeper.routes import Api, Call, Reply, Route, check_match
from loopkeeper.settings import Settings

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
# RFC 8941 string, or the same characters bare; what a client may call a request.
QUOTED_KEY = re.compile(r'"((?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\])*)"')
BARE_KEY = re.compile(r"[\x21\x23-\x7e]+")
LONGEST_KEY = 255
# Fixed for ever: claims of requests already answered are derived from it.
CLAIMS = UUID("5b1f5a52-6a3e-4d0e-9d0c-1f3f6c1e7a90")

Headers = Mapping[bytes, bytes]


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
    observe: edge.Observe | None = None,
) -> FastAPI:
    """One app for one or several services, with health, figures and reference of them all.

    `observe` is called once a request, when it is over, and must not raise: metrics and the server span hang there.
    """
    documents = {part.api.name: part.api.routes for part in parts}
    own = house(documents, {part.api.name: part.ready for part in parts}, registry)
    served = [(part.api, part.context) for part in parts] + [(own, None)]
    app = FastAPI(title="Loopkeeper", docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False)
    app.openapi_schema = openapi.document(
        [route for routes in documents.values() for route in routes], app.title
    )
    app.router.default = _nothing_here
    by_path: dict[str, dict[str, _Operation]] = {}
    for api, context in served:
        for route in api.routes:
            by_path.setdefault(route.path, {})[route.method] = _Operation(route, context, directory, settings)
    app.router.routes.extend(_path_route(path, methods) for path, methods in by_path.items())
    app.add_middleware(edge.Edge, observe=observe)
    return app


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
        exchange = edge.exchange_of(scope)
        exchange.route = self._template
        headers = joined(scope)
        caller = None if self._route.public else self._authorized(headers)
        call = await self._call(scope, receive, headers, caller, exchange.traceparent)
        reply = await self._route.handler(call)
        exchange.declared = reply.status in self._route.answers
        await _send(send, reply)

    def _authorized(self, headers: Headers) -> Client:
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
        self, scope: Scope, receive: Receive, headers: Headers, caller: Client | None, traceparent: str
    ) -> Call[Any, Any, Any]:
        route = self._route
        claim = _claim(route, headers, caller)
        query = None
        if self._query is not None:
            query = bodies.query(self._query, scope["query_string"], self._repeatable)
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
            body=bodies.validate(route.body, raw) if route.body is not None else None,
            query=query if route.query is not None else None,
            raw=raw,
            path=scope["path_params"],
            address=scope["path"],
            claim=claim or ids.uuid(),
            keyed=claim is not None,
            body_hash=_body_hash(scope, raw),
            traceparent=traceparent,
            if_match=headers[b"if-match"].decode("latin-1") if b"if-match" in headers else None,
            service=self._context,
            pieces=functools.partial(bodies.pieces, receive, self._largest, _announced(headers)),
        )

    async def _raw(self, receive: Receive, headers: Headers) -> bytes:
        route = self._route
        if route.method == "GET":
            return b""
        if route.takes_body:
            _check_media(headers, route.media, demanded=route.stream)
        if route.stream:
            return b""
        raw = await bodies.whole(receive, self._largest, _announced(headers))
        if raw and route.takes_body:
            _check_media(headers, route.media, demanded=True)
        if raw and not route.takes_body and raw.strip() != b"{}":
            raise malformed("This takes no body.", "Send none.")
        return raw


def joined(scope: Scope) -> Headers:
    """The headers by lower-case name; one sent twice is a list, as HTTP has it."""
    found: dict[bytes, bytes] = {}
    for name, value in scope["headers"]:
        found[name] = found[name] + b", " + value if name in found else value
    return found


def _announced(headers: Headers) -> int | None:
    text = headers.get(b"content-length", b"")
    return int(text) if text.isdigit() and len(text) < 20 else None


def _check_media(headers: Headers, media: Sequence[str], *, demanded: bool) -> None:
    text = headers.get(b"content-type", b"").decode("latin-1").lower()
    kind, *options = (part.strip() for part in text.split(";"))
    charsets = [
        option.removeprefix("charset=").strip('"') for option in options if option.startswith("charset=")
    ]
    encoding = headers.get(b"content-encoding", b"identity")
    known = kind in media and all(charset == "utf-8" for charset in charsets)
    if (not text and not demanded) or (known and encoding == b"identity"):
        return
    raise Problem(
        415,
        "media-type-unknown",
        f"This takes {' or '.join(media)}, in UTF-8 and not compressed.",
        fix="Name it in Content-Type.",
        headers={"Accept": ", ".join(media)},
    )


def _claim(route: Route, headers: Headers, caller: Client | None) -> UUID | None:
    """The same for every request of this client with this key; None without a key or without a client."""
    text = headers.get(b"idempotency-key")
    if text is None or caller is None or route.method == "GET":
        return None
    return uuid5(uuid5(CLAIMS, caller.id), idempotency_key(text.decode("latin-1")))


def idempotency_key(text: str) -> str:
    """The key in a header's value, with or without quotes. Raises 422 `field-invalid` pointing at the header."""
    text = text.strip()
    quoted = QUOTED_KEY.fullmatch(text)
    key = re.sub(r"\\(.)", r"\1", quoted.group(1)) if quoted else text
    if (quoted or BARE_KEY.fullmatch(text)) and 1 <= len(key) <= LONGEST_KEY:
        return key
    raise field_invalid(
        FieldError(
            pointer="header/Idempotency-Key",
            rule="structured-string",
            fix="Send 1 to 255 printable ASCII characters, in quotes if they hold a blank.",
        )
    )


def _body_hash(scope: Scope, raw: bytes) -> bytes:
    address = f"{scope['method']} {scope['path']}?".encode() + cast("bytes", scope["query_string"])
    return hashlib.sha256(address + b"\n" + raw).digest()


async def _send(send: Send, reply: Reply) -> None:
    headers = [(name.lower().encode(), value.encode()) for name, value in reply.headers.items()]
    if reply.etag is not None:
        headers.append((b"etag", f'W/"{reply.etag}"'.encode()))
    await edge.reply(send, reply.status, _rendered(reply.body), reply.media_type, headers)


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
