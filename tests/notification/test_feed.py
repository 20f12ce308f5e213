"""The feed: the same entries for every reader, in order and without a gap, waited for, streamed, and passed on to an
address behind a firewall."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
import uvicorn
from typer.testing import CliRunner

from loopkeeper.cli import app as command
from loopkeeper.contract import ids
from loopkeeper.kernel.clock import SystemClock
from loopkeeper.kernel.server import Server
from loopkeeper.testing.partner import Answer, Partner
from notification.api import feed
from notification.delivery.feed_listeners import follow
from tests.builders.notification import approved, received
from tests.builders.organizations import HARBOR, OTHER, PARTNER, REFERRER
from tests.databases import Databases
from tests.notification.deliveries import heard, partner, sender, subscribe, sweep
from tests.notification.house import House, house


@pytest_asyncio.fixture(scope="module")
async def opened(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[House]:
    """One house for the module: each test has its own subscription and referral."""
    url = await databases.make("notification", await databases.template("notification"))
    async with house(url, tmp_path_factory.mktemp("feed")) as found:
        found.context.supervisor.start("follow", lambda heartbeat: follow(found.context, heartbeat))
        yield found
    await databases.drop()


async def feed_only(opened: House, who: str = REFERRER) -> str:
    async with opened.caller(who) as caller:
        return (await caller.post("/v1/subscriptions", json={})).json()["id"]


async def page(opened: House, subscription: str, who: str = REFERRER, status: int = 200, **query: Any) -> Any:
    async with opened.caller(who) as caller:
        answer = await caller.get(f"/v1/subscriptions/{subscription}/events", params=query, timeout=60)
    assert answer.status_code == status, answer.text
    return answer.json()


async def test_a_feed_read_page_by_page_has_every_entry_once_in_order_and_its_cursor_goes_on(
    opened: House,
) -> None:
    subscription = await feed_only(opened)
    for _ in range(5):
        await opened.hear(received(), approved(), stream=ids.new("ref"))
    seen: list[Any] = []
    after: str | None = None
    while True:
        found = await page(opened, subscription, limit=3, **({"after": after} if after else {}))
        if not found["items"]:
            break
        assert found["items"][-1]["cursor"] == found["next_cursor"]
        seen += found["items"]
        after = found["next_cursor"]
    assert [each["data"]["sequence"] for each in seen] == list(range(1, 11))
    assert len({each["id"] for each in seen}) == 10
    assert found["next_cursor"] == after


async def test_the_feed_says_what_the_webhook_of_the_same_subscription_says(opened: House) -> None:
    async with partner(opened) as clinic, sender(opened) as deliverer:
        subscription = await subscribe(opened, REFERRER, clinic)
        await opened.hear(received(), stream=ids.new("ref"))
        await sweep(deliverer)
        (sent,) = heard(clinic)
        (read,) = (await page(opened, subscription))["items"]
        body = sent.json()
        assert read["id"] == sent.webhook_id
        assert read["type"] == body["type"]
        assert read["data"] == body["data"]


async def test_a_feed_is_there_for_its_owner_alone(opened: House) -> None:
    subscription = await feed_only(opened)
    for stranger in (HARBOR, OTHER, PARTNER):
        assert (await page(opened, subscription, who=stranger, status=404))["slug"] == "not-found"
    async with opened.context.readers.acquire() as connection, connection.transaction():
        await connection.execute("SELECT set_config('app.organization', $1, true)", OTHER)
        assert (
            await connection.fetchval("SELECT count(*) FROM feed WHERE subscription = $1", subscription) == 0
        )


async def test_who_waits_hears_as_soon_as_something_comes_and_nothing_when_the_time_is_over(
    opened: House,
) -> None:
    subscription = await feed_only(opened)
    after = (await page(opened, subscription, wait=1))["next_cursor"]
    assert after.endswith(".0")
    waiting = asyncio.create_task(page(opened, subscription, after=after, wait=30))
    await asyncio.sleep(0)
    await opened.hear(received(), stream=ids.new("ref"))
    async with asyncio.timeout(5):
        assert len((await waiting)["items"]) == 1
    assert (await page(opened, subscription, wait=31, status=422))["slug"] == "field-invalid"


async def test_a_cursor_of_another_numbering_is_answered_with_the_event_to_go_on_after(opened: House) -> None:
    subscription = await feed_only(opened)
    for _ in range(3):
        await opened.hear(received(), stream=ids.new("ref"))
    found = await page(opened, subscription)
    old = found["next_cursor"].partition(".")[0]
    # A database of another day: two of the three are as they were, then the numbering is another.
    await opened.context.pool.execute(
        "UPDATE subscription SET epoch = 'feedbeef', kept = 2 WHERE id = $1", subscription
    )
    for number, agreed in ((1, 1), (2, 2), (3, 2), (9, 2)):
        gone = await page(opened, subscription, after=f"{old}.{number}", status=410)
        assert gone["slug"] == "cursor-gone"
        event = found["items"][agreed - 1]["id"]
        assert gone["resume_after"] == {"event": event, "cursor": f"feedbeef.{agreed}"}
    resumed = await page(opened, subscription, after="feedbeef.2")
    assert [each["id"] for each in resumed["items"]] == [found["items"][2]["id"]]
    # Nobody can have been beyond the end of the current numbering.
    beyond = await page(opened, subscription, after="feedbeef.4", status=410)
    assert beyond["resume_after"]["cursor"] == "feedbeef.3"
    assert (await page(opened, subscription, after="yesterday", status=422))["slug"] == "field-invalid"


# ── as a stream, over a socket ────────────────────────────────────────────────────────────────────────────


@asynccontextmanager
async def served(opened: House) -> AsyncGenerator[str]:
    """The service behind a real server."""
    config = uvicorn.Config(opened.app, port=0, log_config=None, lifespan="off", ws="none")
    server = Server(config)
    serving = asyncio.create_task(server.serve())
    try:
        async with asyncio.timeout(5):
            while not server.started:  # noqa: ASYNC110 uvicorn has no event for it
                await asyncio.sleep(0.01)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.leave()
        await serving


class Reader:
    """One stream, its lines one by one."""

    def __init__(self, answer: httpx.Response) -> None:
        self.answer = answer
        self._lines = answer.aiter_lines()

    async def line(self, start: str) -> str:
        async with asyncio.timeout(10):
            async for line in self._lines:
                if line.startswith(start):
                    return line.removeprefix(start)
        raise AssertionError(f"the stream ended before {start!r}")

    async def ended(self) -> bool:
        async with asyncio.timeout(5):
            async for _ in self._lines:
                pass
        return True


@asynccontextmanager
async def stream(
    opened: House, base: str, subscription: str, last: str = "", who: str = REFERRER
) -> AsyncGenerator[Reader]:
    headers = {"Authorization": f"Bearer {opened.keys[who]}", "Accept": "text/event-stream"}
    if last:
        headers["Last-Event-ID"] = last
    async with (
        httpx.AsyncClient(headers=headers, timeout=20) as client,
        client.stream("GET", f"{base}/v1/subscriptions/{subscription}/events") as answer,
    ):
        yield Reader(answer)


async def status_of_stream(opened: House, base: str, subscription: str, last: str = "") -> int:
    async with stream(opened, base, subscription, last) as reader:
        return reader.answer.status_code


async def test_a_stream_brings_entries_as_they_arise_and_goes_on_behind_the_last_that_was_seen(
    opened: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "HEARTBEAT", 0.05)
    subscription = await feed_only(opened)
    async with served(opened) as base:
        async with stream(opened, base, subscription) as reader:
            assert reader.answer.headers["content-type"] == "text/event-stream"
            await reader.line(": nothing new")
            await opened.hear(received(), stream=ids.new("ref"))
            first = await reader.line("id: ")
            assert json.loads(await reader.line("data: "))["cursor"] == first
        await opened.hear(received(), stream=ids.new("ref"))
        async with stream(opened, base, subscription, last=first) as reader:
            assert json.loads(await reader.line("data: "))["data"]["sequence"] == 2
        assert await status_of_stream(opened, base, subscription, last="00000000.1") == 410


async def test_one_organization_has_so_many_streams_at_a_time_and_one_more_is_asked_to_come_again(
    opened: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "STREAMS_OF_ONE", 1)
    subscription, other = await feed_only(opened), await feed_only(opened, OTHER)
    async with served(opened) as base:
        async with stream(opened, base, subscription) as held:
            await held.line(": open")
            async with stream(opened, base, subscription) as second:
                assert (second.answer.status_code, second.answer.headers["retry-after"]) == (503, "10")
            async with stream(opened, base, other, who=OTHER) as elsewhere:
                await elsewhere.line(": open")
        async with asyncio.timeout(5):
            # The service hears that a reader left when the socket says so.
            while await status_of_stream(opened, base, subscription) != 200:  # noqa: ASYNC110
                await asyncio.sleep(0.01)


async def test_more_wait_than_there_are_connections_to_read_with_and_none_holds_one(
    opened: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four streams and four long polls, in a house that has two."""
    monkeypatch.setattr(feed, "HEARTBEAT", 0.05)
    subscription = await feed_only(opened)
    polls = [asyncio.create_task(page(opened, subscription, wait=30)) for _ in range(4)]
    async with served(opened) as base, AsyncExitStack() as held:
        readers = [await held.enter_async_context(stream(opened, base, subscription)) for _ in range(4)]
        for reader in readers:
            await reader.line(": nothing new")
        await opened.hear(received(), stream=ids.new("ref"))
        for reader in readers:
            assert json.loads(await reader.line("data: "))["data"]["sequence"] == 1
    assert [len(found["items"]) for found in await asyncio.gather(*polls)] == [1] * 4


