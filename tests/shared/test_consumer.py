"""How are facts taken in? A poll with its offsets in one transaction, whatever cannot be read put aside, and nothing
twice: not after a restart, not by a zombie, not from the log's beginning."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio

from loopkeeper.contract import ids
from loopkeeper.contract.envelope import Message
from loopkeeper.flow.consumer import TOO_MANY, TooManyParked
from loopkeeper.kernel.supervisor import Supervisor
from loopkeeper.postgres.connections import connect
from loopkeeper.postgres.embedded import Server
from loopkeeper.runtime.service import installed
from tests.builders.assignment import APPROVED
from tests.builders.facts import accepted, closed, made
from tests.databases import Databases, Migrated
from tests.example.service import example
from tests.shared.replica import SOON, Replica, Site, away, referred, until, working
from tests.shared.stores import AT, message, reception

CANARY = "Zebediah Quillfeather"
OFFERS = [made(assignment=f"asg_{number}") for number in range(6)]


@pytest_asyncio.fixture
async def desk(here: Site) -> Replica:
    return await here.replica()


@pytest_asyncio.fixture
async def assigning(migrated: Migrated, here: Site) -> Replica:
    """Assignment on the same log: it reads five types only, and notes what changes something."""
    url = await migrated("assignment")
    return await Site(
        installed()["assignment"], url, here.log, here.folder, here.clock, here.opened
    ).replica()


def garbled(stream: str = "", wire: str = "", source: str = "/authorization") -> Message:
    """An event of a type that is read here, in whose body nothing of that type is."""
    body = f"{CANARY} was here".encode()
    kind = wire or APPROVED.wire_type()
    return Message(uuid4(), kind, source, stream or ids.new("ref"), AT, body, sequence=1)


async def rows(desk: Replica) -> list[dict[str, Any]]:
    """Everything that facts change: referrals with their chain's head, and what is queued."""
    found = await desk.pool.fetch("SELECT id, state, n, sequence, head FROM referral ORDER BY id")
    return [dict(row) for row in found]


async def end(desk: Replica) -> int:
    return (await desk.event_log.ends())[0]


async def at_the_end(desk: Replica) -> bool:
    return await desk.next_offset() == await end(desk)


# ── a poll, whole ─────────────────────────────────────────────────────────────────────────────────────────


async def test_the_effects_of_a_poll_and_its_offset_are_one_transaction(desk: Replica) -> None:
    stream = ids.new("ref")
    await desk.hear(stream, *OFFERS)
    transactions = {
        table: {row["x"] for row in await desk.pool.fetch(f"SELECT xmin::text AS x FROM {table}")}
        for table in ("claim", "journal", "referral", "consumed")
    }
    assert len(set.union(*transactions.values())) == 1
    assert await desk.types(stream, own=False) == ["assignment.made"] * 6


async def test_a_reader_shows_its_offset_once_it_has_committed(desk: Replica) -> None:
    await desk.tell(ids.new("ref"), *OFFERS)
    async with working(desk.consumer.run):

        async def shown() -> bool:
            return await desk.event_log.positions("intake") == {0: 6}

        await until(shown)
        assert await desk.next_offset() == 6


async def test_a_second_replica_says_that_it_waits(desk: Replica, here: Site) -> None:
    other = await here.replica()
    await desk.hear(ids.new("ref"), *OFFERS)
    async with working(other.consumer.run) as waiting:

        async def told() -> bool:
            return waiting.heartbeat.reason == "another replica reads"

        await until(told)


async def test_types_that_are_not_read_here_are_skipped_without_a_look_inside(assigning: Replica) -> None:
    stream, received = referred()
    unread = [garbled(stream, accepted().wire_type()), garbled(stream, "ecm.referral.teleported.v1")]
    assert await assigning.event_log.publish(unread) == 2
    await assigning.hear(stream, received)
    assert await assigning.next_offset() == 3
    assert await assigning.bench.count("claim") == 1
    assert await assigning.bench.count("parked") == 0


