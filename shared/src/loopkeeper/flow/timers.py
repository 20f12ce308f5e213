"""When deadlines fire: due rows become commands, once their service has read everything that came before.

A timer fires only when the stored offset of its referral's partition has reached that partition's end as asked
after `due_at`, and while the referral is not parked: after an outage the unread facts come first. Firing is a
command whose rule checks that this deadline still applies, so firing twice, or for a closed loop, does nothing.

A deadline that only tells (a clock at risk or breached, a reminder) decides nothing that a parked fact could undo: the
service names its kinds, and they fire while the referral is parked, too. The law's clocks do not stop for a fault of ours.

A deadline whose command meets a fault of ours parks its referral, like a fact would: it is shown, holds no other
back, and is due again after each timed replay.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID, uuid5

from loopkeeper.contract.decider import Command
from loopkeeper.event_log.port import EventLog
from loopkeeper.flow.consumer import Consumer
from loopkeeper.flow.parked import ParkedFacts
from loopkeeper.kernel.clock import Clock
from loopkeeper.kernel.logs import get
from loopkeeper.kernel.metrics import Metrics
from loopkeeper.kernel.repeat import repeat
from loopkeeper.kernel.supervisor import Heartbeat
from loopkeeper.kernel.wake import woken_by
from loopkeeper.observability.telemetry import Telemetry
from loopkeeper.postgres.connections import Pool
from loopkeeper.store.batch import describe
from loopkeeper.store.bulk_writes import DEADLINE
from loopkeeper.store.definition import Submission
from loopkeeper.store.store import Store

log = get("timers")

NAMESPACE = UUID("0a4c8e52-7f0e-5b3b-9f5c-5d0f3c1f9a77")
SWEEP = 256
# The earliest deadline is kept in memory; how soon one is noticed that another replica wrote, which then went away.
EVERY = 5.0
# How soon one that waits for unread facts is looked at again, when reading them does not wake the sweep.
AGAIN = 0.25
# Deadlines are minutes to months away: under load they are looked at no more often than this.
APART = 0.05

# Of a row `t` of timers, whether it may fire as far as parking goes. $2: how the kinds begin that go on while a fact is
# parked; $3: how the reason begins where it was a deadline that failed.
FIRES = """NOT EXISTS (SELECT 1 FROM parked_stream p WHERE p.stream = t.stream AND (starts_with(p.error, $3)
    OR NOT EXISTS (SELECT 1 FROM unnest($2::text[]) AS k (kind) WHERE starts_with(t.kind, k.kind))))"""

# What is due, soonest first, with the next that will be; and the timed replays of what is parked. A row without a kind is a
# replay's.
LOOK = f"""
(SELECT t.stream, t.kind, t.due_at FROM timer t WHERE t.due_at <= $1 AND {FIRES} ORDER BY t.due_at, t.stream LIMIT $4)
UNION ALL
(SELECT t.stream, t.kind, t.due_at FROM timer t WHERE t.due_at > $1 AND {FIRES} ORDER BY t.due_at LIMIT 1)
UNION ALL
(SELECT stream, NULL, next_retry_at FROM parked_stream WHERE next_retry_at IS NOT NULL ORDER BY next_retry_at LIMIT $5)
"""  # noqa: S608 own constants
REPLAYS = 50

# The command of a deadline, given its kind and when it was due.
OnTimer = Callable[[str, datetime], Command]


class TimerSweep:
    """Fires one service's timers and replays its parked streams when their time has come."""

    def __init__(
        self,
        store: Store[Any],
        pool: Pool,
        event_log: EventLog,
        consumer: Consumer,
        parked: ParkedFacts,
        on_timer: OnTimer,
        *,
        clock: Clock,
        metrics: Metrics,
        telemetry: Telemetry,
        goes_on: Sequence[str] = (),
    ) -> None:
        """`goes_on`: how the kinds of those deadlines begin that fire while their referral is parked."""
        self._goes_on = goes_on
        self._store = store
        self._pool = pool
        self._event_log = event_log
        self._consumer = consumer
        self._parked = parked
        self._on_timer = on_timer
        self._clock = clock
        self._metrics = metrics
        self._telemetry = telemetry
        self._looks_at = 0.0
        self._alarm: asyncio.TimerHandle | None = None

    async def run(self, heartbeat: Heartbeat) -> None:
        """Sweep whenever a deadline has come, for as long as the process lives."""
        deadlines = self._store.deadlines
        wake, jumped = woken_by(deadlines, self._clock.jumps), woken_by(self._clock.jumps)
        deadlines.earliest = None

        async def work() -> bool:
            if jumped.is_set():
                jumped.clear()
                deadlines.earliest = None
            loop = asyncio.get_running_loop()
            more = False
            if (
                deadlines.earliest is None
                or self._clock.now() >= deadlines.earliest
                or loop.time() >= self._looks_at
            ):
                self._looks_at = loop.time() + EVERY
                more = await self._round()
            if not more:
                self._set_alarm(loop, wake)
            return more

        try:
            await repeat(work, wake, EVERY, heartbeat, apart=APART)
        finally:
            self._end_alarm()

    def _set_alarm(self, loop: asyncio.AbstractEventLoop, wake: asyncio.Event) -> None:
        """For the earliest deadline there is."""
        self._end_alarm()
        deadlines = self._store.deadlines
        if deadlines.withheld:
            self._alarm = loop.call_later(AGAIN, deadlines.look)
        elif deadlines.earliest is not None:
            left = (deadlines.earliest - self._clock.now()).total_seconds()
            if left < EVERY:
                self._alarm = loop.call_later(max(left, 0.0), wake.set)

    def _end_alarm(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()

    async def _round(self) -> bool:
        """Whether there may be more to do at once."""
        now, deadlines = self._clock.now(), self._store.deadlines
        deadlines.begin_look()
        try:
            rows = await self._look(now)
            for row in rows:
                if row["kind"] is None and row["due_at"] <= now:
                    await self._parked.replay(row["stream"])
            due = [row for row in rows if row["kind"] is not None and row["due_at"] <= now]
            fired = await self._fire(due)
        except BaseException:
            # Not everything was done: the next round looks again.
            deadlines.earliest = None
            raise
        later = [row["due_at"] for row in rows if row["due_at"] > now]
        deadlines.looked(min(later, default=None), withheld=fired < len(due))
        return fired == SWEEP

    async def sweep(self) -> int:
        """Fire what is due and may fire, park what failed; returns how many were tried."""
        now = self._clock.now()
        rows = await self._look(now)
        return await self._fire([row for row in rows if row["kind"] is not None and row["due_at"] <= now])

    async def _look(self, now: datetime) -> Sequence[Mapping[str, Any]]:
        return await self._pool.fetch(LOOK, now, list(self._goes_on), DEADLINE, SWEEP, REPLAYS)

    async def _fire(self, rows: Sequence[Mapping[str, Any]]) -> int:
        """How many of these were tried: those whose service has read all that came before."""
        if not rows:
            return 0
        ends = await self._event_log.ends()
        read = await self._consumer.read_offsets()
        submissions = [
            self._submission(row["stream"], row["kind"], row["due_at"])
            for row in rows
            if self._read_to_end(row["stream"], ends, read)
        ]
        if not submissions:
            return 0
        outcomes = await self._store.execute(submissions)
        failed = [
            (submission, f"{DEADLINE}{submission.label}: {describe(outcome)}")
            for submission in submissions
            if isinstance(outcome := outcomes[submission.id], Exception)
        ]
        if failed:
            await self._store.park(failed)
        self._metrics.timers_fired.labels(self._store.domain.service).inc(len(submissions) - len(failed))
        return len(submissions)

    def _read_to_end(self, stream: str, ends: Mapping[int, int], read: Mapping[int, int]) -> bool:
        partition = self._event_log.partition_of(stream)
        return read.get(partition, 0) >= ends.get(partition, 0)

    def _submission(self, stream: str, kind: str, due_at: datetime) -> Submission:
        command_id = uuid5(NAMESPACE, f"{stream}|{kind}|{due_at.isoformat()}")
        with self._telemetry.span(
            "timer", parent=None, attributes={"loopkeeper.referral": stream, "loopkeeper.timer": kind}
        ) as span:
            return Submission(
                command_id,
                stream,
                command=self._on_timer(kind, due_at),
                traceparent=span.traceparent,
                timer=(kind, due_at),
                goes_on=kind.startswith(tuple(self._goes_on)),
            )
