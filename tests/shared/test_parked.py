"""Facts that failed wait sealed and in order, are shown without their content, and are replayed as they came."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from loopkeeper.contract import ids
from loopkeeper.contract.events import (
    AuthorizationReviewOpened,
    Event,
)
from loopkeeper.event_log.port import Received
from loopkeeper.flow.parked import HALF, OF_SEVERAL, UNJUDGED, WAITING, WITH_TYPES, ParkedFacts
from loopkeeper.flow.reactions import Reactions
from loopkeeper.kernel.clock import ManualClock
from loopkeeper.postgres.connections import Pool
from loopkeeper.store.definition import Submission
from tests.builders.facts import approved
from tests.databases import Migrated
from tests.example.domain import Note
from tests.shared.events import REVIEW, STARTED
from tests.shared.replica import until
from tests.shared.stores import AT, Bench, message, opened, read_to, reception

APPROVED = approved()


class Reader:
    """The example's reaction, and a fault in it that can be repaired while the test runs."""

    def __init__(self) -> None:
        self.broken = True
        self.reactions = Reactions(dict.fromkeys((type(REVIEW), type(STARTED), type(APPROVED)), self.on_fact))

    def on_fact(self, event: Any, _: object) -> Note:
        if self.broken and isinstance(event, AuthorizationReviewOpened):
            raise KeyError("a secret word: David")
        return Note(fact=event)


async def deliver(bench: Bench, reader: Reader, stream: str, *events: Event) -> None:
    submissions: list[Submission] = []
    for offset, event in enumerate(events, start=1):
        submission = reader.reactions.react(Received(0, offset, stream, message(stream, event)))
        assert submission is not None
        submissions.append(submission)
    await bench.store.execute(submissions, await read_to(bench.store, len(events) + 1))


def parked_facts(bench: Bench, reader: Reader) -> ParkedFacts:
    return ParkedFacts(bench.store, bench.pool, bench.sealer, reader.reactions.react)


async def status(pool: Pool, stream: str) -> str:
    return await pool.fetchval("SELECT status FROM referral WHERE id = $1", stream)


async def test_a_fact_that_cannot_be_read_is_shown_by_type_and_place_only(
    migrated: Migrated, tmp_path: Path
) -> None:
    async with opened(await migrated("example"), tmp_path) as bench:
        reader, known = Reader(), await bench.store.submit(reception())
        await deliver(bench, reader, known.stream, REVIEW, STARTED)
        parked = parked_facts(bench, reader)
        (listed,) = await parked.listed()
        assert (listed.stream, listed.facts, listed.tries) == (known.stream, 2, 0)
        facts = await parked.facts(known.stream)
        assert [fact["type"] for fact in facts] == [REVIEW.wire_type(), STARTED.wire_type()]
        assert facts[0]["error"].startswith("KeyError at test_parked.py:")
        everything = f"{listed} {facts} {await bench.pool.fetch('SELECT * FROM parked')}"
        assert "David" not in everything
        assert "auth_1" not in everything


async def test_a_dry_run_says_what_would_happen_and_keeps_nothing(migrated: Migrated, tmp_path: Path) -> None:
    async with opened(await migrated("example"), tmp_path) as bench:
        reader, known = Reader(), await bench.store.submit(reception())
        await deliver(bench, reader, known.stream, REVIEW, APPROVED)
        reader.broken = False
        replayed = await parked_facts(bench, reader).replay(known.stream, dry_run=True)
        assert (replayed.applied, replayed.left, replayed.error) == (2, 0, "")
        assert await bench.count("parked") == 2
        assert await status(bench.pool, known.stream) == "received"


async def test_what_failed_in_the_same_way_is_counted_together(migrated: Migrated, tmp_path: Path) -> None:
    async with opened(await migrated("example"), tmp_path) as bench:
        reader = Reader()
        first, second = [await bench.store.submit(reception()) for _ in range(2)]
        await deliver(bench, reader, first.stream, REVIEW, APPROVED)
        await deliver(bench, reader, second.stream, REVIEW)
        (cause,) = await parked_facts(bench, reader).causes()
        assert cause["error"].startswith("KeyError")
        assert (cause["type"], cause["referrals"], cause["facts"]) == (REVIEW.wire_type(), 2, 3)
        assert cause["longest"] in (first.stream, second.stream)


