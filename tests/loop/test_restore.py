"""One service's database put back to an hour ago, while the others go on, and while it runs itself: nothing that the log has is
lost, nothing is there twice, and what is gone is named."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import Any

import httpx
import pytest
import pytest_asyncio

from loopkeeper.event_log.generations import GENERATION
from tests.builders.forms import david
from tests.builders.organizations import CLINIC, HARBOR, NAVIGATORS, OPERATIONS, STREET
from tests.chaos.invariants import everything_broken, feeds, log_at
from tests.chaos.lives import until
from tests.databases import Databases, NewLog
from tests.loop.apart import Apart, apart
from tests.loop.house import put_roster
from tests.loop.set_backs import SERVICES, accept, decide, journal, kept, member, turn

HOUR = timedelta(hours=1)
NUMBERS = itertools.count(1)
LISTENERS = (HARBOR, CLINIC, STREET, NAVIGATORS)


@pytest_asyncio.fixture(scope="module")
async def town(
    databases: Databases, tmp_path_factory: pytest.TempPathFactory, new_log: NewLog
) -> AsyncGenerator[Apart]:
    async with apart(databases, tmp_path_factory.mktemp("restore"), await new_log()) as found:
        for organization in LISTENERS:
            await found.subscribe(organization)
        roster = [member(number) for number in range(1, 400)]
        known = [{"cin": each["cin"], "birth_date": each["birth_date"]} for each in roster]
        await put_roster(found, HARBOR, known)
        for provider in (STREET, NAVIGATORS):
            # Room for everybody, so that it is never the number of places that says where somebody goes.
            await found.ask(OPERATIONS, "PUT", f"/v1/providers/{provider}", {"capacity": 1000})
        await found.quiet()
        yield found
    await databases.drop()


async def refer(town: Apart) -> str:
    return await town.refer(CLINIC, david(member=member(next(NUMBERS))))


async def keep_referring(town: Apart, stop: asyncio.Event) -> list[str]:
    """Somebody new every few milliseconds; who is not served asks again, under the same key. At least one comes
    last."""
    taken: list[str] = []
    while True:
        last = stop.is_set()
        number = next(NUMBERS)
        body, key = david(member=member(number)), {"Idempotency-Key": f"david-{number}"}
        taken.append(await insist(town, body, key))
        if last:
            return taken
        await asyncio.sleep(0.1)


async def insist(town: Apart, body: Mapping[str, Any], key: Mapping[str, str]) -> str:
    async with asyncio.timeout(20):
        while True:
            with suppress(httpx.ConnectError):
                answer = await town.as_(CLINIC).post("/v1/referrals", json=body, headers=key)
                if answer.status_code == 201:
                    return answer.json()["id"]
                assert answer.status_code == 503, answer.text
            await asyncio.sleep(0.05)


async def reach(town: Apart, referral: str) -> None:
    await town.attempt((await turn(town, referral))["provider"], referral, "in_person", "engaged")


async def serve(town: Apart, referral: str) -> None:
    on = {"on": town.today()}
    provider = (await turn(town, referral))["provider"]
    await town.ask(provider, "POST", f"/v1/outreach/{referral}:start-services", on)


async def loops(town: Apart, referrals: list[str]) -> Mapping[str, Any]:
    """The status of each loop for its referrer, and all that happened in it."""
    return {each: (await town.referral(CLINIC, each), await town.timeline(each)) for each in referrals}


async def logged(town: Apart) -> list[Any]:
    """The id of everything in the log, as often as it is there."""
    event_log = log_at(town.at)
    try:
        found = [received.message async for received in event_log.history()]
        return [message.id for message in found if message is not None and message.type != GENERATION]
    finally:
        await event_log.close()


async def read_feed(town: Apart, feed: str, after: str) -> list[Mapping[str, Any]]:
    """Every entry behind this cursor."""
    found: list[Mapping[str, Any]] = []
    while True:
        query = f"?limit=200{f'&after={after}' if after else ''}"
        page = await town.ask(HARBOR, "GET", f"/v1/subscriptions/{feed}/events{query}")
        found, after = [*found, *page["items"]], page["next_cursor"]
        if not page["items"]:
            return found


async def check_feed(town: Apart, feed: str, seen: list[Mapping[str, Any]], *, restored: bool) -> None:
    """Who read on would hear all that came since; after a restore it is told from where."""
    cursor = seen[-1]["cursor"]
    if restored:
        path = f"/v1/subscriptions/{feed}/events?after={cursor}"
        gone = await town.ask(HARBOR, "GET", path, status=410)
        cursor = gone["resume_after"]["cursor"]
        place = next(n for n, each in enumerate(seen) if each["id"] == gone["resume_after"]["event"])
        assert 0 < place < len(seen) - 1
        seen = seen[: place + 1]
    everything = await read_feed(town, feed, "")
    rest = await read_feed(town, feed, cursor)
    assert [each["id"] for each in everything] == [each["id"] for each in [*seen, *rest]]


@asynccontextmanager
async def put_back_with(town: Apart, service: str, how: str) -> AsyncGenerator[None]:
    """The service is stopped for the length of the block and started after it, or meets what happens in it as it runs. It
    is open again behind it."""
    if how == "stopped":
        await town.stop(service)
    closures = town.gate(service).closures if how == "running" else 0
    yield
    if how == "stopped":
        await town.start(service)

    async def through() -> bool:
        gate = town.gate(service)
        return gate.closures > closures and gate.ready.is_set()

    await until(through, 40.0)


async def lost(town: Apart, service: str) -> set[str]:
    """The referrals of which the service says that it had answered a command and that it is gone."""
    status = await town.ask(OPERATIONS, "GET", f"/v1/operations/{service}/status")
    assert status["set_back"]["finished_at"]
    return {each["referral"] for each in status["set_back"]["lost"]}


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("how", ["stopped", "running"])
async def test_a_service_put_back_to_an_hour_ago_is_what_it_was_and_goes_on(
    town: Apart, databases: Databases, service: str, how: str
) -> None:
    # Three loops are under way when the backup is made: offered, accepted, reached.
    offered, accepted, reached = [await refer(town) for _ in range(3)]
    await decide(town)
    for each in (accepted, reached):
        await accept(town, each)
    await town.quiet()
    await reach(town, reached)
    await town.quiet()
    await town.stop(service)
    backup = await databases.keep(town.at.databases[service])
    await town.start(service)

    # An hour in which all of them go on, and others come.
    town.clock.advance(HOUR)
    await accept(town, offered)
    number = next(NUMBERS)
    body, key = david(member=member(number)), {"Idempotency-Key": f"david-{number}"}
    fresh = (await town.as_(CLINIC).post("/v1/referrals", json=body, headers=key)).json()["id"]
    waiting = await refer(town)
    await decide(town)
    await accept(town, fresh)
    await serve(town, reached)
    await reach(town, accepted)
    await town.quiet()
    before, tables = await journal(town, service), await kept(town, service)
    referrals = [offered, accepted, reached, fresh, waiting]
    shown, heard = await loops(town, referrals), await feeds(town.at)
    feed = (await town.ask(HARBOR, "GET", "/v1/subscriptions"))["items"][0]["id"]
    seen = await read_feed(town, feed, "")

    # Put back while people go on referring: before, while and after it reads what it lost.
    stop = asyncio.Event()
    crowd = asyncio.create_task(keep_referring(town, stop))
    async with put_back_with(town, service, how):
        await databases.put_back(backup, town.at.databases[service])
    stop.set()
    during = set(await crowd) - await lost(town, service)
    # The same request again is no second referral.
    same = await town.as_(CLINIC).post("/v1/referrals", json=body, headers=key)
    await decide(town)

    assert same.json()["id"] == fresh
    rows = {row[:2]: row for row in await journal(town, service)}
    assert [rows.get(row[:2]) for row in before] == before
    assert tables - await kept(town, service) == set()
    assert await loops(town, referrals) == shown
    for referral in (fresh, *during):
        status = (await town.referral(CLINIC, referral))["status"]
        assert status in ("assigned", "accepted"), await town.timeline(referral)
    assert max(Counter(await logged(town)).values()) == 1
    await check_feed(town, feed, seen, restored=service == "notification")
    again = await feeds(town.at)
    assert all(heard[organization] <= again[organization] for organization in heard)
    for organization in LISTENERS:
        assert {each.webhook_id for each in town.heard(organization)} == again[organization]
    assert await everything_broken(town.at, town.home / "config") == []
    # Nothing goes on saying that it waits for the log.
    tasks = (await town.ask(OPERATIONS, "GET", f"/v1/operations/{service}/status"))["tasks"]
    assert {name: said for name, said in tasks.items() if said != "running"} == {}
