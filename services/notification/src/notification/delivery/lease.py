"""Which deliveries may be sent now, and what became of them: leases and results, in bulk, in short transactions.

A delivery is leased (committed), sent, recorded. A crash in between lets the lease run out and sends it again under
the same webhook id (protocols.md §8). A failing delivery holds back only later ones of its subscription and referral.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from loopkeeper.contract import ids
from loopkeeper.contract.decider import InvariantBroken
from loopkeeper.postgres.connections import Connection, Pool
from loopkeeper.runtime.service import RunningService
from notification.delivery.webhook import Attempted, Verdict, classify, next_attempt
from notification.persistence import feed, forwarded

# An endpoint that hangs holds no more than this many of our connections.
IN_FLIGHT_PER_SUBSCRIPTION = 8
IN_FLIGHT = 256
# After a crash what was in flight waits so long; a living sender renews its leases three times as often, so one
# never runs out under it, whatever an attempt takes.
LEASE = timedelta(seconds=15)
RENEW_AFTER = LEASE / 3
# Nothing but failure for so long ends an endpoint's deliveries (Svix: 120 h); what arises is kept.
GIVE_UP_AFTER = timedelta(days=5)

# What an endpoint answered, sealed for its subscription: an error page may quote whom it was told about.
Seal = Callable[[str, str], str]

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
    ORDER BY d.next_attempt_at, d.sequence LIMIT greatest(0, {IN_FLIGHT_PER_SUBSCRIPTION} - coalesce(f.n, 0))
    FOR UPDATE OF d SKIP LOCKED
  ) due
  WHERE s.state = 'enabled' AND s.url IS NOT NULL
  ORDER BY due.next_attempt_at LIMIT $2
), leased AS (
  UPDATE delivery d SET leased_until = $3, lease = $4 FROM chosen WHERE d.id = chosen.id
  RETURNING d.id, d.subscription, d.sequence, d.number, d.lease, d.trigger
)
SELECT l.id, l.subscription, l.number, l.lease, l.trigger, s.organization, s.url, s.secret,
  CASE WHEN s.old_secret_until > $1 THEN s.old_secret ELSE '' END AS old_secret, f.id AS webhook, f.type,
  f.referral, f.body, f.traceparent
FROM leased l JOIN subscription s ON s.id = l.subscription
JOIN feed f ON f.subscription = l.subscription AND f.sequence = l.sequence ORDER BY l.subscription, l.sequence
"""  # noqa: S608 own constants

RENEWING = """
UPDATE delivery SET leased_until = $3 WHERE id = ANY($1::text[]) AND lease = ANY($2::text[]) AND state = 'pending'
"""

# A recorded 2xx counts whoever held the lease; a failure counts only for its holder.
RECORDING = """
UPDATE delivery d SET state = r.state, number = greatest(d.number, r.number), lease = '', leased_until = NULL,
  next_attempt_at = coalesce(r.next_attempt_at, d.next_attempt_at),
  delivered_at = CASE WHEN r.state = 'delivered' THEN coalesce(d.delivered_at, r.at) ELSE d.delivered_at END
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
SELECT d.id, d.notice, n.referral, d.delivered_at, n.code, n.recipient_kind, n.published, f.traceparent
FROM delivery d JOIN notice n ON n.id = d.notice
JOIN feed f ON f.subscription = d.subscription AND f.sequence = d.sequence
WHERE d.delivered_at IS NOT NULL AND d.notice <> '' AND NOT d.told ORDER BY d.id LIMIT $1
"""

# Since when an endpoint has answered nothing but failures. A success forgets it.
HEALTH = """
INSERT INTO endpoint AS e (id, failing_since, heard_at)
SELECT * FROM unnest($1::text[], $2::timestamptz[], $3::timestamptz[]) AS r (id, failed, heard) ORDER BY id
ON CONFLICT (id) DO UPDATE SET
  failing_since = CASE WHEN excluded.heard_at IS NOT NULL THEN NULL
    ELSE coalesce(e.failing_since, excluded.failing_since) END,
  heard_at = coalesce(excluded.heard_at, e.heard_at)
"""

# What begins anew when an endpoint was enabled again is counted from there.
HOPELESS = """
SELECT s.id FROM endpoint e JOIN subscription s ON s.id = e.id
WHERE e.id = ANY($1::text[]) AND s.state = 'enabled' AND e.failing_since IS NOT NULL
  AND greatest(e.failing_since, s.enabled_at) <= $2 ORDER BY s.id
"""

# Sent again at once, under its old id, with a schedule of its own. `asked` makes a repeated request do nothing.
AGAIN = """
UPDATE delivery d SET state = 'pending', number = 0, next_attempt_at = $2, trigger = $3, asked = $4, lease = '',
  leased_until = NULL
WHERE d.id = ANY($1::text[]) AND d.asked <> $4
"""

RECOVERABLE = """
SELECT f.sequence, d.id FROM feed f LEFT JOIN delivery d ON d.subscription = f.subscription AND d.sequence = f.sequence
WHERE f.subscription = $1 AND f.at >= $2 AND f.at < $3
  AND (d.id IS NULL OR d.state = 'exhausted' OR (d.state = 'pending' AND d.number > 0)) ORDER BY f.sequence
"""


