"""Which deliveries may be sent now, and what became of them: leases and results, in bulk, in short transactions.

A delivery is leased (committed), sent, recorded. A crash in between lets the lease run out and sends it again under
the same webhook id (protocols.md §8). A failing delivery holds back only later ones of its subscription and referral.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from loopkeeper import ids
from loopkeeper.database import Connection, Pool
from loopkeeper.service import Context
from notification import feed
from notification.webhook import Attempted, Verdict, classify, next_attempt

# An endpoint that hangs holds no more than this many of our connections.
FLYING_PER_SUBSCRIPTION = 8
FLYING = 256
# Four times what one attempt may take: a living sender's lease never runs out under it.
LEASE = timedelta(seconds=60)

# A pair of subscription and referral goes in order: only its earliest pending delivery may leave.
FIRST_OF_ITS_PAIR = """
NOT EXISTS (SELECT 1 FROM delivery e WHERE e.subscription = d.subscription AND e.referral = d.referral
            AND e.state = 'pending' AND e.sequence < d.sequence)
"""

LEASING = f"""
WITH flying AS (
  SELECT subscription, count(*) AS n FROM delivery WHERE state = 'pending' AND leased_until > $1 GROUP BY 1
), chosen AS (
  SELECT due.id FROM subscription s
  LEFT JOIN flying f ON f.subscription = s.id
  CROSS JOIN LATERAL (
    SELECT d.id, d.next_attempt_at FROM delivery d
    WHERE d.subscription = s.id AND d.state = 'pending' AND d.next_attempt_at <= $1
      AND (d.leased_until IS NULL OR d.leased_until <= $1) AND {FIRST_OF_ITS_PAIR}
    ORDER BY d.next_attempt_at, d.sequence LIMIT greatest(0, {FLYING_PER_SUBSCRIPTION} - coalesce(f.n, 0))
    FOR UPDATE OF d SKIP LOCKED
  ) due
  WHERE s.state = 'enabled' AND s.url IS NOT NULL
  ORDER BY due.next_attempt_at LIMIT $2
), leased AS (
  UPDATE delivery d SET leased_until = $3, lease = $4 FROM chosen WHERE d.id = chosen.id
  RETURNING d.id, d.subscription, d.sequence, d.number, d.lease
)
SELECT l.id, l.subscription, l.number, l.lease, s.organization, s.url, s.secret, f.id AS webhook, f.type,
  f.referral, f.body, f.traceparent
FROM leased l JOIN subscription s ON s.id = l.subscription
JOIN feed f ON f.subscription = l.subscription AND f.sequence = l.sequence ORDER BY l.subscription, l.sequence
"""  # noqa: S608 own constants

# A recorded 2xx counts whoever held the lease; a failure counts only for its holder.
RECORDING = """
UPDATE delivery d SET state = r.state, number = greatest(d.number, r.number), lease = '', leased_until = NULL,
  next_attempt_at = coalesce(r.next_attempt_at, d.next_attempt_at),
  delivered_at = CASE WHEN r.state = 'delivered' THEN r.at END
FROM unnest($1::text[], $2::text[], $3::text[], $4::int[], $5::timestamptz[], $6::timestamptz[])
  AS r (id, lease, state, number, next_attempt_at, at)
WHERE d.id = r.id AND d.state = 'pending' AND (d.lease = r.lease OR r.state = 'delivered')
"""

AHEAD = f"""
SELECT count(*) FILTER (WHERE d.next_attempt_at <= $1 OR d.leased_until > $1) AS now,
  min(d.next_attempt_at) FILTER (WHERE d.next_attempt_at > $1) AS next
