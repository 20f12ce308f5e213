"""What the supervisor promises: long-lived tasks come back, their health shows, and none outlives it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from loopkeeper.kernel.supervisor import HEALTHY, LONGEST_WAIT, TOO_OFTEN, Heartbeat, Supervisor, TaskHealth

GRACE = timedelta(seconds=5)
CANARY = "Zebediah-Quillfeather"


class HandTime:
    """Time that passes only where somebody sleeps; nobody really does."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.slept: list[float] = []

    def now(self) -> float:
        return self.seconds

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.seconds += seconds
        await asyncio.sleep(0)


class TooManyParked(Exception):
    pass


@asynccontextmanager
async def supervised(time: HandTime) -> AsyncIterator[Supervisor]:
    supervisor = Supervisor((TooManyParked,), time.sleep, time.now, jitter=lambda: 1.0)
    try:
        yield supervisor
    finally:
        await supervisor.stop(GRACE)
    left = {task.get_name() for task in asyncio.all_tasks() - {asyncio.current_task()}}
    assert not {name for name in left if name.startswith(("keep ", "intake."))}


async def until(condition: Callable[[], bool]) -> None:
    for _ in range(2_000):
        if condition():
            return
        await asyncio.sleep(0)
    raise AssertionError("it never came to pass")


async def forever(_: Heartbeat) -> None:
    await asyncio.Event().wait()


def failing(
    times: int, then: Callable[[Heartbeat], Awaitable[None]] = forever
) -> Callable[[Heartbeat], Awaitable[None]]:
    left = times

    async def run(heartbeat: Heartbeat) -> None:
        nonlocal left
        left -= 1
        if left >= 0:
            raise ConnectionRefusedError(CANARY)
        await then(heartbeat)

    return run


async def test_a_failed_task_is_started_again_after_waits_that_double() -> None:
    time = HandTime()
    async with supervised(time) as supervisor:
        supervisor.start("intake.relay", failing(5))
        await until(lambda: len(time.slept) == 5 and supervisor.health()["intake.relay"].ok)
        assert time.slept == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6])
        assert supervisor.health()["intake.relay"] == TaskHealth(True, "running")
        assert not supervisor.failed.is_set()


async def test_jitter_takes_at_most_half_of_a_wait() -> None:
    time = HandTime()
    supervisor = Supervisor((), time.sleep, time.now, jitter=lambda: 0.0)
    supervisor.start("intake.relay", failing(2))
    await until(lambda: len(time.slept) == 2)
    assert time.slept == pytest.approx([0.05, 0.1])
    await supervisor.stop(GRACE)


async def test_a_task_that_merely_ends_is_started_again_too() -> None:
    time, runs = HandTime(), 0

    async def once(_: Heartbeat) -> None:
        nonlocal runs
        runs += 1

    async with supervised(time) as supervisor:
        supervisor.start("intake.relay", once)
        await until(lambda: runs == 3)


async def test_a_process_whose_task_never_recovers_gives_up_and_waits_are_bounded() -> None:
    time = HandTime()
    async with supervised(time) as supervisor:
        supervisor.start("intake.relay", failing(TOO_OFTEN))
        await asyncio.wait_for(supervisor.failed.wait(), 5)
        await until(lambda: len(time.slept) == TOO_OFTEN)
        assert max(time.slept) == LONGEST_WAIT


async def test_a_minute_of_health_makes_the_next_failure_a_first_one() -> None:
    time = HandTime()

    async def a_minute(_: Heartbeat) -> None:
        time.seconds += HEALTHY + 1
        raise TimeoutError

    async with supervised(time) as supervisor:
        supervisor.start("intake.relay", failing(4, a_minute))
        await until(lambda: len(time.slept) >= 6)
        assert time.slept[3:6] == pytest.approx([0.8, 0.1, 0.1])


async def test_health_names_the_error_while_a_task_waits_to_be_started_again(
    capsys: pytest.CaptureFixture[str],
) -> None:
    time, gate = HandTime(), asyncio.Event()

    async def sleep(_: float) -> None:
        await gate.wait()

    supervisor = Supervisor((), sleep, time.now)
    supervisor.start("intake.relay", failing(1))
    await until(lambda: not supervisor.health()["intake.relay"].ok)
    assert supervisor.health()["intake.relay"].detail == "restarting: ConnectionRefusedError"
    gate.set()
    await until(lambda: supervisor.health()["intake.relay"].ok)
    await supervisor.stop(GRACE)
    (line,) = [json.loads(text) for text in capsys.readouterr().err.splitlines()]
    assert (line["message"], line["task"], line["error"]) == (
        "task failed",
        "intake.relay",
        "ConnectionRefusedError",
    )
    assert CANARY not in json.dumps(line)


async def test_waiting_is_healthy_and_shown_until_the_next_beat() -> None:
    time, hearts = HandTime(), list[Heartbeat]()

    async def run(heartbeat: Heartbeat) -> None:
        hearts.append(heartbeat)
        await forever(heartbeat)

    async with supervised(time) as supervisor:
        supervisor.start("intake.relay", run)
        await until(lambda: bool(hearts))
        hearts[0].waiting("another replica publishes")
        assert supervisor.health()["intake.relay"] == TaskHealth(True, "waiting: another replica publishes")
        hearts[0].beat()
        assert supervisor.health()["intake.relay"].detail == "running"


