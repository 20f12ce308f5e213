"""What enters a subscription's feed: one entry for each thing it is to hear, and a delivery where it has an address.

Always called inside a writing transaction that holds the subscriptions' shared rows, so that `sequence` has no gap.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson

from loopkeeper.contract import ids
from loopkeeper.contract.calendar import written
from loopkeeper.postgres.connections import Connection
from loopkeeper.store.gathered import Gathered, Writes
from notification.persistence.outgoing import LEASE, Leased, new_lease

SHARED = "subscription"
DISABLED_TYPE = "ecm.endpoint.disabled.v1"


# What is read of a subscription under its lock, its id first.
SUBSCRIPTION = ("id", "organization", "url", "sequence", "secret", "old_secret", "old_secret_until")


@dataclass(frozen=True, slots=True)
class Subscription:
    """As read under its lock."""

    id: str
    organization: str
    url: str | None
    sequence: int
    secret: str = ""
    old_secret: str = ""
    old_secret_until: datetime | None = None

    def still_signs(self, now: datetime) -> str:
        """The old secret, until its grace is over."""
        return self.old_secret if self.old_secret_until is not None and self.old_secret_until > now else ""


@dataclass(frozen=True, slots=True)
class News:
    """One thing an organization is to hear. `notice` is the notice's id, whose arrival counts as told, and is `published` where
    others must hear of it."""

    organization: str
    id: str
    type: str
    referral: str
    at: datetime
    data: Mapping[str, Any]
    traceparent: str = ""
    notice: str = ""
    published: bool = False


@dataclass(slots=True)
class Rows:
    """The rows to write, table by table; and the deliveries as their sender must know them."""

    ends: dict[str, int] = field(default_factory=dict[str, int])
    feed: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    deliveries: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    outgoing: list[Leased] = field(default_factory=list[Leased])


def new_epoch() -> str:
    """The name of a numbering, which no other numbering of the same feed ever had."""
    return secrets.token_hex(4)


async def renumber(connection: Connection) -> None:
    """A restored database begins a new numbering of every feed: up to here it agrees with the one before."""
    await connection.execute("UPDATE subscription SET epoch = left(md5(random()::text), 8), kept = sequence")


async def locked(connection: Connection, organizations: Sequence[str]) -> list[Subscription]:
    """The living subscriptions of these organizations, locked, as they are now. Their shared rows come first, and
    are read by a statement of their own: a wait for the lock would leave what was read with it stale."""
    found = await connection.fetch(
        """SELECT h.id FROM shared h JOIN subscription s ON s.id = h.id
           WHERE h.kind = $2 AND s.organization = ANY($1::text[]) AND s.state <> 'deleted'
           ORDER BY h.id FOR UPDATE OF h""",
        organizations,
        SHARED,
    )
    return await existing(connection, [row["id"] for row in found])


async def existing(connection: Connection, subscriptions: Sequence[str]) -> list[Subscription]:
    """The living ones of these subscriptions, whose shared rows the caller holds."""
    rows = await connection.fetch(
        f"""SELECT {", ".join(SUBSCRIPTION)} FROM subscription
            WHERE id = ANY($1::text[]) AND state <> 'deleted' ORDER BY id""",  # noqa: S608 own names
        subscriptions,
    )
    return [subscription_of(row) for row in rows]


def subscription_of(row: Mapping[str, Any]) -> Subscription:
    """A row that has `SUBSCRIPTION`, among others."""
    return Subscription(**{name: row[name] for name in SUBSCRIPTION})


# What one transaction writes into feeds; a batch that would write more is halved. (A batch of 256 facts about organizations
# with a few subscriptions each stays far below.)
MOST_ROWS = 5_000


def rows_of(
    subscriptions: Sequence[Subscription], news: Sequence[News], now: datetime, holder: str = ""
) -> Rows:
    """One feed row per news and subscription of its organization, numbered on from the subscription's end; `holder` is the
    sender that may lease their deliveries."""
    rows, lease = Rows(), new_lease(holder)
    by_organization: dict[str, list[Subscription]] = {}
    for each in subscriptions:
        by_organization.setdefault(each.organization, []).append(each)
    for one in news:
        for each in by_organization.get(one.organization, ()):
            sequence = rows.ends.get(each.id, each.sequence) + 1
            rows.ends[each.id] = sequence
            rows.feed.append(_entry(each.id, sequence, one))
            if each.url is not None:
                row = delivery(each.id, sequence, one.referral, one.notice, now)
                rows.deliveries.append(row)
                rows.outgoing.append(_outgoing(row, rows.feed[-1], each, one, lease, now))
    return rows


def _outgoing(
    row: Mapping[str, Any], entry: Mapping[str, Any], to: Subscription, news: News, lease: str, now: datetime
) -> Leased:
    return Leased(
        row["id"], to.id, 0, lease, row["trigger"], to.organization, to.url or "", to.secret, to.still_signs(now),
        news.id, news.type, news.referral, entry["body"], news.traceparent, news.notice, news.published,
    )  # fmt: skip


def _entry(subscription: str, sequence: int, news: News) -> dict[str, Any]:
    data = {**news.data, "referral": news.referral, "sequence": sequence}
    body = {"type": news.type, "timestamp": written(news.at), "data": data}
    return {
        "subscription": subscription,
        "sequence": sequence,
        "id": news.id,
        "type": news.type,
        "referral": news.referral,
        "notice": news.notice,
        "body": orjson.dumps(body).decode(),
        "traceparent": news.traceparent,
        "at": news.at,
    }


def delivery(subscription: str, sequence: int, referral: str, notice: str, now: datetime) -> dict[str, Any]:
    """A delivery's row, due at once."""
    return {
        "id": ids.new("dlv"),
        "subscription": subscription,
        "sequence": sequence,
        "referral": referral,
        "notice": notice,
        "told": False,
        "trigger": "scheduled",
        "asked": "",
        "state": "pending",
        "number": 0,
        "next_attempt_at": now,
        "leased_until": None,
        "lease": "",
        "delivered_at": None,
    }


