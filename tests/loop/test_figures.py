"""What Prometheus sees of the loop: what waits in each service, and the next actor of what is open."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from datetime import datetime, timedelta

import pytest
import pytest_asyncio

from loopkeeper.runtime.backlog import measure
from loopkeeper.runtime.service import RunningService
from referral_intake.timers import TELLING
from referral_intake.workers import count_open
from tests.builders.forms import david
from tests.builders.organizations import CLINIC, OPERATIONS
from tests.databases import Databases, NewLog
from tests.loop.house import House, house


@pytest_asyncio.fixture(scope="module")
async def referred(
    databases: Databases, tmp_path_factory: pytest.TempPathFactory, new_log: NewLog
) -> AsyncGenerator[tuple[House, str]]:
    """David is referred, and somebody must act."""
    async with house(databases, tmp_path_factory.mktemp("figures"), event_log=await new_log()) as opened:
        referral = await opened.refer(CLINIC, david())
        await opened.quiet()
        yield opened, referral
    await databases.drop()


def intake(opened: House) -> RunningService:
    return opened.running.contexts["intake"]


def figure(opened: House, name: str, **labels: str) -> float | None:
    return intake(opened).metrics.registry.get_sample_value(f"loopkeeper_{name}", labels)


async def loops(opened: House, name: str, actor: str) -> float | None:
    await count_open(intake(opened))
    return figure(opened, f"{name}_loops", actor=actor)


async def test_an_open_loop_is_counted_under_who_must_act(referred: tuple[House, str]) -> None:
    opened, referral = referred
    actor = (await opened.referral(CLINIC, referral))["next_step"]["actor"]
    assert await loops(opened, "open", actor) == 1
    assert await loops(opened, "overdue", actor) == 0
    assert figure(opened, "stalled_loops") == 0


async def test_a_service_at_rest_has_nothing_unread_unsent_parked_or_due(referred: tuple[House, str]) -> None:
    opened, _ = referred
    for context in opened.running.contexts.values():
        await measure(context)
        for name in (
            "unread",
            "unsent",
            "parked_streams",
            "timers_due",
            "timer_late_seconds",
            "tasks_unwell",
        ):
            assert figure(opened, name, service=context.name) == 0, f"{context.name}: {name}"
    measured = figure(opened, "measured_at_seconds", service="intake")
    assert measured == pytest.approx(time.time(), abs=60)


async def test_a_parked_referral_is_seen_and_a_deadline_that_waits_for_it_is_not_late(
    referred: tuple[House, str],
) -> None:
    opened, referral = referred
    context, due = intake(opened), opened.clock.now() + timedelta(hours=1)
    await park(context, referral, opened.clock.now())
    await due_at(context, referral, "of a test", due)
    opened.clock.set(due + timedelta(minutes=10))
    await measure(context)
    assert figure(opened, "parked_streams", service="intake") == 1
    assert figure(opened, "timers_due", service="intake") == 0
    assert figure(opened, "timer_late_seconds", service="intake") == 0


async def test_a_deadline_that_does_not_fire_is_seen(referred: tuple[House, str]) -> None:
    """Of a parked referral too: what only tells goes on there. Here its row is locked, so that nothing can fire it."""
    opened, referral = referred
    context, due = intake(opened), opened.clock.now() + timedelta(hours=1)
    await park(context, referral, opened.clock.now())
    await due_at(context, referral, f"{TELLING[0]}of a test", due)
    async with context.pool.acquire() as connection, connection.transaction():
        await connection.execute("SELECT FROM referral WHERE id = $1 FOR UPDATE", referral)
        opened.clock.set(due + timedelta(minutes=10))
        await measure(context)
        assert figure(opened, "timers_due", service="intake") == 1
        assert figure(opened, "timer_late_seconds", service="intake") == 600
        await connection.execute("DELETE FROM timer WHERE stream = $1", referral)


async def park(context: RunningService, referral: str, now: datetime) -> None:
    await context.pool.execute(
        """INSERT INTO parked_stream (stream, since, tries, next_retry_at, error)
           VALUES ($1, $2, 9, NULL, 'as a failing rule leaves it') ON CONFLICT DO NOTHING""",
        referral,
        now,
    )


async def due_at(context: RunningService, referral: str, kind: str, due: datetime) -> None:
    await context.pool.execute(
        "INSERT INTO timer (stream, kind, due_at) VALUES ($1, $2, $3)", referral, kind, due
    )


async def test_a_step_that_is_overdue_and_one_that_is_due_within_a_day_are_counted(
    referred: tuple[House, str],
) -> None:
    opened, referral = referred
    for hours, wanted in ((-1, (1, 0)), (5, (0, 1)), (30, (0, 0))):
        due = opened.clock.now() + timedelta(hours=hours)
        await as_if(opened, referral, "plan", due=due)
        assert (
            await loops(opened, "overdue", "plan"),
            figure(opened, "due_soon_loops", actor="plan"),
        ) == wanted


@pytest.mark.parametrize("actor", ["loopkeeper", ""])
async def test_a_loop_that_only_we_could_move_is_stalled_after_a_minute(
    referred: tuple[House, str], actor: str
) -> None:
    opened, referral = referred
    await as_if(opened, referral, actor, rested=timedelta(seconds=30))
    assert await loops(opened, "open", actor or "nobody") == 1
    assert figure(opened, "stalled_loops") == 0
    await as_if(opened, referral, actor, rested=timedelta(minutes=2))
    await count_open(intake(opened))
    assert figure(opened, "stalled_loops") == 1


async def as_if(
    opened: House, referral: str, actor: str, *, due: object = None, rested: timedelta = timedelta(0)
) -> None:
    """The row as it would be if this party had to act; only what is counted changes."""
    await intake(opened).pool.execute(
        "UPDATE referral SET next_actor = $2, next_due_at = $3, at = $4 WHERE id = $1",
        referral,
        actor,
        due,
        opened.clock.now() - rested,
    )


async def test_a_services_standing_names_its_own_tasks_and_they_run(referred: tuple[House, str]) -> None:
    """All four run in this process; each is asked for itself."""
    opened, _ = referred
    for name in opened.running.services:
        tasks = (await opened.ask(OPERATIONS, "GET", f"/v1/operations/{name}/status"))["tasks"]
        assert {task.partition(".")[0] for task in tasks} == {name}
        assert set(tasks.values()) == {"running"}
