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

from collections.abc import Callable, Sequence
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
# How soon a due timer is noticed when nothing else wakes the sweep.
EVERY = 0.25
# Deadlines are minutes to months away: under load they are looked at no more often than this.
APART = 0.05

# Of a row `t` of timers, whether it may fire as far as parking goes. $2: how the kinds begin that go on while a fact is
# parked; $3: how the reason begins where it was a deadline that failed.
FIRES = """NOT EXISTS (SELECT 1 FROM parked_stream p WHERE p.stream = t.stream AND (starts_with(p.error, $3)
    OR NOT EXISTS (SELECT 1 FROM unnest($2::text[]) AS k (kind) WHERE starts_with(t.kind, k.kind))))"""

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

    async def run(self, heartbeat: Heartbeat) -> None:
        """Sweep after each commit and each jump of the clock, for as long as the process lives."""
        wake = woken_by(self._store.commits, self._clock.jumps)
        await repeat(self._round, wake, EVERY, heartbeat, apart=APART)

    async def _round(self) -> bool:
        """Whether there may be more to fire."""
        for stream in await self._parked.due(self._clock.now()):
            await self._parked.replay(stream)
        return await self.sweep() == SWEEP

    async def sweep(self) -> int:
        """Fire what is due and may fire, park what failed; returns how many were tried."""
        rows = await self._pool.fetch(
            f"SELECT t.stream, t.kind, t.due_at FROM timer t WHERE t.due_at <= $1 AND {FIRES} "  # noqa: S608
            "ORDER BY t.due_at, t.stream LIMIT $4",
            self._clock.now(),
            list(self._goes_on),
            DEADLINE,
            SWEEP,
        )
        if not rows:
            return 0
        ends = await self._event_log.ends()
        stored = await self._consumer.stored_offsets()
        submissions = [
            self._submission(row["stream"], row["kind"], row["due_at"])
            for row in rows
            if self._read_to_end(row["stream"], ends, stored)
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

    def _read_to_end(self, stream: str, ends: Any, stored: Any) -> bool:
        partition = self._event_log.partition_of(stream)
        return stored.get(partition, 0) >= ends.get(partition, 0)

    def _submission(self, stream: str, kind: str, due_at: datetime) -> Submission:
        claim = uuid5(NAMESPACE, f"{stream}|{kind}|{due_at.isoformat()}")
        with self._telemetry.span(
            "timer", parent=None, attributes={"loopkeeper.referral": stream, "loopkeeper.timer": kind}
        ) as span:
            return Submission(
                claim,
                stream,
                command=self._on_timer(kind, due_at),
                traceparent=span.traceparent,
                timer=(kind, due_at),
                goes_on=kind.startswith(tuple(self._goes_on)),
            )
