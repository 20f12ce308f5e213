"""The one loop of all work that repeats: a round, then sleep until something wakes it or its period is over.

Transient errors have one treatment. The task's heartbeat says in a sentence what it waits for, and the same work is
tried again after a pause that grows from 0.1 to 1 second. Which errors are transient the supervisor knows; any
other ends the task, and the supervisor starts it again.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeVar

from loopkeeper.kernel import beats
from loopkeeper.kernel.logs import get
from loopkeeper.kernel.supervisor import Heartbeat

log = get("repeat")

T = TypeVar("T")

# The first pause passes unseen; the longest is short enough that nobody waits for a task after an outage.
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 1.0


async def repeat(
    work: Callable[[], Awaitable[bool]],
    wake: asyncio.Event,
    every: float,
    heartbeat: Heartbeat,
    *,
    apart: float = 0.0,
) -> None:
    """Run `work` again and again: at once while it returns True (there is more to do), else when `wake` is set or about
    `every` seconds are over (beats.py). A woken round begins no sooner than `apart` seconds after the last one ended, so that
    what comes in quick succession is done together, while a single wake-up waits for nothing."""
    while True:
        # Cleared before the work looks: what comes in meanwhile wakes it again.
        wake.clear()
        if not await until_done(work, heartbeat):
            await _sleep(wake, every, apart)


async def until_done(work: Callable[[], Awaitable[T]], heartbeat: Heartbeat) -> T:
    """The result of `work`, tried again for as long as it meets transient errors. Then the heartbeat beats, unless the
    work has said itself how it is."""
    failures = 0
    while True:
        signs = heartbeat.signs
        try:
            done = await work()
        except Exception as error:
            reason = heartbeat.transient(error)
            if not reason:
                raise
            failures += 1
            heartbeat.waiting(reason)
            if failures == 1:
                log.warning("task waits", task=_task(), reason=reason, error=type(error).__name__)
            await asyncio.sleep(pause(failures, random.random()))  # noqa: S311 spreads tries, protects nothing
        else:
            if heartbeat.signs == signs:
                heartbeat.beat()
            return done


def pause(failures: int, jitter: float) -> float:
    """Seconds until the next try: between half and the whole of what doubles with each failure, so that replicas that
    failed together do not come back together."""
    # Twenty doublings are far beyond the longest pause, and short of what a float holds.
    longest = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(failures - 1, 20))
    return longest * (0.5 + jitter / 2)


def _task() -> str:
    task = asyncio.current_task()
    return task.get_name() if task is not None else ""


async def _sleep(wake: asyncio.Event, every: float, apart: float) -> None:
    now = asyncio.get_running_loop().time
    earliest = now() + apart
    with suppress(TimeoutError):
        async with asyncio.timeout_at(beats.after(now(), every)):
            await wake.wait()
    if (left := earliest - now()) > 0:
        await asyncio.sleep(left)
