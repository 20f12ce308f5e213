"""What readers of a stream may rely on: it is refused before it starts or not at all, and ends when they leave."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from tests.shared.web_calls import problem, serving
from tests.shared.web_example import STREAM, Example, caller, example

ACCEPTS = {"Accept": STREAM}
KEY = {"Authorization": "Bearer key-other"}


@pytest.fixture
def shown() -> Example:
    made = example()
    made.camp.visits += ["David", "Thanh"]
    return made


async def test_the_same_address_answers_once_or_as_a_stream(shown: Example) -> None:
    async with caller(shown.app, "key-other") as client:
        once = await client.get("/v1/news")
        stream = await client.get("/v1/news", headers=ACCEPTS)
    assert once.json() == {"id": "vis_1", "name": "latest"}
    assert stream.headers["content-type"] == STREAM
    assert stream.headers["x-accel-buffering"] == "no"
    assert stream.headers["cache-control"] == "no-store"
    assert stream.text == "data: David\n\ndata: Thanh\n\n"


async def test_a_stream_that_cannot_be_had_is_refused_like_anything_else(shown: Example) -> None:
    async with caller(shown.app, "key-other") as client:
        answer = await client.get("/v1/news", headers={**ACCEPTS, "Last-Event-ID": "full"})
        problem(await client.get("/v1/news?after=1", headers=ACCEPTS), 422, "field-invalid")
    problem(answer, 503, "busy")
    assert answer.headers["retry-after"] == "10"


async def test_a_stream_ends_when_its_reader_leaves(shown: Example) -> None:
    async with serving(shown.app) as port:
        async with (
            httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers={**KEY, **ACCEPTS}) as client,
            client.stream("GET", "/v1/news", headers={"Last-Event-ID": "forever"}) as answer,
        ):
            lines = answer.aiter_lines()
            assert await anext(lines) == "data: David"
            assert not shown.camp.stream_ended.is_set()
        async with asyncio.timeout(5):
            await shown.camp.stream_ended.wait()
