"""What a file waits for it says, and goes on by itself; what does not pass the scan is not read."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest_asyncio

from loopkeeper.runtime.files.worker import Working, ahead
from notification.files.reporting import KINDS
from tests.databases import Migrated
from tests.notification.house import House, house
from tests.notification.plan_world import furnish, organizations_of
from tests.plan_files.worlds import World

WORLD = World("sampleton")
PLAN, SENDER = WORLD.said["plan"]["id"], WORLD.said["sender"]["slug"]
OTF = "SHP_OTF_2000000010_202610_01.csv"


@pytest_asyncio.fixture
async def opened(migrated: Migrated, tmp_path: Path) -> AsyncGenerator[House]:
    async with house(await migrated("notification"), tmp_path, more=organizations_of(WORLD)) as found:
        await furnish(found, WORLD)
        yield found


async def sent(opened: House, key: str) -> str:
    async with opened.caller(SENDER) as caller:
        headers = {"Content-Type": "text/csv", "Idempotency-Key": key}
        answer = await caller.post(f"/v1/files/otf?plan={PLAN}", content=WORLD.content(OTF), headers=headers)
    return answer.json()["id"]


async def shown(opened: House, file: str) -> Mapping[str, Any]:
    async with opened.caller(SENDER) as caller:
        return (await caller.get(f"/v1/files/otf/{file}")).json()


def working(opened: House, scan: str = "") -> Working:
    settings = opened.context.settings.model_copy(update={"scan": scan})
    return Working(replace(opened.context, settings=settings), {each.kind: each for each in KINDS})


async def worked(opened: House, scan: str = "") -> None:
    worker = working(opened, scan)
    while await worker.round():
        pass


async def test_a_file_whose_key_is_away_waits_says_so_and_goes_on_once_it_is_back(opened: House) -> None:
    file = await sent(opened, "one")
    keyring, away = opened.context.sealer.keyring, dict[str, Any]()
    keyring.change(lambda kept: away.update({PLAN: kept.pop(PLAN)}))
    await worked(opened)
    found = await shown(opened, file)
    assert (found["state"], found["code"]) == ("received", "key-missing")
    assert await ahead(opened.context) == 0
    keyring.change(lambda kept: kept.update(away))
    await worked(opened)
    found = await shown(opened, file)
    assert (found["state"], found["code"]) == ("done", None)
    assert found["counts"]["accepted"] == 19


async def test_a_file_whose_key_was_destroyed_is_refused(opened: House) -> None:
    file = await sent(opened, "one")
    opened.context.sealer.keyring.destroy(PLAN)
    await worked(opened)
    assert (await shown(opened, file))["code"] == "key-destroyed"


async def test_only_what_passes_the_scan_is_read_and_a_scan_that_does_not_run_lets_nothing_in(
    opened: House,
) -> None:
    file = await sent(opened, "one")
    await worked(opened, "/no/such/scanner")
    found = await shown(opened, file)
    assert (found["state"], found["code"]) == ("received", "scan-missing")
    await worked(opened, "grep -q SHP")
    assert (await shown(opened, file))["code"] == "scan-refused"
    clean = await sent(opened, "two")
    await worked(opened, "grep -q Client")
    assert (await shown(opened, clean))["state"] == "done"
