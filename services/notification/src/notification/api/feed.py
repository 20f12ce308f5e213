"""`/v1/subscriptions/{id}/events`: the same entries in the same order for every reader, and how to wait for the next.

A cursor is `epoch.sequence`. The numbering is without a gap; a restored database begins a new epoch, and a cursor of
an old one is answered 410 with the place up to which both numberings agree.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Header, Query
from pydantic import BaseModel, ConfigDict, Field

from loopkeeper.http.paging import made
from loopkeeper.http.route import Id, Operation, refused
from loopkeeper.http.stream import EVENT_STREAM, SENT_EVENTS, Stream
from loopkeeper.kernel.errors import Busy, Problem, not_found
from loopkeeper.runtime.service import Call
from notification.api.subscriptions import COLUMNS, Owner, own_organization
from notification.delivery.feed_listeners import following_of

router = APIRouter(tags=["notification"], route_class=Operation)
CURSOR = re.compile(r"([0-9a-f]{8})\.(\d{1,18})")
# Longer waits are cut on the way: many proxies give up after 60 s.
LONGEST_WAIT = 30
# A comment keeps proxies from closing a stream on which nothing happens.
HEARTBEAT = 15.0
# A stream ends by itself and its reader opens another, so that a key that was revoked does not read on.
LONGEST_STREAM = 300.0
# A stream holds a socket and little else; one organization may not hold them all.
STREAMS, STREAMS_OF_ONE = 256, 8
# How soon a browser opens a stream again that ended, in milliseconds.
# A stream begins with a comment, since some readers take a block that holds `retry` alone for an event without data; how
# soon to come back goes out with the first entry.
OPEN, RETRY = b": open\n\n", b"retry: 2000\n"
PIECE = 200
LastEventId = Annotated[
    str | None,
    Header(alias="Last-Event-ID", description="Of a stream: the id last seen, as browsers send it."),
]

_open: Counter[str] = Counter()


class EventsQuery(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    after: str | None = Field(
        None,
        pattern=r"^[0-9a-f]{8}\.\d{1,18}$",
        description="`next_cursor` of the page before; from the beginning where it is missing",
    )
    limit: int = Field(100, ge=1, le=PIECE, description="Entries a page")
    wait: int = Field(
        0, ge=0, le=LONGEST_WAIT, description="Where there is nothing yet, wait up to so many seconds for it"
    )


class FeedEntry(BaseModel):
    """What the webhook of this entry says: `id` is its `webhook-id`, the rest its body."""

    model_config = ConfigDict(frozen=True)

    cursor: str
    id: str
    type: str
    timestamp: datetime
    data: Mapping[str, Any]


class FeedPage(BaseModel):
    """`next_cursor` is the `after` of the next call, with or without entries: a feed has no end."""

    model_config = ConfigDict(frozen=True)

    items: tuple[FeedEntry, ...]
    next_cursor: str


@dataclass(frozen=True, slots=True)
class Part:
    """What was read of a feed: entries as stored, and the reader's place after them."""

    rows: Sequence[Mapping[str, Any]]
    epoch: str
    sequence: int

    @property
    def cursor(self) -> str:
        return f"{self.epoch}.{self.sequence}"


@router.get(
    "/v1/subscriptions/{id:key}/events",
    response_model=FeedPage,
    summary="Feed of a subscription, in order and without a gap",
    responses={
        200: {"content": SENT_EVENTS},
        **refused("cursor-gone", status=410),
    },
)
async def events_of(
    id: Id, asked: Annotated[EventsQuery, Query()], call: Owner, last_event_id: LastEventId = None
) -> FeedPage | Stream:
    """Ask again with `after` set to `next_cursor`. With `Accept: text/event-stream` the entries come as they arise,
    with a comment every 15 seconds, for five minutes; `Last-Event-ID` goes on behind the last. After the service was
    restored an older cursor is answered 410: `resume_after` names the entry behind which the feed goes on, under the
    same ids."""
    # While a restored feed is written again its end is not where it will be.
    await call.service.store.read_first()
    streams = _wants_stream(call)
    after = (last_event_id if streams else None) or asked.after
    if streams and not call.head:
        await _read(call, id, after, 0)
        return Stream(_pieces(call, id, after), media_type=EVENT_STREAM, headers={"X-Accel-Buffering": "no"})
    found = await _read(call, id, after, asked.limit)
    if not found.rows and asked.wait and not call.head:
        stopping = call.service.supervisor.stopping
        await following_of(call.service).news(id, found.sequence, asked.wait, stopping)
        found = await _read(call, id, found.cursor, asked.limit)
    entries = await made(call, found.rows, lambda row: _entry(found.epoch, row))
    return FeedPage(items=entries, next_cursor=found.cursor)


