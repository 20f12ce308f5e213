"""When may a deadline act? After everything its service could have read, never while its referral is parked, and
once: tried with the day by which a provider answers an offer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from datetime import datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
import pytest_asyncio

from assignment.domain.commands import AskPlan, Decline
from loopkeeper.flow.timers import SWEEP
from loopkeeper.kernel.clock import ManualClock
from loopkeeper.postgres.connections import connect
from loopkeeper.postgres.embedded import Server
from loopkeeper.runtime.service import installed
from loopkeeper.store.batch import Outcome
from loopkeeper.store.definition import Submission
from tests.builders.assignment import APPROVED
from tests.builders.facts import closed
from tests.builders.organizations import NAVIGATORS, STREET
from tests.databases import Fresh, Migrated
from tests.shared.replica import Replica, Site, away, listed, referred, site, until, working

MINUTE = timedelta(minutes=1)
WITHDRAWN = closed("withdrawn")
# What an answer's deadline says.
SAID = ["assignment.overdue", "assignment.plan_asked"]
ASKED = ["assignment.made", *SAID]


@pytest_asyncio.fixture
async def here(
    migrated: Migrated, fresh_database: Fresh, tmp_path: Path, clock: ManualClock
) -> AsyncGenerator[Site]:
    log = await fresh_database("log")
    async with site(installed()["assignment"], await migrated("assignment"), log, tmp_path, clock) as made:
        yield made


@pytest_asyncio.fixture
async def desk(here: Site) -> Replica:
    """Assignment with two providers in its directory, the street team before the navigators by name alone."""
    opened = await here.replica()
    await opened.store.execute([listed(STREET, capacity=1_000), listed(NAVIGATORS, capacity=999)])
    return opened


async def offered(desk: Replica) -> str:
    """A referral whose offer waits for its answer. The limits watched next to it are not this file's."""
    stream, received = referred()
    await desk.hear(stream, received, APPROVED)
    assert await desk.types(stream) == ["assignment.made"]
    await unwatch(desk)
    return stream


async def unwatch(desk: Replica) -> None:
    await desk.pool.execute("DELETE FROM timer WHERE kind = 'watch'")


async def due(desk: Replica, stream: str) -> datetime | None:
    return await desk.pool.fetchval("SELECT due_at FROM timer WHERE stream = $1 AND kind = 'answer'", stream)


async def pass_the_deadline(desk: Replica, clock: ManualClock, stream: str) -> datetime:
    at = await due(desk, stream)
    assert at is not None
    clock.set(at + MINUTE)
    return at


# ── what is unread comes first ────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("withdrawn", ["before", "after"])
async def test_a_deadline_lets_a_withdrawal_that_nobody_has_read_go_first(
    desk: Replica, clock: ManualClock, withdrawn: str
) -> None:
    """She withdrew, the service was away: without this rule her name would go on to somebody else."""
    stream = await offered(desk)
    if withdrawn == "before":
        await desk.tell(stream, WITHDRAWN)
    await pass_the_deadline(desk, clock, stream)
    if withdrawn == "after":
        await desk.tell(stream, WITHDRAWN)
    assert await desk.sweep.sweep() == 0
    assert await desk.types(stream) == ["assignment.made"]
    await desk.read()
    assert await due(desk, stream) is None
    assert await desk.sweep.sweep() == 0
    assert await desk.types(stream) == ["assignment.made", "assignment.withdrawn"]


async def test_once_everything_is_read_an_answer_that_is_overdue_asks_the_plan(
    desk: Replica, clock: ManualClock
) -> None:
    stream, (other, received) = await offered(desk), referred()
    at = await pass_the_deadline(desk, clock, stream)
    clock.set(at - MINUTE)
    assert await desk.sweep.sweep() == 0
    clock.set(at)
    # Whose message it is cannot be known before it is read.
    await desk.tell(other, received)
    assert await desk.sweep.sweep() == 0
    await desk.read()
    assert await desk.sweep.sweep() == 1
    assert await desk.types(stream) == ASKED
    assert await due(desk, stream) is None


async def test_a_closing_that_comes_after_a_firing_undoes_it(desk: Replica, clock: ManualClock) -> None:
    """It still waited in another service's outbox, where no reader could have seen it."""
    stream = await offered(desk)
    await pass_the_deadline(desk, clock, stream)
    assert await desk.sweep.sweep() == 1
    await desk.hear(stream, WITHDRAWN)
    assert await desk.types(stream) == [*ASKED, "assignment.withdrawn"]
    assert await desk.pool.fetchval("SELECT status FROM referral WHERE id = $1", stream) == "closed"
    assert await desk.bench.count("assignment WHERE live") == 0