async def test_a_poll_that_brings_nothing_moves_its_offset_with_the_next_one(assigning: Replica) -> None:
    """Until then it counts as read, so that no deadline waits for it."""
    stream, received = referred()
    unread = [garbled(stream, accepted().wire_type()), garbled(stream, "ecm.referral.teleported.v1")]
    assert await assigning.event_log.publish(unread) == 2
    assert await assigning.consumer.apply(await assigning.member.poll(), at_once=False) == {}
    assert (await assigning.next_offset(), await assigning.consumer.read_offsets()) == (0, {0: 2})
    await assigning.tell(stream, received)
    assert await assigning.consumer.apply(await assigning.member.poll(), at_once=False) == {0: 3}
    assert await assigning.next_offset() == 3


async def test_an_own_event_that_the_journal_lacks_is_a_sign_with_the_next_offset_that_is_stored(
    assigning: Replica,
) -> None:
    stream, received = referred()
    assert await assigning.event_log.publish([message(stream, made(), "/assignment")]) == 1
    assert await assigning.consumer.apply(await assigning.member.poll(), at_once=False) == {}
    await assigning.tell(stream, received)
    assert await assigning.consumer.apply(await assigning.member.poll(), at_once=False) == {}
    assert not assigning.store.ready.is_set()
    assert (await assigning.next_offset(), await assigning.bench.count("claim")) == (0, 0)


async def test_a_fact_without_effect_leaves_its_claim_and_nothing_else(assigning: Replica) -> None:
    stream, received = referred()
    await assigning.hear(stream, received, closed("withdrawn"))
    before = await rows(assigning)
    await assigning.hear(stream, closed("other"))
    assert await rows(assigning) == before
    assert await assigning.types(stream, own=False) == ["referral.received", "referral.closed"]
    assert await assigning.bench.count("claim") == 3


# ── what cannot be read ───────────────────────────────────────────────────────────────────────────────────


async def test_what_cannot_be_read_is_parked_sealed_and_the_others_go_on(desk: Replica, here: Site) -> None:
    torn, good = ids.new("ref"), ids.new("ref")
    await desk.tell(good, OFFERS[0])
    await here.put_raw(torn, {"ce_type": "no event"}, CANARY.encode())
    assert await desk.event_log.publish([garbled()]) == 1
    await desk.hear(good, accepted(assignment="asg_0"))
    assert await desk.types(good, own=False) == ["assignment.made", "assignment.accepted"]
    parked = await desk.pool.fetch('SELECT * FROM parked ORDER BY "offset"')
    assert [(row["offset"], row["type"]) for row in parked] == [
        (1, "unreadable"), (2, "ecm.authorization.approved.v1"),
    ]  # fmt: skip
    assert parked[0]["stream"] == torn
    assert parked[0]["error"] == "missing ce_id"
    assert parked[1]["error"].startswith("ValidationError at ")
    assert CANARY not in f"{parked} {await desk.parked.listed()}"
    # What is under its seal is the record as it came.
    body = desk.bench.sealer.open("system", torn, "parked", parked[0]["body"])
    assert body["raw"] == CANARY


async def test_a_row_that_cannot_be_read_stalls_its_own_referral_alone(desk: Replica) -> None:
    bad, good = ids.new("ref"), ids.new("ref")
    await desk.hear(bad, OFFERS[0])
    await desk.spoil(bad)
    await desk.tell(bad, accepted(assignment="asg_0"))
    await desk.tell(good, OFFERS[1])
    await desk.hear(bad, OFFERS[2])
    assert await at_the_end(desk)
    assert await desk.types(good, own=False) == ["assignment.made"]
    (parked,) = await desk.parked.listed()
    assert (parked.stream, parked.facts, parked.error) == (bad, 2, "ValidationError")
    assert (await desk.parked.replay(bad)).error == "ValidationError"
    await desk.repair(bad)
    assert (await desk.parked.replay(bad)).applied == 2
    assert await desk.types(bad, own=False) == ["assignment.made", "assignment.accepted", "assignment.made"]


# ── too many ──────────────────────────────────────────────────────────────────────────────────────────────


