"""Two replicas of one service, of which one comes to a standby that lags while the other stays on the old primary: what the log
has is whole again, what the old primary decides afterwards is void for everybody, and it stops for good."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import httpx
import pytest
import pytest_asyncio

from loopkeeper.runtime.run import Running
from tests.builders.organizations import CLINIC, HARBOR, NAVIGATORS, OPERATIONS, STREET
from tests.chaos.invariants import everything_broken
from tests.chaos.lives import until
from tests.databases import Databases, NewLog
from tests.loop.apart import Apart, apart
from tests.loop.house import put_roster
from tests.loop.set_backs import decide, journal, kept, member, refer

SOON = 40.0


@pytest_asyncio.fixture(scope="module")
async def town(
    databases: Databases, tmp_path_factory: pytest.TempPathFactory, new_log: NewLog
) -> AsyncGenerator[Apart]:
    async with apart(databases, tmp_path_factory.mktemp("set-back"), await new_log()) as found:
        for organization in (HARBOR, CLINIC):
            await found.subscribe(organization)
        roster = [member(number) for number in range(1, 100)]
        known = [{"cin": each["cin"], "birth_date": each["birth_date"]} for each in roster]
        await put_roster(found, HARBOR, known)
        for provider in (STREET, NAVIGATORS):
            await found.ask(OPERATIONS, "PUT", f"/v1/providers/{provider}", {"capacity": 1000})
        await found.quiet()
        yield found
    await databases.drop()


async def ready(program: Running) -> httpx.Response:
    """What a probe of this replica hears."""
    transport = httpx.ASGITransport(app=program.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://loop.test") as probe:
        return await probe.get("/health/ready")


@pytest.mark.parametrize("service", ["intake", "assignment", "notification", "authorization"])
async def test_a_replica_that_stays_on_the_old_primary_stops_and_the_other_has_all_that_was_published(
    town: Apart, databases: Databases, service: str
) -> None:
    old = town.programs[service]
    other = await town.another(service, "1")
    try:
        before = [await refer(town) for _ in range(2)]
        await decide(town)
        standby = await databases.copy_in_use(town.at.databases[service])
        await town.quiet()
        # What the standby has not got, and the log has.
        lagging = [await refer(town) for _ in range(3)]
        await decide(town)
        rows, tables = await journal(town, service), await kept(town, service)

        url = databases.url(service, standby)
        other.contexts[service].database.url = url
        await databases.end_sessions(town.at.databases[service])

        async def stopped() -> bool:
            return (
                other.contexts[service].store.ready.is_set()
                and not old.contexts[service].store.ready.is_set()
            )

        await until(stopped, SOON)
        said = (await ready(old)).json()["services"][service]
        assert said["consumer"]["detail"] == "stopped: DeadBranch"
        town.programs[service] = other
        town.at.databases[service] = url
        await old.stop()

        assert await journal(town, service) == rows
        await town.quiet()
        assert tables - await kept(town, service) == set()
        after = await refer(town)
        await decide(town)
        for referral in (*before, *lagging, after):
            assert (await town.referral(CLINIC, referral))["status"] in ("assigned", "accepted")
        assert await everything_broken(town.at, town.home / "config") == []
    finally:
        if town.programs[service] is not other:
            await other.stop()