async def test_with_the_log_or_the_database_away_deadlines_wait_and_then_fire(
    desk: Replica, here: Site, clock: ManualClock, postgres: Server
) -> None:
    for what, url in (("log", here.log), ("database", here.url)):
        stream = await offered(desk)
        await pass_the_deadline(desk, clock, stream)
        async with away(postgres, url), working(desk.sweep.run) as sweeping:

            async def told(heartbeat=sweeping.heartbeat, what=what) -> bool:
                return heartbeat.reason == f"the {what} cannot be reached"

            await until(told)
        async with working(desk.sweep.run):

            async def asked(stream=stream) -> bool:
                return await desk.types(stream) == ASKED

            await until(asked)


# ── parked referrals ──────────────────────────────────────────────────────────────────────────────────────


async def test_no_deadline_fires_while_its_referral_is_parked(desk: Replica, clock: ManualClock) -> None:
    parked, free = await offered(desk), await offered(desk)
    await desk.spoil(parked)
    await desk.hear(parked, WITHDRAWN)
    await desk.repair(parked)
    await pass_the_deadline(desk, clock, parked)
    assert await desk.sweep.sweep() == 1
    assert (await desk.types(parked), await desk.types(free)) == (["assignment.made"], ASKED)
    await desk.parked.replay(parked)
    assert await desk.sweep.sweep() == 0
    assert await desk.types(parked) == ["assignment.made", "assignment.withdrawn"]


async def test_a_firing_under_way_when_its_referral_is_parked_does_nothing_and_stays_due(
    desk: Replica, here: Site, clock: ManualClock
) -> None:
    """The sweep found it unparked; only under the referral's lock is it known."""
    stream, reader = await offered(desk), await here.replica()
    at = await pass_the_deadline(desk, clock, stream)
    holder = await connect(here.url)
    await holder.execute("BEGIN")
    await holder.execute("SELECT 1 FROM referral WHERE id = $1 FOR UPDATE", stream)
    firing = asyncio.create_task(desk.sweep.sweep())
    await reader.stuck()
    await holder.execute(
        "INSERT INTO parked_stream (stream, since, tries, error) VALUES ($1, $2, 0, 'KeyError')", stream, at
    )
    await holder.execute("COMMIT")
    await holder.close()
    await firing
    assert await desk.types(stream) == ["assignment.made"]
    await desk.pool.execute("DELETE FROM parked_stream")
    await desk.sweep.sweep()
    assert await desk.types(stream) == ASKED


async def test_parked_referrals_are_replayed_after_a_minute_then_ten_then_an_hour_then_by_a_person(
    desk: Replica, clock: ManualClock
) -> None:
    stream = await offered(desk)
    await desk.spoil(stream)
    await desk.hear(stream, WITHDRAWN)
    async with working(desk.sweep.run):
        for tries, wait in enumerate((MINUTE, 10 * MINUTE, 60 * MINUTE), start=1):
            (listed_now,) = await desk.parked.listed()
            assert listed_now.tries == tries - 1
            assert listed_now.next_retry_at == clock.now() + wait
            clock.advance(wait)

            async def tried(tries: int = tries) -> bool:
                return [one.tries for one in await desk.parked.listed()] == [tries]

            await until(tried)
        (last,) = await desk.parked.listed()
        assert last.next_retry_at is None
    await desk.repair(stream)
    assert (await desk.parked.replay(stream)).applied == 1
    assert await desk.types(stream) == ["assignment.made", "assignment.withdrawn"]


async def test_a_mended_referral_goes_on_by_itself_at_its_next_replay(
    desk: Replica, clock: ManualClock
) -> None:
    stream = await offered(desk)
    await desk.spoil(stream)
    await desk.hear(stream, WITHDRAWN)
    await desk.repair(stream)
    async with working(desk.sweep.run):
        clock.advance(MINUTE)

        async def gone() -> bool:
            return await desk.parked.listed() == []

        await until(gone)
    assert await desk.types(stream) == ["assignment.made", "assignment.withdrawn"]


# ── once, and not early ───────────────────────────────────────────────────────────────────────────────────