FROM delivery d JOIN subscription s ON s.id = d.subscription
WHERE d.state = 'pending' AND s.state = 'enabled' AND s.url IS NOT NULL AND {FIRST_OF_ITS_PAIR}
"""  # noqa: S608 own constants

UNTOLD = """
SELECT d.id, d.closing AS notice, d.referral, d.delivered_at, n.code, n.recipient_kind, f.traceparent
FROM delivery d JOIN notice n ON n.id = d.closing
JOIN feed f ON f.subscription = d.subscription AND f.sequence = d.sequence
WHERE d.state = 'delivered' AND d.closing <> '' AND NOT d.told ORDER BY d.id LIMIT $1
"""


@dataclass(frozen=True, slots=True)
class Leased:
    """One delivery that this process may send now; `number` counts the attempts before."""

    id: str
    subscription: str
    number: int
    lease: str
    organization: str
    url: str
    secret: str
    webhook: str
    type: str
    referral: str
    body: str
    traceparent: str


@dataclass(frozen=True, slots=True)
class Result:
    """What one attempt met, and what follows."""

    leased: Leased
    at: datetime
    attempted: Attempted
    verdict: Verdict
    next_attempt_at: datetime | None

    @property
    def state(self) -> str:
        if self.verdict is Verdict.DELIVERED:
            return "delivered"
        return "pending" if self.next_attempt_at is not None else "exhausted"

    @property
    def outcome(self) -> str:
        """As an owner reads it: delivered, failed, exhausted, or gone (the endpoint asked never to be called)."""
        if self.verdict is Verdict.RETRY:
            return "failed" if self.next_attempt_at is not None else "exhausted"
        return str(self.verdict)


def judged(leased: Leased, at: datetime, attempted: Attempted, jitter: float) -> Result:
    """The result of an attempt that ended at `at`. After a 410 the delivery is kept for when the endpoint is back."""
    verdict = classify(attempted)
    following = None
    if verdict is not Verdict.DELIVERED:
        following = next_attempt(leased.number + 1, at, attempted.retry_after, jitter)
    if verdict is Verdict.GONE and following is None:
        following = at
    return Result(leased, at, attempted, verdict, following)


async def lease(connection: Connection, now: datetime, room: int) -> list[Leased]:
    """Take at most `room` deliveries that are due, at most 8 in flight per subscription."""
    rows = await connection.fetch(LEASING, now, room, now + LEASE, ids.uuid().hex)
    return [Leased(**dict(row)) for row in rows]


async def record(connection: Connection, results: Sequence[Result]) -> None:
    """Write what became of these attempts, and the attempts themselves."""
    await connection.execute(
        RECORDING,
        [r.leased.id for r in results],
        [r.leased.lease for r in results],
        [r.state for r in results],
        [r.leased.number + 1 for r in results],
        [r.next_attempt_at for r in results],
        [r.at for r in results],
    )
    await feed.insert(connection, "attempt", [_attempt(r) for r in results])


def _attempt(result: Result) -> Mapping[str, Any]:
    leased, attempted = result.leased, result.attempted
    return {
        "id": ids.new("att"),
        "subscription": leased.subscription,
        "organization": leased.organization,
        "delivery": leased.id,
        "webhook": leased.webhook,
        "type": leased.type,
        "referral": leased.referral,
        "number": leased.number + 1,
        "at": result.at,
        "outcome": result.outcome,
        "status": attempted.status,
        "error": attempted.error,
        "duration_ms": attempted.duration_ms,
        "response": attempted.response_excerpt,
        "next_attempt_at": result.next_attempt_at,
    }


async def untold(pool: Pool, limit: int) -> list[Mapping[str, Any]]:
    """Closings that arrived and whose arrival is not published yet."""
    return [dict(row) for row in await pool.fetch(UNTOLD, limit)]


async def ahead(context: Context) -> tuple[int, datetime | None]:
    """How many deliveries are due or under way, with arrivals not published yet; and when the next one is due."""
    row = await context.pool.fetchrow(AHEAD, context.clock.now())
    waiting = await context.pool.fetchval(
        "SELECT count(*) FROM delivery WHERE state = 'delivered' AND closing <> '' AND NOT told"
    )
    assert row is not None  # noqa: S101 an aggregate always has a row
    return row["now"] + waiting, row["next"]