async def tell_disabled(connection: Connection, subscription: str, command_id: str, now: datetime) -> None:
    """An organization hears in its other feeds that one of its endpoints is called no more, and why."""
    row = await connection.fetchrow(
        "SELECT organization, disabled_why, state FROM subscription WHERE id = $1", subscription
    )
    if row is None or row["state"] != "disabled":
        return
    existing = [s for s in await locked(connection, [row["organization"]]) if s.id != subscription]
    data = {"event": command_id, "subscription": subscription, "why": row["disabled_why"]}
    news = News(row["organization"], f"evt_{command_id}", DISABLED_TYPE, "", now, data)
    await write(connection, rows_of(existing, [news], now))


# What a subscription, an organization and a host may have in flight over all replicas (protocols.md §14).
IN_FLIGHT_PER_SUBSCRIPTION, FLYING_PER_ORGANIZATION, FLYING_PER_HOST = 8, 64, 32
# An endpoint that took something within so many minutes, and has failed in nothing since, gets more at a time, and so does a host
# whose endpoints all are so: by eights a plan hears of no more than 100 things a second from a machine that is busy. One that
# begins to hang holds these until its first attempts are over.
IN_FLIGHT_WHEN_WELL, FLYING_PER_HOST_WHEN_WELL, WELL_FOR = 32, 64, "5 minutes"
# How many at a time: of an endpoint `e`, by $1 or $2, which is now.
MOST = f"""
CASE WHEN e.open_until IS NOT NULL THEN 1
  WHEN e.failures = 0 AND e.failing_since IS NULL AND e.heard_at > {{0}} - interval '{WELL_FOR}' THEN {IN_FLIGHT_WHEN_WELL}
  ELSE {IN_FLIGHT_PER_SUBSCRIPTION} END
"""
# The same of a host, by the least that one of its endpoints may have.
MOST_AT_HOST = (
    f"CASE WHEN {{0}} >= {IN_FLIGHT_WHEN_WELL} THEN {FLYING_PER_HOST_WHEN_WELL} ELSE {FLYING_PER_HOST} END"
)