async def test_two_replicas_that_fire_the_same_deadlines_at_once_ask_the_plan_once(
    desk: Replica, here: Site, clock: ManualClock
) -> None:
    """More of them than one round takes."""
    twin, count = await here.replica(), SWEEP + 44
    streams: list[str] = []
    for _ in range(count):
        stream, received = referred()
        await desk.tell(stream, received, APPROVED)
        streams.append(stream)
    await desk.read()
    await unwatch(desk)
    await pass_the_deadline(desk, clock, streams[0])
    fired = await asyncio.gather(desk.sweep.sweep(), twin.sweep.sweep())
    assert max(fired) == SWEEP
    async with working(desk.sweep.run), working(twin.sweep.run):

        async def none_left() -> bool:
            return await desk.bench.count("timer WHERE kind = 'answer'") == 0

        await until(none_left)
    asked = "journal WHERE type = 'ecm.assignment.plan_asked.v1'"
    assert await desk.bench.count(asked) == count
    assert await desk.pool.fetchval(f"SELECT count(DISTINCT stream) FROM {asked}") == count


async def test_a_deadline_that_comes_back_after_it_fired_has_no_second_effect(
    desk: Replica, clock: ManualClock
) -> None:
    stream = await offered(desk)
    at = await pass_the_deadline(desk, clock, stream)
    await desk.sweep.sweep()
    await desk.pool.execute("INSERT INTO timer VALUES ($1, 'answer', $2)", stream, at)
    await desk.sweep.sweep()
    # Not the claim alone: a firing of another id finds that the plan was asked.
    again = Submission(uuid4(), stream, AskPlan(), timer=("answer", at))
    outcome = (await desk.store.execute([again]))[again.id]
    assert isinstance(outcome, Outcome)
    assert outcome.events == ()
    assert await desk.types(stream) == ASKED


async def test_a_deadline_that_moves_while_its_firing_waits_does_not_fire_early(
    desk: Replica, here: Site, clock: ManualClock
) -> None:
    """The street team declines in the last moment, the navigators get days of their own to answer."""
    stream, sweeper = await offered(desk), await here.replica()
    first = await pass_the_deadline(desk, clock, stream)
    assignment = await desk.pool.fetchval("SELECT id FROM assignment")
    holder = await connect(here.url)
    await holder.execute("BEGIN")
    await holder.execute("SELECT 1 FROM referral WHERE id = $1 FOR UPDATE", stream)
    no = Decline(assignment=assignment, provider=STREET, reason="no_capacity")
    declining = asyncio.create_task(desk.store.submit(Submission(uuid4(), stream, no)))
    await sweeper.stuck()
    firing = asyncio.create_task(sweeper.sweep.sweep())
    await sweeper.stuck(2)
    await holder.execute("COMMIT")
    await holder.close()
    await asyncio.gather(declining, firing)
    made = ["assignment.made", "assignment.declined", "assignment.made"]
    assert await desk.types(stream) == made
    await unwatch(desk)
    second = await pass_the_deadline(desk, clock, stream)
    assert second > first
    clock.set(second - MINUTE)
    assert await desk.sweep.sweep() == 0
    clock.set(second)
    assert await desk.sweep.sweep() == 1
    assert await desk.types(stream) == [*made, *SAID]


# ── a firing that fails ───────────────────────────────────────────────────────────────────────────────────


async def test_a_deadline_whose_firing_meets_a_fault_parks_its_referral_and_holds_no_other_back(
    desk: Replica, clock: ManualClock
) -> None:
    bad, good = await offered(desk), [await offered(desk) for _ in range(3)]
    at = await pass_the_deadline(desk, clock, bad)
    await desk.spoil(bad)
    assert await desk.sweep.sweep() == 4
    assert [await desk.types(stream) for stream in good] == [ASKED] * 3
    (shown,) = await desk.parked.listed()
    assert (shown.stream, shown.facts) == (bad, 0)
    assert shown.error.startswith("deadline ")
    # It waits like any other parked referral, and is due again behind its replay.
    assert await desk.sweep.sweep() == 0
    assert await due(desk, bad) == at
    await desk.repair(bad)
    await desk.parked.replay(bad)
    assert await desk.sweep.sweep() == 1
    assert await desk.types(bad) == ASKED


async def test_deadlines_that_keep_failing_end_no_process_and_keep_no_parked_referral_from_its_replay(
    desk: Replica, clock: ManualClock
) -> None:
    bad, withdrawn = sorted([await offered(desk) for _ in range(3)]), await offered(desk)
    await desk.spoil(withdrawn)
    await desk.hear(withdrawn, WITHDRAWN)
    await desk.repair(withdrawn)
    await pass_the_deadline(desk, clock, bad[0])
    for stream in bad:
        await desk.spoil(stream)

    async def parked_just_now() -> bool:
        return sorted(p.stream for p in await desk.parked.listed() if p.since == clock.now()) == bad

    async with working(desk.sweep.run):
        # Once more than there are timed replays.
        for _ in range(4):
            await until(parked_just_now)
            clock.advance(MINUTE)
    assert await desk.types(withdrawn) == ["assignment.made", "assignment.withdrawn"]
