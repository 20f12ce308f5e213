"""Is what is old removed, and nothing else: not what waits, and no entry in the middle of a feed?"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from datetime import timedelta
from pathlib import Path

import pytest_asyncio

from loopkeeper.contract import ids
from notification.persistence.must_hold import MUST_HOLD
from notification.workers import prune_once, tell_once
from tests.builders.notification import received
from tests.builders.organizations import REFERRER
from tests.databases import Migrated
from tests.notification.deliveries import partner, sender, subscribe, sweep
from tests.notification.house import House, house

DAY = timedelta(days=1)


@pytest_asyncio.fixture
async def opened(migrated: Migrated, tmp_path: Path) -> AsyncGenerator[House]:
    async with house(await migrated("notification"), tmp_path) as found:
        yield found


async def counts(opened: House) -> tuple[int, int, int]:
    (row,) = await opened.rows(
        """SELECT (SELECT count(*) FROM delivery) AS d, (SELECT count(*) FROM attempt) AS a, (SELECT count(*) FROM feed) AS f"""
    )
    return row["d"], row["a"], row["f"]


async def broken(opened: House) -> list[str]:
    """What no longer holds in its tables."""
    return [each.what for each in MUST_HOLD if await opened.rows(each.query)]


async def test_delivered_webhooks_and_their_attempts_go_after_90_days_and_the_feed_stays_400(
    opened: House,
) -> None:
    async with partner(opened) as clinic, sender(opened) as deliverer, opened.caller(REFERRER) as caller:
        subscription = await subscribe(opened, REFERRER, clinic)
        await opened.hear(received(), stream=ids.new("ref"))
        await sweep(deliverer)
        await tell_once(opened.context)
        path = f"/v1/subscriptions/{subscription}"
        first = (await caller.get(f"{path}/events")).json()["next_cursor"]
        epoch = first.partition(".")[0]
        opened.clock.advance(90 * DAY)
        await prune_once(opened.context)
        assert await counts(opened) == (1, 1, 1)
        opened.clock.advance(timedelta(seconds=1))
        await prune_once(opened.context)
        assert await counts(opened) == (0, 0, 1)
        asked = {"since": "2026-01-01T00:00:00Z", "dry_run": True}
        assert (await caller.post(f"{path}:recover", json=asked)).json()["count"] == 0
        assert await broken(opened) == []
        opened.clock.advance(310 * DAY)
        await opened.hear(received(), stream=ids.new("ref"))
        await prune_once(opened.context)
        assert [row["sequence"] for row in await opened.rows("SELECT sequence FROM feed")] == [2]
        assert await broken(opened) == []
        gone = await caller.get(f"{path}/events", params={"after": f"{epoch}.0"})
        assert (gone.status_code, gone.json()["slug"]) == (410, "cursor-gone")
        again = gone.json()["resume_after"]["cursor"]
        assert again == first
        page = (await caller.get(f"{path}/events", params={"after": again})).json()
        assert [entry["cursor"] for entry in page["items"]] == [f"{epoch}.2"]


async def test_an_entry_that_still_waits_to_be_delivered_stays_and_so_does_all_behind_it(
    opened: House,
) -> None:
    async with partner(opened) as clinic, sender(opened) as deliverer:
        subscription = await subscribe(opened, REFERRER, clinic)
        for _ in range(3):
            await opened.hear(received(), stream=ids.new("ref"))
        await sweep(deliverer)
        await tell_once(opened.context)
        await opened.context.pool.execute("UPDATE delivery SET state = 'pending' WHERE sequence = 2")
        opened.clock.advance(500 * DAY)
        await prune_once(opened.context)
        rows = await opened.rows("SELECT sequence FROM feed WHERE subscription = $1 ORDER BY 1", subscription)
        assert [row["sequence"] for row in rows] == [2, 3]
