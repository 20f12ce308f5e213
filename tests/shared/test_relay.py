"""Does what a service decided reach the log? All of it, in order for each referral, byte for byte as journaled; twice
where a relay died at the wrong moment, never not at all."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import orjson
import pytest
import pytest_asyncio
from asyncpg import UndefinedTableError

from loopkeeper.event_log.port import Received
from loopkeeper.flow import relay
from loopkeeper.flow.relay import ROUND, SWEEP
from loopkeeper.kernel.supervisor import Heartbeat
from loopkeeper.postgres.connections import TRANSIENT, Connection, connect
from loopkeeper.postgres.embedded import Server
from loopkeeper.store.batch import Batch, Pending
from loopkeeper.store.definition import Submission
from loopkeeper.store.journal import read_entry
from loopkeeper.store.transient import transient
from tests.builders.facts import accepted, made
from tests.shared.replica import Replica, Site, away, until, working
from tests.shared.stores import reception, withdrawal

# The session that deletes from the outbox is lost before it has: a relay that dies after its publish.
DIE = """
CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END $$;
CREATE TRIGGER die BEFORE DELETE ON outbox FOR EACH STATEMENT EXECUTE FUNCTION die();
"""


LEADERS = """
SELECT l.pid FROM pg_locks l JOIN pg_stat_activity a USING (pid)
WHERE l.locktype = 'advisory' AND l.granted AND a.datname = current_database()
"""


@pytest_asyncio.fixture
async def desk(here: Site) -> Replica:
    return await here.replica()


@pytest_asyncio.fixture
async def session(here: Site) -> AsyncGenerator[Connection]:
    """The connection of a relay that is moved by hand."""
    connection = await connect(here.url)
    yield connection
    connection.terminate()


async def logged(desk: Replica) -> list[Received]:
    return [received async for received in desk.event_log.history()]


async def unsent(desk: Replica) -> int:
    return await desk.bench.count("outbox")


async def sent(desk: Replica) -> bool:
    return await unsent(desk) == 0


def sequences(found: Sequence[Received]) -> dict[str, list[int]]:
    """The sequence numbers of each referral's events in the order in which they first came."""
    first: dict[str, list[int]] = {}
    for one in found:
        assert one.message is not None
        numbers = first.setdefault(one.key, [])
        if one.message.sequence not in numbers:
            numbers.append(one.message.sequence)
    return first


async def referrals(desk: Replica, count: int) -> list[Submission]:
    """So many referrals, each received and then withdrawn, in two commits."""
    received = [reception() for _ in range(count)]
    await desk.store.execute(received)
    await desk.store.execute([withdrawal(each.stream) for each in received])
    return received


# ── as it was decided ─────────────────────────────────────────────────────────────────────────────────────


async def test_what_is_published_is_byte_for_byte_what_the_journal_keeps(
    desk: Replica, session: Connection
) -> None:
    (known,) = await referrals(desk, 1)
    assert await desk.relay.publish_round(session) == 2
    rows = await desk.pool.fetch("SELECT * FROM journal WHERE own ORDER BY n")
    found = await logged(desk)
    assert [one.message for one in found] == [read_entry(row).message() for row in rows]
    for one, row in zip(found, rows, strict=True):
        assert one.message is not None
        assert (one.key, one.message.data) == (known.stream, row["payload"])
        assert (one.message.sequence, one.message.chain) == (row["sequence"], row["chain"])
        assert (one.message.causation, one.message.time) == (row["causation"], row["at"])


async def test_own_events_are_numbered_from_one_without_a_gap_and_facts_of_others_are_not_published(
    desk: Replica, session: Connection
) -> None:
    known = await desk.store.submit(reception())
    await desk.hear(known.stream, made(), accepted())
    await desk.store.submit(withdrawal(known.stream))
    await desk.relay.publish_round(session)
    own = [one for one in await logged(desk) if one.message and one.message.source == "/intake"]
    assert sequences(own) == {known.stream: [1, 2]}
    numbers = await desk.pool.fetch("SELECT n, own, sequence FROM journal ORDER BY n")
    assert [tuple(row) for row in numbers] == [(1, True, 1), (2, False, 1), (3, False, 1), (4, True, 2)]


