"""A plan's roster: who is covered, read line by line in bounded memory, kept without anything readable.

An import has an id (its Idempotency-Key) and one row that says how far it came, written in the transaction of the very
rows it counts: broken off, it goes on where it was, by the same id. A plan has one import at a time. A member whom a
whole roster does not name any more has left; an import by which more than a fifth would leave is held until somebody
confirms it.
"""

from __future__ import annotations

from array import array
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import blake2b
from typing import Any
from uuid import uuid4

import orjson

from loopkeeper.contract.calendar import la_date
from loopkeeper.contract.decider import InvariantBroken
from loopkeeper.contract.vocabulary.identifiers import cin as plain_cin
from loopkeeper.kernel.clock import Clock
from loopkeeper.kernel.errors import Problem
from loopkeeper.postgres.connections import Connection
from loopkeeper.security.sealing import Sealer
from loopkeeper.spreadsheets import Limits, Unreadable
from loopkeeper.spreadsheets.upload import Form, lines_of
from loopkeeper.store.store import Store
from referral_intake.persistence.roster_rows import COLUMNS, Loaded, RosterRow, checked

# One statement writes so many rows; a million members are a thousand statements.
CHUNK = 1000
LONGEST_LINE = 64 * 1024
# An import that has said nothing for so long was broken off without a word: another may take its place.
SILENT_AFTER = timedelta(minutes=2)
# One that waits for its next part may take longer.
WAITS_FOR = timedelta(hours=1)
# An import by which more than one in so many would leave is held.
SHARE_HELD = 5


@dataclass(frozen=True, slots=True)
class Import:
    """One upload of one plan: which import it belongs to, where its body begins, and whether more follows."""

    plan: str
    id: str
    as_csv: bool
    synthetic: bool
    dry_run: bool = False
    from_line: int = 1
    more: bool = False
    # Somebody has seen how many would leave, and means it.
    confirm_removals: bool = False
    # Which request holds the import; another that took it over makes this one stop.
    owner: str = field(default_factory=lambda: uuid4().hex)
    charset: str = "utf-8"


async def load_roster(
    store: Store[Any], sealer: Sealer, clock: Clock, upload: Import, pieces: AsyncIterator[bytes]
) -> Loaded:
    """Replace this plan's roster by the good rows of the import; a row that is refused is named and left out. Lines
    done before are passed over, so the whole file or the rest of it may be sent again. The members it does not name
    leave when the last part is in. Raises `import-running` (409) while another import of the plan is under way, and
    `removals-unconfirmed` (409) where more than a fifth would leave: the good rows are kept, and the same import sent
    again with `confirm_removals` goes on from there."""
    loaded = Loaded(dry_run=True)
    standing = 0
    if not upload.dry_run:
        loaded, standing = await _begin(store, clock, upload)
        if loaded.state == "done":
            return loaded
    try:
        seen = await _read(store, sealer, clock, upload, pieces, loaded)
        loaded.state = "waiting" if upload.more else "done"
        if upload.dry_run:
            loaded.removed = await _would_leave(store, upload, loaded, seen)
        elif loaded.state == "done" and loaded.accepted:
            await _let_leave(store, clock, upload, loaded, standing)
        if not upload.dry_run:
            await _write(store, clock, upload, [], loaded)
    finally:
        if loaded.state == "running" and not upload.dry_run:
            await _broken(store, clock, upload)
    return loaded


async def _read(
    store: Store[Any],
    sealer: Sealer,
    clock: Clock,
    upload: Import,
    pieces: AsyncIterator[bytes],
    loaded: Loaded,
) -> array[int]:
    """The marks of the rows a dry run has seen; for an import, which writes them, none."""
    done, plan = loaded.lines, upload.plan
    if upload.from_line > done + 1 and not upload.dry_run:
        raise Problem(
            422,
            "row-invalid",
            f"Line {upload.from_line} comes before line {done + 1}.",
            fix=f"Send the file from line {done + 1} or earlier.",
        )
    chunk: dict[str, dict[str, Any]] = {}
    seen = array("Q")
    written = done // CHUNK
    form = Form(COLUMNS, json=not upload.as_csv, declared=upload.charset, limits=Limits(line=LONGEST_LINE))
    try:
        async for line in lines_of(pieces, form, first=upload.from_line):
            number = line.number
            if number <= done:
                continue
            row = checked(line, loaded, synthetic=upload.synthetic)
            if row is not None:
                cin = plain_cin(row.cin)
                key = f"{plan}:{sealer.blind_index(plan, cin)}"
                birth_key = sealer.blind_index(plan, cin, row.birth_date.isoformat())
                chunk[key] = _kept(key, plan, row, birth_key, upload.id)
                loaded.accepted += 1
            loaded.lines = number
            if number // CHUNK > written:
                written = number // CHUNK
                seen.extend(await _write_or_mark(store, clock, upload, chunk, loaded))
                chunk.clear()
    except Unreadable as error:
        raise Problem(422, "row-invalid", error.sentence, fix=error.fix) from None
    seen.extend(await _write_or_mark(store, clock, upload, chunk, loaded))
    return seen


