"""Everything is heard again: every service reads the log from its beginning, and the log has every event twice. The
end state is the one that was."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any

import pytest
import pytest_asyncio

from loopkeeper.postgres.connections import connect
from loopkeeper.runtime.run import Addresses
from tests.builders.forms import david
from tests.builders.organizations import CLINIC, HARBOR, NAVIGATORS, STREET
from tests.chaos.invariants import everything_broken, log_at
from tests.databases import Databases, NewLog
from tests.loop.house import House, house, put_roster

# Who is on Harbor's roster: a rule approves them at once. ANA is not; a person of the plan decides about her.
DAVID, BELA, CORA, ANA, ELI = ("90000001S", "90000002S", "90000003S", "90000004S", "90000005S")
BORN = "1964-02-17"
# Read again on purpose; Alembic's own position is no fact.
NOT_COMPARED = {"consumed", "alembic_version"}
# A group forms again within a few beats of its members' hearts, each 1.5 s apart.
MOVED_WITHIN = 20.0
TABLES = "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public' ORDER BY 1"
Rows = Mapping[str, Mapping[str, list[str]]]


def member(cin: str, **changes: Any) -> dict[str, Any]:
    return david(member={**david()["member"], "cin": cin, "birth_date": BORN}, **changes)


@pytest_asyncio.fixture(scope="module")
async def played(
    databases: Databases, tmp_path_factory: pytest.TempPathFactory, new_log: NewLog
) -> AsyncGenerator[House]:
    """Five loops that went five ways, in a house where everybody listens."""
    async with house(databases, tmp_path_factory.mktemp("twice"), event_log=await new_log()) as opened:
        for organization in (CLINIC, STREET, HARBOR):
            await opened.subscribe(organization)
        await put_roster(opened, HARBOR, [{"cin": cin, "birth_date": BORN} for cin in (DAVID, BELA, CORA)])
        await opened.quiet()
        await _served(opened)
        await _declined_then_taken(opened)
        await _declined_by_the_member(opened)
        await _denied(opened)
        await _granted(opened)
        await opened.quiet()
        yield opened
    await databases.drop()


async def _served(opened: House) -> None:
    referral = await opened.refer(CLINIC, member(DAVID))
    await opened.quiet()
    await opened.accept(STREET)
    await opened.quiet()
    await opened.attempt(STREET, referral, "phone", "no_answer")
    await opened.attempt(STREET, referral, "in_person", "engaged")
    today = opened.today()
    await opened.ask(STREET, "POST", f"/v1/outreach/{referral}:start-services", {"on": today})
    await opened.quiet()


async def _declined_then_taken(opened: House) -> None:
    await opened.refer(CLINIC, member(BELA))
    await opened.quiet()
    offer = await opened.offer(STREET)
    await opened.ask(STREET, "POST", f"/v1/assignments/{offer['id']}:decline", {"reason": "no_capacity"})
    await opened.quiet()
    await opened.accept(NAVIGATORS)


async def _declined_by_the_member(opened: House) -> None:
    referral = await opened.refer(CLINIC, member(CORA))
    await opened.quiet()
    await opened.accept(STREET)
    await opened.quiet()
    await opened.attempt(STREET, referral, "phone", "declined")
    said = {"on": opened.today(), "how": "phone"}
    await opened.ask(STREET, "POST", f"/v1/outreach/{referral}:member-declined", said)


async def _denied(opened: House) -> None:
    await opened.refer(CLINIC, member(ANA))
    await opened.quiet()
    (pending,) = (await opened.ask(HARBOR, "GET", "/v1/authorizations?status=pending"))["items"]
    person = {"person": "maria-chen", "title": "UM nurse"}
    denial = {"acted_by": person, "reason": "not_mcp_member"}
    await opened.ask(HARBOR, "POST", f"/v1/authorizations/{pending['id']}:deny", denial)


async def _granted(opened: House) -> None:
    """Served before the plan decides: a live grant, and its deadline."""
    today = opened.today()
    await opened.refer(STREET, member(ELI, presumptive={"population": "homelessness", "from": today}))
    await opened.quiet()
    await opened.accept(STREET)


# ── what is compared ──────────────────────────────────────────────────────────────────────────────────────


def addresses(opened: House) -> Addresses:
    assert opened.addresses is not None
    return opened.addresses


async def all_rows(opened: House) -> Rows:
    """Every row of every table of every service, as text: states, journals, claims, feeds, deliveries, attempts."""
    found: dict[str, dict[str, list[str]]] = {}
    for name, url in addresses(opened).databases.items():
        connection = await connect(url)
        tables = [row[0] for row in await connection.fetch(TABLES) if row[0] not in NOT_COMPARED]
        rows = {
            table: await connection.fetch(f'SELECT to_jsonb(t)::text AS row FROM "{table}" t ORDER BY 1')
            for table in tables
        }
        found[name] = {table: [row["row"] for row in read] for table, read in rows.items()}
        await connection.close()
    return found


def changed(before: Rows, after: Rows) -> list[str]:
    """The tables that are not as they were; none of their rows is shown."""
    return [
        f"{name}.{table}: {len(rows)} rows, then {len(after[name][table])}"
        for name, tables in before.items()
        for table, rows in tables.items()
        if rows != after[name][table]
    ]


async def broken(opened: House) -> list[str]:
    return await everything_broken(addresses(opened), opened.running.settings.config_folder)


async def read_again(opened: House) -> None:
    """Every service's offsets go back to 0, and every reader loses what it holds: it reads from what is stored."""
    # What was read and brought nothing is stored by now: moved from elsewhere, its offsets would be a sign.
    await opened.settled()
    for url in addresses(opened).databases.values():
        connection = await connect(url)
        await connection.execute("UPDATE consumed SET next_offset = 0")
        await connection.close()
    if addresses(opened).event_log.startswith("kafka"):
        await asyncio.gather(*(_another_comes_and_goes(opened, name) for name in addresses(opened).databases))
    else:
        await _sessions_end(opened)