async def test_more_than_one_round_takes_is_published_in_the_order_of_its_positions(
    desk: Replica, session: Connection
) -> None:
    received = await referrals(desk, ROUND // 2 + 20)
    assert await desk.relay.publish_round(session) == ROUND
    assert await unsent(desk) == 40
    assert await desk.relay.publish_round(session) == 40
    assert await desk.relay.publish_round(session) == 0
    assert sequences(await logged(desk)) == {each.stream: [1, 2] for each in received}


async def test_a_commit_wakes_the_relay_which_need_not_wait_for_its_sweep(desk: Replica) -> None:
    """Ten times, in less than three of the sweeps that find what nothing woke it for."""
    async with working(desk.relay.run):
        began = asyncio.get_running_loop().time()
        for _ in range(10):
            await desk.store.submit(reception())
            await until(lambda: sent(desk))
        assert asyncio.get_running_loop().time() - began < 3 * SWEEP


async def test_what_another_replica_wrote_is_found_though_nothing_woke_this_relay(
    desk: Replica, here: Site
) -> None:
    other = await here.replica()
    async with working(desk.relay.run):
        await other.store.submit(reception())
        await until(lambda: sent(desk))
    assert len(await logged(desk)) == 1


# ── late positions ────────────────────────────────────────────────────────────────────────────────────────


@asynccontextmanager
async def committing(desk: Replica, *submissions: Submission) -> AsyncGenerator[None]:
    """A batch whose transaction has taken its positions, and commits when the block is over."""
    written, leave = asyncio.Event(), asyncio.Event()

    async def steps(connection: Connection) -> None:
        store = desk.store
        key, sealer = desk.bench.sealer.chain_key(), store.sealer
        batch = Batch(connection, store.domain, store.clock.now(), key, sealer)
        await batch.run([Pending(each) for each in submissions], None)
        written.set()
        await leave.wait()

    writing = asyncio.create_task(desk.store.transact(steps))
    await written.wait()
    try:
        yield
    finally:
        leave.set()
        await writing


async def test_a_position_committed_late_is_published_although_higher_ones_were_before_it(
    desk: Replica, here: Site, session: Connection
) -> None:
    """A relay that goes on from the last position seen loses it."""
    slow, known = await here.replica(), await desk.store.submit(reception())
    late = reception()
    async with committing(slow, late, withdrawal(known.stream)):
        early = await referrals(desk, 3)
        lowest = await session.fetchval("SELECT min(position) FROM outbox WHERE stream <> $1", known.stream)
        assert await desk.relay.publish_round(session) == 7
        assert await unsent(desk) == 0
    rows = await session.fetch("SELECT position FROM outbox")
    assert len(rows) == 2
    assert all(row["position"] < lowest for row in rows), "else nothing here was late"
    await desk.store.submit(withdrawal(late.stream))
    assert await desk.relay.publish_round(session) == 3
    assert sequences(await logged(desk)) == {
        **{each.stream: [1, 2] for each in early}, known.stream: [1, 2], late.stream: [1, 2],
    }  # fmt: skip


async def test_while_two_replicas_write_the_same_referrals_each_keeps_its_order(
    desk: Replica, here: Site
) -> None:
    other = await here.replica()
    received = [reception() for _ in range(120)]
    async with working(desk.relay.run):

        async def write(replica: Replica, submissions: Sequence[Submission]) -> None:
            for start in range(0, len(submissions), 8):
                await replica.store.execute(submissions[start : start + 8], patience=5.0)

        await write(desk, received[:60])
        await asyncio.gather(
            write(desk, received[60:]), write(other, [withdrawal(each.stream) for each in received[:60]])
        )
        await write(other, [withdrawal(each.stream) for each in received[60:]])
        await until(lambda: sent(desk))
    assert sequences(await logged(desk)) == {each.stream: [1, 2] for each in received}


# ── a relay that dies, a log that is away ─────────────────────────────────────────────────────────────────


async def test_a_relay_that_dies_after_its_publish_publishes_twice_and_first_occurrences_keep_their_order(
    desk: Replica,
) -> None:
    received = await referrals(desk, 20)
    await desk.pool.execute(DIE)
    with pytest.raises(TRANSIENT):
        await desk.relay.run(Heartbeat(time.monotonic))
    assert await unsent(desk) == 40
    await desk.pool.execute("DROP TRIGGER die ON outbox")
    async with working(desk.relay.run):
        await until(lambda: sent(desk))
    found = await logged(desk)
    assert sequences(found) == {each.stream: [1, 2] for each in received}
    assert [one.message for one in found[:40]] == [one.message for one in found[40:]]


async def test_a_log_that_is_away_loses_nothing(desk: Replica, here: Site, postgres: Server) -> None:
    async with working(desk.relay.run) as relaying:
        async with away(postgres, here.log):
            received = await referrals(desk, 20)

            async def told() -> bool:
                return relaying.heartbeat.reason == "the log cannot be reached"

            await until(told)
            assert await unsent(desk) == 40
        await until(lambda: sent(desk))
    assert sequences(await logged(desk)) == {each.stream: [1, 2] for each in received}


@pytest.mark.parametrize("since", ["before it publishes", "while it publishes"])
async def test_a_database_that_is_away_is_waited_for_as_the_log_is(
    desk: Replica, here: Site, postgres: Server, since: str
) -> None:
    received = await referrals(desk, 5)
    async with AsyncExitStack() as publishes, AsyncExitStack() as outage:
        if since == "before it publishes":
            await outage.enter_async_context(away(postgres, here.url))
        relaying = await publishes.enter_async_context(working(desk.relay.run))
        if since == "while it publishes":
            await until(lambda: sent(desk))
            await outage.enter_async_context(away(postgres, here.url))

        async def told() -> bool:
            return relaying.heartbeat.reason == "the database cannot be reached"

        await until(told)
        await outage.aclose()
        received += await referrals(desk, 5)
        await until(lambda: sent(desk))
    assert sequences(await logged(desk)) == {each.stream: [1, 2] for each in received}


async def test_what_is_wrong_with_the_program_ends_the_relay_for_its_supervisor_to_see(
    desk: Replica,
) -> None:
    await referrals(desk, 1)
    await desk.pool.execute("ALTER TABLE outbox RENAME TO gone")
    with pytest.raises(UndefinedTableError):
        await desk.relay.run(Heartbeat(time.monotonic, transient))


# ── one leader ────────────────────────────────────────────────────────────────────────────────────────────


async def test_of_two_relays_one_publishes_so_nothing_is_in_the_log_twice(desk: Replica, here: Site) -> None:
    other = await here.replica()
    async with working(desk.relay.run), working(other.relay.run):
        received = await referrals(desk, 100)
        await until(lambda: sent(desk))
    assert sequences(await logged(desk)) == {each.stream: [1, 2] for each in received}
    assert len(await logged(desk)) == 200


async def test_a_second_relay_waits_for_the_leader_and_takes_over_when_it_is_gone(
    desk: Replica, here: Site, session: Connection
) -> None:
    other = await here.replica()
    leader = asyncio.create_task(desk.relay.run(Heartbeat(time.monotonic)))
    await desk.store.submit(reception())
    await until(lambda: sent(desk))
    async with working(other.relay.run) as second:

        async def waits() -> bool:
            return second.heartbeat.reason == "another replica publishes"

        await until(waits)
        leader.cancel()
        await asyncio.wait([leader])
        await desk.store.submit(reception())
        await until(lambda: sent(desk))
        assert not await waits()
        assert await session.fetchval(f"SELECT count(*) FROM ({LEADERS})") == 1
    assert len(await logged(desk)) == 2


async def test_a_leader_whose_session_is_cut_off_stands_again_and_one_of_both_leads(
    desk: Replica, here: Site, session: Connection
) -> None:
    other = await here.replica()
    async with working(desk.relay.run), working(other.relay.run):
        await desk.store.submit(reception())
        await until(lambda: sent(desk))
        await session.execute(f"SELECT pg_terminate_backend(pid) FROM ({LEADERS})")
        await desk.store.submit(reception())
        await until(lambda: sent(desk))
        assert await session.fetchval(f"SELECT count(*) FROM ({LEADERS})") == 1
    assert len(await logged(desk)) == 2


async def test_a_leader_hears_at_once_of_what_another_replica_commits(
    desk: Replica, here: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay, "SWEEP", 3600.0)
    other = await here.replica()
    async with working(desk.relay.run):
        await desk.store.submit(reception())
        await until(lambda: sent(desk))
        async with working(other.relay.run) as second:

            async def waits() -> bool:
                return second.heartbeat.reason == "another replica publishes"

            await until(waits)
            for _ in range(3):
                await other.store.submit(reception())
                await until(lambda: sent(desk))
    assert len(await logged(desk)) == 4


# ── the floor ─────────────────────────────────────────────────────────────────────────────────────────────


async def queued(connection: Connection, like: str) -> None:
    """One more event for the log, in this transaction; its journal row is a copy of another stream's."""
    await connection.execute(
        """WITH copied AS (
             INSERT INTO journal SELECT (jsonb_populate_record(j, jsonb_build_object(
               'stream', 'ref_' || gen_random_uuid(), 'id', gen_random_uuid()))).*
             FROM journal j WHERE stream = $1 AND n = 1 RETURNING stream, n)
           INSERT INTO outbox (stream, n) SELECT stream, n FROM copied""",
        like,
    )


async def test_an_event_that_commits_late_below_what_was_sent_is_published_however_its_transaction_began(
    desk: Replica, here: Site, session: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay, "RISES_APART", 0.0)
    known = await desk.store.submit(reception())
    assert await desk.relay.publish_round(session) == 1
    early, late = await connect(here.url), await connect(here.url)
    for one in (early, late):
        # In this order they get their transactions' numbers, and in the opposite one their positions.
        await one.execute("BEGIN")
        await one.fetchval("SELECT pg_current_xact_id()")
    await queued(late, known.stream)
    await queued(early, known.stream)
    await early.execute("COMMIT")
    for expected in (1, 0, 0, 0):
        assert await desk.relay.publish_round(session) == expected
    await late.execute("COMMIT")
    assert await desk.relay.publish_round(session) == 1
    assert await desk.bench.count("outbox") == 0
    for one in (early, late):
        await one.close()


async def test_what_was_sent_is_passed_over_although_an_old_snapshot_keeps_it(
    desk: Replica, here: Site, session: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay, "RISES_APART", 0.0)
    backup = await connect(here.url)
    await backup.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
    await backup.fetchval("SELECT count(*) FROM outbox")
    await referrals(desk, 500)
    while await desk.relay.publish_round(session):
        pass
    for _ in range(2):
        await desk.relay.publish_round(session)
    for how in ("seqscan", "bitmapscan"):
        # As over a table that is not this small.
        await session.execute(f"SET enable_{how} = off")
    pages = []
    for floor in (0, desk.relay.floor):
        (plan,) = await session.fetch(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {relay.READ}", ROUND, floor)
        pages.append(orjson.loads(plan["QUERY PLAN"])[0]["Plan"]["Shared Hit Blocks"])
    await backup.close()
    assert pages[1] <= 8 < pages[0]


async def test_each_unsent_event_is_looked_up_by_its_key_though_nobody_analyzed_the_journal(
    desk: Replica, session: Connection
) -> None:
    await session.execute(
        """INSERT INTO journal (stream, n, id, own, sequence, type, source, at, causation, traceparent, origin_chain, payload,
             chain)
           SELECT 'ref_' || i, 1, gen_random_uuid(), true, 1, 't', 's', now(), '', '', '', '', ''
           FROM generate_series(1, 2000) i"""
    )
    await session.execute("INSERT INTO outbox (stream, n) SELECT stream, n FROM journal LIMIT 100")
    plan = "\n".join(row[0] for row in await session.fetch(f"EXPLAIN {relay.READ}", ROUND, 0))
    assert "journal_pkey" in plan
    assert "Seq Scan on journal" not in plan
