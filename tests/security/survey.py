"""What does each key hear of what is not its own? Every route with an id in its address, asked by every role."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import httpx
import orjson

from loopkeeper.postgres.turns import FairPool
from loopkeeper.security.organizations import Role
from tests.security import kept
from tests.security.declared import JSON, Route, address, called, good_body, routes
from tests.security.neighbours import NOBODY, REVOKED, STRANGERS, Neighbours

OPERATING = "operations"
KEYS = (*STRANGERS, OPERATING, NOBODY, REVOKED)
BATCHES = "loopkeeper_batch_size_count"
# Different in every answer, whatever was asked.
OF_EACH_ANSWER = {"x-trace-id", "x-request-id"}


@dataclass(frozen=True)
class Answered:
    """An answer without what differs from one to the next; and what was done for it: the statements that the request
    ran itself, and how many batches it made each service's store write."""

    status: int
    slug: str
    body: Any
    headers: tuple[tuple[str, str], ...]
    statements: tuple[str, ...]
    batches: tuple[float, ...]


@dataclass(frozen=True)
class Pair:
    """The answers to one key for an id of others and for an id that nobody has."""

    route: Route
    key: str
    foreign: Answered
    missing: Answered

    @property
    def named(self) -> str:
        return f"{called(self.route)} as {self.key}"

    @property
    def may(self) -> bool:
        return any(role.value == self.key for role in self.route.roles)


@dataclass
class Survey:
    """All pairs, and which tables were not the same afterwards."""

    pairs: list[Pair]
    changed: list[str]

    def of(self, *keys: str) -> list[Pair]:
        return [pair for pair in self.pairs if pair.key in keys]


async def surveyed(place: Neighbours) -> Survey:
    """Ask everything. Operations read whatever there is; only what they may not do is asked of them as well."""
    assert place.house.addresses is not None
    every = routes(place.house)
    await place.house.settled()
    await listen(place)
    before = await kept.figures(place.house.addresses)
    pairs: list[Pair] = []
    for route in (route for route in every if route.parameters and not route.public):
        there, body = place.id_of(route), good_body(route)
        for key in KEYS:
            if key == OPERATING and Role.OPERATIONS in route.roles and route.method != "GET":
                continue
            foreign = await ask(place, place.callers[key], route, [there], body)
            missing = await ask(place, place.callers[key], route, [nobodys(there)], body)
            # Whether a noun that everybody may read is there is no secret.
            if not any(each.public and each.path == route.path for each in every):
                pairs.append(Pair(route, key, foreign, missing))
    await place.house.quiet()
    after = await kept.figures(place.house.addresses)
    return Survey(pairs, kept.differing(before, after))


async def ask(
    place: Neighbours, caller: httpx.AsyncClient, route: Route, ids: Sequence[str], body: Any
) -> Answered:
    headers = {"If-Match": 'W/"1"'} if route.needs_if_match else {}
    if route.takes_body:
        headers["Content-Type"] = route.media[0]
    content = orjson.dumps(body) if route.body is not None and route.media == (JSON,) else b""
    written = _batches(place)
    with noting() as noted:
        answer = await caller.request(route.method, address(route, *ids), content=content, headers=headers)
        # The connection tells of a statement in the turn after it.
        await asyncio.sleep(0)
    is_json = answer.headers.get("content-type", "").endswith("json")
    shown: Any = orjson.loads(answer.content) if is_json else answer.text
    slug = shown.get("slug", "") if isinstance(shown, dict) else ""
    if slug:
        shown = {name: value for name, value in shown.items() if name != "trace_id"}
    elif ids and isinstance(shown, dict):
        # An answer may name what was asked for.
        shown = {name: "that" if value == ids[0] else value for name, value in shown.items()}
    unequal = OF_EACH_ANSWER if slug else {*OF_EACH_ANSWER, "content-length"}
    plain = tuple((name, value) for name, value in answer.headers.items() if name not in unequal)
    batches = tuple(now - then for now, then in zip(_batches(place), written, strict=True))
    return Answered(answer.status_code, slug, shown, plain, tuple(noted), batches)


def nobodys(known: str) -> str:
    """An id of the same make that nobody has."""
    prefix, parted, _ = known.partition("_")
    return f"{prefix}_{'0' * 32}" if parted else "nobody-of-this-name"


# ── what was done for an answer ───────────────────────────────────────────────────────────────────────────

statements: ContextVar[list[str] | None] = ContextVar("statements", default=None)


@contextmanager
def noting() -> Iterator[list[str]]:
    noted: list[str] = []
    token = statements.set(noted)
    yield noted
    statements.reset(token)


async def listen(place: Neighbours) -> None:
    """Hear every statement of the services' pools; all connections of one are held at once, for it opens no more."""
    for context in place.house.running.contexts.values():
        for pool in (context.readers, context.pool):
            whole: Any = pool.pool if isinstance(pool, FairPool) else pool
            held = [await whole.acquire() for _ in range(whole.get_max_size())]
            for connection in held:
                connection.add_query_logger(_note)
                await whole.release(connection)


def _note(record: Any) -> None:
    noted = statements.get()
    if noted is not None:
        noted.append(record.query)


def _batches(place: Neighbours) -> tuple[float, ...]:
    """How many batches each service's store has written."""
    metrics = next(iter(place.house.running.contexts.values())).metrics
    # Of all figures only this one is worked out.
    found = metrics.registry.restricted_registry([BATCHES]).collect()
    counted = {each.labels["service"]: each.value for figure in found for each in figure.samples}
    return tuple(counted.get(service, 0.0) for service in place.house.running.services)