async def _write_or_mark(
    store: Store[Any], clock: Clock, upload: Import, chunk: Mapping[str, Mapping[str, Any]], loaded: Loaded
) -> Collection[int]:
    if not upload.dry_run:
        await _write(store, clock, upload, list(chunk.values()), loaded)
        return ()
    if not chunk:
        return ()

    async def steps(connection: Connection) -> Sequence[Mapping[str, Any]]:
        return await connection.fetch(
            "SELECT id FROM roster WHERE id = ANY($1::text[]) AND left_on IS NULL", list(chunk)
        )

    rows = await store.transact(steps)
    return [int.from_bytes(blake2b(row["id"].encode(), digest_size=8).digest(), "big") for row in rows]


async def _would_leave(store: Store[Any], upload: Import, loaded: Loaded, seen: array[int]) -> int:
    """How many members would leave; of a part of a file it cannot be told, and a file without a good row removes
    nobody."""
    if upload.more or upload.from_line > 1 or not loaded.accepted:
        return 0

    async def steps(connection: Connection) -> int:
        return await _members_on_roster(connection, upload.plan)

    return await store.transact(steps) - len(set(seen))


async def _members_on_roster(connection: Connection, plan: str) -> int:
    count: int = await connection.fetchval(
        "SELECT count(*) FROM roster WHERE plan = $1 AND left_on IS NULL", plan
    )
    return count


# ── how far an import came ────────────────────────────────────────────────────────────────────────────────


async def _begin(store: Store[Any], clock: Clock, upload: Import) -> tuple[Loaded, int]:
    """How far the import is, and how many members were on the roster when it began."""
    now = clock.now()

    async def steps(connection: Connection) -> Mapping[str, Any]:
        await connection.execute(
            """INSERT INTO roster_import
               (plan_id, import, state, owner, lines, accepted, refused, removed, standing, errors, compared, "at")
               VALUES ($1, $2, 'fresh', '', 0, 0, 0, 0, 0, '[]', '', $3) ON CONFLICT (plan_id) DO NOTHING""",
            upload.plan,
            upload.id,
            now,
        )
        row = await connection.fetchrow(
            "SELECT * FROM roster_import WHERE plan_id = $1 FOR UPDATE", upload.plan
        )
        if row is None:
            raise InvariantBroken("an import's row is gone in the transaction that made it")
        if _under_way(row, upload, now):
            raise Problem(
                409,
                "import-running",
                "Another import of this plan's roster is under way.",
                fix="Wait for it, or send its next part with its Idempotency-Key; GET /v1/roster shows how far it is.",
            )
        if row["import"] == upload.id and row["state"] == "done":
            return row
        kept = dict(row)
        if row["import"] != upload.id or row["state"] == "fresh":
            kept |= {**FRESH, "standing": await _members_on_roster(connection, upload.plan)}
        await connection.execute(
            """UPDATE roster_import SET import = $2, state = 'running', owner = $3, lines = $4, accepted = $5,
               refused = $6, removed = $7, errors = $8, "at" = $9, standing = $10 WHERE plan_id = $1""",
            upload.plan,
            upload.id,
            upload.owner,
            kept["lines"],
            kept["accepted"],
            kept["refused"],
            kept["removed"],
            kept["errors"],
            now,
            kept["standing"],
        )
        return {**kept, "state": "running"}

    row = await store.transact(steps)
    return loaded_of(row), row["standing"]


FRESH: Mapping[str, Any] = {"lines": 0, "accepted": 0, "refused": 0, "removed": 0, "errors": "[]"}


