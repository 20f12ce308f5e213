"""A plan's roster: who is covered, read line by line in bounded memory, kept without anything readable.

An import has an id (its Idempotency-Key) and one row that says how far it came, written in the transaction of the very
rows it counts: broken off, it goes on where it stood, by the same id. A plan has one import at a time.
"""

from __future__ import annotations

import csv
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, cast
from uuid import uuid4

import orjson
from pydantic import ConfigDict, Field, ValidationError

from loopkeeper.contract.blanks import BlankIsMissing
from loopkeeper.contract.field_types import AnyCounty, BirthDay, TermDay, TermEnd
from loopkeeper.contract.vocabulary.identifiers import cin as plain_cin
from loopkeeper.contract.vocabulary.identifiers import cin_valid
from loopkeeper.kernel.clock import Clock
from loopkeeper.kernel.errors import FIELD_NAME, Problem, Unsound
from loopkeeper.postgres.connections import Connection
from loopkeeper.security.sealing import Sealer
from loopkeeper.store.store import Store

# One statement writes so many rows; a million members are a thousand statements.
CHUNK = 1000
# Past this many the errors say nothing new; the counts still tell the whole.
ERRORS_SHOWN = 1000
LONGEST_LINE = 64 * 1024
# An import that has said nothing for so long was broken off without a word: another may take its place.
SILENT_AFTER = timedelta(minutes=2)
# One that waits for its next part may take longer.
WAITS_FOR = timedelta(hours=1)
# How to mend each field, and what is wrong with a whole row.
FIXES: Mapping[str, str] = {
    "cin": "A CIN is 9, seven digits and a letter.",
    "birth_date": "Write the date as 1964-05-17.",
    "county": "Name a county of California, in small letters with dashes, such as contra-costa.",
    "covered_from": "Write the date as 2025-01-01.",
    "covered_through": "Write the date as 2025-12-31, or leave it out.",
    "pcp": "Give the provider's id, or leave it out.",
    "programs": "List at most 20 programs; in CSV put a semicolon between them.",
}


class RosterRow(BlankIsMissing):
    """One member's coverage. Programs are the exclusive ones the plan knows of."""

    model_config = ConfigDict(extra="forbid", frozen=True, str_max_length=200)

    cin: str
    birth_date: BirthDay
    county: AnyCounty
    covered_from: TermDay
    covered_through: TermEnd = None
    pcp: str = ""
    programs: tuple[str, ...] = Field((), max_length=20)


@dataclass(slots=True)
class Loaded:
    """What came of an upload. `errors` name the line and field, never the value."""

    accepted: int = 0
    refused: int = 0
    removed: int = 0
    lines: int = 0
    state: str = "running"
    dry_run: bool = False
    errors: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])

    def refuse(self, line: int, pointer: str, rule: str, fix: str) -> None:
        self.refused += 1
        if len(self.errors) < ERRORS_SHOWN:
            self.errors.append({"line": line, "pointer": pointer, "rule": rule, "fix": fix})


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
    # Which request holds the import; another that took it over makes this one stop.
    owner: str = field(default_factory=lambda: uuid4().hex)


async def load_roster(
    store: Store[Any], sealer: Sealer, clock: Clock, upload: Import, pieces: AsyncIterator[bytes]
) -> Loaded:
    """Replace this plan's roster by the good rows of the import; a row that is refused is named and left out. Lines
    done before are passed over, so the whole file or the rest of it may be sent again. The old rows go when the last
    part is in. Raises `import-running` (409) while another import of the plan is under way."""
    loaded = Loaded(dry_run=True)
    if not upload.dry_run:
        loaded = await _begin(store, clock, upload)
        if loaded.state == "done":
            return loaded
    try:
        await _read(store, sealer, clock, upload, pieces, loaded)
        loaded.state = "waiting" if upload.more else "done"
        if not upload.dry_run:
            if loaded.state == "done" and loaded.accepted:
                loaded.removed = await _forget_older(store, upload.plan, upload.id)
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
) -> None:
    done, plan = loaded.lines, upload.plan
    if upload.from_line > done + 1 and not upload.dry_run:
        raise Problem(
            422,
            "row-invalid",
            f"Line {upload.from_line} comes before line {done + 1}.",
            fix=f"Send the file from line {done + 1} or earlier.",
        )
    chunk: dict[str, dict[str, Any]] = {}
    async for number, raw in _rows(pieces, as_csv=upload.as_csv, first=upload.from_line):
        if number <= done:
            continue
        row = _checked(number, raw, loaded, synthetic=upload.synthetic)
        if row is not None:
            cin = plain_cin(row.cin)
            key = f"{plan}:{sealer.blind_index(plan, cin)}"
            birth_key = sealer.blind_index(plan, cin, row.birth_date.isoformat())
            chunk[key] = _kept(key, plan, row, birth_key, upload.id)
            loaded.accepted += 1
        loaded.lines = number
        if number % CHUNK == 0:
            await _write(store, clock, upload, list(chunk.values()), loaded)
            chunk.clear()
    await _write(store, clock, upload, list(chunk.values()), loaded)


# ── how far an import came ────────────────────────────────────────────────────────────────────────────────


