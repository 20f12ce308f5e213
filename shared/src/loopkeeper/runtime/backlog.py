"""What waits in a service? Counted now and then from its database and its log, for a person and for alerts.

Replicas of a service count the same rows: a sum of their figures counts twice, so take the largest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from loopkeeper.contract.decider import InvariantBroken
from loopkeeper.flow.timers import FIRES
from loopkeeper.kernel.repeat import repeat
from loopkeeper.kernel.supervisor import Heartbeat
from loopkeeper.kernel.wake import woken_by
from loopkeeper.runtime.service import RunningService
from loopkeeper.store.bulk_writes import DEADLINE
from loopkeeper.store.later_tables import BUSY, OF_A_SERVICE

# As often as Prometheus usually looks; the counting costs two round trips.
EVERY = 15.0


@dataclass(frozen=True, slots=True)
class Backlog:
    """What one service has not done yet, as its database has it. Deadlines that wait for a parked fact are not due: they
    are told with what is parked."""

    outbox: int
    parked: int
    timers_due: int
    next_timer_at: datetime | None


async def waiting(context: RunningService, now: datetime) -> Backlog:
    """Unsent, parked and due, as of `now`."""
    row = await context.pool.fetchrow(
        f"""SELECT (SELECT count(*) FROM outbox) AS outbox, (SELECT count(*) FROM parked_stream) AS parked,
           (SELECT t.due_at FROM timer t WHERE {FIRES} ORDER BY t.due_at LIMIT 1) AS next_timer_at,
           (SELECT count(*) FROM timer t WHERE t.due_at <= $1 AND {FIRES}) AS timers_due""",  # noqa: S608
        now,
        list(context.goes_on),
        DEADLINE,
    )
    if row is None:
        raise InvariantBroken("counts came without a row")
    return Backlog(row["outbox"], row["parked"], row["timers_due"], row["next_timer_at"])


async def dead_rows(context: RunningService) -> Mapping[str, int]:
    """Of the tables that are read from their beginning many times a second: how many dead rows each read may pass."""
    rows = await context.pool.fetch(
        "SELECT relname, n_dead_tup FROM pg_stat_user_tables WHERE relname = ANY($1::text[])",
        [*BUSY, *OF_A_SERVICE],
    )
    return {row["relname"]: row["n_dead_tup"] for row in rows}


async def measure(context: RunningService) -> None:
    """Write what waits, and which tasks are not well, into this process's figures."""
    now, metrics = context.clock.now(), context.metrics
    found, positions = await waiting(context, now), await context.positions()
    late = (now - found.next_timer_at).total_seconds() if found.next_timer_at is not None else 0.0
    tasks = context.supervisor.health()
    unwell = [name for name, health in tasks.items() if name.startswith(f"{context.name}.") and not health.ok]
    for gauge, value in (
        (metrics.unread, sum(end - read for end, read in positions.values())),
        (metrics.unsent, found.outbox),
        (metrics.parked_streams, found.parked),
        (metrics.timers_due, found.timers_due),
        (metrics.timer_late_seconds, max(late, 0.0)),
        (metrics.tasks_unwell, len(unwell)),
    ):
        gauge.labels(context.name).set(value)
    for table, dead in (await dead_rows(context)).items():
        metrics.dead_rows.labels(context.name, table).set(dead)
    for partition, (end, read) in positions.items():
        metrics.partition_unread.labels(context.name, partition).set(end - read)
        metrics.partition_position.labels(context.name, partition).set(read)
    # Of the machine, not of the movable clock: it tells how old the figures next to it are.
    metrics.measured_at.labels(context.name).set_to_current_time()


async def keep_measuring(context: RunningService, heartbeat: Heartbeat) -> None:
    """Measure now and then; while the log or the database is away the figures stay as they were, and age."""

    async def work() -> bool:
        await measure(context)
        return False

    await repeat(work, woken_by(context.clock.jumps), EVERY, heartbeat)
