"""What assignment does by itself: it finds the members whose provider left or returned, and asks the plan, or no more."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from uuid import UUID, uuid5

from assignment.domain.commands import ProviderLeft, ProviderReturned
from loopkeeper.contract.calendar import la_date
from loopkeeper.kernel.repeat import repeat
from loopkeeper.kernel.supervisor import Heartbeat
from loopkeeper.kernel.wake import woken_by
from loopkeeper.runtime.service import RunningService
from loopkeeper.store.definition import Submission

NAMESPACE = UUID("0c1f6f0e-52f2-5d0a-9b43-7d3c3f3f0b5d")
ROUND = 256
# A contract ends with a day, and an entry changes seldom: nothing here waits for a second.
EVERY, APART = 30.0, 5.0
# Of every provider how often it changed, in one number: what is the same as before need not be looked through again.
CHANGED = "SELECT coalesce(sum(version), 0)::bigint FROM provider"
# Whether a provider may serve members of a plan on that day.
MAY_SERVE = """p.active AND EXISTS (
      SELECT 1 FROM jsonb_array_elements(p.entry -> 'contracts') AS c
      WHERE c ->> 'plan' = {0} AND (c ->> 'from')::date <= $1
        AND (c ->> 'through' IS NULL OR (c ->> 'through')::date >= $1))"""
# Who left is seen by the few pairs of a provider and a plan; only their assignments are looked at.
LEFT = f"""
WITH gone AS MATERIALIZED (
  SELECT t.provider_id, t.plan_id, p.version FROM places t JOIN provider p ON p.id = t.provider_id
  WHERE t.taken > 0 AND NOT ({MAY_SERVE.format("t.plan_id")}))
SELECT a.id, a.referral, a.provider_id, g.version FROM gone g CROSS JOIN LATERAL (
  SELECT id, referral, provider_id FROM assignment
  WHERE held AND provider_id = g.provider_id AND plan_id = g.plan_id OFFSET 0) a
WHERE a.id > $2 ORDER BY a.id LIMIT $3"""  # noqa: S608 own words
# Of those about which the plan is asked, who may serve again.
RETURNED = f"""
WITH asked AS MATERIALIZED (SELECT id FROM referral WHERE state -> 'change' ->> 'left' = 'true')
SELECT a.id, a.referral, a.provider_id, p.version FROM asked CROSS JOIN LATERAL (
  SELECT id, referral, provider_id, plan_id FROM assignment WHERE held AND referral = asked.id OFFSET 0) a
JOIN provider p ON p.id = a.provider_id
WHERE a.id > $2 AND {MAY_SERVE.format("a.plan_id")} ORDER BY a.id LIMIT $3"""  # noqa: S608 own words
SWEEPS: Mapping[type[ProviderLeft | ProviderReturned], str] = {ProviderLeft: LEFT, ProviderReturned: RETURNED}


async def sweep_left(context: RunningService, heartbeat: Heartbeat) -> None:
    """Ask the plan about each member whose provider left, and take that back where it returned: whenever the directory
    changed, and every day."""
    seen: tuple[date, int] | None = None

    async def work() -> bool:
        nonlocal seen
        now = (la_date(context.clock.now()), await context.pool.fetchval(CHANGED))
        if now != seen:
            await look_through_contracts(context, now[0])
            seen = now
        return False

    await repeat(work, woken_by(context.store.commits), EVERY, heartbeat, apart=APART)


async def look_through_contracts(context: RunningService, today: date) -> int:
    """All of them, in rounds; the rule asks about each once. Returns how many there were."""
    return sum([await _look(context, today, kind, query) for kind, query in SWEEPS.items()])


async def _look(
    context: RunningService, today: date, kind: type[ProviderLeft | ProviderReturned], query: str
) -> int:
    found, last = 0, ""
    while rows := await context.pool.fetch(query, today, last, ROUND):
        submissions: list[Submission] = []
        for row in rows:
            command_id = uuid5(NAMESPACE, f"{kind.__name__}|{row['id']}|{row['version']}|{today}")
            with context.telemetry.span(
                "contract", parent=None, attributes={"loopkeeper.referral": row["referral"]}
            ) as span:
                command = kind(assignment=row["id"], provider=row["provider_id"])
                submissions.append(
                    Submission(command_id, row["referral"], command, traceparent=span.traceparent)
                )
        await context.store.execute(submissions)
        found, last = found + len(rows), rows[-1]["id"]
    return found