async def test_a_mended_referral_is_replayed_in_order_and_goes_on(migrated: Migrated, tmp_path: Path) -> None:
    async with opened(await migrated("example"), tmp_path) as bench:
        reader, known = Reader(), await bench.store.submit(reception())
        await deliver(bench, reader, known.stream, REVIEW, APPROVED, STARTED)
        reader.broken = False
        replayed = await parked_facts(bench, reader).replay(known.stream)
        assert (replayed.applied, replayed.left) == (3, 0)
        assert await bench.count("parked") == await bench.count("parked_stream") == 0
        types = await bench.pool.fetch("SELECT type FROM journal WHERE NOT own ORDER BY n")
        assert [row["type"] for row in types] == [e.wire_type() for e in (REVIEW, APPROVED, STARTED)]
        assert await status(bench.pool, known.stream) == "closed"


async def test_a_replay_stops_at_the_first_that_fails_again_and_keeps_the_rest(
    migrated: Migrated, tmp_path: Path
) -> None:
    async with opened(await migrated("example"), tmp_path) as bench:
        reader, known = Reader(), await bench.store.submit(reception())
        await deliver(bench, reader, known.stream, REVIEW, APPROVED)
        replayed = await parked_facts(bench, reader).replay(known.stream)
        assert (replayed.applied, replayed.left) == (0, 2)
        assert replayed.error.startswith("KeyError")
        (listed,) = await parked_facts(bench, reader).listed()
        assert listed.tries == 1


async def test_replays_are_timed_three_times_and_then_a_person_must(
    migrated: Migrated, tmp_path: Path
) -> None:
    clock = ManualClock(AT)
    async with opened(await migrated("example"), tmp_path, clock=clock) as bench:
        reader, known = Reader(), await bench.store.submit(reception())
        await deliver(bench, reader, known.stream, REVIEW)
        parked = parked_facts(bench, reader)
        assert await parked.due(clock.now()) == []
        for wait in (timedelta(minutes=1), timedelta(minutes=10), timedelta(hours=1)):
            clock.advance(wait)
            assert await parked.due(clock.now()) == [known.stream]
            await parked.replay(known.stream)
        (listed,) = await parked.listed()
        assert (listed.tries, listed.next_retry_at) == (3, None)
        assert await parked.due(clock.now() + timedelta(days=9)) == []


async def test_what_arrives_behind_a_parked_fact_waits_too(migrated: Migrated, tmp_path: Path) -> None:
    async with opened(await migrated("example"), tmp_path) as bench:
        reader, known = Reader(), await bench.store.submit(reception())
        await deliver(bench, reader, known.stream, REVIEW)
        later = Received(0, 9, known.stream, message(known.stream, APPROVED))
        submission = reader.reactions.react(later)
        assert submission is not None
        await bench.store.execute([submission], await read_to(bench.store, 10))
        assert await bench.count("parked") == 2
        reader.broken = False
        await parked_facts(bench, reader).replay(known.stream)
        assert await status(bench.pool, known.stream) == "authorized"


# A text that PostgreSQL cannot keep: the rule lets it pass, the transaction fails.
UNSTORABLE = REVIEW.model_copy(update={"authorization": "a\0b"})


async def test_what_stands_before_a_fact_that_the_database_refuses_is_replayed_and_counts_as_one_try(
    migrated: Migrated, tmp_path: Path
) -> None:
    async with opened(await migrated("example"), tmp_path) as bench:
        reader, known = Reader(), await bench.store.submit(reception())
        await deliver(bench, reader, known.stream, REVIEW, APPROVED, UNSTORABLE, STARTED)
        reader.broken = False
        parked = parked_facts(bench, reader)
        replayed = await parked.replay(known.stream)
        assert (replayed.applied, replayed.left) == (2, 2)
        assert replayed.error == "UntranslatableCharacterError"
        (listed,) = await parked.listed()
        assert (listed.facts, listed.tries, listed.error) == (2, 1, replayed.error)
        assert await status(bench.pool, known.stream) == "authorized"


async def test_a_dry_run_that_fails_counts_as_no_try(migrated: Migrated, tmp_path: Path) -> None:
    async with opened(await migrated("example"), tmp_path) as bench:
        reader, known = Reader(), await bench.store.submit(reception())
        await deliver(bench, reader, known.stream, UNSTORABLE)
        reader.broken = False
        replayed = await parked_facts(bench, reader).replay(known.stream, dry_run=True)
        assert (replayed.applied, replayed.left) == (0, 1)
        assert replayed.error == "UntranslatableCharacterError"
        (listed,) = await parked_facts(bench, reader).listed()
        assert listed.tries == 0


