"""Whatever is sent, it is the sender's fault: a problem of the 4xx kind that repeats nothing, and nothing is stored.

Bodies, queries and headers are made from what the routes declare, so that a new route or field is tried as well. Ids
in addresses are such as nobody has: a body that passed would be answered 404, and the test would see it.
"""

from __future__ import annotations

import asyncio
import posixpath
from collections import Counter
from collections.abc import AsyncGenerator, Mapping
from typing import Any
from urllib.parse import unquote

import httpx
import orjson
import pytest
import pytest_asyncio

from loopkeeper.security.organizations import Role
from tests.builders.organizations import CLINIC, HARBOR, OPERATIONS, STREET
from tests.databases import Databases
from tests.security import hostile, kept
from tests.security.declared import JSON, Route, address, called, changed, good_body, routes, takes, texts
from tests.security.hostile import BODY, MEDIA, WORD
from tests.security.neighbours import Neighbours, neighbours
from tests.security.survey import nobodys
from tests.shared.web_calls import exchange, serving

CALLERS = {Role.PLAN: HARBOR, Role.PROVIDER: STREET, Role.REFERRER: CLINIC, Role.OPERATIONS: OPERATIONS}
PROBLEM = {"type", "title", "status", "slug", "detail", "trace_id"}
# A problem lists at most fifty errors of a line or two.
LARGEST_PROBLEM = 16 * 1024
MIB = 1024 * 1024


@pytest_asyncio.fixture(scope="module")
async def place(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Neighbours]:
    async with neighbours(databases, tmp_path_factory.mktemp("hostile")) as opened:
        await opened.house.settled()
        yield opened
    await databases.drop()


@pytest_asyncio.fixture(autouse=True)
async def nothing_stored(place: Neighbours) -> AsyncGenerator[None]:
    """Behind every test each row of each table is what it was before; but that an upload broke off is written down."""
    assert place.house.addresses is not None
    before = await kept.figures(place.house.addresses)
    yield
    await place.house.quiet()
    changed_tables = set(kept.differing(before, await kept.figures(place.house.addresses)))
    assert changed_tables - {"intake.roster_import"} == set()


def problem(answer: httpx.Response, *statuses: int) -> Any:
    """The problem that this answer must be."""
    assert answer.status_code in statuses, f"{answer.status_code} {answer.text[:500]}"
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert body.keys() >= PROBLEM
    assert body["status"] == answer.status_code
    assert body["trace_id"] == answer.headers["x-trace-id"]
    assert all(body[name] for name in PROBLEM)
    assert WORD.lower() not in (repr(answer.headers) + answer.text).lower()
    assert len(answer.content) < LARGEST_PROBLEM
    return body


class Sender:
    """Sends to one route as somebody who may, about something that is not there."""

    def __init__(self, place: Neighbours, route: Route, there: str = "", role: Role | None = None) -> None:
        role = role or next((role for role in CALLERS if role in route.roles), None)
        organization = CALLERS[role] if role else ""
        self._key = place.house.keys[organization] if organization else ""
        self._caller = place.house.as_(organization)
        self.route = route
        self.address = address(route, there)

    async def send(
        self, content: bytes = b"", headers: Mapping[str, Any] | None = None, query: str = ""
    ) -> httpx.Response:
        declared: dict[str, Any] = {"Content-Type": self.route.media[0]} if self.route.takes_body else {}
        if self.route.needs_if_match:
            declared["If-Match"] = 'W/"1"'
        return await self._caller.request(
            self.route.method, self.address + query, content=content, headers=declared | dict(headers or {})
        )

    def head(self) -> bytes:
        """The first lines of the request as they go over a line, all but the body's length."""
        lines = [
            f"{self.route.method} {self.address} HTTP/1.1", "Host: loop.test", f"Authorization: Bearer {self._key}",
            f"Content-Type: {self.route.media[0]}", 'If-Match: W/"1"',
        ]  # fmt: skip
        return "".join(f"{line}\r\n" for line in lines).encode()


def senders(place: Neighbours) -> list[Sender]:
    """One for every route, naming an id that nobody has."""
    return [
        Sender(place, route, nobodys(place.id_of(route)) if route.parameters and not route.public else "x")
        for route in routes(place.house)
    ]


