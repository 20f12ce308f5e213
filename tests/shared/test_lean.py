"""A lean route answers as any other: the same declaration under both route classes, asked the same things."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import httpx
import orjson
import pytest
from fastapi import APIRouter
from prometheus_client import CollectorRegistry

from loopkeeper.http.app import App
from loopkeeper.http.lean import Lean
from loopkeeper.http.route import Operation, refused
from loopkeeper.http.serving import AppState
from loopkeeper.kernel.settings import Settings
from tests.shared.web_calls import malformed_bodies
from tests.shared.web_example import VISIT, Camp, Keys, ask, caller

JSON = {"Content-Type": "application/json"}
# Different in every answer, whatever was asked.
OF_EACH_ANSWER = {"x-trace-id", "x-request-id", "location"}


def app(route_class: type[Operation]) -> App:
    router = APIRouter(tags=["camp"], route_class=route_class)
    declare = router.post(
        "/v1/visits",
        status_code=201,
        summary="Ask for a visit",
        responses=refused("not-identifiable", status=422),
    )
    declare(ask)
    serving = AppState(Keys(), Settings(max_body=5000), {"camp": Camp()})
    return App({"camp": [router]}, serving, ready={}, registry=CollectorRegistry())


def requests() -> Iterator[tuple[str, Mapping[str, Any]]]:
    good = orjson.dumps(VISIT)
    yield "key-plan", {"content": good, "headers": JSON}
    yield "key-plan", {"content": good, "headers": {**JSON, "Idempotency-Key": '"visit 7"'}}
    yield "key-plan", {"content": good, "headers": {**JSON, "Idempotency-Key": "two words"}}
    yield "key-plan", {"content": good, "headers": {"Content-Type": 'Application/JSON; charset="UTF-8"'}}
    yield "key-plan", {"content": good, "headers": {"Content-Type": "text/plain"}}
    yield "key-plan", {"content": good, "headers": {**JSON, "Content-Encoding": "gzip"}}
    yield "key-plan", {"content": b"x" * 6000, "headers": JSON}
    yield "key-plan", {"content": b"", "headers": {}}
    yield "key-plan", {"content": b"", "headers": {"Content-Type": "text/plain"}}
    yield "key-plan", {"content": good, "headers": JSON, "params": {"dry_run": "1"}}
    yield "key-plan", {"content": orjson.dumps({"name": "Nobody"}), "headers": JSON}
    yield "", {"content": good, "headers": JSON}
    yield "key-nobody-has", {"content": good, "headers": JSON}
    # Every thirtieth of them: each kind once or more.
    for raw in list(malformed_bodies())[::30]:
        yield "key-plan", {"content": raw, "headers": JSON}


async def answers(route_class: type[Operation]) -> list[tuple[int, Mapping[str, str], Any]]:
    found: list[tuple[int, Mapping[str, str], Any]] = []
    serving = app(route_class)
    for key, sent in requests():
        async with caller(serving, key) as client:
            found.append(plain(await client.post("/v1/visits", **sent)))
    return found


def plain(answer: httpx.Response) -> tuple[int, Mapping[str, str], Any]:
    headers = {name: value for name, value in answer.headers.items() if name not in OF_EACH_ANSWER}
    body = {name: value for name, value in answer.json().items() if name not in ("trace_id", "id")}
    return answer.status_code, headers, body


async def test_whatever_is_sent_a_lean_route_answers_as_any_other() -> None:
    lean, usual = await answers(Lean), await answers(Operation)
    assert {status for status, *_ in usual} == {201, 401, 413, 415, 422}
    assert lean == usual


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT"])
async def test_nor_does_it_take_another_method(method: str) -> None:
    async with caller(app(Lean), "key-plan") as client:
        answer = await client.request(method, "/v1/visits")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


def test_both_have_the_same_document() -> None:
    assert app(Lean).openapi() == app(Operation).openapi()
