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

from loopkeeper.kernel.errors import Problem
from loopkeeper.kernel.wake import Waker
from loopkeeper.plan_files.fields import Kind
from loopkeeper.plan_files.outcomes import FACTS, Judged, Outcome, Warned
from loopkeeper.postgres.connections import Connection
from loopkeeper.runtime.files.kinds import Act, Acted, Open, Planned, Sent
from loopkeeper.runtime.service import RunningService
from loopkeeper.security.keyring import SYSTEM
from loopkeeper.security.organizations import Client, Role
from loopkeeper.security.tokens import ProvedPerson
from loopkeeper.store.store import Store

# Bytes of a file that one sealed part holds, rows that one statement writes.
PART, ROWS = 512 * 1024, 2000
SEALED_PART, SEALED_NAME, SEALED_FACTS = "file", "file_name", "file_facts"
KEY_MISSING = "key-missing"
# Of a file's note: who wants it taken back, who agreed, and in which state it was.
TAKEN_BACK = "taken_back"
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
SECOND_PERSON = (
    "asked-back", "A person wants the file taken back; its rows wait.", "A second person says so, too (`:take-back`).",
)  # fmt: skip
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
            await insert(connection, sent, keys, sealed_name(context, sent))
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


def sealed_name(context: RunningService, sent: Sent) -> str:
    """The file's name, sealed: it may be a person's."""
    if not sent.name:
        return ""
    return context.sealer.seal(sent.sealed_with, sent.id, SEALED_NAME, {"name": sent.name})


async def insert(connection: Connection, sent: Sent, more: Mapping[str, Any], name: str) -> None:
    """The row of a file; `more` are those of its columns that differ from a file just begun."""
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
        "note": orjson.dumps(_person(sent.client)).decode(),
        "received_at": sent.received_at,
        "at": sent.received_at,
        **more,
    }
    names = ", ".join(f'"{name}"' for name in values)
    places = ", ".join(f"${n}" for n in range(1, len(values) + 1))
    await connection.execute(f"INSERT INTO file ({names}) VALUES ({places})", *values.values())  # noqa: S608 own names


def _person(client: Client) -> Mapping[str, Any]:
    """Who signed in and sent it: kept with the file, since its rows act later."""
    person = client.person
    said = {"id": person.id, "title": person.title, "licence": person.licence} if person is not None else None
    return {"person": said} if said is not None else {}


def sent_of(context: RunningService, row: Mapping[str, Any], kind: Kind) -> Sent:
    """The file of this row. Raises `Unsealable` where its key is not here."""
    roles = frozenset(Role(each) for each in str(row["roles"]).split())
    said = orjson.loads(row["note"]).get("person")
    person = ProvedPerson(said["id"], said["title"], said["licence"]) if said is not None else None
    name = row["name"]
    if name:
        name = context.sealer.open(row["sealed_with"], row["id"], SEALED_NAME, name)["name"]
    return Sent(
        id=row["id"],
        client=Client(row["client"], row["organization"], "", roles, person=person),
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


# ── held, and taken back ──────────────────────────────────────────────────────────────────────────────────


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