def takers(place: Neighbours) -> list[tuple[Sender, Any]]:
    """Those that take JSON, with a good body that holds the word where anything may be written."""
    found: list[tuple[Sender, Any]] = []
    for sender in senders(place):
        if sender.route.body is None:
            continue
        good = good_body(sender.route)
        for where, schema in texts(sender.route.body):
            if schema.get("maxLength", len(WORD)) >= len(WORD):
                good = changed(good, where, WORD)
        found.append((sender, good if takes(sender.route.body, good) else good_body(sender.route)))
    return found


# ── bodies ────────────────────────────────────────────────────────────────────────────────────────────────


async def test_no_malformed_body_is_taken_stored_or_called_our_fault(place: Neighbours) -> None:
    sent: Counter[str] = Counter()
    for sender, good in takers(place):
        assert sender.route.body is not None
        for kind, raw in hostile.bodies(good, sender.route.body):
            answer = await sender.send(raw)
            assert answer.status_code == BODY, f"{called(sender.route)}: {kind}"
            body = problem(answer, BODY)
            assert body["slug"] in ("malformed-body", "field-invalid"), f"{called(sender.route)}: {kind}"
            sent[kind] += 1
    assert sent.total() > 500
    assert min(sent.values()) >= 5, sent


async def test_the_character_that_postgresql_cannot_hold_is_pointed_at_in_every_text(
    place: Neighbours,
) -> None:
    for sender, good in takers(place):
        for raw in hostile.nul_bodies(good):
            body = problem(await sender.send(raw), BODY)
            assert body["errors"][0]["rule"] == "no-nul", called(sender.route)


async def test_nothing_at_all_is_no_body_where_one_is_needed(place: Neighbours) -> None:
    for sender, _ in takers(place):
        assert sender.route.body is not None
        if not takes(sender.route.body, {}):
            problem(await sender.send(b""), BODY)
            problem(await sender.send(b"{}"), BODY)


async def test_another_kind_of_body_is_refused_by_its_name(place: Neighbours) -> None:
    for sender in senders(place):
        if not sender.route.takes_body:
            continue
        for media in (media for media in hostile.MEDIA_TYPES if media not in sender.route.media):
            problem(await sender.send(b'{"x": 1}', {"Content-Type": media}), MEDIA)
        problem(await sender.send(b'{"x": 1}', {"Content-Encoding": "gzip"}), MEDIA)


async def test_a_body_is_refused_where_none_is_taken(place: Neighbours) -> None:
    for sender in senders(place):
        if sender.route.method != "GET" and not sender.route.takes_body:
            raw = f'{{"nickname": "{WORD}"}}'.encode()
            problem(await sender.send(raw, {"Content-Type": JSON}), BODY)


# ── addresses and headers ─────────────────────────────────────────────────────────────────────────────────


async def test_no_query_is_taken_that_the_route_does_not_know(place: Neighbours) -> None:
    for sender in senders(place):
        # Documents and figures are open to every query and read none.
        if sender.route.public and sender.route.query is None:
            continue
        for query in hostile.queries(sender.route.query):
            answer = await sender.send(query=query)
            # A cursor is read by who knows the list, after it has been found that there is one.
            unseen = query.startswith("?cursor=") and sender.route.parameters
            assert answer.status_code in ((422, 404) if unseen else (422,)), (
                f"{called(sender.route)}{query[:200]}"
            )
            problem(answer, answer.status_code)


async def test_what_no_id_can_be_names_nothing(place: Neighbours) -> None:
    known = {(route.method, route.path) for route in routes(place.house)}
    for sender in senders(place):
        for bad in hostile.IDS if sender.route.parameters else ():
            sender.address = address(sender.route, bad)
            if (sender.route.method, posixpath.normpath(unquote(sender.address))) in known:
                # Two dots are a way up, to a route that names nobody: who may not call it is refused there.
                continue
            answer = await sender.send()
            # Where that way ends there may be an address with other methods.
            problem(answer, 404, *((405,) if bad in ("..", "%2e%2e") else ()))


async def test_a_key_of_a_request_that_is_no_text_is_refused_before_anything_is_done(
    place: Neighbours,
) -> None:
    for sender in senders(place):
        if sender.route.method == "GET" or sender.route.public:
            continue
        for key in hostile.KEYS:
            body = problem(await sender.send(b"", {"Idempotency-Key": key}), 422)
            assert body["errors"][0]["pointer"] == "header/Idempotency-Key", called(sender.route)


