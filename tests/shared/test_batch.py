"""What else does a batch promise? To survive a deadlock and a clock that is behind, to write nothing that is another
service's or too large for the log, and to forget claims nobody can repeat."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import pytest

from loopkeeper.contract import ids
from loopkeeper.contract.events import Event
from loopkeeper.kernel.clock import ManualClock
from loopkeeper.kernel.errors import Busy, Problem
from loopkeeper.postgres.connections import connect
from loopkeeper.postgres.embedded import Server
from loopkeeper.security.sealing import Sealer
from loopkeeper.store import store
from loopkeeper.store.batch import Outcome
from loopkeeper.store.definition import Domain, Submission
from loopkeeper.store.entries import LARGEST_EVENT
from loopkeeper.store.store import COMMANDS_KEPT, CommandFailed
from tests.builders.facts import made
from tests.databases import Migrated
from tests.example.domain import DECIDER, Asked, Case
from tests.example.service import register
from tests.shared.events import REVIEW
from tests.shared.replica import Site, away, until
from tests.shared.stores import AT, fact, opened, read_to, received, reception, withdrawal


async def test_the_victim_of_a_deadlock_is_tried_again_and_doubles_nothing(
    here: Site, postgres: Server
) -> None:
    async with here.visited() as desk:
        known = reception()
        await desk.store.execute([known], await read_to(desk.store, 1))
        second = await read_to(desk.store, 2)
        stranger = await connect(postgres.admin(here.database))
        # A session that has waited for this long looks for a deadlock, and ends itself if it finds one: never the stranger.
        await stranger.execute("SET deadlock_timeout = '1min'")
        await stranger.execute("BEGIN")
        await stranger.execute("SELECT 1 FROM consumed FOR UPDATE")
        heard = fact(known.stream, made())
        batch = asyncio.create_task(desk.store.execute([heard], second, patience=10.0))

        async def waits() -> bool:
            count = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = $1"
            return await stranger.fetchval(count, here.database) == 1

        await until(waits)
        await stranger.execute("SELECT 1 FROM referral FOR UPDATE")
        await stranger.execute("COMMIT")
        await stranger.close()
        outcome = (await batch)[heard.id]
        assert isinstance(outcome, Outcome)
        assert not outcome.parked
        assert await desk.bench.count("journal") == 2
    await here.left()
    looking = await connect(here.log)
    count = "SELECT deadlocks FROM pg_stat_database WHERE datname = $1"
    assert await looking.fetchval(count, here.database) == 1
    await looking.close()


async def test_a_request_outwaits_a_database_that_is_away_for_a_moment(here: Site, postgres: Server) -> None:
    async with here.visited() as desk:
        async with away(postgres, here.url):
            asking = asyncio.create_task(desk.store.submit(reception()))
            # It has met the outage: a second caller's command waits behind it.
            waiting = asyncio.create_task(desk.store.submit(reception()))
            await asyncio.wait([asking, waiting], timeout=0.2)
            assert not asking.done()
        assert (await asking).n == (await waiting).n == 1
        assert await desk.bench.count("referral") == 2


async def test_when_the_database_stays_away_the_caller_hears_busy_and_nothing_is_kept(
    here: Site, postgres: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "PATIENCE", 0.1)
    async with here.visited() as desk:
        async with away(postgres, here.url):
            with pytest.raises(Busy):
                await desk.store.submit(reception())
        assert await desk.bench.count("referral") == await desk.bench.count("claim") == 0
        await desk.store.submit(reception())


async def test_a_replica_whose_clock_is_behind_writes_no_earlier_time_than_stands_there(here: Site) -> None:
    slow = replace(here, clock=ManualClock(AT - timedelta(hours=1)))
    async with here.visited() as desk, slow.visited() as behind:
        known = await desk.store.submit(reception())
        await behind.store.submit(withdrawal(known.stream))
        rows = await desk.pool.fetch("SELECT at FROM journal ORDER BY n")
        assert [row["at"] for row in rows] == [AT, AT]
        assert await desk.pool.fetchval("SELECT at FROM referral") == AT
        other = await behind.store.submit(reception())
        assert await desk.pool.fetchval("SELECT at FROM referral WHERE id = $1", other.stream) < AT


async def test_no_service_writes_an_event_of_anothers_noun(migrated: Migrated, tmp_path: Path) -> None:
    def confused(_: Case | None, asked: Asked) -> list[Event]:
        return [made()]

    def domain(_: Sealer) -> Domain[Any, Any]:
        return replace(register(), decider=replace(DECIDER, decide=confused))

    async with opened(await migrated("example"), tmp_path, domain=domain) as bench:
        with pytest.raises(CommandFailed, match="InvariantBroken"):
            await bench.store.submit(reception())
        for table in ("journal", "outbox", "referral", "claim"):
            assert await bench.count(table) == 0


async def test_an_event_too_large_for_the_log_is_refused_before_anything_is_written(
    migrated: Migrated, tmp_path: Path
) -> None:
    async with opened(await migrated("example"), tmp_path) as bench:
        large = Submission(uuid4(), ids.new("ref"), received(county="x" * LARGEST_EVENT))
        small = reception()
        outcomes = await bench.store.execute([large, small])
        refused = outcomes[large.id]
        assert isinstance(refused, Problem)
        assert (refused.status, refused.slug) == (413, "body-too-large")
        assert await bench.count("referral") == await bench.count("claim") == await bench.count("outbox") == 1


async def test_a_claim_is_kept_for_thirty_days_and_then_forgotten(migrated: Migrated, tmp_path: Path) -> None:
    clock, key = ManualClock(AT), uuid4()
    async with opened(await migrated("example"), tmp_path, clock=clock) as bench:
        first = await bench.store.submit(reception(command_id=key))
        clock.advance(COMMANDS_KEPT)
        assert timedelta(days=30) == COMMANDS_KEPT
        assert await bench.store.forget_commands() == 0
        again = await bench.store.submit(reception(command_id=key))
        assert (again.stream, again.repeated) == (first.stream, True)
        clock.advance(timedelta(seconds=1))
        fresh = await bench.store.submit(reception())
        assert await bench.store.forget_commands() == 1
        assert await bench.pool.fetchval("SELECT stream FROM claim") == fresh.stream


@asynccontextmanager
async def another_makes(url: str, like: str, stream: str) -> AsyncGenerator[None]:
    """Another replica makes this stream's row and journal, as those of `like` are, and commits them once what starts within
    waits for it."""
    other = await connect(url)
    await other.execute("BEGIN")
    for copied in (
        "INSERT INTO referral SELECT (jsonb_populate_record(r, jsonb_build_object('id', $2::text))).* "
        "FROM referral r WHERE id = $1",
        "INSERT INTO journal SELECT (jsonb_populate_record(j, jsonb_build_object("
        "'stream', $2::text, 'id', gen_random_uuid()))).* FROM journal j WHERE stream = $1",
    ):
        await other.fetch(copied, like, stream)
    yield

    async def waits() -> bool:
        count = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = $1"
        return await other.fetchval(count, urlsplit(url).path.strip("/")) == 1

    await until(waits)
    await other.execute("COMMIT")
    await other.close()


async def test_a_command_over_two_referrals_whose_new_row_another_replica_made_is_decided_once_for_both(
    migrated: Migrated, tmp_path: Path
) -> None:
    """A fact about the second referral comes to another replica while this one merges it into the first."""
    url = await migrated("example")
    async with opened(url, tmp_path) as bench:
        known, bystander, bare = reception("plan:ana"), reception("plan:bo"), ids.new("ref")
        await bench.store.execute([known, bystander, fact(bare, REVIEW)])
        second = reception("plan:ana")
        noted = fact(bystander.stream, REVIEW, 2)
        async with another_makes(url, bare, second.stream):
            merging = asyncio.create_task(bench.store.execute([second, noted], patience=10.0))
        outcomes = await merging
        merged, apart = outcomes[second.id], outcomes[noted.id]
        assert isinstance(merged, Outcome)
        assert isinstance(apart, Outcome)
        assert merged.state.closing.merged_into == known.stream
        told = await bench.pool.fetch(
            "SELECT parts FROM journal WHERE stream = $1 AND type = 'ecm.referral.amended.v1'", known.stream
        )
        assert len(told) == 1
        written = await bench.pool.fetch(
            "SELECT part, parts FROM journal WHERE command_id = $1 ORDER BY part", second.id
        )
        assert [row["part"] for row in written] == list(range(1, written[0]["parts"] + 1))
        assert await bench.pool.fetchval("SELECT n FROM referral WHERE id = $1", known.stream) == 2


async def test_a_parked_fact_whose_new_row_another_replica_makes_is_decided_again_upon_it(
    migrated: Migrated, tmp_path: Path
) -> None:
    url = await migrated("example")
    async with opened(url, tmp_path) as bench:
        bare, parked = ids.new("ref"), fact(ids.new("ref"), REVIEW)
        await bench.store.execute([fact(bare, REVIEW)])
        async with another_makes(url, bare, parked.stream):
            replay = asyncio.create_task(bench.store.with_batch(lambda batch: batch.again(parked)))
        assert await replay == ""
        assert await bench.pool.fetchval("SELECT n FROM referral WHERE id = $1", parked.stream) == 2


async def test_a_journal_that_has_lost_its_row_is_no_race_and_parks_its_facts_alone(
    migrated: Migrated, tmp_path: Path
) -> None:
    url = await migrated("example")
    async with opened(url, tmp_path) as bench:
        torn, whole = ids.new("ref"), ids.new("ref")
        await bench.store.execute([fact(torn, REVIEW)])
        await bench.pool.execute("DELETE FROM referral WHERE id = $1", torn)
        facts = [fact(torn, REVIEW, 2), fact(whole, REVIEW, 3)]
        outcomes = await bench.store.execute(facts)
        parked = [outcome.parked for outcome in outcomes.values() if isinstance(outcome, Outcome)]
        assert parked == [True, False]


async def test_a_batch_that_takes_too_long_twice_is_halved_and_the_one_at_fault_is_parked(
    migrated: Migrated, tmp_path: Path
) -> None:
    """One that would take too long each time must not hold up what comes with it, nor look like a database that is away."""
    url = await migrated("example")
    async with opened(url, tmp_path) as bench:
        known = [reception() for _ in range(8)]
        await bench.store.execute(known)
        owner = await connect(url)
        await owner.execute(
            f"""CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                  IF NEW.id = '{known[5].stream}' THEN PERFORM pg_sleep(10); END IF; RETURN NEW; END $$;
                CREATE TRIGGER dawdle BEFORE UPDATE ON referral FOR EACH ROW EXECUTE FUNCTION dawdle()"""
        )
        await owner.close()
        await bench.pool.execute("SELECT set_config('statement_timeout', '100', false)")
        facts = [fact(each.stream, REVIEW, n) for n, each in enumerate(known)]
        outcomes = await bench.store.execute(facts)
        parked = [outcome.parked for outcome in outcomes.values() if isinstance(outcome, Outcome)]
        assert parked == [n == 5 for n in range(8)]
        assert bench.store.halved > 0