async def test_streams_end_cleanly_when_the_service_is_asked_to_stop(opened: House) -> None:
    stopping = opened.context.supervisor.stopping
    subscription = await feed_only(opened)
    async with served(opened) as base, stream(opened, base, subscription) as reader:
        await reader.line(": open")
        stopping.set()
        assert await reader.ended()
    stopping.clear()


# ── passed on by the command line ─────────────────────────────────────────────────────────────────────────


def forward(opened: House, base: str, home: Path, url: str, count: int) -> Any:
    environment = {
        "LOOPKEEPER_HOME": str(home), "LOOPKEEPER_URL": base, "LOOPKEEPER_KEY": opened.keys[REFERRER]
    }  # fmt: skip
    words = ["listen", "--forward", url, "--count", str(count), "--json"]
    return CliRunner().invoke(command, words, env=environment)


async def test_forwarding_posts_each_event_signed_goes_on_where_it_was_and_tries_again_what_was_not_taken(
    opened: House, tmp_path: Path
) -> None:
    async with served(opened) as base, Partner(clock=SystemClock()) as clinic:
        url = f"http://127.0.0.1:{clinic.port}/inbox"
        first = asyncio.create_task(asyncio.to_thread(forward, opened, base, tmp_path, url, 1))
        kept = await _file(tmp_path / "listen")
        clinic.secrets.append(json.loads(kept.read_text())["secret"])
        clinic.next_answers.append(Answer(500))
        await opened.hear(received(), stream=ids.new("ref"))
        done = await first
        assert done.exit_code == 0, done.output
        assert "answered 500; tried again in 1 s" in done.stderr
        # Stopped, and started again after more has happened.
        await opened.hear(received(), approved(), stream=ids.new("ref"))
        done = await asyncio.to_thread(forward, opened, base, tmp_path, url, 2)
        assert done.exit_code == 0, done.output
        printed = [json.loads(line) for line in done.stdout.splitlines()]
        assert [each["status"] for each in printed] == [204, 204]
        taken = heard(clinic)
        assert all(each.signed for each in taken)
        assert [each.json()["data"]["sequence"] for each in taken] == [1, 1, 2, 3]
        assert taken[0].webhook_id == taken[1].webhook_id


