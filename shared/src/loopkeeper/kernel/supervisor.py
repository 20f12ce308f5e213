"""Who owns the tasks that run forever? The supervisor: it starts them again, shows their health, ends them all.

Each name has a keeper task that runs the work in a task of its own. Only so can work that was cancelled from inside
(a watchdog, a library) be told from a supervisor that is being stopped.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from loopkeeper.kernel.logs import get, places

log = get("supervisor")

# First wait short enough to pass unseen, the longest short enough that a database that is back is found at once.
FIRST_WAIT, LONGEST_WAIT = 0.1, 30.0
# A run that lasted so long was healthy: the next failure is a first one.
HEALTHY = 60.0
# Failures in a row until the process gives up: about four minutes, longer than a database takes to fail over.
TOO_OFTEN = 15
# A task that swallows its cancellation is cancelled again and given this long.
LAST_WAIT = 1.0

Factory = Callable[["Heartbeat"], Awaitable[None]]
# What a task that met this error waits for, as a sentence; empty for an error that does not pass by itself.
Transient = Callable[[Exception], str]


def nothing_is_transient(_: Exception) -> str:
    """Every error ends its task."""
    return ""


@dataclass(frozen=True, slots=True)
class TaskHealth:
    """`detail`: `running`, `waiting: <reason>`, `restarting: <error>`, `stopped: <error>` or `stalled: …`."""

    ok: bool
    detail: str


class Heartbeat:
    """How a task tells that it lives: `beat` after each round, `waiting` while something else must come first.
    `transient` says which errors the task waits out (`repeat`)."""

    def __init__(self, now: Callable[[], float], transient: Transient = nothing_is_transient) -> None:
        self._now = now
        self.transient = transient
        self.beaten_at = now()
        self.reason = ""
        # How often the task has said anything.
        self.signs = 0

    def beat(self) -> None:
        """The task works."""
        self._say("")

    def waiting(self, reason: str) -> None:
        """The task lives and waits; `reason` is a constant text, and is shown until the next beat."""
        self._say(reason)

    def _say(self, reason: str) -> None:
        self.beaten_at = self._now()
        self.reason = reason
        self.signs += 1

    def silence(self) -> float:
        """Seconds since the last sign of life."""
        return self._now() - self.beaten_at


@dataclass(slots=True)
class _Kept:
    """One long-lived task, across all its runs."""

    name: str
    factory: Factory
    heartbeat: Heartbeat
    silent: timedelta | None
    work: asyncio.Task[None] | None = None
    keeper: asyncio.Task[None] | None = None
    failures: int = 0
    failure: str = ""
    stopped: bool = False
    # For so many seconds there was work and none of it was done.
    stuck: float = 0.0


@dataclass(slots=True)
class Supervisor:
    """Owns every long-lived task of a process.

    A task that ends, by an error or without one, is started again after a wait that doubles from 0.1 s to 30 s,
    with jitter. `fatal` errors are never tried again: the task stays stopped and its health red, and the rest of
    the process goes on. `transient` errors a task waits out itself, without ending (`repeat`). `failed` is set when
    any task has failed fifteen times in a row.
    """

    fatal: tuple[type[Exception], ...] = ()
    sleep: Callable[[float], Coroutine[Any, Any, None]] = asyncio.sleep
    now: Callable[[], float] = time.monotonic
    jitter: Callable[[], float] = random.random
    transient: Transient = nothing_is_transient
    failed: asyncio.Event = field(default_factory=asyncio.Event)
    # Set as soon as the process is asked to stop: answers that would go on for long end then.
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    _kept: dict[str, _Kept] = field(default_factory=dict[str, _Kept])
    _stopping: bool = False

    def start(self, name: str, factory: Factory, *, silent: timedelta | None = None) -> None:
        """Run `factory(heartbeat)` forever under this name. Without a beat for `silent` its health is red; None for
        work that has nothing to say while nothing happens. Raises `RuntimeError` for a name taken or after `stop`."""
        if self._stopping or name in self._kept:
            raise RuntimeError(f"the task {name} cannot be started")
        kept = self._kept[name] = _Kept(name, factory, Heartbeat(self.now, self.transient), silent)
        kept.keeper = asyncio.create_task(self._keep(kept), name=f"keep {name}")

    def watch(
        self, name: str, lag: Callable[[], Awaitable[int]], progress: Callable[[], int], stall: timedelta
    ) -> None:
        """Restart the task `name` when there was lag and no progress all through `stall`. A task that says it waits goes on
        waiting, and its health is red with what it waits for. An error of `lag` (the database is away) restarts the time."""
        seconds = stall.total_seconds()

        async def run(heartbeat: Heartbeat) -> None:
            since, seen = self.now(), progress()
            while True:
                heartbeat.beat()
                await self.sleep(seconds / 4)
                if progress() != seen or not await lag():
                    since, seen = self.now(), progress()
                    self._stuck(name, 0.0)
                elif self._waits(name, seconds):
                    self._stuck(name, self.now() - since, seconds)
                elif self.now() - since >= seconds:
                    log.warning("task stalled", task=name, seconds=seconds)
                    self._restart(name)
                    since = self.now()

        self.start(f"{name}.watchdog", run)

    async def stop(self, grace: timedelta) -> None:
        """Cancel every task and wait until all have ended. Raises nothing; one that outlives `grace` is logged."""
        self._stopping = True
        self.stopping.set()
        keepers = {kept.keeper for kept in self._kept.values() if kept.keeper is not None}
        for keeper in keepers:
            keeper.cancel()
        if not keepers:
            return
        _, late = await asyncio.wait(keepers, timeout=grace.total_seconds())
        if late:
            await self._insist(late)

    def health(self) -> Mapping[str, TaskHealth]:
        """How each task is, by name, in the order of their start."""
        return {name: self._health(kept) for name, kept in self._kept.items()}

    async def _insist(self, late: set[asyncio.Task[None]]) -> None:
        for kept in self._kept.values():
            if kept.keeper in late and kept.work is not None:
                log.error("task does not stop", task=kept.name)
                kept.work.cancel()
        await asyncio.wait(late, timeout=LAST_WAIT)

    async def _keep(self, kept: _Kept) -> None:
        while True:
            began = self.now()
            error = await self._run(kept)
            kept.failure = type(error).__name__ if error is not None else "Ended"
            if isinstance(error, self.fatal):
                kept.stopped = True
                log.error("task stopped", task=kept.name, error=kept.failure)
                return
            kept.failures = 1 if self.now() - began >= HEALTHY else kept.failures + 1
            if kept.failures >= TOO_OFTEN:
                self.failed.set()
            wait = self._wait(kept.failures)
            frames = places(error) if error is not None else []
            log.error(
                "task failed",
                task=kept.name,
                error=kept.failure,
                frames=frames,
                tries=kept.failures,
                seconds=wait,
            )
            await self.sleep(wait)

    async def _run(self, kept: _Kept) -> BaseException | None:
        """One run to its end, and the error that ended it. If the keeper is cancelled, the work ends before it."""
        kept.heartbeat.beat()
        kept.work = work = asyncio.create_task(_once(kept.factory, kept.heartbeat), name=kept.name)
        kept.failure = ""
        try:
            await asyncio.wait({work})
        except asyncio.CancelledError:
            work.cancel()
            await asyncio.wait({work})
            _note(work, kept.name)
            raise
        return asyncio.CancelledError() if work.cancelled() else work.exception()

    def _wait(self, failures: int) -> float:
        longest = min(LONGEST_WAIT, FIRST_WAIT * 2 ** (failures - 1))
        # Between half and the whole, so that replicas that failed together do not come back together.
        return longest * (0.5 + self.jitter() / 2)

    def _waits(self, name: str, seconds: float) -> bool:
        kept = self._kept.get(name)
        return (
            kept is None or kept.stopped or bool(kept.heartbeat.reason and kept.heartbeat.silence() < seconds)
        )

    def _stuck(self, name: str, seconds: float, stall: float = 0.0) -> None:
        kept = self._kept.get(name)
        if kept is not None:
            kept.stuck = seconds if seconds >= stall else 0.0

    def _restart(self, name: str) -> None:
        work = self._kept[name].work
        if work is not None:
            work.cancel()

    def _health(self, kept: _Kept) -> TaskHealth:
        if kept.stopped:
            return TaskHealth(False, f"stopped: {kept.failure}")
        if kept.failure:
            return TaskHealth(False, f"restarting: {kept.failure}")
        if kept.silent is not None and kept.heartbeat.silence() > kept.silent.total_seconds():
            return TaskHealth(False, f"stalled: no heartbeat for {kept.heartbeat.silence():.0f} s")
        if kept.stuck and kept.heartbeat.reason:
            return TaskHealth(False, f"no progress for {kept.stuck:.0f} s: {kept.heartbeat.reason}")
        return TaskHealth(True, f"waiting: {kept.heartbeat.reason}" if kept.heartbeat.reason else "running")


async def _once(factory: Factory, heartbeat: Heartbeat) -> None:
    await factory(heartbeat)


def _note(work: asyncio.Task[None], name: str) -> None:
    """An error raised while stopping restarts nothing, and is still told."""
    if not work.cancelled() and (error := work.exception()) is not None:
        log.warning("task failed while stopping", task=name, error=type(error).__name__, frames=places(error))