async def test_too_many_parked_in_a_row_stop_the_reader_and_turn_its_health_red(desk: Replica) -> None:
    """Then the code is wrong, not the data. What was read so far is kept; the process and its other tasks go on."""
    supervisor = Supervisor(fatal=(TooManyParked,))
    supervisor.start("intake.consumer", desk.consumer.run)
    supervisor.start("intake.relay", desk.relay.run)
    try:
        await desk.event_log.publish([garbled() for _ in range(TOO_MANY)])

        async def stopped() -> bool:
            return not supervisor.health()["intake.consumer"].ok

        await until(stopped)
        assert supervisor.health()["intake.consumer"].detail == "stopped: TooManyParked"
        assert await desk.bench.count("parked") == await desk.next_offset() == TOO_MANY
        await desk.tell(ids.new("ref"), OFFERS[0])
        await desk.store.submit(reception())

        async def relayed() -> bool:
            return await desk.bench.count("outbox") == 0

        await until(relayed)
        assert await desk.next_offset() == TOO_MANY
    finally:
        await supervisor.stop(timedelta(seconds=5))


@pytest.mark.parametrize("polls", ["one poll", "two polls"])
async def test_where_the_polls_cut_the_row_does_not_matter(desk: Replica, polls: str) -> None:
    stream = ids.new("ref")
    bad = [garbled() for _ in range(TOO_MANY)]
    if polls == "two polls":
        await desk.event_log.publish(bad[:7])
        await desk.read()
        bad = bad[7:]
    await desk.event_log.publish(bad)
    await desk.tell(stream, OFFERS[0])
    with pytest.raises(TooManyParked):
        await desk.read()
    assert await at_the_end(desk)
    assert await desk.types(stream, own=False) == ["assignment.made"]


async def test_a_good_one_in_between_shows_that_the_code_is_right(desk: Replica) -> None:
    for _ in range(3):
        await desk.event_log.publish([garbled() for _ in range(TOO_MANY - 1)])
        await desk.hear(ids.new("ref"), OFFERS[0])
    assert await at_the_end(desk)
    assert await desk.bench.count("parked") == 3 * (TOO_MANY - 1)


async def test_one_bad_fact_with_many_behind_it_is_one_and_stops_nobody(desk: Replica) -> None:
    stream = ids.new("ref")
    await desk.event_log.publish([garbled(stream)])
    await desk.tell(stream, *(made(assignment=f"asg_{number}") for number in range(2 * TOO_MANY)))
    await desk.read()
    await desk.hear(stream, *(made(assignment=f"asg_{number}") for number in range(TOO_MANY)))
    assert await at_the_end(desk)
    (parked,) = await desk.parked.listed()
    assert (parked.stream, parked.facts) == (stream, 3 * TOO_MANY + 1)


# ── what is away ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("since", ["before it reads", "while it reads"])
async def test_a_database_that_is_away_is_waited_for_and_nothing_is_parked(
    desk: Replica, here: Site, postgres: Server, since: str
) -> None:
    stream = ids.new("ref")
    await desk.tell(stream, OFFERS[0])
    async with AsyncExitStack() as reads, AsyncExitStack() as outage:
        if since == "before it reads":
            await outage.enter_async_context(away(postgres, here.url))
        reading = await reads.enter_async_context(working(desk.consumer.run))
        if since == "while it reads":
            await until(lambda: at_the_end(desk))
            await outage.enter_async_context(away(postgres, here.url))
        await desk.tell(stream, *OFFERS[1:])

        async def told() -> bool:
            return reading.heartbeat.reason.endswith("cannot be reached")

        await until(told)
        await outage.aclose()
        await until(lambda: at_the_end(desk))
    assert await desk.types(stream, own=False) == ["assignment.made"] * 6
    assert await desk.bench.count("parked") == await desk.bench.count("parked_stream") == 0


async def test_a_log_that_is_away_is_waited_for(desk: Replica, here: Site, postgres: Server) -> None:
    stream = ids.new("ref")
    async with working(desk.consumer.run) as reading:
        await desk.tell(stream, OFFERS[0])
        await until(lambda: at_the_end(desk))
        async with away(postgres, here.log):

            async def told() -> bool:
                return reading.heartbeat.reason == "the log cannot be reached"

            await until(told)
        await desk.tell(stream, OFFERS[1])
        await until(lambda: at_the_end(desk))
    assert await desk.types(stream, own=False) == ["assignment.made"] * 2


# ── nothing twice ─────────────────────────────────────────────────────────────────────────────────────────