@dataclass(frozen=True, slots=True)
class Leased:
    """One delivery that this process may send now; `number` counts the attempts before."""

    id: str
    subscription: str
    number: int
    lease: str
    trigger: str
    organization: str
    url: str
    secret: str
    old_secret: str
    webhook: str
    type: str
    referral: str
    body: str
    traceparent: str


# What an attempt comes to, as an owner reads it.
OUTCOMES = ("delivered", "failed", "exhausted", "gone")


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
        """One of `OUTCOMES`; gone: the endpoint asked never to be called."""
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


async def renew(connection: Connection, held: Sequence[Leased], now: datetime) -> None:
    """These are still being sent, or wait to be recorded."""
    leases = sorted({each.lease for each in held})
    await connection.execute(RENEWING, [each.id for each in held], leases, now + LEASE)


async def record(connection: Connection, results: Sequence[Result], seal: Seal) -> None:
    """Write what became of these attempts, and the attempts themselves, the endpoints' own words sealed."""
    await connection.execute(
        RECORDING,
        [r.leased.id for r in results],
        [r.leased.lease for r in results],
        [r.state for r in results],
        [r.leased.number + 1 for r in results],
        [r.next_attempt_at for r in results],
        [r.at for r in results],
    )
    await feed.insert(connection, "attempt", [_attempt(r, seal) for r in results])
    await _note_health(connection, results)


async def _note_health(connection: Connection, results: Sequence[Result]) -> None:
    heard = {r.leased.subscription: r.at for r in results if r.verdict is Verdict.DELIVERED}
    first: dict[str, datetime] = {}
    for result in results:
        subscription = result.leased.subscription
        first[subscription] = min(first.get(subscription, result.at), result.at)
    names = sorted(first)
    await connection.execute(
        HEALTH,
        names,
        [None if name in heard else first[name] for name in names],
        [heard.get(name) for name in names],
    )


async def hopeless(pool: Pool, results: Sequence[Result], now: datetime) -> list[str]:
    """The endpoints among these that have answered nothing but failures for so long that they are called no more."""
    failing = sorted({r.leased.subscription for r in results if r.verdict is Verdict.RETRY})
    if not failing:
        return []
    return [row["id"] for row in await pool.fetch(HOPELESS, failing, now - GIVE_UP_AFTER)]


async def again(
    connection: Connection, chosen: Sequence[str], now: datetime, *, trigger: str, asked: str
) -> None:
    """Send these deliveries again, whatever became of them."""
    await connection.execute(AGAIN, chosen, now, trigger, asked)


async def hurry(connection: Connection, subscription: str, now: datetime) -> None:
    """An endpoint that is back gets what waits for it at once."""
    await connection.execute(
        """UPDATE delivery SET next_attempt_at = $2
           WHERE subscription = $1 AND state = 'pending' AND next_attempt_at > $2""",
        subscription,
        now,
    )


async def recoverable(
    connection: Connection, subscription: str, since: datetime, until: datetime
) -> tuple[list[str], list[int]]:
    """What of a range never arrived: deliveries that failed, and feed entries that have none (no address then)."""
    rows = await connection.fetch(RECOVERABLE, subscription, since, until)
    return (
        [row["id"] for row in rows if row["id"] is not None],
        [row["sequence"] for row in rows if row["id"] is None],
    )


async def begin(
    connection: Connection, subscription: str, sequences: Sequence[int], now: datetime, asked: str
) -> None:
    """Deliveries for feed entries that have none."""
    entries = await connection.fetch(
        "SELECT sequence, referral, notice FROM feed WHERE subscription = $1 AND sequence = ANY($2::bigint[])",
        subscription,
        sequences,
    )
    rows = [
        {**feed.delivery(subscription, e["sequence"], e["referral"], e["notice"], now), "asked": asked}
        for e in entries
    ]
    await feed.insert(connection, "delivery", [{**row, "trigger": "recovery"} for row in rows])


def _attempt(result: Result, seal: Seal) -> Mapping[str, Any]:
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
        "trigger": leased.trigger,
        "at": result.at,
        "outcome": result.outcome,
        "status": attempted.status,
        "error": attempted.error,
        "duration_ms": attempted.duration_ms,
        "response": seal(leased.subscription, attempted.response_excerpt),
        "next_attempt_at": result.next_attempt_at,
    }


async def untold(pool: Pool, limit: int) -> list[Mapping[str, Any]]:
    """Notices that arrived and whose arrival is not written down yet."""
    return [dict(row) for row in await pool.fetch(UNTOLD, limit)]


async def ahead(context: RunningService) -> tuple[int, datetime | None]:
    """How many deliveries are due or under way, with arrivals not published and events not forwarded yet; and when the
    next one is due."""
    row = await context.pool.fetchrow(AHEAD, context.clock.now())
    waiting = await context.pool.fetchval(
        "SELECT count(*) FROM delivery WHERE delivered_at IS NOT NULL AND notice <> '' AND NOT told"
    )
    if row is None:
        raise InvariantBroken("an aggregate came without a row")
    return row["now"] + waiting + await forwarded.waiting(context.pool), row["next"]
