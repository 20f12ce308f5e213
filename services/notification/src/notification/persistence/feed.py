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

SHARED = "subscription"
DISABLED_TYPE = "ecm.endpoint.disabled.v1"


@dataclass(frozen=True, slots=True)
class Subscription:
    """As read under its lock."""

    id: str
    organization: str
    url: str | None
    sequence: int


@dataclass(frozen=True, slots=True)
class News:
    """One thing an organization is to hear. `notice` is the notice's id, whose arrival counts as told."""

    organization: str
    id: str
    type: str
    referral: str
    at: datetime
    data: Mapping[str, Any]
    traceparent: str = ""
    notice: str = ""


@dataclass(slots=True)
class Rows:
    """The rows to write, table by table."""

    ends: dict[str, int] = field(default_factory=dict[str, int])
    feed: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    deliveries: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])


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
        """SELECT id, organization, url, sequence FROM subscription
           WHERE id = ANY($1::text[]) AND state <> 'deleted' ORDER BY id""",
        subscriptions,
    )
    return [Subscription(**dict(row)) for row in rows]


# What one transaction writes into feeds; a batch that would write more is halved. (A batch of 256 facts about organizations
# with a few subscriptions each stays far below.)
MOST_ROWS = 5_000


def rows_of(subscriptions: Sequence[Subscription], news: Sequence[News], now: datetime) -> Rows:
    """One feed row per news and subscription of its organization, numbered on from the subscription's end."""
    rows = Rows()
    by_organization: dict[str, list[Subscription]] = {}
    for each in subscriptions:
        by_organization.setdefault(each.organization, []).append(each)
    for one in news:
        for each in by_organization.get(one.organization, ()):
            sequence = rows.ends.get(each.id, each.sequence) + 1
            rows.ends[each.id] = sequence
            rows.feed.append(_entry(each.id, sequence, one))
            if each.url is not None:
                rows.deliveries.append(delivery(each.id, sequence, one.referral, one.notice, now))
    return rows


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


async def tell_disabled(connection: Connection, subscription: str, claim: str, now: datetime) -> None:
    """An organization hears in its other feeds that one of its endpoints is called no more, and why."""
    row = await connection.fetchrow(
        "SELECT organization, disabled_why, state FROM subscription WHERE id = $1", subscription
    )
    if row is None or row["state"] != "disabled":
        return
    existing = [s for s in await locked(connection, [row["organization"]]) if s.id != subscription]
    data = {"event": claim, "subscription": subscription, "why": row["disabled_why"]}
    news = News(row["organization"], f"evt_{claim}", DISABLED_TYPE, "", now, data)
    await write(connection, rows_of(existing, [news], now))


async def write(connection: Connection, rows: Rows) -> None:
    """Ends, feed rows and deliveries, one bulk statement each."""
    if not rows.feed:
        return
    await connection.execute(
        """UPDATE subscription s SET sequence = e.sequence
           FROM unnest($1::text[], $2::bigint[]) AS e (id, sequence) WHERE s.id = e.id""",
        list(rows.ends),
        list(rows.ends.values()),
    )
    await insert(connection, "feed", rows.feed)
    await insert(connection, "delivery", rows.deliveries)


async def insert(connection: Connection, table: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows of an own table in one statement; one that is there already stays as it is."""
    if not rows:
        return
    await connection.execute(
        f"""INSERT INTO "{table}" SELECT * FROM jsonb_populate_recordset(NULL::"{table}", $1::jsonb)
            ON CONFLICT DO NOTHING""",  # noqa: S608 own table names
        orjson.dumps(rows).decode(),
    )