async def test_a_version_that_is_none_is_stale_and_changes_nothing(place: Neighbours) -> None:
    """Asked about the owners' own, with a body that is good, wherever a version can be read."""
    every = routes(place.house)
    read = {route.path for route in every if route.method == "GET"}
    for route in every:
        versioned = route.needs_if_match or (route.is_action and route.path.partition(":")[0] in read)
        if not route.parameters or not versioned or Role.OPERATIONS in route.roles:
            continue
        there, body = place.id_of(route), good_body(route)
        content = b"" if body is None else orjson.dumps(body)
        slugs: set[str] = set()
        for role in (role for role in CALLERS if role in route.roles):
            sender = Sender(place, route, there, role)
            for match in hostile.MATCHES:
                slugs.add(
                    problem(await sender.send(content, {"If-Match": match}), 404, 409, 412, 422)["slug"]
                )
        assert "stale" in slugs, called(route)


async def test_addresses_and_headers_are_bounded_on_every_route(place: Neighbours) -> None:
    for sender in senders(place):
        problem(await sender.send(query="?x=" + "y" * 9_000), 414)
        problem(await sender.send(headers={"X-Long": "y" * 40_000}), 431)


# ── over a socket ─────────────────────────────────────────────────────────────────────────────────────────


async def test_a_body_too_large_is_cut_off_with_and_without_its_length(place: Neighbours) -> None:
    """Over a real socket: announced, it is refused before it comes; unannounced, as soon as it is too much."""
    chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    async with serving(place.house.running.app) as port:
        for sender in senders(place):
            if not sender.route.takes_body:
                continue
            head = sender.head()
            length = f"Content-Length: {1024 * MIB}\r\n\r\n".encode()
            raw_problem(await exchange(port, head + length), 413, "body-too-large")
            # What streams in, a roster, is bounded by hundreds of megabytes.
            if not sender.route.stream:
                chunked = head + b"Transfer-Encoding: chunked\r\n\r\n"
                raw_problem(await exchange(port, chunked, chunk, repeat=40), 413, "body-too-large")


async def test_over_a_socket_too_addresses_headers_and_odd_ids_are_problems(place: Neighbours) -> None:
    key = (
        b"Host: x\r\nConnection: close\r\nAuthorization: Bearer "
        + place.house.keys[CLINIC].encode()
        + b"\r\n"
    )
    async with serving(place.house.running.app) as port:
        long = b"GET /v1/referrals?cursor=" + b"y" * 20_000 + b" HTTP/1.1\r\n" + key + b"\r\n"
        raw_problem(await exchange(port, long), 414, "address-too-long")
        wide = b"GET /v1/referrals HTTP/1.1\r\n" + key + b"X: " + b"y" * 40_000 + b"\r\n\r\n"
        raw_problem(await exchange(port, wide), 431, "headers-too-large")
        for bad in ("%00", "ref_%00", "%ff", "%ed%a0%80", "..%2f..%2f"):
            odd = f"GET /v1/referrals/{bad} HTTP/1.1\r\n".encode() + key + b"\r\n"
            raw_problem(await exchange(port, odd), 404, "not-found")


async def test_a_caller_who_leaves_in_the_middle_of_a_body_leaves_nothing(place: Neighbours) -> None:
    async with serving(place.house.running.app) as port:
        for sender, good in takers(place):
            raw = orjson.dumps(good)
            head = sender.head() + f"Content-Length: {len(raw)}\r\n\r\n".encode()
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(head + raw[:-1])
            await writer.drain()
            writer.close()
            await writer.wait_closed()
        alive = await exchange(port, b"GET /health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert alive.startswith(b"HTTP/1.1 200 ")


def raw_problem(answer: bytes, status: int, slug: str) -> None:
    assert answer.startswith(f"HTTP/1.1 {status} ".encode()), answer[:200]
    assert b"content-type: application/problem+json" in answer
    body = orjson.loads(answer.partition(b"\r\n\r\n")[2])
    assert (body["status"], body["slug"]) == (status, slug)
    assert body.keys() >= PROBLEM
