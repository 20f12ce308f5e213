"""The log in PostgreSQL: the port's contract, and what only this adapter can get wrong."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import orjson
import pytest
import pytest_asyncio

from loopkeeper.event_log.port import LogUnavailable
from loopkeeper.event_log.postgres import LARGEST_APPEND, SESSION, SILENT, PostgresLog
from loopkeeper.postgres.connections import connect
from tests.databases import Fresh
from tests.shared.event_log_contract import (
    BusContract,
    MakeBus,
    Offsets,
    PutRaw,
    by_key,
    message,
    read,
    until_holding,
)
from tests.shared.event_log_member import ABSURD

# The protocol's 3 s, shortened where a test waits for it; still three ticks, on a machine that is busy.
SOON = 1.5
ROOT = Path(__file__).parents[2]


@pytest_asyncio.fixture
async def url(fresh_database: Fresh) -> str:
    return await fresh_database("log")


@asynccontextmanager
async def buses(url: str, silent: float) -> AsyncIterator[MakeBus]:
    opened: list[PostgresLog] = []

    async def make() -> PostgresLog:
        opened.append(PostgresLog(url, silent=silent))
        return opened[-1]

    yield make
    for event_log in opened:
        await event_log.close()


@pytest_asyncio.fixture
async def make_event_log(url: str) -> AsyncGenerator[MakeBus]:
    async with buses(url, SILENT) as make:
        yield make


@pytest_asyncio.fixture
async def make_hasty_bus(url: str) -> AsyncGenerator[MakeBus]:
    """Buses whose waiting members end a silent holder sooner."""
    async with buses(url, SOON) as make:
        yield make


@pytest_asyncio.fixture
async def put_raw(url: str) -> PutRaw:
    async def put(key: str, headers: Mapping[str, str], payload: bytes) -> None:
        await ask(
            url,
            "INSERT INTO log SELECT nextval('log_offset'), $1, '', $2, $3, now()",
            key,
            orjson.dumps(headers),
            payload,
        )

    return put


class TestContract(BusContract):
    """The contract on PostgreSQL."""


async def ask(url: str, query: str, *args: object) -> list[Any]:
    other = await connect(url, name="test")
    try:
        return await other.fetch(query, *args)
    finally:
        await other.close()


async def kill_sessions(url: str, name: str = f"{SESSION}%") -> None:
    """End these sessions and wait until the server has buried them."""
    query = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name LIKE $1"
    await ask(url, f"{query} AND datname = current_database()", name)


async def sessions(url: str) -> list[str]:
    query = "SELECT application_name FROM pg_stat_activity WHERE datname = current_database()"
    rows = await ask(url, f"{query} AND application_name <> 'test' ORDER BY 1")
    return [row[0] for row in rows]


@asynccontextmanager
async def member_process(url: str) -> AsyncIterator[Process]:
    """A member in a process of its own, once it reads for the group."""
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.shared.event_log_member", stdin=PIPE, stdout=PIPE, cwd=ROOT
    )
    assert child.stdin is not None
    assert child.stdout is not None
    try:
        child.stdin.write(f"{url}\n".encode())
        assert await child.stdout.readline() == b"holds\n"
        yield child
    finally:
        with suppress(ProcessLookupError):
            child.kill()
        await child.wait()
        child.stdin.close()


# ── sessions that break ───────────────────────────────────────────────────────────────────────────────────


async def test_after_a_broken_session_a_member_begins_from_the_stored_offsets(
    make_event_log: MakeBus, url: str
) -> None:
    event_log, offsets = await make_event_log(), Offsets()
    await event_log.publish([message("ref_1", n) for n in range(4)])
    member = await event_log.join("intake", offsets)
    offsets.keep((await read(member, 4))[:1])
    await kill_sessions(url, f"{SESSION}-intake")
    assert by_key(await read(member, 3)) == {"ref_1": [1, 2, 3]}


async def test_what_is_published_over_a_broken_session_is_told_or_arrives(
    make_event_log: MakeBus, url: str
) -> None:
    event_log = await make_event_log()
    await event_log.publish([message("ref_1", 0)])
    await kill_sessions(url)
    told = 0
    try:
        await event_log.publish([message("ref_1", 1)])
    except LogUnavailable:
        told = 1
    assert await event_log.publish([message("ref_1", 2)]) == 1
    found = [one async for one in event_log.history()]
    assert by_key(found) == {"ref_1": [0, 2] if told else [0, 1, 2]}


async def test_a_publisher_that_is_cut_off_knows_how_many_leading_messages_are_in_the_log(
    make_event_log: MakeBus, url: str
) -> None:
    event_log = await make_event_log()
    await event_log.ends()
    # Its own session dies in the middle of the second statement, as if the server had.
    await ask(
        url,
        """CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS
           $$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NEW; END $$""",
    )
    cut = LARGEST_APPEND + 100
    await ask(
        url,
        f'CREATE TRIGGER die BEFORE INSERT ON log FOR EACH ROW WHEN (NEW."offset" = {cut}) EXECUTE FUNCTION die()',
    )
    sent = [message("ref_1", n) for n in range(3 * LARGEST_APPEND)]
    published = await event_log.publish(sent)
    assert published == LARGEST_APPEND
    assert await event_log.publish(sent[published:]) == 2 * LARGEST_APPEND
    found = [one async for one in event_log.history()]
    assert by_key(found) == {"ref_1": list(range(3 * LARGEST_APPEND))}
    assert found[-1].offset >= len(sent), "the numbers of the lost statement are not given again"
    assert await event_log.ends() == {0: found[-1].offset + 1}


async def test_a_log_that_is_away_is_named_so() -> None:
    event_log = PostgresLog("postgresql://nobody:x@127.0.0.1:1/none")
    with pytest.raises(LogUnavailable):
        await event_log.publish([message("ref_1", 1)])
    with pytest.raises(LogUnavailable):
        await (await event_log.join("intake", Offsets())).poll()
    await event_log.close()


# ── one active member ─────────────────────────────────────────────────────────────────────────────────────


async def test_a_stopped_process_loses_its_group_and_awake_again_cannot_acknowledge(
    make_hasty_bus: MakeBus, url: str
) -> None:
    async with member_process(url) as zombie:
        event_log = await make_hasty_bus()
        await event_log.publish([message("ref_1", n) for n in range(3)])
        living = await event_log.join("intake", Offsets())
        assert await living.poll(timeout=0.1) == []
        os.kill(zombie.pid, signal.SIGSTOP)
        taken = await read(living, 3, seconds=10 * SOON)
        assert by_key(taken) == {"ref_1": [0, 1, 2]}
        await living.acknowledge({0: taken[-1].offset + 1})
        assert zombie.stdin is not None
        assert zombie.stdout is not None
        zombie.stdin.write(b"acknowledge\n")
        os.kill(zombie.pid, signal.SIGCONT)
        assert await zombie.stdout.readline() == b"holds: False\n"
        assert await event_log.positions("intake") == {0: taken[-1].offset + 1}
        assert taken[-1].offset + 1 < ABSURD
        assert living.holds()


async def test_after_a_killed_process_the_waiting_member_reads_before_anybody_was_silent_for_long(
    make_event_log: MakeBus, url: str
) -> None:
    async with member_process(url) as killed:
        event_log = await make_event_log()
        await event_log.publish([message("ref_1", 1)])
        waiting = await event_log.join("intake", Offsets())
        assert await waiting.poll(timeout=0.1) == []
        killed.kill()
        began = asyncio.get_running_loop().time()
        assert len(await waiting.poll(timeout=10.0)) == 1
        assert asyncio.get_running_loop().time() - began < SILENT / 2


async def test_a_holder_without_news_is_left_in_peace(make_hasty_bus: MakeBus) -> None:
    one, two = await make_hasty_bus(), await make_hasty_bus()
    holder, waiting = await one.join("intake", Offsets()), await two.join("intake", Offsets())
    await until_holding(holder)
    assert await waiting.poll(timeout=2 * SOON) == []
    assert holder.holds()
    assert not waiting.holds()


async def test_a_holder_whose_service_answers_late_is_left_in_peace(make_hasty_bus: MakeBus) -> None:
    """It has the lock and asks for its stored offsets: its process lives, so nobody may end its session."""
    asked, answer = asyncio.Event(), asyncio.Event()

    async def late(_: object) -> Mapping[int, int]:
        asked.set()
        await answer.wait()
        return {}

    one, two = await make_hasty_bus(), await make_hasty_bus()
    await one.publish([message("ref_1", 1)])
    holder, waiting = await one.join("intake", late), await two.join("intake", Offsets())
    reading = asyncio.create_task(holder.poll(timeout=10 * SOON))
    await asked.wait()
    gained = await waiting.poll(timeout=2 * SOON)
    answer.set()
    assert gained == []
    assert len(await reading) == 1


async def test_a_waiting_member_does_not_hurry_when_others_publish(make_event_log: MakeBus, url: str) -> None:
    one, two = await make_event_log(), await make_event_log()
    holder, waiting = await one.join("intake", Offsets()), await two.join("intake", Offsets())
    await until_holding(holder)
    await one.publish([message("ref_1", 1)])
    polling = asyncio.create_task(waiting.poll(timeout=1.0))
    query = "SELECT pid, query_start FROM pg_stat_activity WHERE application_name = $1"
    other = await connect(url, name="test")
    seen: set[tuple[int, object]] = set()
    while not polling.done():
        seen |= {(row["pid"], row["query_start"]) for row in await other.fetch(query, f"{SESSION}-intake")}
    await other.close()
    # Two sessions; a try and an eye on the holder four times a second, and both tick. In a spin: thousands.
    assert len(seen) < 40


async def test_a_bus_and_its_member_need_two_sessions_and_leave_none(
    make_event_log: MakeBus, url: str
) -> None:
    event_log = await make_event_log()
    member = await event_log.join("intake", Offsets())
    await asyncio.gather(
        event_log.ends(),
        event_log.positions("intake"),
        event_log.publish([message("ref_1", 1)]),
        member.poll(),
    )
    assert await sessions(url) == [SESSION, f"{SESSION}-intake"]
    await event_log.close()
    async with asyncio.timeout(10):
        while await sessions(url):
            pass
    with pytest.raises(LogUnavailable):
        await member.poll()


# ── what hides messages elsewhere ─────────────────────────────────────────────────────────────────────────


async def test_an_open_transaction_in_another_database_hides_nothing(
    make_event_log: MakeBus, fresh_database: Fresh
) -> None:
    """An xmin horizon would be held back by it; commit order is not."""
    other = await connect(await fresh_database("intake"))
    await other.execute("CREATE TABLE t (a int)")
    await other.execute("BEGIN")
    await other.execute("INSERT INTO t VALUES (1)")
    event_log = await make_event_log()
    await event_log.publish([message("ref_1", 1)])
    assert len(await read(await event_log.join("intake", Offsets()), 1, 3.0)) == 1
    other.terminate()


async def test_an_append_takes_no_offset_before_the_one_that_holds_the_topic_has_committed(
    make_event_log: MakeBus, url: str
) -> None:
    one, two = await make_event_log(), await make_event_log()
    member = await one.join("intake", Offsets())
    await until_holding(member)
    slow = await connect(url, name="test")
    await slow.execute("BEGIN")
    await slow.execute("SELECT pg_advisory_xact_lock($1)", 0x6C6F6770)
    early = await slow.fetchval("SELECT nextval('log_offset')")
    behind = asyncio.create_task(two.publish([message("ref_1", 2)]))
    assert await member.poll(timeout=0.3) == []
    headers = orjson.dumps(message("ref_1", 1).headers())
    await slow.execute("INSERT INTO log VALUES ($1, 'ref_1', '', $2, '{}', now())", early, headers)
    await slow.execute("COMMIT")
    await slow.close()
    await behind
    assert by_key(await read(member, 2)) == {"ref_1": [1, 2]}


async def test_headers_that_are_no_json_stop_nobody(make_event_log: MakeBus, url: str) -> None:
    event_log = await make_event_log()
    await event_log.ends()
    insert = "INSERT INTO log SELECT nextval('log_offset'), 'ref_1', '', $1, 'x', now()"
    await ask(url, insert, b"no json")
    await ask(url, insert, b"[1]")
    await ask(url, insert, b'{"ce_id": 5, "ce_type": 1, "ce_source": 1, "ce_subject": 1, "ce_time": 1}')
    await event_log.publish([message("ref_1", 1)])
    received = await read(await event_log.join("intake", Offsets()), 4)
    assert [one.problem for one in received] == [*["headers are no JSON object of texts"] * 3, ""]


async def test_four_services_that_start_at_once_make_the_tables_once(make_event_log: MakeBus) -> None:
    opened = [await make_event_log() for _ in range(4)]
    assert await asyncio.gather(*(event_log.ends() for event_log in opened)) == [{0: 0}] * 4
