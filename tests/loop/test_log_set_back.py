"""The log put back to an earlier day while four services run, with what all of them had published and read since: every service
finds out, sends again what the log lacks, and all agree with it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest
import pytest_asyncio

from tests.builders.organizations import CLINIC, HARBOR, NAVIGATORS, OPERATIONS, STREET
from tests.chaos.invariants import everything_broken, look
from tests.chaos.lives import until
from tests.databases import Databases
from tests.loop.apart import Apart, apart
from tests.loop.house import put_roster
from tests.loop.set_backs import SERVICES, accept, decide, journal, member, refer

SOON = 40.0


@pytest_asyncio.fixture
async def town(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Apart]:
    log = await databases.make("log")
    async with apart(databases, tmp_path_factory.mktemp("log-set-back"), log) as found:
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


async def test_a_log_that_was_put_back_is_whole_again_and_gives_no_offset_twice(
    town: Apart, databases: Databases
) -> None:
    before = [await refer(town) for _ in range(2)]
    await decide(town)
    kept = await databases.copy_in_use(town.at.event_log)
    await town.quiet()
    lost = [await refer(town) for _ in range(3)]
    await decide(town)
    await accept(town, lost[0])
    await town.quiet()
    whole = {message.id for message in (await look(town.at)).log}
    closures = {name: town.gate(name).closures for name in SERVICES}

    await databases.put_back(kept, town.at.event_log)

    async def found() -> bool:
        gates = {name: town.gate(name) for name in SERVICES}
        return all(gate.closures > closures[name] and gate.ready.is_set() for name, gate in gates.items())

    await until(found, SOON)
    await decide(town)
    assert whole <= {message.id for message in (await look(town.at)).log}
    after = await refer(town)
    await decide(town)
    for referral in (*before, *lost, after):
        assert (await town.referral(CLINIC, referral))["status"] in ("assigned", "accepted")
    assert await everything_broken(town.at, town.home / "config") == []
    for name in SERVICES:
        standing = await town.ask(OPERATIONS, "GET", f"/v1/operations/{name}/status")
        assert standing["set_back"]["why"] == "the log has not what was read of it"
        assert standing["closed"] == ""


async def test_where_database_and_log_go_back_to_one_moment_all_agree_and_what_is_gone_is_named(
    town: Apart, databases: Databases
) -> None:
    """One cluster for all: nothing contradicts, and nothing but the memory of those who answered tells of it."""
    before = [await refer(town) for _ in range(2)]
    await decide(town)
    places = {**town.at.databases, "log": town.at.event_log}
    kept = {name: await databases.copy_in_use(url) for name, url in places.items()}
    await town.quiet()
    gone = [await refer(town) for _ in range(3)]
    await town.quiet()
    closures = {name: town.gate(name).closures for name in SERVICES}

    await asyncio.gather(*(databases.put_back(kept[name], url) for name, url in places.items()))

    async def found() -> bool:
        gates = {name: town.gate(name) for name in SERVICES}
        return all(gate.closures > closures[name] and gate.ready.is_set() for name, gate in gates.items())

    await until(found, SOON)
    standing = await town.ask(OPERATIONS, "GET", "/v1/operations/intake/status")
    assert [each["referral"] for each in standing["set_back"]["lost"]] == gone
    after = await refer(town)
    await decide(town)
    for referral in (*before, after):
        assert (await town.referral(CLINIC, referral))["status"] in ("assigned", "accepted")
    assert await everything_broken(town.at, town.home / "config") == []


async def test_where_log_and_one_service_go_back_to_two_moments_the_log_has_all_that_anybody_still_has(
    town: Apart, databases: Databases
) -> None:
    """The service is the older one: what it published up to the log's moment it has again, the others send the rest."""
    kept = await databases.copy_in_use(town.at.databases["assignment"])
    await town.quiet()
    between = [await refer(town) for _ in range(2)]
    await decide(town)
    log = await databases.copy_in_use(town.at.event_log)
    await town.quiet()
    rows = await journal(town, "assignment")
    later = await refer(town)
    await town.quiet()
    others = [name for name in SERVICES if name != "assignment"]
    written = {name: await journal(town, name) for name in others}
    closures = {name: town.gate(name).closures for name in SERVICES}

    await asyncio.gather(
        databases.put_back(kept, town.at.databases["assignment"]), databases.put_back(log, town.at.event_log)
    )

    async def found() -> bool:
        gates = {name: town.gate(name) for name in SERVICES}
        return all(gate.closures > closures[name] and gate.ready.is_set() for name, gate in gates.items())

    await until(found, SOON)
    await decide(town)
    again = await journal(town, "assignment")
    assert [row for row in rows if row not in again] == []
    logged = {message.id for message in (await look(town.at)).log}
    for name in others:
        assert {row[2] for row in written[name] if row[3]} <= logged
    for referral in (*between, later):
        assert (await town.referral(CLINIC, referral))["status"] in ("assigned", "accepted")


async def test_where_the_log_goes_back_while_a_service_comes_to_another_server_all_is_whole_again(
    town: Apart, databases: Databases
) -> None:
    """The service has a new generation to announce, and must not wait for its own look at the log to do so."""
    log = await databases.copy_in_use(town.at.event_log)
    await town.quiet()
    between = [await refer(town) for _ in range(2)]
    await decide(town)
    moved = await databases.copy_in_use(town.at.databases["assignment"])
    await town.quiet()
    closures = {name: town.gate(name).closures for name in SERVICES}

    await asyncio.gather(
        databases.put_back(moved, town.at.databases["assignment"]),
        databases.put_back(log, town.at.event_log),
    )

    async def found() -> bool:
        gates = {name: town.gate(name) for name in SERVICES}
        return all(gate.closures > closures[name] and gate.ready.is_set() for name, gate in gates.items())

    await until(found, SOON)
    after = await refer(town)
    await decide(town)
    for referral in (*between, after):
        assert (await town.referral(CLINIC, referral))["status"] in ("assigned", "accepted")
    assert await everything_broken(town.at, town.home / "config") == []
