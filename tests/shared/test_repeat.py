"""How does a task repeat its work? At once while there is more, else when something wakes it; and it waits out
whatever passes by itself, saying what it waits for."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from loopkeeper.kernel.clock import FileClock, ManualClock
from loopkeeper.kernel.repeat import FIRST_PAUSE, LONGEST_PAUSE, pause, repeat, until_done
from loopkeeper.kernel.supervisor import Heartbeat
from loopkeeper.kernel.wake import Waker, woken_by

# Nothing here may rely on a period: it is longer than any test.
NEVER = 3600.0
AWAY = "the weather is bad"


def is_transient(error: Exception) -> str:
    return AWAY if isinstance(error, ConnectionError) else ""


def heart() -> Heartbeat:
    return Heartbeat(asyncio.get_running_loop().time, is_transient)


class Work:
    """Counts its rounds; answers and fails as it was told."""

    def __init__(self, *answers: bool | Exception) -> None:
        self.answers = list(answers)
        self.began: list[float] = []
        self.rounds = asyncio.Semaphore(0)

    async def __call__(self) -> bool:
        self.began.append(asyncio.get_running_loop().time())
        answer = self.answers.pop(0) if self.answers else False
        self.rounds.release()
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def done(self, rounds: int = 1) -> None:
        async with asyncio.timeout(10):
            for _ in range(rounds):
                await self.rounds.acquire()


@asynccontextmanager
async def repeated(
    work: Work, wake: asyncio.Event, *, every: float = NEVER, apart: float = 0.0
) -> AsyncGenerator[Heartbeat]:
    heartbeat = heart()
    task = asyncio.create_task(repeat(work, wake, every, heartbeat, apart=apart))
    try:
        yield heartbeat
        assert not task.done(), task.exception()
    finally:
        task.cancel()
        await asyncio.wait([task])


async def test_while_there_is_more_to_do_nobody_sleeps() -> None:
    work = Work(True, True, True)
    async with repeated(work, woken_by()):
        await work.done(4)
    assert len(work.began) == 4


async def test_a_sleeper_is_woken_by_each_of_its_wakers_and_by_no_other() -> None:
    commits, jumps, other = Waker(), Waker(), Waker()
    work = Work()
    async with repeated(work, woken_by(commits, jumps)):
        await work.done()
        for waker in (commits, jumps):
            waker.wake()
            await work.done()
        other.wake()
        await asyncio.sleep(0)
        assert len(work.began) == 3


async def test_what_comes_in_during_a_round_is_looked_at_in_another() -> None:
    commits, work = Waker(), Work()

    async def busy() -> bool:
        if not work.began:
            commits.wake()
        return await work()

    task = asyncio.create_task(repeat(busy, woken_by(commits), NEVER, heart()))
    await work.done(2)
    task.cancel()
    await asyncio.wait([task])


async def test_a_single_wake_up_waits_for_nothing_and_a_hail_of_them_is_done_together() -> None:
    commits, work = Waker(), Work()
    async with repeated(work, woken_by(commits), apart=0.05):
        await work.done()
        for _ in range(100):
            commits.wake()
            await asyncio.sleep(0)
        await work.done()
    assert len(work.began) == 2
    assert work.began[1] - work.began[0] >= 0.05


async def test_without_any_wake_up_the_period_repeats_it() -> None:
    work = Work()
    async with repeated(work, woken_by(), every=0.001):
        await work.done(3)


async def test_an_error_that_passes_is_waited_out_and_said_until_the_work_succeeds() -> None:
    work = Work(ConnectionResetError(), ConnectionResetError())
    async with repeated(work, woken_by()) as heartbeat:
        await work.done(2)
        assert heartbeat.reason == AWAY
        await work.done()
        await asyncio.sleep(0)
        assert heartbeat.reason == ""


async def test_an_error_that_does_not_pass_ends_the_task() -> None:
    with pytest.raises(LookupError):
        await repeat(Work(LookupError()), woken_by(), NEVER, heart())


async def test_the_result_of_work_that_is_done_once_is_handed_on() -> None:
    assert await until_done(Work(ConnectionResetError(), True), heart()) is True


async def test_a_round_that_says_how_it_is_is_believed() -> None:
    heartbeat, work = heart(), Work()

    async def second() -> bool:
        heartbeat.waiting("another replica works")
        return await work()

    task = asyncio.create_task(repeat(second, woken_by(), NEVER, heartbeat))
    await work.done()
    await asyncio.sleep(0)
    assert heartbeat.reason == "another replica works"
    task.cancel()
    await asyncio.wait([task])


def test_pauses_double_up_to_a_second_and_are_spread() -> None:
    assert [pause(n, 1.0) for n in (1, 2, 3, 4, 5, 6)] == [FIRST_PAUSE, 0.2, 0.4, 0.8, LONGEST_PAUSE, 1.0]
    assert pause(10_000, 0.0) == LONGEST_PAUSE / 2


async def test_a_jump_of_the_clock_wakes_who_sleeps_in_its_process() -> None:
    clock, work = ManualClock(), Work()
    async with repeated(work, woken_by(clock.jumps)):
        await work.done()
        clock.advance(timedelta(days=1))
        await work.done()
        clock.set(clock.now() + timedelta(days=1))
        await work.done()


async def test_a_clock_that_another_process_moved_wakes_who_sleeps_here(tmp_path: Path) -> None:
    here, there = FileClock(tmp_path / "clock.json"), FileClock(tmp_path / "clock.json")
    work = Work()
    looking = asyncio.create_task(repeat(here.look, woken_by(), here.LOOK_EVERY, heart()))
    async with repeated(work, woken_by(here.jumps)):
        await work.done()
        before = here.now()
        there.advance(timedelta(days=1))
        await work.done()
        assert here.now() - before >= timedelta(days=1)
    looking.cancel()
    await asyncio.wait([looking])


def test_a_clock_that_nobody_moved_wakes_nobody(tmp_path: Path) -> None:
    clock = FileClock(tmp_path / "clock.json")
    clock.advance(timedelta(hours=1))
    wake = woken_by(clock.jumps)
    clock.offset()
    assert not wake.is_set()


def test_a_sleeper_that_is_gone_is_forgotten() -> None:
    waker = Waker()
    sleeper = woken_by(waker)
    gone = woken_by(waker)
    del gone
    gc.collect()
    assert len(waker._sleepers) == 1
    waker.wake()
    assert sleeper.is_set()


async def test_tasks_that_only_their_periods_wake_wake_together() -> None:
    """They go to rest at times of their own, a tenth of a second apart."""
    first, second, later = Work(), Work(), asyncio.Event()
    async with repeated(first, asyncio.Event(), every=1.0):
        asyncio.get_running_loop().call_later(0.1, later.set)
        await later.wait()
        async with repeated(second, asyncio.Event(), every=1.0):
            await second.done(3)
    assert second.began[0] - first.began[0] > 0.09
    assert min(abs(one - other) for one in first.began[1:] for other in second.began[1:]) < 0.05
