"""What is kept of a file that was taken in: how far it is, and what became of each row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID, uuid5

import orjson

from loopkeeper.plan_files.outcomes import FACTS, Judged, Outcome, Warned
from loopkeeper.postgres.connections import Connection
from loopkeeper.runtime.files.kinds import Act, Acted, Open, Planned, Sent
from loopkeeper.runtime.service import RunningService

# Rows that one statement writes.
ROWS = 2000
SEALED_FACTS = "file_facts"
KEY_MISSING = "key-missing"
# Why a file waits: code, sentence, fix.
NO_KEY = (
    KEY_MISSING,
    "The key of this plan is not here.",
    "Nothing: it goes on once the key is back. Ask operations.",
)
NO_SCAN = (
    "scan-missing", "The scan of files does not run.", "Nothing: it goes on once the scan runs. Ask operations.",
)  # fmt: skip
WAITING = (KEY_MISSING, NO_SCAN[0])
HELD = (
    "held", "More of its rows are refused than the plan lets act at once.",
    "The plan lets it act (`:release`), or two persons take it back (`:take-back`).",
)  # fmt: skip


def command_of(file: str, row: int, fact: int) -> UUID:
    """The id of the command of one fact of one row: the same whenever the row acts."""
    return uuid5(FACTS, f"{file} {row} {fact}")


# ── judged ────────────────────────────────────────────────────────────────────────────────────────────────


async def refuse(
    context: RunningService, file: str, code: str, sentence: str, fix: str, column: str = ""
) -> None:
    """The file is refused whole."""
    now = context.clock.now()
    await context.store.transact(
        lambda c: c.execute(
            """UPDATE file SET state = 'refused', code = $2, sentence = $3, fix = $4, "column" = $5, done_at = $6,
               at = $6 WHERE id = $1""",
            file,
            code,
            sentence,
            fix,
            column,
            now,
        ),
        concurrent=True,
    )


async def keep_judged(
    context: RunningService, sent: Sent, planned: Planned, facts: Mapping[str, Any], *, hold: bool = False
) -> None:
    """What becomes of each row, in one transaction; from then on the file is not read again to act. `facts` are further
    columns of the file; `hold`: none of its rows acts before the plan lets it."""
    places = {row: place for place, row in enumerate(planned.order)}
    rows = [
        _judged(context, sent, outcome, planned.acts.get(outcome.row), places.get(outcome.row, 0))
        for outcome in planned.judged.outcomes
    ]
    now = context.clock.now()
    opened = any(row["state"] != "done" for row in rows)
    held = hold and opened
    why = HELD if held else ("", "", "")

    async def steps(connection: Connection) -> None:
        await connection.execute("DELETE FROM file_row WHERE file = $1", sent.id)
        for start in range(0, len(rows), ROWS):
            await connection.execute(
                "INSERT INTO file_row SELECT * FROM jsonb_populate_recordset(NULL::file_row, $1::jsonb)",
                orjson.dumps(rows[start : start + ROWS]).decode(),
            )
        counts = dict(planned.judged.counts())
        await connection.execute(
            """UPDATE file SET state = CASE WHEN state = 'held' THEN state ELSE $2 END, rows = $3, done = $4, counts = $5::jsonb, format = $6, period_from = $7,
               period_through = $8, done_at = $9, at = $10, code = $11, sentence = $12, fix = $13 WHERE id = $1""",
            sent.id,
            "held" if held else "acting" if opened else "done",
            len(rows),
            sum(row["state"] == "done" for row in rows),
            orjson.dumps(counts).decode(),
            facts.get("format", ""),
            facts.get("period_from"),
            facts.get("period_through"),
            None if opened else now,
            now,
            *why,
        )

    await context.store.transact(steps, concurrent=True)


async def wait_for(context: RunningService, file: str, why: tuple[str, str, str]) -> None:
    """The file waits for something that is not here, and says so; it goes on by itself once it is."""
    await context.store.transact(
        lambda c: c.execute(
            """UPDATE file SET code = $2, sentence = $3, fix = $4, at = $5 WHERE id = $1 AND code <> $2""",
            file,
            *why,
            context.clock.now(),
        ),
        concurrent=True,
        wakes=False,
    )


async def waits_no_more(context: RunningService, file: str) -> None:
    """What it waited for is here."""
    await context.store.transact(
        lambda c: c.execute(
            "UPDATE file SET code = '', sentence = '', fix = '' WHERE id = $1 AND code = $2",
            file,
            KEY_MISSING,
        ),
        concurrent=True,
        wakes=False,
    )


# ── as they are kept ──────────────────────────────────────────────────────────────────────────────────────


def _judged(
    context: RunningService, sent: Sent, outcome: Outcome, act: Act | None, place: int
) -> dict[str, Any]:
    acts = act is not None and bool(act.facts) and not sent.dry_run
    sealed = ""
    if act is not None and acts:
        said = {"facts": list(act.facts)}
        sealed = context.sealer.seal(sent.sealed_with, sent.id, f"{SEALED_FACTS} {outcome.row}", said)
    return {
        "file": sent.id,
        "row": outcome.row,
        "place": place,
        "stream": act.stream if act is not None else "",
        "state": "open" if acts else "done",
        "result": outcome.result,
        "code": outcome.code,
        "field": outcome.field,
        "fix": outcome.said,
        "warnings": [[each.code, each.field] for each in outcome.warnings],
        "facts": sealed,
        "done": 0,
        "receipt": {},
    }


def judged_of(rows: Sequence[Mapping[str, Any]]) -> Judged:
    """The outcomes as they are kept."""
    return Judged(
        [
            Outcome(
                row["row"],
                row["result"],
                code=row["code"],
                field=row["field"],
                warnings=[Warned(code, field) for code, field in orjson.loads(row["warnings"])],
                said=row["fix"],
            )
            for row in rows
        ]
    )


# ── acting ────────────────────────────────────────────────────────────────────────────────────────────────


async def open_files(context: RunningService, most: int) -> Sequence[Mapping[str, Any]]:
    """The files that have something to do, oldest first; those that wait for something come last."""
    return await context.pool.fetch(
        """SELECT * FROM file WHERE state IN ('received', 'acting') ORDER BY code = ANY($2::text[]), received_at, id LIMIT $1""",
        most,
        list(WAITING),
    )


async def parts_of(context: RunningService, file: str) -> Sequence[Mapping[str, Any]]:
    return await context.pool.fetch("SELECT n, sealed FROM file_part WHERE file = $1 ORDER BY n", file)


async def open_rows(context: RunningService, sent: Sent, most: int) -> list[Open]:
    """The next rows that have not acted, in their order."""
    rows = await context.pool.fetch(
        """SELECT row, stream, facts, done, state FROM file_row WHERE file = $1 AND state <> 'done'
           ORDER BY place LIMIT $2""",
        sent.id,
        most,
    )
    return [
        Open(
            row["row"],
            row["stream"],
            context.sealer.open(sent.sealed_with, sent.id, f"{SEALED_FACTS} {row['row']}", row["facts"])[
                "facts"
            ],
            row["done"],
            waits=row["state"] == "waiting",
        )
        for row in rows
    ]


async def settle(context: RunningService, sent: Sent, acted: Mapping[int, Acted]) -> bool:
    """Write how far these rows came; returns whether the file is done."""
    rows = [
        {
            "row": row,
            "state": each.state,
            "done": each.done,
            "refused": each.refused,
            "unchanged": each.unchanged,
            "code": each.code,
            "fix": each.fix,
            "receipt": dict(each.receipt),
        }
        for row, each in acted.items()
    ]
    now = context.clock.now()

    async def steps(connection: Connection) -> bool:
        await connection.execute(
            """UPDATE file_row r SET state = x.state, done = x.done, receipt = x.receipt,
                 result = CASE WHEN x.refused THEN 'refused' WHEN x.unchanged THEN 'unchanged' ELSE r.result END,
                 code = CASE WHEN x.code <> '' THEN x.code ELSE r.code END,
                 fix = CASE WHEN x.fix <> '' THEN x.fix ELSE r.fix END,
                 facts = CASE WHEN x.state = 'done' THEN '' ELSE r.facts END
               FROM jsonb_to_recordset($2::jsonb) AS x (row int, state text, done int, refused bool, unchanged bool, code text,
                 fix text, receipt jsonb)
               WHERE r.file = $1 AND r.row = x.row AND r.state <> 'done'""",
            sent.id,
            orjson.dumps(rows).decode(),
        )
        left = await connection.fetchval(
            "SELECT count(*) FROM file_row WHERE file = $1 AND state <> 'done'", sent.id
        )
        await connection.execute(
            """UPDATE file SET done = rows - $2, state = CASE WHEN $2 = 0 AND state = 'acting' THEN 'done' ELSE state END,
                 done_at = CASE WHEN $2 = 0 THEN $3::timestamptz END, at = $3::timestamptz,
                 counts = CASE WHEN $2 = 0 THEN '{"accepted":0,"unchanged":0,"refused":0}'::jsonb ||
                   (SELECT coalesce(jsonb_object_agg(result, n), '{}') FROM (SELECT result, count(*) n
                   FROM file_row WHERE file = $1 GROUP BY 1) s) ELSE counts END
               WHERE id = $1""",
            sent.id,
            left,
            now,
        )
        return left == 0

    return await context.store.transact(steps, concurrent=True)


async def forget(context: RunningService, before: datetime) -> int:
    """Delete the bytes of files that were received before this; what became of their rows stays."""

    async def steps(connection: Connection) -> int:
        rows = await connection.fetch(
            """UPDATE file SET forgotten_at = $1, name = '' WHERE id IN (SELECT id FROM file WHERE received_at < $2
               AND forgotten_at IS NULL AND state NOT IN ('received', 'acting', 'held') ORDER BY received_at LIMIT 100)
               RETURNING id""",
            context.clock.now(),
            before,
        )
        if rows:
            await connection.execute(
                "DELETE FROM file_part WHERE file = ANY($1::text[])", [row["id"] for row in rows]
            )
        return len(rows)

    return await context.store.transact(steps, concurrent=True, wakes=False)
