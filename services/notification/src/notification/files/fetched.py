"""That a member file was fetched: which of its bytes went out, and, once all of them have, that its members were told.

A file is told when its provider has fetched the whole of it, in one piece or in several (loop.md 1.6, 7.4).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import orjson

from loopkeeper.contract.calendar import end_of_la_day, la_date
from loopkeeper.postgres.connections import Connection, Queryable
from loopkeeper.runtime.service import RunningService
from notification.files.member_file import TELLS_ENDED, TELLS_HELD
from notification.files.member_rows import DISCONTINUED, with_interval
from notification.persistence import notice_proof
from notification.persistence.notice_proof import Told

HOW = "member_file"
# So many business days before the first of its members must have been told, a file that waits is at risk.
AT_RISK_DAYS = 3


async def went_out(context: RunningService, file: str, client: str, start: int, end: int) -> bool:
    """Write down that these bytes were sent to the file's provider; returns whether it has the whole file by now."""
    now = context.clock.now()

    async def steps(connection: Connection) -> bool:
        row = await connection.fetchrow("SELECT * FROM file WHERE id = $1 FOR UPDATE", file)
        if row is None:
            return False
        note = orjson.loads(row["note"])
        if note.get("fetched_at"):
            return True
        parts = with_interval([(first, last) for first, last in note.get("sent", ())], start, end)
        whole = parts == [(0, row["bytes"])]
        note = {"fetched_at": now.isoformat(), "by": client} if whole else {**note, "sent": parts}
        await connection.execute(
            "UPDATE file SET note = $2::jsonb, at = $3 WHERE id = $1", file, orjson.dumps(note).decode(), now
        )
        if whole:
            await notice_proof.mark(connection, await _told(connection, row, client, now))
        return whole

    return await context.store.transact(steps)


async def _told(connection: Connection, row: Mapping[str, Any], client: str, now: datetime) -> Sequence[Told]:
    """The provider's notices that the rows of this file tell. Those whose arrival is published go their own way."""
    ids = await connection.fetch(
        """SELECT n.id FROM file_row r JOIN notice n ON n.referral = r.stream
           WHERE r.file = $1 AND n.recipient = $2 AND n.recipient_kind = 'provider' AND n.told_at IS NULL
             AND NOT n.published AND n.at <= $3
             AND n.code = ANY(CASE WHEN r.receipt ->> 'engagement' = $4 THEN $5::text[] ELSE $6::text[] END)""",
        row["id"],
        row["provider_id"],
        row["received_at"],
        DISCONTINUED,
        [*TELLS_ENDED, *TELLS_HELD],
        list(TELLS_HELD),
    )
    by = {"organization": row["provider_id"], "client": client, "file": row["id"]}
    return [Told(each["id"], now, HOW, by) for each in ids]


async def tell_by(connection: Queryable, files: Sequence[str]) -> Mapping[str, datetime]:
    """By when the first of a file's members must have been told, of files that were not fetched."""
    rows = await connection.fetch(
        """SELECT r.file, min(n.due_at) AS due_at FROM file_row r JOIN notice n ON n.referral = r.stream
           JOIN file f ON f.id = r.file AND n.recipient = f.provider_id
           WHERE r.file = ANY($1::text[]) AND f.note ->> 'fetched_at' IS NULL AND n.recipient_kind = 'provider'
             AND n.told_at IS NULL AND n.due_at IS NOT NULL GROUP BY 1""",
        files,
    )
    return {row["file"]: row["due_at"] for row in rows}


def at_risk(context: RunningService, due_at: datetime | None, now: datetime) -> bool:
    """Whether a file that waits may come too late."""
    if due_at is None:
        return False
    day = context.policy.calendar.business_days_before(la_date(due_at - timedelta(seconds=1)), AT_RISK_DAYS)
    return now >= end_of_la_day(day - timedelta(days=1))
