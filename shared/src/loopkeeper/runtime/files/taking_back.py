"""How a file that was held is let act, and how two persons take a whole file back."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import orjson

from loopkeeper.kernel.errors import Problem
from loopkeeper.postgres.connections import Connection
from loopkeeper.runtime.service import RunningService

# Of a file's note: who wants it taken back, who agreed, and in which state it was.
TAKEN_BACK = "taken_back"
SECOND_PERSON = (
    "asked-back", "A person wants the file taken back; its rows wait.", "A second person says so, too (`:take-back`).",
)  # fmt: skip


async def release(context: RunningService, file: str) -> bool:
    """Let the rows of a file act that was held or asked back; whether it was."""
    now = context.clock.now()

    async def steps(connection: Connection) -> bool:
        row = await connection.fetchrow("SELECT state, note FROM file WHERE id = $1 FOR UPDATE", file)
        note: dict[str, Any] = orjson.loads(row["note"]) if row is not None else {}
        if row is None or row["state"] == "taken_back" or (row["state"] != "held" and TAKEN_BACK not in note):
            return False
        asked: Mapping[str, Any] = note.pop(TAKEN_BACK, None) or {"state": "held"}
        before: str = asked["state"]
        state = ("acting" if before == "held" else before) if row["state"] == "held" else row["state"]
        await connection.execute(
            """UPDATE file SET state = $2, note = $3::jsonb, code = '', sentence = '', fix = '', at = $4
               WHERE id = $1""",
            file,
            state,
            orjson.dumps(note).decode(),
            now,
        )
        return True

    return await context.store.transact(steps)


def second_to_say(note: Mapping[str, Any], state: str, asked: Mapping[str, Any]) -> bool:
    """Whether this person is the second who wants the file taken back. Raises 409 `same-person`, `taken-back`."""
    if state == "taken_back":
        raise Problem(
            409, "taken-back", "The file was taken back already.", fix="There is nothing more to do."
        )
    before = note.get(TAKEN_BACK)
    if before is None:
        return False
    first = before["asked"]
    if (first["organization"], first["person"]) == (asked["organization"], asked["person"]):
        raise Problem(
            409, "same-person", "One person alone takes no file back.", fix="Let a second person say so, too."
        )
    return True


async def ask_back(context: RunningService, file: str, asked: Mapping[str, Any]) -> None:
    """Write down who wants the file taken back, and why. From the first person's word on no further row acts; the
    second one's takes the file back. Raises as `second_to_say`."""
    now = context.clock.now()

    async def steps(connection: Connection) -> None:
        row = await connection.fetchrow("SELECT state, note FROM file WHERE id = $1 FOR UPDATE", file)
        if row is None:
            return
        note = orjson.loads(row["note"])
        if second_to_say(note, row["state"], asked):
            note[TAKEN_BACK] |= {"agreed": asked, "at": now.isoformat()}
            await _take_back(connection, file, note, now)
            return
        note[TAKEN_BACK] = {"asked": asked, "state": row["state"]}
        state = "held" if row["state"] in ("received", "acting") else row["state"]
        await connection.execute(
            """UPDATE file SET state = $2, note = $3::jsonb, at = $4, code = $5, sentence = $6, fix = $7
               WHERE id = $1""",
            file, state, orjson.dumps(note).decode(), now, *SECOND_PERSON,
        )  # fmt: skip

    await context.store.transact(steps)


async def _take_back(connection: Connection, file: str, note: Mapping[str, Any], now: datetime) -> None:
    await connection.execute(
        """UPDATE file_row SET state = 'done', result = 'refused', code = 'taken-back', fix = $2, facts = ''
           WHERE file = $1 AND state <> 'done'""",
        file,
        "Nothing: the file was taken back before this row acted.",
    )
    await connection.execute(
        """UPDATE file SET state = 'taken_back', note = $2::jsonb, at = $3, done_at = $3, done = rows,
             code = 'taken-back', sentence = $4, fix = '', counts =
             '{"accepted":0,"unchanged":0,"refused":0}'::jsonb || (SELECT coalesce(jsonb_object_agg(result, n), '{}')
             FROM (SELECT result, count(*) n FROM file_row WHERE file = $1 GROUP BY 1) s)
           WHERE id = $1""",
        file,
        orjson.dumps(note).decode(),
        now,
        "Two persons took the file back.",
    )


async def accepted_rows(context: RunningService, file: str) -> Mapping[int, str]:
    """The rows of the file that acted, each with its stream."""
    rows = await context.pool.fetch(
        "SELECT row, stream FROM file_row WHERE file = $1 AND result = 'accepted' AND stream <> '' ORDER BY row",
        file,
    )
    return {row["row"]: row["stream"] for row in rows}


async def keep_taken_back(context: RunningService, file: str, said: Mapping[int, tuple[str, str]]) -> None:
    """What became of the rows that had acted: a code and what to do each."""
    rows = [{"row": row, "code": code, "fix": fix} for row, (code, fix) in said.items()]
    await context.store.transact(
        lambda c: c.execute(
            """UPDATE file_row r SET code = x.code, fix = x.fix
               FROM jsonb_to_recordset($2::jsonb) AS x (row int, code text, fix text)
               WHERE r.file = $1 AND r.row = x.row""",
            file,
            orjson.dumps(rows).decode(),
        ),
        concurrent=True,
    )
