"""What `loopkeeper stuck` lists, over HTTP: while the services read, a loop may wait for Loopkeeper; once they have read
everything, it waits for a person or an organization, by a date (loop.md 7.6)."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio

from tests.builders.forms import david
from tests.builders.organizations import CLINIC, HARBOR, OPERATIONS
from tests.databases import Databases
from tests.loop.house import House, house, put_roster

MARIA = {"acted_by": {"person": "maria-chen", "title": "Medical director"}}
DAY = timedelta(days=1)


@pytest_asyncio.fixture
async def town(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[House]:
    async with house(databases, tmp_path_factory.mktemp("stuck"), roster=False) as opened:
        yield opened
    await databases.drop()


async def stuck(town: House) -> dict[str, tuple[str, str, str | None]]:
    """As `loopkeeper stuck` asks: each open loop's next actor, what, and by when."""
    found = await town.ask(OPERATIONS, "GET", "/v1/referrals?limit=200")
    return {
        each["id"]: (each["next_step"]["actor"], each["next_step"]["code"], each["next_step"]["due_at"])
        for each in found["items"]
        if each["status"] != "closed"
    }


async def member(town: House, number: int, **changes: Any) -> str:
    person = {**david()["member"], "cin": f"9000{number:04}S"}
    return await town.refer(CLINIC, david(member=person, **changes))


async def act(town: House, referral: str, what: str, **body: Any) -> None:
    listed = (await town.ask(HARBOR, "GET", "/v1/authorizations?limit=200"))["items"]
    request = next(each["id"] for each in listed if each["referral"] == referral)
    await town.ask(HARBOR, "POST", f"/v1/authorizations/{request}:{what}", {**MARIA, **body})
    await town.quiet()


async def decline_all(town: House, referral: str) -> None:
    while True:
        offers = (await town.ask(HARBOR, "GET", "/v1/assignments?status=offered&limit=200"))["items"]
        mine = [each for each in offers if each["referral"] == referral]
        if not mine:
            return
        body = {"reason": "no_capacity"}
        await town.ask(mine[0]["provider"], "POST", f"/v1/assignments/{mine[0]['id']}:decline", body)
        await town.quiet()


async def test_once_everything_was_read_no_open_loop_waits_for_loopkeeper_7_6(town: House) -> None:
    numbers = range(501, 508)
    covered = [{"cin": f"9000{n:04}S", "birth_date": "1964-02-17"} for n in numbers]
    await put_roster(town, HARBOR, covered)
    asked, goals, moved, declined, lost, told, start = [await member(town, n) for n in numbers]
    # Nothing was read yet: Loopkeeper itself is to act.
    assert {actor for actor, _, _ in (await stuck(town)).values()} <= {"loopkeeper", "plan", "provider"}
    await town.quiet()
    for referral in (asked, goals, moved, declined, lost, told):
        if (await town.referral(HARBOR, referral))["status"] == "pending_authorization":
            await act(town, referral, "approve")
    await act(town, goals, "end", code=3)
    await act(town, moved, "end", code=9)
    await decline_all(town, declined)
    kept = [each for each in covered if each["cin"] != f"9000{numbers[4]:04}S"]
    await put_roster(town, HARBOR, kept)
    await town.ask(CLINIC, "POST", f"/v1/referrals/{told}:tell-death", {"acted_by": {"person": "lin"}})
    await town.quiet()
    for _ in range(3):
        waits = await stuck(town)
        assert [each for each in waits.values() if each[0] not in ("plan", "provider", "referrer")] == []
        assert [each for each in waits.values() if each[0] == "plan" and each[2] is None] == []
        await town.pass_time(6 * DAY)
    waits = await stuck(town)
    # Without a service day, goals that were met ask the plan; who moved away is no longer eligible, and that is told.
    assert waits[goals][:2] == ("plan", "authorization_ended")
    assert moved not in waits
    closing = (await town.referral(CLINIC, moved))["closing"]
    assert (closing["outcome"], bool(closing["text"])) == ("no_longer_eligible", True)
    assert waits[declined][:2] == ("plan", "none_left")
    assert waits[told][:2] == ("plan", "death_told")
    assert start in waits