def _wants_stream(call: Call) -> bool:
    accepted = call.headers.get(b"accept", b"").decode("latin-1").lower()
    return any(each.partition(";")[0].strip() == EVENT_STREAM for each in accepted.split(","))


async def _read(call: Call, id: str, after: str | None, limit: int) -> Part:
    """Entries behind the cursor `after`; the connection is free again when this returns."""
    async with own_organization(call) as connection:
        row = await connection.fetchrow(
            f"SELECT {COLUMNS} FROM subscription WHERE id = $1 AND organization = $2 AND state <> 'deleted'",  # noqa: S608
            id,
            call.client.organization,
        )
        if row is None:
            raise not_found()
        seen = _place(row, after)
        if seen is None:
            known = await connection.fetchrow(
                "SELECT id, sequence FROM feed WHERE subscription = $1 AND sequence = $2",
                row["id"],
                _agreed(row, after),
            )
            raise _gone(row, known)
        rows = await connection.fetch(
            """SELECT sequence, id, body FROM feed WHERE subscription = $1 AND sequence > $2
               ORDER BY sequence LIMIT $3""",
            row["id"],
            seen,
            limit,
        )
    return Part([dict(each) for each in rows], row["epoch"], rows[-1]["sequence"] if rows else seen)


def _place(row: Mapping[str, Any], after: str | None) -> int | None:
    """The number behind which to read; None where the cursor is of no numbering that is in use."""
    if after is None:
        return 0
    match = CURSOR.fullmatch(after)
    if match is None or match[1] != row["epoch"] or not row["pruned"] <= int(match[2]) <= row["sequence"]:
        return None
    return int(match[2])


def _agreed(row: Mapping[str, Any], after: str | None) -> int:
    """The last number that means the same in the cursor's numbering and in the one in use: what a restored
    database brought with it."""
    match = CURSOR.fullmatch(after or "")
    if match is None:
        return 0
    bound = row["sequence"] if match[1] == row["epoch"] else row["kept"]
    return min(int(match[2]), bound)


def _gone(row: Mapping[str, Any], known: Mapping[str, Any] | None) -> Problem:
    number = known["sequence"] if known is not None else row["pruned"]
    resume = {"event": known["id"] if known is not None else None, "cursor": f"{row['epoch']}.{number}"}
    return Problem(
        410,
        "cursor-gone",
        "The feed was renumbered after this cursor was given, or what follows it is too old to be kept.",
        fix="Go on after resume_after.cursor, and take what comes under an id you know as seen.",
        members={"resume_after": resume},
    )


def _entry(epoch: str, row: Mapping[str, Any]) -> FeedEntry:
    return FeedEntry(cursor=f"{epoch}.{row['sequence']}", id=row["id"], **orjson.loads(row["body"]))


async def _pieces(call: Call, id: str, after: str | None) -> AsyncGenerator[bytes]:
    """The stream, as long as it may last. Raises `Busy` before its first piece where too many are open."""
    organization, stopping = call.client.organization, call.service.supervisor.stopping
    if _open.total() >= STREAMS or _open[organization] >= STREAMS_OF_ONE:
        raise Busy("the number of streams", retry_after=10)
    _open[organization] += 1
    try:
        yield OPEN
        ahead = RETRY
        until = time.monotonic() + LONGEST_STREAM
        while not stopping.is_set() and time.monotonic() < until:
            try:
                found = await _read(call, id, after, PIECE)
            except Problem:
                # The subscription was ended, or its feed restored: a reader that opens it again is told why.
                return
            after = found.cursor
            if found.rows:
                yield ahead + b"".join(_piece(found.epoch, row) for row in found.rows)
                ahead = b""
                continue
            following = following_of(call.service)
            if not await following.news(id, found.sequence, HEARTBEAT, stopping):
                yield b": nothing new\n\n"
    finally:
        _open[organization] -= 1
        if not _open[organization]:
            del _open[organization]


def _piece(epoch: str, row: Mapping[str, Any]) -> bytes:
    entry = _entry(epoch, row).model_dump_json()
    return f"id: {epoch}.{row['sequence']}\ndata: {entry}\n\n".encode()