async def test_a_task_without_heartbeat_is_red_where_silence_is_not_its_nature() -> None:
    time = HandTime()
    async with supervised(time) as supervisor:
        supervisor.start("intake.store", forever)
        supervisor.start("intake.timers", forever, silent=timedelta(seconds=20))
        time.seconds += 21
        assert supervisor.health()["intake.store"].ok
        assert supervisor.health()["intake.timers"] == TaskHealth(False, "stalled: no heartbeat for 21 s")


async def test_a_task_that_waits_while_there_is_work_and_none_is_done_is_red_with_its_reason() -> None:
    """And is not started again: what it waits for would be there again."""
    time, hearts, done, runs = HandTime(), list[Heartbeat](), [0], [0]

    async def run(heartbeat: Heartbeat) -> None:
        runs[0] += 1
        hearts.append(heartbeat)
        await forever(heartbeat)

    async def lag() -> int:
        hearts[0].waiting("rows are locked by somebody else")
        return 7

    async with supervised(time) as supervisor:
        supervisor.start("notification.consumer", run)
        await until(lambda: bool(hearts))
        supervisor.watch("notification.consumer", lag, lambda: done[0], timedelta(seconds=30))
        await until(lambda: not supervisor.health()["notification.consumer"].ok)
        detail = supervisor.health()["notification.consumer"].detail
        assert detail.startswith("no progress for 3")
        assert detail.endswith("s: rows are locked by somebody else")
        done[0] += 1
        await until(lambda: supervisor.health()["notification.consumer"].ok)
        assert runs == [1]


async def test_a_fatal_error_stops_its_task_only() -> None:
    time = HandTime()

    async def poisoned(_: Heartbeat) -> None:
        raise TooManyParked

    async with supervised(time) as supervisor:
        supervisor.start("intake.consumer", poisoned)
        supervisor.start("intake.relay", forever)
        await until(lambda: not supervisor.health()["intake.consumer"].ok)
        assert supervisor.health()["intake.consumer"].detail == "stopped: TooManyParked"
        assert supervisor.health()["intake.relay"].ok
        assert time.slept == []
        assert not supervisor.failed.is_set()


async def lag_of(messages: int) -> int:
    return messages


async def test_a_consumer_with_lag_and_no_progress_is_started_again() -> None:
    time, runs = HandTime(), 0

    async def stuck(heartbeat: Heartbeat) -> None:
        nonlocal runs
        runs += 1
        await forever(heartbeat)

    async with supervised(time) as supervisor:
        supervisor.start("intake.consumer", stuck)
        supervisor.watch("intake.consumer", lambda: lag_of(3), lambda: 7, timedelta(seconds=30))
        await until(lambda: runs == 3)
        assert time.seconds >= 60


@pytest.mark.parametrize("why", ["no lag", "progress", "waiting"])
async def test_a_consumer_that_has_nothing_to_do_or_does_it_is_left_in_peace(why: str) -> None:
    time, runs, read = HandTime(), 0, 0

    async def run(heartbeat: Heartbeat) -> None:
        nonlocal runs
        runs += 1
        while True:
            if why == "waiting":
                heartbeat.waiting("another replica reads")
            await asyncio.sleep(0)

    def progress() -> int:
        nonlocal read
        read += 1
        return read if why == "progress" else 0

    async with supervised(time) as supervisor:
        supervisor.start("intake.consumer", run)
        supervisor.watch(
            "intake.consumer", lambda: lag_of(0 if why == "no lag" else 3), progress, timedelta(seconds=30)
        )
        await until(lambda: time.seconds > 300)
        assert runs == 1


async def test_stopping_lets_what_is_under_way_finish_and_leaves_no_task() -> None:
    time, finished = HandTime(), list[str]()

    async def careful(_: Heartbeat) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            finished.append("committed")

    async with supervised(time) as supervisor:
        supervisor.start("intake.store", careful)
        supervisor.start("intake.relay", forever)
        supervisor.watch("intake.relay", lambda: lag_of(0), lambda: 0, timedelta(seconds=30))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        await supervisor.stop(GRACE)
        assert finished == ["committed"]
        with pytest.raises(RuntimeError):
            supervisor.start("intake.claims", forever)


async def test_a_task_that_swallows_its_cancellation_is_told_and_ended_all_the_same(
    capsys: pytest.CaptureFixture[str],
) -> None:
    time = HandTime()

    async def stubborn(heartbeat: Heartbeat) -> None:
        try:
            await forever(heartbeat)
        except asyncio.CancelledError:
            await forever(heartbeat)

    async with supervised(time) as supervisor:
        supervisor.start("intake.store", stubborn)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        await supervisor.stop(timedelta())
    assert "task does not stop" in capsys.readouterr().err


async def test_one_name_is_one_task() -> None:
    async with supervised(HandTime()) as supervisor:
        supervisor.start("intake.store", forever)
        with pytest.raises(RuntimeError):
            supervisor.start("intake.store", forever)
