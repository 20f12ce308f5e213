"""What tells that a database stepped back under a running service, and what happens then: nothing commits, nothing is sent,
callers wait, and a COMMIT is never cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio

from loopkeeper.contract import ids
from loopkeeper.contract.envelope import Message
from loopkeeper.event_log.generations import Generations
from loopkeeper.event_log.port import Received
from loopkeeper.postgres.connections import Connection, NoSession, connect, reach
from loopkeeper.postgres.embedded import Server
from loopkeeper.postgres.incarnation import Database, Unfit
from loopkeeper.postgres.session import OutcomeUnknown, uncancelled
from loopkeeper.store import gate as gates
from loopkeeper.store import store as stores
from loopkeeper.store.gate import CatchingUp, Closed, Gate
from tests.builders.facts import made
from tests.databases import Migrated
from tests.shared.events import REVIEW
from tests.shared.replica import Replica, Site, until
from tests.shared.stores import AT, reception

SIGN = "the database has read less than was stored in it"


@pytest_asyncio.fixture
async def desk(here: Site) -> Replica:
    return await here.replica()


async def polled(desk: Replica, count: int) -> list[Received]:
    """The next so many records, in hand and not applied."""
    found: list[Received] = []
    async with asyncio.timeout(15.0):
        while len(found) < count:
            found += await desk.member.poll(timeout=0.1)
    return found


# ── offsets ───────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "step_back", ["UPDATE consumed SET next_offset = next_offset - 1", "DELETE FROM consumed"]
)
async def test_an_offset_that_is_lower_than_what_was_stored_or_gone_closes_the_service(
    desk: Replica, step_back: str
) -> None:
    stream = ids.new("ref")
    await desk.hear(stream, made(assignment="asg_0"), made(assignment="asg_1"))
    before = await desk.bench.count("journal")
    await desk.tell(stream, made(assignment="asg_2"))
    in_hand = await polled(desk, 1)
    await desk.pool.execute(step_back)
    assert await desk.consumer.apply(in_hand) == {}
    assert await desk.bench.count("journal") == before
    assert (desk.store.gate.reason, desk.store.ready.is_set()) == (SIGN, False)


async def test_an_own_event_in_the_log_that_the_journal_lacks_closes_the_service(desk: Replica) -> None:
    stream = ids.new("ref")
    await desk.tell(stream, made(assignment="asg_0"))
    lost = Message(uuid4(), "ecm.referral.closed.v1", "/intake", stream, AT, b"{}", sequence=1)
    assert await desk.event_log.publish([lost]) == 1
    assert await desk.consumer.apply(await polled(desk, 2)) == {}
    assert await desk.next_offset() == await desk.bench.count("journal") == 0
    assert desk.store.gate.reason == "the log has 1 events of ours that the journal lacks"


async def test_an_offset_that_is_higher_is_a_faster_member_and_no_sign(desk: Replica, here: Site) -> None:
    other = await here.replica()
    await desk.tell(ids.new("ref"), made())
    in_hand = await polled(desk, 1)
    await desk.event_log.close()
    await other.read()
    await other.hear(ids.new("ref"), made())
    assert await desk.consumer.apply(in_hand) == {}
    assert desk.store.ready.is_set()
    assert await desk.next_offset() == 2


# ── the gate ──────────────────────────────────────────────────────────────────────────────────────────────


async def test_nothing_that_has_begun_commits_once_the_gate_is_closed(desk: Replica) -> None:
    async def steps(connection: Connection) -> None:
        await connection.execute("INSERT INTO claim VALUES (gen_random_uuid(), 'ref_1', '', now())")
        desk.store.gate.close("a test")

    with pytest.raises(Closed):
        await desk.store.transact(steps)
    assert await desk.bench.count("claim") == 0


async def test_requests_wait_behind_a_closed_gate_and_are_answered_in_their_order(desk: Replica) -> None:
    desk.store.gate.close("a test")
    waiting = [asyncio.create_task(desk.store.submit(reception())) for _ in range(5)]
    await asyncio.wait(waiting, timeout=0.1)
    assert not any(task.done() for task in waiting)
    assert await desk.bench.count("claim") == 0
    assert desk.store.gate.open(desk.store.gate.closures)
    streams = [(await task).stream for task in waiting]
    rows = await desk.pool.fetch("SELECT stream FROM outbox ORDER BY position")
    assert [row["stream"] for row in rows] == streams


async def test_who_has_waited_long_enough_is_asked_to_come_back(
    desk: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stores, "PATIENCE", 0.05)
    desk.store.gate.close("a test")
    with pytest.raises(CatchingUp) as refused:
        await desk.store.submit(reception())
    assert refused.value.retry_after == 5


async def test_what_is_queued_when_the_gate_is_closed_is_kept_once_it_opens(desk: Replica) -> None:
    """Its batch had begun, was rolled back, and is given again."""
    blocker = await connect(desk.url)
    await blocker.execute("BEGIN; LOCK TABLE claim IN ACCESS EXCLUSIVE MODE")
    asked = asyncio.create_task(desk.store.submit(reception()))
    await desk.stuck()
    desk.store.gate.close("a test")
    await blocker.execute("ROLLBACK")
    await blocker.close()
    await asyncio.wait([asked], timeout=0.2)
    assert not asked.done()
    assert desk.store.gate.open(desk.store.gate.closures)
    assert not (await asked).repeated


async def test_what_writes_ends_with_the_closing_and_its_error_then_is_nobodys() -> None:
    gate, begun = Gate("intake"), asyncio.Event()

    async def work() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            raise RuntimeError("the connection is gone")

    working = asyncio.create_task(gate.while_open(work))
    await begun.wait()
    gate.close("a test")
    assert await working is False


async def test_an_error_of_what_writes_is_told_while_the_gate_is_open() -> None:
    async def work() -> None:
        raise RuntimeError("a fault")

    with pytest.raises(RuntimeError, match="a fault"):
        await Gate("intake").while_open(work)


async def test_a_gate_that_was_closed_again_is_not_opened_by_who_looked_before() -> None:
    gate = Gate("intake")
    gate.close("one sign")
    looked = gate.closures
    gate.close("another")
    assert not gate.open(looked)
    with pytest.raises(CatchingUp):
        await gate.passed(0.0)
    assert gates.PATIENCE == stores.PATIENCE


# ── the server ────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_connection_to_another_server_closes_the_service_and_is_not_used(
    migrated: Migrated,
) -> None:
    here, there = await migrated("intake"), await migrated("intake")
    reasons: list[str] = []
    database = Database(here, "intake", reasons.append)
    (await database.connect("test")).terminate()
    database.url = there
    with pytest.raises(Unfit):
        await database.connect("test")
    assert reasons == ["the database is on another server, or was started again"]
    # Who looks next may use it.
    (await database.connect("test")).terminate()
    assert len(reasons) == 1


async def test_a_reader_that_is_not_given_its_role_is_refused(migrated: Migrated) -> None:
    """A pooler that drops startup parameters would switch row-level security off."""
    database = Database(await migrated("intake"), "intake", print)
    connection = await connect(database.url)
    try:
        with pytest.raises(Unfit, match="role"):
            await database.greet(connection, "intake_reader")
    finally:
        connection.terminate()
    pool = await database.reader(1)
    assert await pool.fetchval("SELECT current_user::text") == "intake_reader"
    await pool.close()


async def test_a_database_that_does_not_exist_is_waited_for_like_one_that_is_away(migrated: Migrated) -> None:
    url = await migrated("example")
    with pytest.raises(NoSession, match="InvalidCatalogNameError"):
        await reach(url.replace("/intake_", "/nowhere_"), name="test")


# ── a COMMIT ──────────────────────────────────────────────────────────────────────────────────────────────


@asynccontextmanager
async def without_its_standby(postgres: Server) -> AsyncGenerator[Callable[[], Awaitable[None]]]:
    """Every commit of this server waits for a standby that is not there; call what is given to end that."""
    admin = await connect(postgres.admin())

    async def ended() -> None:
        await admin.execute("ALTER SYSTEM RESET synchronous_standby_names")
        await admin.execute("SELECT pg_reload_conf()")

    try:
        await admin.execute("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
        await admin.execute("SELECT pg_reload_conf()")
        yield ended
    finally:
        await ended()
        await admin.close()


async def waits_for_a_standby(session: Connection) -> None:
    async def waits() -> bool:
        return bool(
            await session.fetchval("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'")
        )

    await until(waits)


async def test_a_commit_that_waits_for_its_standby_is_not_cancelled_with_its_caller(
    desk: Replica, postgres: Server
) -> None:
    """PostgreSQL would answer by making visible at once what is on no standby."""
    looking = await connect(desk.url)
    async with without_its_standby(postgres) as there:
        caller = asyncio.create_task(desk.store.execute([reception()]))
        await waits_for_a_standby(looking)
        caller.cancel()
        await asyncio.wait([caller], timeout=0.3)
        assert not caller.done()
        assert await looking.fetchval("SELECT count(*) FROM claim") == 0
        await there()
        await asyncio.wait([caller])
        assert caller.cancelled()
        assert await looking.fetchval("SELECT count(*) FROM claim") == 1
    await looking.close()


async def test_a_commit_that_takes_too_long_loses_its_connection_and_its_outcome_is_unknown(
    desk: Replica, postgres: Server
) -> None:
    looking, session = await connect(desk.url), await connect(desk.url)
    async with without_its_standby(postgres) as there:
        answered = -1
        while True:
            # The first ones may come before the server has read its settings.
            answered += 1
            writes = session.execute("INSERT INTO claim VALUES (gen_random_uuid(), 'ref_1', '', now())")
            try:
                await uncancelled(session, writes, within=0.5)
            except OutcomeUnknown:
                break
        assert session.is_closed()
        assert await looking.fetchval("SELECT count(*) FROM claim") == answered
        await there()
    await looking.close()


# ── generations ───────────────────────────────────────────────────────────────────────────────────────────


def record(offset: int, generation: int, source: str = "/authorization", **changes: Any) -> Received:
    message = Message(uuid4(), REVIEW.wire_type(), source, "ref_1", AT, REVIEW.payload(), **changes)
    return Received(0, offset, "ref_1", Message(**{**fields(message), "generation": generation}))


def fields(message: Message) -> dict[str, Any]:
    return {name: getattr(message, name) for name in message.__dataclass_fields__}


def test_a_record_of_a_lower_generation_is_void_from_the_first_of_the_higher_one_on() -> None:
    generations = Generations()
    seen = [record(0, 1), record(1, 2), record(2, 1), record(3, 2), record(4, 0)]
    assert [generations.void(each) for each in seen] == [False, False, True, False, False]
    # Another publisher has generations of its own.
    assert not generations.void(record(5, 1, "/assignment"))


def test_a_partition_that_is_placed_again_is_judged_by_what_the_database_knows_of_it() -> None:
    """One that stepped back reads again what came before: this process has read further, and that counts for nothing."""
    generations = Generations()
    assert not any(generations.void(each) for each in (record(0, 1), record(1, 2)))
    generations.learn({}, [0])
    assert not any(generations.void(each) for each in (record(0, 1), record(1, 2)))
    generations.learn({(0, "/authorization"): 2}, [0])
    assert generations.void(record(0, 1))


async def test_what_an_old_primary_of_another_service_writes_after_the_takeover_is_not_applied(
    desk: Replica, here: Site
) -> None:
    stream = ids.new("ref")
    told = [
        Message(uuid4(), each.wire_type(), "/assignment", stream, AT, each.payload(), 1, generation=generation)
        for each, generation in (
            (made(assignment="asg_0"), 1), (made(assignment="asg_1"), 2), (made(assignment="asg_9"), 1),
        )
    ]  # fmt: skip
    assert await desk.event_log.publish(told) == 3
    await desk.read()
    noted = await desk.pool.fetch("SELECT id FROM journal WHERE stream = $1 ORDER BY n", stream)
    assert [row["id"] for row in noted] == [told[0].id, told[1].id]
    # A reader that reads on remembers it.
    again = await here.replica()
    await desk.event_log.close()
    late = Message(
        uuid4(), told[0].type, "/assignment", stream, AT, made(assignment="asg_8").payload(), 2, generation=1
    )
    assert await again.event_log.publish([late]) == 1
    await again.read()
    assert await desk.bench.count("journal") == 2
