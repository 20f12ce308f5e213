"""The log in PostgreSQL: the port's contract, and what only this adapter can get wrong."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest
import pytest_asyncio

from loopkeeper.bus import BusUnavailable
from loopkeeper.bus.postgres import PostgresBus
from loopkeeper.database import connect
from tests.conftest import Fresh
from tests.shared.bus_contract import BusContract, MakeBus, Offsets, by_key, message, read, until_holding

# The protocol's 3 s, shortened where a test waits for it.
SOON = 0.7


@pytest_asyncio.fixture
async def url(fresh_database: Fresh) -> str:
    return await fresh_database("log")


@pytest_asyncio.fixture
async def make_bus(url: str) -> AsyncGenerator[MakeBus]:
    opened: list[PostgresBus] = []

    async def make() -> PostgresBus:
        bus = PostgresBus(url, silent=SOON)
        opened.append(bus)
        return bus

    yield make
    for bus in opened:
        await bus.close()


class TestContract(BusContract):
    """The contract on PostgreSQL."""


async def kill_sessions(url: str, name: str = "loopkeeper-log") -> None:
    other = await connect(url, name="test")
    await other.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE $1", f"{name}%"
    )
    await other.close()


async def test_after_a_broken_session_a_member_begins_from_the_stored_offsets(
    make_bus: MakeBus, url: str
) -> None:
    bus, offsets = await make_bus(), Offsets()
    await bus.publish([message("ref_1", n) for n in range(4)])
    member = await bus.join("intake", offsets)
    offsets.keep((await read(member, 4))[:1])
    await kill_sessions(url)
    assert by_key(await read(member, 3)) == {"ref_1": [1, 2, 3]}


async def test_publishing_over_a_broken_session_is_told_and_then_works_again(
    make_bus: MakeBus, url: str
) -> None:
    bus = await make_bus()
    await bus.publish([message("ref_1", 0)])
    await kill_sessions(url)
    with pytest.raises(BusUnavailable):
        await bus.publish([message("ref_1", 1)])
    assert await bus.publish([message("ref_1", 1)]) == 1


async def test_a_holder_that_falls_silent_is_ended_and_its_zombie_cannot_acknowledge(
    make_bus: MakeBus,
) -> None:
    one, two, offsets = await make_bus(), await make_bus(), Offsets()
    zombie, living = await one.join("intake", offsets), await two.join("intake", offsets)
    await until_holding(zombie)
    await one.publish([message("ref_1", n) for n in range(3)])
    received = await read(zombie, 3)
    # As a SIGSTOP does: its session stays open and says nothing more.
    zombie._ticking.cancel()  # pyright: ignore[reportAttributeAccessIssue]
    taken = await read(living, 3, seconds=10 * SOON)
    assert by_key(taken) == {"ref_1": [0, 1, 2]}
    await zombie.acknowledge({0: received[-1].offset + 100})
    assert (await two.positions("intake")).get(0, 0) <= received[-1].offset + 1
    assert living.holds()


async def test_a_busy_holder_is_left_in_peace(make_bus: MakeBus) -> None:
    one, two = await make_bus(), await make_bus()
    holder, waiting = await one.join("intake", Offsets()), await two.join("intake", Offsets())
    await until_holding(holder)

    async def wait() -> None:
        await waiting.poll(timeout=3 * SOON)

    await asyncio.gather(wait(), asyncio.sleep(3 * SOON))
    assert holder.holds()
    assert not waiting.holds()


async def test_an_open_transaction_in_another_database_hides_nothing(
    make_bus: MakeBus, fresh_database: Fresh
) -> None:
    """An xmin horizon would be held back by it; commit order is not."""
    other = await connect(await fresh_database("intake"))
    await other.execute("CREATE TABLE t (a int)")
    await other.execute("BEGIN")
    await other.execute("INSERT INTO t VALUES (1)")
    bus = await make_bus()
    await bus.publish([message("ref_1", 1)])
    assert len(await read(await bus.join("intake", Offsets()), 1, 3.0)) == 1
    other.terminate()


async def test_a_record_that_is_no_event_is_read_with_its_problem_and_not_lost(
    make_bus: MakeBus, url: str
) -> None:
    bus = await make_bus()
    await bus.publish([message("ref_1", 1)])
    connection = await connect(url)
    insert = "INSERT INTO log SELECT nextval('log_offset'), 'ref_1', '', $1, 'x', now()"
    await connection.execute(insert, b'{"ce_id": "no id"}')
    await connection.execute(insert, b"no json")
    await connection.close()
    received = await read(await bus.join("intake", Offsets()), 3)
    assert [one.problem for one in received] == ["", "missing ce_type", "headers are no JSON object of texts"]
    assert [one.raw for one in received[1:]] == [b"x", b"x"]


async def test_a_log_that_is_away_is_named_so() -> None:
    bus = PostgresBus("postgresql://nobody:x@127.0.0.1:1/none")
    with pytest.raises(BusUnavailable):
        await bus.publish([message("ref_1", 1)])
    with pytest.raises(BusUnavailable):
        await (await bus.join("intake", Offsets())).poll()
    await bus.close()
