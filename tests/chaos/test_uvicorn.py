"""Each service is an app that any ASGI server runs: four plain uvicorns take a referral through its loop, and end."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncGenerator

import httpx
import pytest
import pytest_asyncio

from loopkeeper.kernel.settings import Settings
from loopkeeper.runtime.run import Running
from loopkeeper.runtime.serve import ended_by_failure, told_of_the_end
from loopkeeper.runtime.service import installed
from tests.builders.organizations import CLINIC
from tests.chaos import invariants
from tests.chaos.cluster import Cluster
from tests.chaos.lives import Lives
from tests.chaos.town import Town, town, uvicorn_of
from tests.databases import Fresh, Migrated
from tests.loop.david import davids_story
from tests.loop.house import POLICY

ALONE = [(name,) for name in installed()]
# A stream holds a server that waits for it for five minutes; one that ends with the process ends at once.
AT_ONCE = 1.0
STARTUP_FAILURE = 3


@pytest_asyncio.fixture(scope="module")
async def four(
    lives: Lives, cluster: Cluster, tmp_path_factory: pytest.TempPathFactory
) -> AsyncGenerator[Town]:
    async with town(lives, cluster, tmp_path_factory.mktemp("plain"), *ALONE, plain=True) as opened:
        yield opened


async def test_davids_loop_is_the_same_through_four_uvicorns_that_know_nothing_of_us(
    four: Town, cluster: Cluster
) -> None:
    assert len({*four.places.values()}) == len(four.living) == 4
    await davids_story(four)
    assert await invariants.everything_broken(cluster.addresses(), four.home / "config") == []


async def test_a_plain_uvicorn_writes_no_address_that_was_asked(four: Town) -> None:
    """Its own log has a line for every request; ours is the one of the house."""
    await four.ask(CLINIC, "GET", "/v1/referrals?limit=7")
    assert "GET" not in four.living["intake",].said()


@pytest.mark.parametrize("service", installed())
async def test_asked_to_end_it_ends_at_once_though_a_stream_is_open(four: Town, service: str) -> None:
    subscriptions = await four.ask(CLINIC, "GET", "/v1/subscriptions")
    headers = {"Authorization": f"Bearer {four.keys[CLINIC]}", "Accept": "text/event-stream"}
    address = f"{four.places['notification']}/v1/subscriptions/{subscriptions['items'][0]['id']}/events"
    async with (
        httpx.AsyncClient(timeout=60.0, headers=headers) as client,
        client.stream("GET", address) as stream,
    ):
        assert stream.status_code == 200
        await anext(stream.aiter_lines())
        began = time.monotonic()
        assert await four.stop(service) == -signal.SIGTERM
        assert time.monotonic() - began < AT_ONCE
    await four.begin(service)


async def test_what_cannot_start_ends_and_says_in_a_sentence_why(
    lives: Lives, migrated: Migrated, fresh_database: Fresh, four: Town
) -> None:
    """As `loopkeeper up` does, only that the exit code is uvicorn's."""
    broken = four.home.parent / "policy"
    broken.mkdir()
    (broken / "plans.yaml").write_text("nonsense: 1\n")
    environment = {
        "PATH": "",
        "LOOPKEEPER_HOME": str(four.home.parent / "broken"),
        "LOOPKEEPER_POLICY": str(broken),
        "LOOPKEEPER_INTAKE_DATABASE": await migrated("intake"),
        "LOOPKEEPER_BUS": await fresh_database("log"),
    }
    life = await lives.begin(uvicorn_of("referral_intake", 1), environment, four.home.parent / "broken.log")
    assert await life.ended() == STARTUP_FAILURE
    assert "cannot start" in life.said()


async def test_a_process_whose_task_failed_for_good_asks_itself_to_end() -> None:
    """And a client that holds a stream is told before the server is."""
    heard = asyncio.Event()
    before = signal.signal(signal.SIGTERM, lambda *_: heard.set())
    running = Running(Settings(policy=POLICY), installed())
    try:
        with told_of_the_end(running):
            async with ended_by_failure(running):
                running.supervisor.failed.set()
                async with asyncio.timeout(AT_ONCE):
                    await heard.wait()
                    await running.supervisor.stopping.wait()
    finally:
        signal.signal(signal.SIGTERM, before)
