"""What is kept of a file: its sealed bytes, how far it is, and what became of each row."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from hashlib import sha256
from typing import Any
from uuid import UUID, uuid5
from weakref import WeakKeyDictionary

import orjson

from loopkeeper.kernel.wake import Waker
from loopkeeper.plan_files.fields import Kind
from loopkeeper.plan_files.outcomes import FACTS, Judged, Outcome, Warned
from loopkeeper.postgres.connections import Connection
from loopkeeper.runtime.files.kinds import Act, Acted, Open, Planned, Sent
from loopkeeper.runtime.service import RunningService
from loopkeeper.security.keyring import SYSTEM
from loopkeeper.security.organizations import Client, Role
from loopkeeper.store.store import Store

# Bytes of a file that one sealed part holds, rows that one statement writes.
PART, ROWS = 512 * 1024, 2000
SEALED_PART, SEALED_NAME, SEALED_FACTS = "file", "file_name", "file_facts"
COLUMN_OF = {Role.PLAN: "plan_id", Role.REFERRER: "referrer_id", Role.PROVIDER: "provider_id"}


def command_of(file: str, row: int, fact: int) -> UUID:
    """The id of the command of one fact of one row: the same whenever the row acts."""
    return uuid5(FACTS, f"{file} {row} {fact}")


def sealing_key(plan: str) -> str:
    """Under whose key a file is sealed: its plan's; a sheet for several plans under the program's own."""
    return plan or SYSTEM


# ── taken in ──────────────────────────────────────────────────────────────────────────────────────────────


async def take(
    context: RunningService, sent: Sent, keys: Mapping[str, str], pieces: AsyncIterator[bytes]
) -> Mapping[str, Any]:
    """Keep the file, sealed, a part at a time. One that came before under the same id is answered as it is. Sent again
    after it broke off, it begins at its first byte."""
    store, sealer = context.store, context.sealer

    async def begin(connection: Connection) -> Mapping[str, Any] | None:
        found = await connection.fetchrow("SELECT * FROM file WHERE id = $1 FOR UPDATE", sent.id)
        if found is not None and found["state"] != "receiving":
            return dict(found)
        await connection.execute("DELETE FROM file_part WHERE file = $1", sent.id)
        if found is None:
            await _insert(connection, sent, keys, _name(context, sent))
        return None

    before = await store.transact(begin, concurrent=True, wakes=False)
    if before is not None:
        return before
    digest, size, n, held = sha256(), 0, 0, bytearray()

    async def keep(piece: bytes) -> None:
        nonlocal n
        sealed = sealer.seal(
            sent.sealed_with, sent.id, f"{SEALED_PART} {n}", {"bytes": b64encode(piece).decode()}
        )
        number = n
        n += 1
        await store.transact(
            lambda c: c.execute("INSERT INTO file_part VALUES ($1, $2, $3)", sent.id, number, sealed),
            concurrent=True,
            wakes=False,
        )

    async for piece in pieces:
        digest.update(piece)
        size += len(piece)
        held += piece
        while len(held) >= PART:
            await keep(bytes(held[:PART]))
            del held[:PART]
    if held or n == 0:
        await keep(bytes(held))

    async def whole(connection: Connection) -> Mapping[str, Any]:
        row = await connection.fetchrow(
            """UPDATE file SET state = 'received', digest = $2, bytes = $3, received_at = $4, at = $4
               WHERE id = $1 RETURNING *""",
            sent.id,
            digest.hexdigest(),
            size,
            context.clock.now(),
        )
        return dict(row or {})

    taken = await store.transact(whole)
    arrivals_of(context).wake()
    return taken


# One for each running service; gone with its store.
_arrivals: WeakKeyDictionary[Store[Any], Waker] = WeakKeyDictionary()


def arrivals_of(context: RunningService) -> Waker:
    """Wakes where this process took a file in."""
    return _arrivals.setdefault(context.store, Waker())


def _name(context: RunningService, sent: Sent) -> str:
    """The file's name, sealed: it may be a person's."""
    if not sent.name:
        return ""
    return context.sealer.seal(sent.sealed_with, sent.id, SEALED_NAME, {"name": sent.name})


async def _insert(connection: Connection, sent: Sent, keys: Mapping[str, str], name: str) -> None:
    values: dict[str, Any] = {
        "id": sent.id,
        "organization": sent.client.organization,
        "client": sent.client.id,
        "roles": " ".join(sorted(sent.client.roles)),
        "plan": sent.plan,
        "kind": sent.kind,
        "state": "receiving",
        "dry_run": sent.dry_run,
        "digest": "",
        "bytes": 0,
        "sealed_with": sent.sealed_with,
        "name": name,
        "format": "",
        "code": "",
        "sentence": "",
        "fix": "",
        "column": "",
        "counts": "{}",
        "rows": 0,
        "done": 0,
        "note": "{}",
        "received_at": sent.received_at,
        "at": sent.received_at,
        **keys,
    }
    names = ", ".join(f'"{name}"' for name in values)
    places = ", ".join(f"${n}" for n in range(1, len(values) + 1))
    await connection.execute(f"INSERT INTO file ({names}) VALUES ({places})", *values.values())  # noqa: S608 own names


def sent_of(context: RunningService, row: Mapping[str, Any], kind: Kind) -> Sent:
    """The file of this row."""
    roles = frozenset(Role(each) for each in str(row["roles"]).split())
    name = row["name"]
    if name:
        name = context.sealer.open(row["sealed_with"], row["id"], SEALED_NAME, name)["name"]
    return Sent(
        id=row["id"],
        client=Client(row["client"], row["organization"], "", roles),
        plan=row["plan"],
        kind=kind,
        dry_run=row["dry_run"],
        received_at=row["received_at"],
        sealed_with=row["sealed_with"],
        state=row["state"],
        name=name,
    )


def content_of(
    context: RunningService, sealed_with: str, file: str, parts: Sequence[Mapping[str, Any]]
) -> bytes:
    """The bytes of a file, by its parts in order."""
    opened = (
        context.sealer.open(sealed_with, file, f"{SEALED_PART} {each['n']}", each["sealed"])["bytes"]
        for each in parts
    )
    return b"".join(b64decode(each) for each in opened)


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
    context: RunningService, sent: Sent, planned: Planned, facts: Mapping[str, Any]
) -> None:
    """What becomes of each row, in one transaction; from then on the file is not read again to act. `facts` are further
    columns of the file."""
    places = {row: place for place, row in enumerate(planned.order)}
    rows = [
        _judged(context, sent, outcome, planned.acts.get(outcome.row), places.get(outcome.row, 0))
        for outcome in planned.judged.outcomes
    ]
    now = context.clock.now()
    opened = any(row["state"] != "done" for row in rows)

    async def steps(connection: Connection) -> None:
        await connection.execute("DELETE FROM file_row WHERE file = $1", sent.id)
        for start in range(0, len(rows), ROWS):
            await connection.execute(
                "INSERT INTO file_row SELECT * FROM jsonb_populate_recordset(NULL::file_row, $1::jsonb)",
                orjson.dumps(rows[start : start + ROWS]).decode(),
            )
        counts = dict(planned.judged.counts())
        await connection.execute(
            """UPDATE file SET state = $2, rows = $3, done = $4, counts = $5::jsonb, format = $6, period_from = $7,
               period_through = $8, done_at = $9, at = $10 WHERE id = $1""",
            sent.id,
            "acting" if opened else "done",
            len(rows),
            sum(row["state"] == "done" for row in rows),
            orjson.dumps(counts).decode(),
            facts.get("format", ""),
            facts.get("period_from"),
            facts.get("period_through"),
            None if opened else now,
            now,
        )

    await context.store.transact(steps, concurrent=True)


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
    """The files that have something to do, oldest first."""
    return await context.pool.fetch(
        """SELECT * FROM file WHERE state IN ('received', 'acting') ORDER BY received_at, id LIMIT $1""",
        most,
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
               WHERE r.file = $1 AND r.row = x.row""",
            sent.id,
            orjson.dumps(rows).decode(),
        )
        left = await connection.fetchval(
            "SELECT count(*) FROM file_row WHERE file = $1 AND state <> 'done'", sent.id
        )
        await connection.execute(
            """UPDATE file SET done = rows - $2, state = CASE WHEN $2 = 0 THEN 'done' ELSE state END,
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
               AND forgotten_at IS NULL AND state NOT IN ('received', 'acting') ORDER BY received_at LIMIT 100)
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
