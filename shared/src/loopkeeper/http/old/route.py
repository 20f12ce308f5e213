"""How is an HTTP operation declared? Once: the route that answers and the document that describes it are one value."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Generic, Literal, TypedDict, Unpack, cast, get_origin
from uuid import UUID

import orjson
from pydantic import BaseModel
from typing_extensions import TypeVar

from loopkeeper.kernel.errors import Problem, Unsound
from loopkeeper.kernel.settings import Settings
from loopkeeper.security.organizations import Client, Role

Method = Literal["GET", "POST", "PUT", "DELETE"]
JSON = "application/json"
B = TypeVar("B", default=None)
C = TypeVar("C", default=Any)
Q = TypeVar("Q", default=Any)
# An answer's body: a model, a media type (JSON without a fixed shape, or text), or nothing.
Answer = type[BaseModel] | str | None
REFUSED = 409
ANY_JSON: Mapping[int, Answer] = MappingProxyType({200: JSON})


@dataclass(frozen=True, slots=True)
class Call(Generic[B, C, Q]):
    """One request (body, service, query) whose caller, role, body and query hold what its route declares.

    `claim` is the command's id: the same for every request of one client with one Idempotency-Key (`keyed`),
    else fresh. `body_hash` tells the same key with another request from a repetition. `path` has only
    well-formed ids. `raw` is the body as sent. `service` is the context the service was built with.
    """

    caller: Client | None
    body: B
    query: Q
    raw: bytes
    path: Mapping[str, str]
    address: str
    claim: UUID
    keyed: bool
    body_hash: bytes
    traceparent: str
    if_match: str | None
    service: C
    pieces: Callable[[], AsyncIterator[bytes]]
    # The body's media type as declared by the caller, without its parameters.
    media: str = JSON
    # A HEAD request: nobody reads the body, so reading it must not count.
    head: bool = False
    # By lower-case name, as sent.
    headers: Mapping[bytes, bytes] = field(default_factory=dict[bytes, bytes])

    @property
    def client(self) -> Client:
        """Who calls. On a public route nobody is asked, and asking is a defect."""
        if self.caller is None:
            raise Unsound("a public route has no client")
        return self.caller

    def stream(self) -> AsyncIterator[bytes]:
        """The body of a route declared with `stream=True`, once, piece by piece; raises 413 past the route's bound."""
        return self.pieces()


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer. `body`: a model, or mappings, dataclasses and lists as JSON, or bytes that go out as they are under
    `media_type`, or an async generator of bytes whose pieces go out as they come, until it ends or its reader leaves.
    `etag` is the row's version."""

    status: int = 200
    body: object = None
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    etag: int | None = None
    media_type: str = JSON


Handler = Callable[[Call[Any, Any, Any]], Awaitable[Reply]]
H = TypeVar("H", bound=Handler)


@dataclass(frozen=True, slots=True)
class Route:
    """One declared operation."""

    service: str
    method: Method
    path: str
    handler: Handler
    summary: str
    answers: Mapping[int, Answer]
    roles: frozenset[Role] = frozenset()
    body: type[BaseModel] | None = None
    query: type[BaseModel] | None = None
    refusals: Mapping[str, int] = field(default_factory=dict[str, int])
    example: object = None
    examples: Mapping[str, object] = field(default_factory=dict[str, object])
    media: tuple[str, ...] = (JSON,)
    stream: bool = False
    largest: Callable[[Settings], int] = lambda settings: settings.max_body
    needs_if_match: bool = False
    documented: bool = True
    streams: str | None = None

    @property
    def public(self) -> bool:
        return not self.roles

    @property
    def takes_body(self) -> bool:
        return self.body is not None or self.media != (JSON,)

    @property
    def is_action(self) -> bool:
        return ":" in self.path

    @property
    def parameters(self) -> tuple[str, ...]:
        """The names in the path's braces, in order."""
        return tuple(re.findall(r"{(\w+)}", self.path))

    def repeatable(self) -> frozenset[str]:
        """The query parameters that may come more than once: those declared as a tuple."""
        fields = self.query.model_fields if self.query is not None else {}
        return frozenset(name for name, found in fields.items() if get_origin(found.annotation) is tuple)


class Declared(TypedDict, total=False):
    """What a declaration may add to method, path, roles, summary, answers and refusals."""

    body: type[BaseModel] | None
    query: type[BaseModel] | None
    # A body that satisfies the model; the reference shows it.
    example: object
    # Bodies by name, for whoever asks the command line for one.
    examples: Mapping[str, object]
    # Other than JSON: `call.raw` is the body, or with `stream=True` the handler reads `call.stream()`.
    media: tuple[str, ...]
    stream: bool
    # The bound of the body in bytes, where it is not the usual one.
    largest: Callable[[Settings], int]
    needs_if_match: bool
    documented: bool
    # The media type, asked for by Accept, under which the same answer goes out as a stream that goes on.
    streams: str | None


class Api:
    """The operations of one service, in the order of their declaration."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.routes: list[Route] = []

    def route(
        self,
        method: Method,
        path: str,
        *,
        summary: str,
        answers: Mapping[int, Answer] = ANY_JSON,
        roles: Iterable[Role] = (),
        public: bool = False,
        refusals: Iterable[str] | Mapping[str, int] = (),
        **declared: Unpack[Declared],
    ) -> Callable[[H], H]:
        """Declare the decorated handler as an operation.

        `roles`: any one of them suffices; none only with `public=True`. `refusals`: slugs, answered 409 unless a
        mapping says otherwise. Raises where the declaration contradicts itself or the example its model.
        """
        allowed = frozenset(roles)
        if bool(allowed) == public:
            raise Unsound(f"{method} {path} must name roles or be public")

        def declare(handler: H) -> H:
            fixed = (self.name, method, path, handler, summary, dict(answers), allowed)
            self.routes.append(_checked(Route(*fixed, refusals=_with_status(refusals), **declared)))
            return handler

        return declare


def joined(*parts: Api) -> Api:
    """The operations of all these parts of one service, in this order."""
    whole = Api(parts[0].name)
    for part in parts:
        whole.routes += part.routes
    return whole


def _with_status(refusals: Iterable[str] | Mapping[str, int]) -> Mapping[str, int]:
    if isinstance(refusals, Mapping):
        return dict(cast("Mapping[str, int]", refusals))
    return dict.fromkeys(refusals, REFUSED)


def _checked(route: Route) -> Route:
    shown = [route.example] if route.example is not None else []
    for example in (*shown, *route.examples.values()):
        if route.body is not None:
            route.body.model_validate_json(orjson.dumps(example))
    return route


def check_match(call: Call[Any, Any, Any], n: int) -> None:
    """Raise 412 `stale`, with the current ETag, if the caller's If-Match names another version than `n`.

    Without If-Match it passes: a route that demands one declares `needs_if_match`. The store's lock comes later,
    so a rule that must not be overtaken carries the version in its command as well.
    """
    if call.if_match is None or call.if_match.strip() == "*":
        return
    tags = {tag.strip().removeprefix("W/") for tag in call.if_match.split(",")}
    if f'"{n}"' not in tags:
        raise Problem(
            412,
            "stale",
            "This was changed since it was read.",
            fix="Read it again and send the new ETag as If-Match.",
            headers={"ETag": f'W/"{n}"'},
        )
