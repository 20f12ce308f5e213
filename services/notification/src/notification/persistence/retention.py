"""How long is kept what was delivered, tried and fed? Older rows go a thousand at a time, each in a short transaction that no
batch waits for.

A delivery goes once it is delivered and noted, and its attempts with it. Of a feed the beginning goes, so that what is left has
no gap; `pruned` on the subscription is the number of the last entry that went, and a cursor before it is answered 410.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from loopkeeper.postgres.connections import Connection
from notification.persistence.feed import SHARED

AT_ONCE = 1_000
DELIVERIES = """
DELETE FROM delivery WHERE id IN (
  SELECT id FROM delivery WHERE state = 'delivered' AND delivered_at < $1 AND (notice = '' OR told) LIMIT $2)
"""
# Said before anything goes: what has no delivery since then was not forgotten.
BEFORE = """
INSERT INTO retention (id, deliveries_before) VALUES (1, $1)
ON CONFLICT (id) DO UPDATE SET deliveries_before = greatest(retention.deliveries_before, excluded.deliveries_before)
"""
ATTEMPTS = "DELETE FROM attempt WHERE id IN (SELECT id FROM attempt WHERE at < $1 ORDER BY at, id LIMIT $2)"
OLD_FEEDS = """
SELECT s.id FROM subscription s
WHERE EXISTS (SELECT 1 FROM feed f WHERE f.subscription = s.id AND f.sequence = s.pruned + 1 AND f.at < $1) ORDER BY s.id
"""
HOLD = "SELECT FROM shared WHERE kind = $2 AND id = $1 FOR UPDATE"
# The beginning of one feed, up to the first entry that is young or still waits to be delivered.
BEGINNING = """
SELECT max(sequence) AS upto FROM (
  SELECT f.sequence, bool_and(f.at < $2 AND NOT EXISTS (
    SELECT 1 FROM delivery d WHERE d.subscription = f.subscription AND d.referral = f.referral AND d.sequence = f.sequence
      AND d.state = 'pending')) OVER (ORDER BY f.sequence) AS goes
  FROM (SELECT f.* FROM feed f JOIN subscription s ON s.id = f.subscription
        WHERE f.subscription = $1 AND f.sequence > s.pruned ORDER BY f.sequence LIMIT $3) f) first WHERE goes
"""
GO = (
    "DELETE FROM feed WHERE subscription = $1 AND sequence <= $2",
    "UPDATE subscription SET pruned = $2 WHERE id = $1",
)


@dataclass(frozen=True, slots=True)
class Kept:
    """What is younger than these is kept."""

    deliveries_since: datetime
    feed_since: datetime


async def note(connection: Connection, kept: Kept) -> None:
    """From now on what was delivered before this may be gone."""
    await connection.execute(BEFORE, kept.deliveries_since)


async def deliveries(connection: Connection, kept: Kept) -> int:
    """Delivered deliveries and old attempts, one round of each; how many went."""
    gone = await connection.execute(DELIVERIES, kept.deliveries_since, AT_ONCE)
    tried = await connection.execute(ATTEMPTS, kept.deliveries_since, AT_ONCE)
    return int(gone.split()[-1]) + int(tried.split()[-1])


async def old_feeds(connection: Connection, kept: Kept) -> list[str]:
    """The subscriptions whose feed begins with something old."""
    return [row["id"] for row in await connection.fetch(OLD_FEEDS, kept.feed_since)]


async def beginning(connection: Connection, subscription: str, kept: Kept) -> bool:
    """One round of one feed, whose shared row is held meanwhile; whether anything went."""
    await connection.execute(HOLD, subscription, SHARED)
    upto = await connection.fetchval(BEGINNING, subscription, kept.feed_since, AT_ONCE)
    if upto is None:
        return False
    for statement in GO:
        await connection.execute(statement, subscription, upto)
    return True