# Deliveries of which those that may be sent at once are leased as they are written: nothing due of their subscription waits for
# its turn, nothing pending of their pair is before them, the endpoint answers, and no bound is reached. $1 rows, $2 now,
# $3 lease until, $4 lease, $5 room.
LEASED_AT_ONCE = f"""
WITH fresh AS MATERIALIZED (SELECT * FROM jsonb_populate_recordset(NULL::delivery, $1::jsonb)
), free AS MATERIALIZED (
  SELECT s.id, s.organization, s.host, {MOST.format("$2::timestamptz")} AS most
  FROM subscription s LEFT JOIN endpoint e ON e.id = s.id
  WHERE s.id IN (SELECT subscription FROM fresh) AND s.state = 'enabled' AND s.url IS NOT NULL AND e.open_until IS NULL
    AND NOT EXISTS (
      SELECT FROM delivery d WHERE d.subscription = s.id AND d.state = 'pending' AND d.next_attempt_at <= $2::timestamptz
        AND (d.leased_until IS NULL OR d.leased_until <= $2::timestamptz))
), flying AS MATERIALIZED (
  SELECT d.subscription, s.organization, s.host FROM delivery d JOIN subscription s ON s.id = d.subscription
  WHERE d.state = 'pending' AND d.leased_until IS NOT NULL AND d.leased_until > $2::timestamptz
), ranked AS (
  SELECT f.id, o.most, min(o.most) OVER (PARTITION BY o.host) AS least_at_host, row_number() OVER (ORDER BY f.subscription, f.sequence) AS place,
    row_number() OVER (PARTITION BY f.subscription, f.referral ORDER BY f.sequence) AS of_pair,
    row_number() OVER (PARTITION BY f.subscription ORDER BY f.sequence)
      + (SELECT count(*) FROM flying y WHERE y.subscription = f.subscription) AS of_subscription,
    row_number() OVER (PARTITION BY o.organization ORDER BY f.subscription, f.sequence)
      + (SELECT count(*) FROM flying y WHERE y.organization = o.organization) AS of_organization,
    row_number() OVER (PARTITION BY o.host ORDER BY f.subscription, f.sequence)
      + (SELECT count(*) FROM flying y WHERE y.host = o.host) AS of_host
  FROM fresh f JOIN free o ON o.id = f.subscription
  WHERE NOT EXISTS (SELECT FROM delivery e WHERE e.subscription = f.subscription AND e.referral = f.referral
                    AND e.state = 'pending')
), chosen AS (
  SELECT id FROM ranked WHERE of_pair = 1 AND place <= $5::int AND of_subscription <= most
    AND of_organization <= {FLYING_PER_ORGANIZATION} AND of_host <= {MOST_AT_HOST.format("least_at_host")})
INSERT INTO delivery (id, subscription, sequence, referral, notice, told, trigger, asked, state, number, next_attempt_at,
  leased_until, lease)
SELECT f.id, f.subscription, f.sequence, f.referral, f.notice, f.told, f.trigger, f.asked, f.state, f.number,
  f.next_attempt_at, CASE WHEN c.id IS NOT NULL THEN $3::timestamptz END, CASE WHEN c.id IS NOT NULL THEN $4::text ELSE '' END
FROM fresh f LEFT JOIN chosen c ON c.id = f.id RETURNING id, lease
"""  # noqa: S608 own constants


async def write(writes: Writes, rows: Rows) -> None:
    """Ends, feed rows and deliveries, which somebody must lease."""
    await _write_feed(writes, rows)
    await insert(writes, "delivery", rows.deliveries, minted=True)


async def write_and_lease(writes: Gathered, rows: Rows, room: int, now: datetime) -> None:
    """The same, with as many deliveries leased as may be sent at once and the caller has room for; their ids are the answer
    `leased`."""
    if room <= 0 or not rows.deliveries:
        await write(writes, rows)
        return
    await _write_feed(writes, rows)
    lease = rows.outgoing[0].lease
    written = orjson.dumps(rows.deliveries).decode()
    writes.add("delivering", LEASED_AT_ONCE, written, now, now + LEASE, lease, room)
    writes.ask("leased", "(SELECT array_agg(id) FROM delivering WHERE lease <> '')")


async def mark_told(writes: Writes, notices: Sequence[str]) -> None:
    """That these arrived is written down: their deliveries are asked no more."""
    if notices:
        await writes.execute(
            """UPDATE delivery SET told = true
               WHERE notice = ANY($1::text[]) AND notice <> '' AND delivered_at IS NOT NULL AND NOT told""",
            notices,
        )


async def _write_feed(writes: Writes, rows: Rows) -> None:
    if not rows.feed:
        return
    await writes.execute(
        """UPDATE subscription s SET sequence = e.sequence
           FROM unnest($1::text[], $2::bigint[]) AS e (id, sequence) WHERE s.id = e.id""",
        list(rows.ends),
        list(rows.ends.values()),
    )
    # Numbered on from the subscription's end, whose lock the caller holds.
    await insert(writes, "feed", rows.feed, minted=True)


async def insert(
    writes: Writes, table: str, rows: Sequence[Mapping[str, Any]], *, minted: bool = False
) -> None:
    """Insert rows of an own table in one statement; one that is there already stays as it is. Where every key was `minted`
    for this very row none is there: each is written once, and not looked for before and confirmed behind."""
    if not rows:
        return
    unless = "" if minted else "ON CONFLICT DO NOTHING"
    await writes.execute(
        f"""INSERT INTO "{table}" SELECT * FROM jsonb_populate_recordset(NULL::"{table}", $1::jsonb)
            {unless}""",  # noqa: S608 own table names
        orjson.dumps(rows).decode(),
    )
