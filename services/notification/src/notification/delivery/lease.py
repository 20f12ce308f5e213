"""Which deliveries may be sent now, and what became of them: leases and results, in bulk, in short transactions.

A delivery is leased (committed), sent, recorded. After a crash in between it is sent again under the same webhook id
(protocols.md §8): as soon as another sender finds this one gone (presence.py), or when the lease runs out. A failing
delivery holds back only later ones of its subscription and referral.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from loopkeeper.contract import ids
from loopkeeper.contract.decider import InvariantBroken
from loopkeeper.postgres.connections import Connection, Pool
from loopkeeper.runtime.service import RunningService
from loopkeeper.store.gathered import Gathered
from notification.delivery.breaker import Breaker, after, silent
from notification.delivery.statements import (
    AGAIN,
    AHEAD,
    ANYTHING,
    BEHIND,
    BREAKERS,
    CLOSING,
    FIRST_HEARD,
    HEALTH,
    HOPELESS,
    LATE,
    LEASING,
    RECORDING,
    RECOVERABLE,
    RENEWING,
    UNTOLD,
    WELL,
)
from notification.delivery.webhook import Attempted, Verdict, classify, next_attempt
from notification.persistence import feed, forwarded, notice_proof
from notification.persistence.notice_proof import Told
from notification.persistence.outgoing import LEASE, Leased, new_lease

# In flight from one process; so many of them are kept for organizations that have nothing in flight.
IN_FLIGHT, KEPT_FREE = 256, 64
RENEW_AFTER = LEASE / 3
# Nothing but failure for so long ends an endpoint's deliveries (Svix: 120 h); what arises is kept.
GIVE_UP_AFTER = timedelta(days=5)

# What an endpoint answered, sealed for its subscription: an error page may quote whom it was told about.
Seal = Callable[[str, str], str]


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
    # Its own for good: where the answer to its record was lost it is recorded once more, and is still one attempt.
    id: str = field(default_factory=partial(ids.new, "att"))

    @property
    def first(self) -> bool:
        """Whether it arrived at the first try: then nothing behind it was ever put off because of it."""
        return (
            self.verdict is Verdict.DELIVERED
            and not self.leased.number
            and self.leased.trigger == "scheduled"
        )

    @property
    def tells(self) -> bool:
        """Whether it proves that a notice was told, which nobody else must hear of."""
        return self.verdict is Verdict.DELIVERED and bool(self.leased.notice) and not self.leased.published

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


@dataclass(frozen=True, slots=True)
class Found:
    """What a look found: something to lease, leases of other senders."""

    due: bool
    elsewhere: bool


async def anything(pool: Pool, now: datetime, holder: str = "") -> Found:
    """Whether there is anything to lease, or leased by others than this sender."""
    row = await pool.fetchrow(ANYTHING, now, holder)
    if row is None:
        raise InvariantBroken("a look without a FROM came without a row")
    return Found(**dict(row))


async def lease(connection: Connection, now: datetime, room: int, holder: str = "") -> list[Leased]:
    """Take at most `room` deliveries that are due, organizations in turns: at most 8 in flight per subscription, 32 of one
    that is well, 64 per organization, 32 per host, over all replicas. The last of the room is for those who have nothing in flight."""
    usual = max(0, room - KEPT_FREE)
    rows = await connection.fetch(LEASING, now, room, now + LEASE, new_lease(holder), usual)
    return [Leased(**dict(row)) for row in rows]


async def renew(connection: Connection, held: Sequence[Leased], now: datetime) -> None:
    """These are still being sent, or wait to be recorded."""
    leases = sorted({each.lease for each in held})
    await connection.execute(RENEWING, [each.id for each in held], leases, now + LEASE)


async def record(connection: Connection, results: Sequence[Result], seal: Seal) -> None:
    """Write what became of these attempts, the attempts themselves, the endpoints' own words sealed, and which notices were
    told; those that others must hear of are left to `untold`."""
    writes = Gathered()
    writes.add(
        "recorded",
        RECORDING,
        [r.leased.id for r in results],
        [r.leased.lease for r in results],
        [r.state for r in results],
        [r.leased.number + 1 for r in results],
        [r.next_attempt_at for r in results],
        [r.at for r in results],
        [r.tells for r in results],
    )
    writes.ask("held", "(SELECT array_agg(id) FROM recorded)")
    await feed.insert(writes, "attempt", [_attempt(r, seal) for r in results])
    told: dict[str, datetime] = {}
    for r in results:
        if r.tells:
            told.setdefault(r.leased.notice, r.at)
    await notice_proof.mark(writes, [Told(notice, told[notice], "webhook") for notice in sorted(told)])
    unwell = {r.leased.subscription for r in results if r.verdict is not Verdict.DELIVERED}
    well = {r.leased.subscription: r.at for r in results if r.leased.subscription not in unwell}
    for statement in (WELL, FIRST_HEARD):
        await writes.execute(statement, list(well), list(well.values()))
    held: set[str] = set((await writes.send(connection))["held"] or [])
    behind = [r for r in results if r.leased.id in held and not r.first]
    if behind:
        # By a statement of its own, which sees what another replica recorded while the first one waited.
        await connection.execute(
            BEHIND,
            [r.leased.id for r in behind],
            [r.next_attempt_at or r.at for r in behind],
            [r.state == "pending" for r in behind],
        )
    if unwell:
        await _note_health(connection, [r for r in results if r.leased.subscription in unwell])


async def _note_health(connection: Connection, results: Sequence[Result]) -> None:
    heard = {r.leased.subscription: r.at for r in results if r.verdict is Verdict.DELIVERED}
    first: dict[str, datetime] = {}
    for result in results:
        subscription = result.leased.subscription
        first[subscription] = min(first.get(subscription, result.at), result.at)
    names = sorted(first)
    breakers = await _breakers(connection, names, results)
    await connection.execute(
        HEALTH,
        names,
        [None if name in heard else first[name] for name in names],
        [heard.get(name) for name in names],
        [breakers[name].failures for name in names],
        [breakers[name].open_until for name in names],
    )


async def _breakers(
    connection: Connection, names: Sequence[str], results: Sequence[Result]
) -> Mapping[str, Breaker]:
    """The breakers of these endpoints after these attempts."""
    rows = await connection.fetch(BREAKERS, names)
    known = {row["id"]: Breaker(row["failures"], row["open_until"]) for row in rows}
    ended: dict[str, list[tuple[datetime, bool]]] = {}
    for result in sorted(results, key=lambda each: each.at):
        ended.setdefault(result.leased.subscription, []).append((result.at, silent(result.attempted)))
    return {name: after(known.get(name, Breaker()), ended[name]) for name in names}


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
    await connection.execute(CLOSING, subscription)


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
    await feed.insert(connection, "delivery", [{**row, "trigger": "recovery"} for row in rows], minted=True)


def _attempt(result: Result, seal: Seal) -> Mapping[str, Any]:
    leased, attempted = result.leased, result.attempted
    return {
        "id": result.id,
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


async def late(pool: Pool, now: datetime) -> timedelta:
    """How long the delivery has been due that has waited longest though its endpoint has failed in nothing."""
    oldest: datetime | None = await pool.fetchval(LATE, now)
    return now - oldest if oldest is not None else timedelta()


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