async def test_an_event_that_is_in_the_log_twice_has_one_effect(desk: Replica) -> None:
    stream = ids.new("ref")
    told = await desk.hear(stream, *OFFERS)
    before = await rows(desk)
    assert await desk.event_log.publish(told) == 6
    await desk.read()
    assert await rows(desk) == before
    assert len(await desk.types(stream, own=False)) == 6


async def test_a_reader_that_dies_before_it_acknowledged_repeats_nothing(desk: Replica, here: Site) -> None:
    stream = ids.new("ref")
    await desk.tell(stream, *OFFERS)
    async with here.visited() as dying:
        await dying.consumer.apply(await dying.member.poll(timeout=5.0))
        before = await rows(desk)
    assert await desk.event_log.positions("intake") == {}
    await desk.hear(stream, accepted(assignment="asg_5"))
    assert before[0]["n"] == 6
    assert await desk.types(stream, own=False) == [*["assignment.made"] * 6, "assignment.accepted"]


async def test_a_reader_stopped_again_and_again_applies_everything_once_and_in_order(
    desk: Replica, here: Site
) -> None:
    streams = [ids.new("ref") for _ in range(10)]
    told = {stream: [each.id for each in await desk.tell(stream, *OFFERS)] for stream in streams}
    for milliseconds in range(12):
        async with here.visited() as dying:
            received = await dying.member.poll(limit=9, timeout=SOON)
            reading = asyncio.create_task(dying.consumer.apply(received))
            # Each time a little later in its transaction, or after it.
            await asyncio.wait([reading], timeout=milliseconds / 1000)
            reading.cancel()
            await asyncio.wait([reading])
    await desk.read()
    found = await desk.pool.fetch("SELECT stream, id FROM journal ORDER BY stream, n")
    assert {stream: [row["id"] for row in found if row["stream"] == stream] for stream in streams} == told


async def test_whoever_reads_the_log_again_from_its_beginning_changes_nothing(desk: Replica) -> None:
    for _ in range(5):
        known = await desk.store.submit(reception())
        await desk.hear(known.stream, *OFFERS[:2], accepted(assignment="asg_1"))
    await desk.event_log.publish([garbled()])
    await desk.read()
    before, outbox = await rows(desk), await desk.bench.count("outbox")
    await desk.pool.execute("UPDATE consumed SET next_offset = 0")
    await desk.event_log.close()
    desk.member = await desk.event_log.join("intake", desk.consumer.place)
    await desk.read()
    assert (await rows(desk), await desk.bench.count("outbox")) == (before, outbox)
    assert desk.consumer.progress == 32
    assert await desk.bench.count("parked") == 1


async def test_a_zombie_with_older_offsets_changes_nothing(desk: Replica, here: Site) -> None:
    """It polled, lost its session, and finishes its batch when another has long read on."""
    stream, zombie = ids.new("ref"), await here.replica()
    await desk.tell(stream, *OFFERS[:3])
    old = await zombie.member.poll(timeout=5.0)
    assert len(old) == 3
    cutter = await connect(here.log)
    await cutter.execute(
        """SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
           WHERE application_name = 'loopkeeper-log-intake' AND datname = current_database()"""
    )
    await cutter.close()
    await desk.hear(stream, *OFFERS[3:])
    before = await rows(desk)
    await zombie.member.acknowledge(await zombie.consumer.apply(old))
    assert not zombie.member.holds()
    assert await rows(desk) == before
    assert await desk.next_offset() == 6
    assert await desk.event_log.positions("intake") == {0: 6}


async def test_a_service_restored_from_a_backup_reads_again_what_it_lost(
    here: Site, databases: Databases
) -> None:
    streams = [ids.new("ref") for _ in range(3)]
    async with here.visited() as desk:
        for stream in streams:
            await desk.hear(stream, *OFFERS[:2])
    await here.left()
    backup = await databases.make("intake", here.database)
    async with here.visited() as desk:
        for stream in streams:
            await desk.hear(stream, *OFFERS[2:])
        lost = await rows(desk)
    restored = Site(example, backup, here.log, here.folder, here.clock, here.opened)
    async with restored.visited() as desk:
        assert await rows(desk) != lost
        await desk.read()
        assert await rows(desk) == lost