async def _another_comes_and_goes(opened: House, service: str) -> None:
    """A second reader joins the group and leaves it: each time all partitions are given out again."""
    event_log = log_at(addresses(opened))
    try:
        other = await event_log.join(service, _from_the_beginning)
        async with asyncio.timeout(MOVED_WITHIN):
            while not other.holds():
                await other.poll(timeout=0.1)
    finally:
        await event_log.close()


async def _from_the_beginning(_: Sequence[int]) -> Mapping[int, int]:
    return {}


async def _sessions_end(opened: House) -> None:
    log = await connect(addresses(opened).event_log)
    ended = await log.fetch(
        """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
           WHERE datname = current_database() AND application_name LIKE 'loopkeeper-log-%'"""
    )
    await log.close()
    assert len(ended) == len(addresses(opened).databases)


async def publish_again(opened: House) -> int:
    """Every message of the log once more behind it, in its order; how many there were."""
    event_log = log_at(addresses(opened))
    read = [received.message async for received in event_log.history()]
    messages = [message for message in read if message is not None]
    assert await event_log.publish(messages) == len(messages) == len(read)
    await event_log.close()
    return len(messages)


# ── the claims ────────────────────────────────────────────────────────────────────────────────────────────


async def test_the_loops_went_five_ways_and_every_promise_is_kept(played: House) -> None:
    found = await played.ask(HARBOR, "GET", "/v1/referrals")
    outcomes = [item["closing"]["outcome"] if item["closing"] else item["status"] for item in found["items"]]
    assert sorted(outcomes) == [
        "accepted", "accepted", "declined_by_member", "not_authorized", "services_received",
    ]  # fmt: skip
    assert await broken(played) == []


async def test_reading_the_log_from_its_beginning_changes_nothing(played: House) -> None:
    before, heard = await all_rows(played), len(played.partner.requests)
    await read_again(played)
    await played.quiet()
    assert changed(before, await all_rows(played)) == []
    assert len(played.partner.requests) == heard
    assert await broken(played) == []


async def test_a_log_that_has_every_event_twice_changes_nothing(played: House) -> None:
    before, heard = await all_rows(played), len(played.partner.requests)
    assert await publish_again(played) > 40
    await played.quiet()
    assert changed(before, await all_rows(played)) == []
    assert len(played.partner.requests) == heard
    assert await broken(played) == []


async def test_both_at_once_change_nothing(played: House) -> None:
    before, heard = await all_rows(played), len(played.partner.requests)
    # In this order: an offset that goes back under a batch in hand is a sign that the database did.
    await read_again(played)
    await publish_again(played)
    await played.quiet()
    assert changed(before, await all_rows(played)) == []
    assert len(played.partner.requests) == heard


@pytest.mark.parametrize("organization", [CLINIC, STREET, HARBOR])
async def test_no_endpoint_was_called_for_one_thing_under_two_ids(played: House, organization: str) -> None:
    """A notice has one webhook id, and an event one too, however often its cause was delivered."""
    bodies = [taken.json() for taken in played.heard(organization)]
    told = [body["data"].get("notice") or body["data"]["event"] for body in bodies]
    assert len(told) == len(set(told)) > 0