def _under_way(row: Mapping[str, Any], upload: Import, now: datetime) -> bool:
    same = row["import"] == upload.id
    if row["state"] == "running":
        return now - row["at"] < SILENT_AFTER
    return row["state"] == "waiting" and not same and now - row["at"] < WAITS_FOR


def loaded_of(row: Mapping[str, Any]) -> Loaded:
    """What came of an import so far, from its row."""
    return Loaded(
        accepted=row["accepted"],
        refused=row["refused"],
        removed=row["removed"],
        lines=row["lines"],
        state=row["state"],
        errors=orjson.loads(row["errors"]),
    )


async def _broken(store: Store[Any], clock: Clock, upload: Import) -> None:
    async def steps(connection: Connection) -> None:
        await connection.execute(
            """UPDATE roster_import SET state = 'broken', "at" = $3 WHERE plan_id = $1 AND owner = $2""",
            upload.plan,
            upload.owner,
            clock.now(),
        )

    await store.transact(steps)


def _kept(key: str, plan: str, row: RosterRow, birth_key: str, generation: str) -> dict[str, Any]:
    return {
        "id": key,
        "plan": plan,
        "birth_key": birth_key,
        "county": row.county.value,
        "covered_from": row.covered_from,
        "covered_through": row.covered_through,
        "pcp": row.pcp,
        "programs": tuple(program.value for program in row.programs),
        "generation": generation,
    }


async def _write(
    store: Store[Any], clock: Clock, upload: Import, rows: Sequence[Mapping[str, Any]], loaded: Loaded
) -> None:
    """These rows, and how far the import is with them, in one transaction."""

    async def steps(connection: Connection) -> None:
        if rows:
            await connection.execute(
                """INSERT INTO roster SELECT * FROM jsonb_populate_recordset(NULL::roster, $1::jsonb) ORDER BY id
                   ON CONFLICT (id) DO UPDATE SET birth_key = excluded.birth_key, county = excluded.county,
                   covered_from = excluded.covered_from, covered_through = excluded.covered_through,
                   pcp = excluded.pcp, programs = excluded.programs, generation = excluded.generation,
                   left_on = NULL""",
                orjson.dumps(rows).decode(),
            )
        written = await connection.execute(
            """UPDATE roster_import SET state = $3, lines = $4, accepted = $5, refused = $6, removed = $7,
               errors = $8, "at" = $9 WHERE plan_id = $1 AND owner = $2""",
            upload.plan,
            upload.owner,
            loaded.state,
            loaded.lines,
            loaded.accepted,
            loaded.refused,
            loaded.removed,
            orjson.dumps(loaded.errors).decode(),
            clock.now(),
        )
        if written != "UPDATE 1":
            # Raised inside, so that the rows of who lost the import go back with it.
            raise Problem(
                409, "import-running", "Another upload took this import over.", fix="Read GET /v1/roster."
            )

    await store.transact(steps)


async def _let_leave(store: Store[Any], clock: Clock, upload: Import, loaded: Loaded, standing: int) -> None:
    """Whom the whole file does not name has left. A line that was refused names nobody."""

    async def count(connection: Connection) -> int:
        return await connection.fetchval(
            "SELECT count(*) FROM roster WHERE plan = $1 AND generation <> $2 AND left_on IS NULL",
            upload.plan,
            upload.id,
        )

    leaving = await store.transact(count)
    if leaving * SHARE_HELD > standing and not upload.confirm_removals:
        loaded.state = "held"
        await _write(store, clock, upload, [], loaded)
        raise Problem(
            409,
            "removals-unconfirmed",
            f"{leaving} of {standing} members are not in the file, more than a fifth.",
            fix="Send the whole roster; or, if they have left, send it again by the same Idempotency-Key with "
            "confirm_removals=true.",
            members={"removals": leaving, "standing": standing},
        )
    on = la_date(clock.now())

    async def steps(connection: Connection) -> str:
        return await connection.execute(
            """UPDATE roster SET left_on = $3 WHERE id IN (SELECT id FROM roster
               WHERE plan = $1 AND generation <> $2 AND left_on IS NULL LIMIT 5000)""",
            upload.plan,
            upload.id,
            on,
        )

    while gone := int((await store.transact(steps)).split()[-1]):
        loaded.removed += gone