async def test_a_fact_whose_lock_waited_finds_the_mark_that_was_set_meanwhile(
    migrated: Migrated, tmp_path: Path
) -> None:
    """One statement for lock and mark would look at the marks as they were before the wait."""
    url = await migrated("example")
    async with opened(url, tmp_path) as bench:
        reader, stream = Reader(), (await bench.store.submit(reception())).stream
        async with bench.pool.acquire() as other, other.transaction():
            await other.execute("SELECT FROM referral WHERE id = $1 FOR UPDATE", stream)
            behind = asyncio.create_task(deliver(bench, reader, stream, STARTED))

            async def waits() -> bool:
                where = "pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
                return bool(await bench.count(where))

            await until(waits)
            await other.execute("INSERT INTO parked_stream VALUES ($1, $2, 0, NULL, 'at fault')", stream, AT)
        await behind
        (listed,) = await parked_facts(bench, reader).listed()
        assert (listed.stream, listed.facts, listed.error) == (stream, 1, "at fault")
        assert not await bench.count(f"journal WHERE type = '{STARTED.wire_type()}'")


@pytest.mark.parametrize("known_here", [True, False])
async def test_a_fact_that_arrives_during_a_replay_is_applied_after_it(
    migrated: Migrated, tmp_path: Path, known_here: bool
) -> None:
    """Of a referral that is known only by what is parked there is no row to lock, only the mark."""
    url = await migrated("example")
    async with opened(url, tmp_path) as one, opened(url, tmp_path) as two:
        reader = Reader()
        for _ in range(10):
            reader.broken = True
            stream = (await one.store.submit(reception())).stream if known_here else ids.new("ref")
            await deliver(one, reader, stream, REVIEW, APPROVED)
            reader.broken = False
            later = reader.reactions.react(Received(0, 9, stream, message(stream, STARTED)))
            assert later is not None
            read = await read_to(two.store, 10)
            await asyncio.gather(parked_facts(one, reader).replay(stream), two.store.execute([later], read))
            # Whether it came before the replay's locks, and was parked behind, or after them: the order stays.
            await parked_facts(one, reader).replay(stream)
            rows = await one.pool.fetch(
                "SELECT type FROM journal WHERE stream = $1 AND NOT own ORDER BY n", stream
            )
            assert [row["type"] for row in rows] == [e.wire_type() for e in (REVIEW, APPROVED, STARTED)]
        assert await one.count("parked") == await one.count("parked_stream") == 0


# ── many that are set aside ───────────────────────────────────────────────────────────────────────────────

OWN = "'{ecm.referral.received.v1}'"


@pytest.mark.parametrize(
    ("page", "types", "values"),
    [
        (WITH_TYPES, "text[], bigint, text", f"{OWN}, 2000, '{HALF}'"),
        (UNJUDGED, "text, bigint", f"'{WAITING}', 2000"),
        (OF_SEVERAL, "text[], bigint", f"{OWN}, 2000"),
    ],
)
async def test_a_page_of_what_is_set_aside_is_read_in_its_order_though_nobody_analyzed_it(
    migrated: Migrated, tmp_path: Path, page: str, types: str, values: str
) -> None:
    """A log is set aside faster than PostgreSQL comes to count it. Each page read all that was left, to sort it."""
    async with (
        opened(await migrated("example"), tmp_path) as bench,
        bench.pool.acquire() as session,
        session.transaction(),
    ):
        await session.execute(
            """INSERT INTO parked_stream (stream, since, tries, error)
               SELECT 'ref_' || i, now(), 0, $1 FROM generate_series(1, 3000) i""",
            WAITING,
        )
        await session.execute(
            """INSERT INTO parked (stream, partition, "offset", event_id, type, error, body, at)
               SELECT 'ref_' || 1 + i % 3000, 0, i, gen_random_uuid(), 'ecm.referral.received.v1', '', '', now()
               FROM generate_series(1, 9000) i"""
        )
        await session.execute(f"PREPARE page ({types}) AS {page.format(100)}")
        rows = await session.fetch(f"EXPLAIN EXECUTE page ({values})")
        plan = "\n".join(row[0] for row in rows)
        assert "Index Scan using parked_position" in plan
        assert not any(word in plan for word in ("Sort", "Hash", "Seq Scan", "Gather")), plan
        found = await session.fetch(f"EXECUTE page ({values})")
        assert [row["position"] for row in found] == list(range(2001, 2101))
