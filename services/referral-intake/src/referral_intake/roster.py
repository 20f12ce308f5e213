"""A plan's roster: who is covered, read line by line in bounded memory, kept without anything readable."""

from __future__ import annotations

import csv
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from loopkeeper.database import Connection
from loopkeeper.errors import Problem
from loopkeeper.sealing import Sealer
from loopkeeper.store import Store
from loopkeeper.vocabulary.identifiers import cin as plain_cin
from loopkeeper.vocabulary.identifiers import cin_valid
from loopkeeper.vocabulary.places import County

# One statement writes so many rows; a million members are a thousand statements.
CHUNK = 1000
# Past this many the errors say nothing new; the counts still tell the whole.
ERRORS_SHOWN = 1000
LONGEST_LINE = 64 * 1024


class RosterRow(BaseModel):
    """One member's coverage. Programs are the exclusive ones the plan knows of."""

    model_config = ConfigDict(extra="forbid", frozen=True, str_max_length=200)

    cin: str
    birth_date: date
    county: County
    covered_from: date
    covered_through: date | None = None
    pcp: str = ""
    programs: tuple[str, ...] = Field((), max_length=20)


@dataclass(slots=True)
class Loaded:
    """What came of an upload. `errors` name the line and field, never the value."""

    accepted: int = 0
    refused: int = 0
    removed: int = 0
    dry_run: bool = False
    errors: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])

    def refuse(self, line: int, pointer: str, rule: str, fix: str) -> None:
        self.refused += 1
        if len(self.errors) < ERRORS_SHOWN:
            self.errors.append({"line": line, "pointer": pointer, "rule": rule, "fix": fix})


async def load_roster(
    store: Store[Any],
    sealer: Sealer,
    plan: str,
    pieces: AsyncIterator[bytes],
    *,
    as_csv: bool,
    generation: str,
    synthetic: bool,
    dry_run: bool,
) -> Loaded:
    """Replace this plan's roster by the good rows of the upload; a row that is refused is named and left out.
    Rows written before a break stay, the old ones too: sending the file again completes it."""
    loaded = Loaded(dry_run=dry_run)
    chunk: dict[str, dict[str, Any]] = {}
    async for number, raw in _rows(pieces, as_csv=as_csv):
        row = _checked(number, raw, loaded, synthetic=synthetic)
        if row is None:
            continue
        cin = plain_cin(row.cin)
        key = f"{plan}:{sealer.blind_index(plan, cin)}"
        chunk[key] = _kept(
            key, plan, row, sealer.blind_index(plan, cin, row.birth_date.isoformat()), generation
        )
        loaded.accepted += 1
        if len(chunk) == CHUNK:
            await _write(store, list(chunk.values()), dry_run=dry_run)
            chunk.clear()
    await _write(store, list(chunk.values()), dry_run=dry_run)
    if not dry_run and loaded.accepted:
        loaded.removed = await _forget_older(store, plan, generation)
    return loaded


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
        loaded.refuse(number, "", "json", "Send one JSON object a line.")
        return None
    try:
        row = RosterRow.model_validate(raw)
    except ValidationError as error:
        first = error.errors(include_input=False, include_context=False, include_url=False)[0]
        pointer = "/" + "/".join(str(part) for part in first["loc"])
        loaded.refuse(
            number, pointer, first["type"], "See PUT /v1/roster in the API reference for this field."
        )
        return None
    if not cin_valid(row.cin, synthetic=synthetic):
        loaded.refuse(number, "/cin", "cin", "A CIN is 9, seven digits and a letter.")
        return None
    return row


async def _write(store: Store[Any], rows: Sequence[Mapping[str, Any]], *, dry_run: bool) -> None:
    if not rows or dry_run:
        return

    async def steps(connection: Connection) -> None:
        await connection.execute(
            """INSERT INTO roster SELECT * FROM jsonb_populate_recordset(NULL::roster, $1::jsonb) ORDER BY id
               ON CONFLICT (id) DO UPDATE SET birth_key = excluded.birth_key, county = excluded.county,
               covered_from = excluded.covered_from, covered_through = excluded.covered_through,
               pcp = excluded.pcp, programs = excluded.programs, generation = excluded.generation""",
            orjson.dumps(rows).decode(),
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
    pieces: AsyncIterator[bytes], *, as_csv: bool
) -> AsyncIterator[tuple[int, Mapping[str, Any] | None]]:
    header: list[str] | None = None
    number = 0
    async for line in _lines(pieces):
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
    return row if isinstance(row, dict) else None


def _cells(line: bytes) -> list[str]:
    text = line.decode("utf-8-sig", "replace")
    return [cell.strip() for cell in next(csv.reader([text]), [])]


def _from_cells(header: Sequence[str], cells: Sequence[str]) -> Mapping[str, Any] | None:
    if len(cells) != len(header):
        return None
    row: dict[str, Any] = {name: cell for name, cell in zip(header, cells, strict=True) if cell}
    if "programs" in row:
        row["programs"] = tuple(part.strip() for part in str(row["programs"]).split(";") if part.strip())
    return row
