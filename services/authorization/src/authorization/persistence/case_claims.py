"""Who of a plan works on a request: a claim of half an hour, so that two people do not judge the same case.

It is no part of the request: no rule reads it, and it keeps nobody from deciding.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from loopkeeper.contract.decider import InvariantBroken
from loopkeeper.postgres.connections import Connection, Pool
from loopkeeper.runtime.service import RunningService

# Claimed again, it is held as long again.
HELD_FOR = timedelta(minutes=30)
# Of a row of `referral`: whether somebody works on it, or this person; `?` are now and the person.
CLAIMED = "EXISTS (SELECT 1 FROM case_claim c WHERE c.id = authorization_id AND c.until > ?)"
CLAIMED_BY = "authorization_id IN (SELECT c.id FROM case_claim c WHERE c.until > ? AND c.person = ?)"


async def claim(context: RunningService, id: str, plan: str, person: str) -> tuple[str, datetime]:
    """Whose it is then, and until when: another's claim that is not over stays."""
    now = context.clock.now()

    async def steps(connection: Connection) -> tuple[str, datetime]:
        await connection.execute(
            """INSERT INTO case_claim (id, plan_id, person, until) VALUES ($1, $2, $3, $4)
               ON CONFLICT (id) DO UPDATE SET person = excluded.person, until = excluded.until
               WHERE case_claim.person = excluded.person OR case_claim.until <= $5""",
            id,
            plan,
            person,
            now + HELD_FOR,
            now,
        )
        row = await connection.fetchrow("SELECT person, until FROM case_claim WHERE id = $1", id)
        if row is None:
            raise InvariantBroken("a case claimed in this transaction has no claim")
        return row["person"], row["until"]

    return await context.store.transact(steps, concurrent=True, wakes=False)


async def release(
    context: RunningService, plan: str, *, id: str | None = None, person: str | None = None
) -> int:
    """End the claim of this request, or all of this person; how many there were."""

    async def steps(connection: Connection) -> str:
        return await connection.execute(
            """DELETE FROM case_claim WHERE plan_id = $1 AND ($2::text IS NULL OR id = $2)
               AND ($3::text IS NULL OR person = $3)""",
            plan,
            id,
            person,
        )

    return int((await context.store.transact(steps, concurrent=True, wakes=False)).split()[-1])


async def claims(pool: Pool, ids: Sequence[str], now: datetime) -> Mapping[str, tuple[str, datetime]]:
    """Who works on which of these requests, which the caller may all see."""
    if not ids:
        return {}
    rows = await pool.fetch(
        "SELECT id, person, until FROM case_claim WHERE id = ANY($1::text[]) AND until > $2", list(ids), now
    )
    return {row["id"]: (row["person"], row["until"]) for row in rows}
