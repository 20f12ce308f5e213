"""What authorization does by itself: grants end with their last day, claims that wait for a provider are looked at."""

from __future__ import annotations

from typing import cast
from uuid import UUID, uuid5

from authorization.domain.commands import LookAgain
from authorization.persistence.projections import LookupProjection
from loopkeeper.kernel.repeat import repeat
from loopkeeper.kernel.supervisor import Heartbeat
from loopkeeper.kernel.wake import woken_by
from loopkeeper.runtime.service import RunningService
from loopkeeper.store.definition import Submission

NAMESPACE = UUID("3f0c0c3e-7a51-5d53-a1d8-0f6f9b1b7c11")
ROUND = 256
# Both sides of the join come in through this service's own store, and wake the sweep: requests that wait, and entries of the
# directory. This finds what other replicas wrote.
EVERY = 5.0


async def sweep_awaiting(context: RunningService, heartbeat: Heartbeat) -> None:
    """Look again at claims whose provider, or its hub, the directory knows by now (ADR 5)."""

    async def work() -> bool:
        await look_again(context)
        return False

    waiting = cast("LookupProjection", context.store.domain.projection).awaiting
    await repeat(work, woken_by(context.store.recorded, waiting), EVERY, heartbeat)


async def look_again(context: RunningService) -> int:
    """One round; returns how many claims were looked at."""
    rows = await context.pool.fetch(
        """SELECT r.id, r.awaiting_provider, p.version FROM referral r JOIN provider p ON p.id = r.awaiting_provider
           WHERE r.awaiting_provider <> '' ORDER BY r.id LIMIT $1""",
        ROUND,
    )
    submissions: list[Submission] = []
    for row in rows:
        stream, provider = row["id"], row["awaiting_provider"]
        claim = uuid5(NAMESPACE, f"{stream}|{provider}|{row['version']}")
        with context.telemetry.span(
            "look again", parent=None, attributes={"loopkeeper.referral": stream}
        ) as span:
            submissions.append(
                Submission(claim, stream, LookAgain(waits_for=provider), traceparent=span.traceparent)
            )
    if submissions:
        await context.store.execute(submissions)
    return len(submissions)