async def _begin(store: Store[Any], clock: Clock, upload: Import) -> Loaded:
    now = clock.now()

    async def steps(connection: Connection) -> Mapping[str, Any]:
        await connection.execute(
            """INSERT INTO roster_import (plan_id, import, state, owner, lines, accepted, refused, removed, errors, "at")
               VALUES ($1, $2, 'fresh', '', 0, 0, 0, 0, '[]', $3) ON CONFLICT (plan_id) DO NOTHING""",
            upload.plan,
            upload.id,
            now,
        )
        row = await connection.fetchrow(
            "SELECT * FROM roster_import WHERE plan_id = $1 FOR UPDATE", upload.plan
        )
        if row is None:
            raise Unsound("an import's row is gone in the transaction that made it")
        if _under_way(row, upload, now):
            raise Problem(
                409,
                "import-running",
                "Another import of this plan's roster is under way.",
                fix="Wait for it, or send its next part with its Idempotency-Key; GET /v1/roster shows how far it is.",
            )
        if row["import"] == upload.id and row["state"] == "done":
            return row
        kept = row if row["import"] == upload.id else {**dict(row), **FRESH}
        await connection.execute(
            """UPDATE roster_import SET import = $2, state = 'running', owner = $3, lines = $4, accepted = $5,
               refused = $6, removed = $7, errors = $8, "at" = $9 WHERE plan_id = $1""",
            upload.plan,
            upload.id,
            upload.owner,
            kept["lines"],
            kept["accepted"],
            kept["refused"],
            kept["removed"],
            kept["errors"],
            now,
        )
        return {**dict(kept), "state": "running"}

    return loaded_of(await store.transact(steps))


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
        "programs": row.programs,
        "generation": generation,
    }


def _checked(
    number: int, raw: Mapping[str, Any] | None, loaded: Loaded, *, synthetic: bool
) -> RosterRow | None:
    if raw is None:
        loaded.refuse(
            number, "", "not-a-row", "Send one JSON object a line; in CSV as many cells as the header has."
        )
        return None
    try:
        row = RosterRow.model_validate(raw)
    except ValidationError as error:
        first = error.errors(include_input=False, include_context=False, include_url=False)[0]
        # What stands for a column's name in a file without a header may be a member's number or name.
        named = all(FIELD_NAME.fullmatch(str(part)) or isinstance(part, int) for part in first["loc"])
        pointer = "/" + "/".join(str(part) for part in first["loc"]) if named else ""
        name = str(first["loc"][0]) if first["loc"] else ""
        loaded.refuse(
            number, pointer, first["type"].replace("_", "-"), FIXES.get(name, "Leave this column out.")
        )
        return None
    if not cin_valid(row.cin, synthetic=synthetic):
        loaded.refuse(number, "/cin", "cin", FIXES["cin"])
        return None
    if row.covered_through is not None and row.covered_through < row.covered_from:
        loaded.refuse(number, "/covered_through", "ends-before", "Let the coverage end after it begins.")
        return None
    return row


async def _write(
    store: Store[Any], clock: Clock, upload: Import, rows: Sequence[Mapping[str, Any]], loaded: Loaded
) -> None:
    """These rows, and how far the import is with them, in one transaction."""
    if upload.dry_run:
        return

    async def steps(connection: Connection) -> None:
        if rows:
            await connection.execute(
                """INSERT INTO roster SELECT * FROM jsonb_populate_recordset(NULL::roster, $1::jsonb) ORDER BY id
                   ON CONFLICT (id) DO UPDATE SET birth_key = excluded.birth_key, county = excluded.county,
                   covered_from = excluded.covered_from, covered_through = excluded.covered_through,
                   pcp = excluded.pcp, programs = excluded.programs, generation = excluded.generation""",
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


async def _forget_older(store: Store[Any], plan: str, generation: str) -> int:
    async def steps(connection: Connection) -> str:
        return await connection.execute(
            """DELETE FROM roster WHERE id IN (SELECT id FROM roster
               WHERE plan = $1 AND generation <> $2 LIMIT 5000)""",
            plan,
            generation,
        )

    removed = 0
    while gone := int((await store.transact(steps)).split()[-1]):
        removed += gone
    return removed


async def _rows(
    pieces: AsyncIterator[bytes], *, as_csv: bool, first: int
) -> AsyncIterator[tuple[int, Mapping[str, Any] | None]]:
    """Each row with its line in the whole file. A later part of a CSV repeats the header, which is line 1."""
    header: list[str] | None = None
    number = first - 1
    async for line in _lines(pieces):
        if as_csv and header is None and first > 1:
            header = _cells(line)
            continue
        number += 1
        if not line.strip():
            continue
        if not as_csv:
            yield number, _json(line)
        elif header is None:
            header = _cells(line)
        else:
            yield number, _from_cells(header, _cells(line))


async def _lines(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    rest = b""
    async for piece in pieces:
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            yield line.rstrip(b"\r")
        if len(rest) > LONGEST_LINE:
            raise Problem(
                422, "row-invalid", "A line of the roster is too long.", fix="Send one member a line."
            )
    if rest:
        yield rest.rstrip(b"\r")


def _json(line: bytes) -> Mapping[str, Any] | None:
    try:
        row = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    return cast("Mapping[str, Any]", row) if isinstance(row, dict) else None


def _cells(line: bytes) -> list[str]:
    text = line.decode("utf-8-sig", "replace")
    return [cell.strip() for cell in next(csv.reader([text]), list[str]())]


def _from_cells(header: Sequence[str], cells: Sequence[str]) -> Mapping[str, Any] | None:
    if len(cells) != len(header):
        return None
    row: dict[str, Any] = {name: cell for name, cell in zip(header, cells, strict=True) if cell}
    if "programs" in row:
        row["programs"] = tuple(part.strip() for part in str(row["programs"]).split(";") if part.strip())
    return row
