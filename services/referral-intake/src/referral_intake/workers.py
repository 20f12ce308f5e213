"""What intake does without being asked: it asks again, gives up waiting for answers, and counts the open loops."""

from __future__ import annotations

from datetime import timedelta

from loopkeeper.kernel.repeat import repeat
from loopkeeper.kernel.supervisor import Heartbeat
from loopkeeper.kernel.wake import woken_by
from loopkeeper.runtime.service import RunningService
from referral_intake.persistence.coverage import compare_all, rosters_of

# Who has to act, as `next_step` names them; an open loop that names nobody is a defect.
ACTORS = ("plan", "provider", "referrer", "loopkeeper", "nobody")
# What is ours to do takes the way of one event through the log: seconds. After a minute it is not under way.
OURS_WITHIN = timedelta(minutes=1)
SOON = timedelta(days=1)
# Deadlines are hours to days away; the counting reads the index of every open loop.
COUNT_EVERY = 30.0
# The request that sends a roster compares it; this only finishes what was broken off.
COMPARE_EVERY = 60.0


async def count_loops(context: RunningService, heartbeat: Heartbeat) -> None:
    """Count now and then; while the database is away the figures stay as they were."""

    async def work() -> bool:
        await count_open(context)
        return False

    await repeat(work, woken_by(context.clock.jumps), COUNT_EVERY, heartbeat)


async def compare_rosters(context: RunningService, heartbeat: Heartbeat) -> None:
    """Finish telling the loops of an import that was done when its request was broken off."""

    async def work() -> bool:
        await compare_all(rosters_of(context))
        return False

    await repeat(work, woken_by(), COMPARE_EVERY, heartbeat)


async def count_open(context: RunningService) -> None:
    """Open loops by next actor, those overdue, those due within a day, and those that nobody moves."""
    now, metrics = context.clock.now(), context.metrics
    rows = await context.pool.fetch(
        """SELECT CASE WHEN next_actor = ANY($1) THEN next_actor ELSE 'nobody' END AS actor, count(*) AS open,
           count(*) FILTER (WHERE next_due_at < $2) AS overdue,
           count(*) FILTER (WHERE next_due_at >= $2 AND next_due_at < $3) AS soon,
           count(*) FILTER (WHERE at < $4) AS resting
           FROM referral WHERE status NOT IN ('closed', '') GROUP BY 1""",
        list(ACTORS),
        now,
        now + SOON,
        now - OURS_WITHIN,
    )
    found = {row["actor"]: row for row in rows}
    for actor in ACTORS:
        row = found.get(actor)
        metrics.open_loops.labels(actor).set(row["open"] if row else 0)
        metrics.overdue_loops.labels(actor).set(row["overdue"] if row else 0)
        metrics.due_soon_loops.labels(actor).set(row["soon"] if row else 0)
    stalled = sum(found[actor]["resting"] for actor in ("loopkeeper", "nobody") if actor in found)
    metrics.stalled_loops.set(stalled)