async def test_forwarding_goes_on_after_a_restore_and_a_key_that_may_not_is_told_so(
    opened: House, tmp_path: Path
) -> None:
    async with served(opened) as base, Partner(clock=SystemClock()) as clinic:
        url = f"http://127.0.0.1:{clinic.port}/inbox"
        first = asyncio.create_task(asyncio.to_thread(forward, opened, base, tmp_path, url, 1))
        kept = json.loads((await _file(tmp_path / "listen")).read_text())
        await opened.hear(received(), stream=ids.new("ref"))
        assert (await first).exit_code == 0
        await opened.context.pool.execute(
            "UPDATE subscription SET epoch = 'feedbeef', kept = 1 WHERE id = $1", kept["subscription"]
        )
        await opened.hear(received(), stream=ids.new("ref"))
        done = await asyncio.to_thread(forward, opened, base, tmp_path, url, 1)
        assert "the feed goes on after" in done.stderr
        assert [each.json()["data"]["sequence"] for each in heard(clinic)] == [1, 2]
        stranger = {"LOOPKEEPER_HOME": str(tmp_path), "LOOPKEEPER_URL": base, "LOOPKEEPER_KEY": "lk_unknown"}
        refused = await asyncio.to_thread(
            CliRunner().invoke, command, ["listen", "--forward", url], env=stranger
        )
        assert refused.exit_code == 4
        assert "Send Authorization" in refused.stderr


async def _file(folder: Path) -> Path:
    """The one file of this folder, once it is there."""

    def look() -> Path | None:
        return next(folder.glob("[!.]*.json"), None)

    async with asyncio.timeout(10):
        while (found := look()) is None:  # noqa: ASYNC110 another program writes it
            await asyncio.sleep(0.02)
    return found
