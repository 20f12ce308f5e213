"""Many directory entries from one file: which lines were kept, which not, and what to do about each."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal
from uuid import UUID, uuid5

import orjson
from pydantic import BaseModel, ConfigDict, ValidationError

from assignment.persistence.directory import (
    TABLE,
    ProviderBody,
    check_hubs,
    check_parts,
    recording,
    sealed_npi,
)
from loopkeeper.contract.decider import Refused
from loopkeeper.http.problems import FIXES, OTHERWISE
from loopkeeper.kernel.errors import Busy, Problem
from loopkeeper.postgres.connections import Pool
from loopkeeper.security.organizations import Client, Role
from loopkeeper.security.sealing import Sealer
from loopkeeper.spreadsheets import Limits, Unreadable
from loopkeeper.spreadsheets import upload as reader
from loopkeeper.spreadsheets.cells import ROW_FIXES
from loopkeeper.spreadsheets.headings import Heading
from loopkeeper.store.batch import Outcome
from loopkeeper.store.definition import Recorded, Reference, Submission
from loopkeeper.store.gate import PATIENCE
from loopkeeper.store.store import Store, StoreUnavailable

LISTS = ("types", "populations", "age_bands", "counties", "languages", "contract_populations")
CONTRACT = {
    "plan": "plan",
    "contract_populations": "populations",
    "from": "from",
    "through": "through",
    "hub": "hub",
}
PLAIN = ("name", "npi", "phone", "capacity", "answers_by", "active")
NAMES = sorted({*PLAIN, *LISTS, *CONTRACT})
FORM = reader.Form(
    (Heading("id", needed=True), *(Heading(name) for name in NAMES)), limits=Limits(line=16 * 1024)
)
YES_OR_NO = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
# One transaction takes so many entries; so many errors tell everything.
CHUNK = 256
ERRORS_SHOWN = 1000


class ProviderRowError(BaseModel):
    """Which line, where in it (the column), which rule, and what to do."""

    model_config = ConfigDict(frozen=True)

    line: int
    pointer: str
    rule: str
    fix: str


class RowResult(BaseModel):
    model_config = ConfigDict(frozen=True)

    line: int
    id: str
    result: Literal["created", "changed", "unchanged"]


class Imported(BaseModel):
    """What came of the file. Lines refused are named; the others are kept."""

    created: int = 0
    changed: int = 0
    unchanged: int = 0
    refused: int = 0
    dry_run: bool = False
    rows: list[RowResult] = []
    errors: list[ProviderRowError] = []

    def refuse(self, line: int, pointer: str, rule: str, fix: str) -> None:
        self.refused += 1
        if len(self.errors) < ERRORS_SHOWN:
            self.errors.append(ProviderRowError(line=line, pointer=pointer, rule=rule, fix=fix))

    def keep(self, line: int, slug: str, result: Literal["created", "changed", "unchanged"]) -> None:
        setattr(self, result, getattr(self, result) + 1)
        if len(self.rows) < ERRORS_SHOWN:
            self.rows.append(RowResult(line=line, id=slug, result=result))


@dataclass(frozen=True, slots=True)
class Line:
    """A line that may be written."""

    number: int
    slug: str
    reference: Reference


@dataclass(slots=True)
class Chunk:
    """The lines of one transaction: each entry at most once, so that each line has an answer of its own."""

    lines: list[Line] = field(default_factory=list[Line])

    def full_for(self, slug: str) -> bool:
        return len(self.lines) == CHUNK or any(line.slug == slug for line in self.lines)


async def import_providers(
    store: Store[Any],
    pool: Pool,
    client: Client,
    pieces: AsyncIterator[bytes],
    *,
    command_id: UUID,
    traceparent: str,
    serving: Callable[[str], bool],
    is_hub: Callable[[str], bool],
    sealer: Sealer,
    at: datetime,
    dry_run: bool,
    charset: str,
) -> Imported:
    """Write the good lines, a chunk at a time. The same file sent again changes nothing that is already as it says.
    Raises 422 `row-invalid` where the first line names no usable columns."""
    result, chunk = Imported(dry_run=dry_run), Chunk()

    async def write() -> None:
        if chunk.lines and dry_run:
            await _look(pool, chunk.lines, at, result)
        elif chunk.lines:
            await _write(store, chunk.lines, command_id, traceparent, result)
        chunk.lines.clear()

    try:
        async for each in reader.lines_of(pieces, replace(FORM, declared=charset)):
            line = _checked(client, each, serving, is_hub, sealer, result)
            if line is None:
                continue
            if chunk.full_for(line.slug):
                await write()
            chunk.lines.append(line)
    except Unreadable as error:
        raise Problem(422, "row-invalid", error.sentence, fix=error.fix) from None
    await write()
    return result


def _checked(
    client: Client,
    given: reader.Line,
    serving: Callable[[str], bool],
    is_hub: Callable[[str], bool],
    sealer: Sealer,
    result: Imported,
) -> Line | None:
    number = given.number
    if given.fault:
        pointer = f"/{given.column}" if given.column else ""
        fix = ROW_FIXES.get(given.fault, "Send as many cells as the first line has.")
        result.refuse(number, pointer, given.fault, fix)
        return None
    slug = given.values.get("id", "")
    if not serving(slug):
        result.refuse(
            number, "/id", "unknown-provider", "Send the id of a provider, hub or county known here."
        )
        return None
    try:
        body = ProviderBody.model_validate_json(orjson.dumps(_fields(given.values)))
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        bounds = {name: value for name, value in first.get("ctx", {}).items() if isinstance(value, str | int)}
        fix = FIXES.get(first["type"], OTHERWISE)
        result.refuse(number, _column(first["loc"]), first["type"].replace("_", "-"), _filled(fix, bounds))
        return None
    try:
        check_parts(client, slug, body)
        check_hubs(body, is_hub)
    except Problem as problem:
        first_error = problem.errors[0]
        result.refuse(number, _pointer(first_error["pointer"]), first_error["rule"], first_error["fix"])
        return None
    return Line(number, slug, _unless_same(client, slug, body, sealed_npi(sealer, slug, body.npi)))


def _filled(fix: str, bounds: Mapping[str, Any]) -> str:
    try:
        return fix.format(**bounds)
    except KeyError:
        return OTHERWISE


def _column(place: Sequence[str | int]) -> str:
    return _pointer("/" + "/".join(str(part) for part in place))


def _pointer(pointer: str) -> str:
    """A pointer into the body as the column of the file."""
    parts = pointer.strip("/").split("/")
    if parts[0] != "contracts":
        return f"/{parts[0]}"
    names = {inner: column for column, inner in CONTRACT.items()} | {"from_": "from"}
    return f"/{names.get(parts[2], 'plan')}" if len(parts) > 2 else "/plan"


def _fields(cells: Mapping[str, str]) -> dict[str, Any]:
    """A line as the body of a PUT. An empty cell is no field."""
    given: dict[str, Any] = {name: value for name, value in cells.items() if value}
    for name in LISTS:
        if name in given:
            given[name] = [part.strip() for part in given[name].split(";") if part.strip()]
    if "active" in given:
        given["active"] = YES_OR_NO.get(given["active"].lower(), given["active"])
    if given.get("capacity", "").isdecimal():
        given["capacity"] = int(given["capacity"])
    contract = {inner: given.pop(column) for column, inner in CONTRACT.items() if column in given}
    given.pop("id", None)
    return given | ({"contracts": [contract]} if contract else {})


def _unless_same(client: Client, slug: str, body: ProviderBody, sealed: Mapping[str, str]) -> Reference:
    """The change of this line: none where the entry says the same already, but that operations verify what they send.
    A contract replaces the one of the same plan, hub and first day, and leaves the others."""
    verifies = Role.OPERATIONS in client.roles

    def change(row: Mapping[str, Any] | None, at: datetime) -> Recorded | None:
        recorded = recording(client, slug, _beside(client, row, body), None, sealed).change(row, at)
        if recorded is None or row is None or verifies:
            return recorded
        return None if _said(recorded.row["entry"]) == _said(row["entry"]) else recorded

    return Reference(TABLE, slug, change)


def _beside(client: Client, row: Mapping[str, Any] | None, body: ProviderBody) -> ProviderBody:
    if row is None or not body.contracts:
        return body
    fresh = [
        contract.model_dump(mode="json", by_alias=True, exclude_none=True) for contract in body.contracts
    ]
    mine = [
        {name: value for name, value in contract.items() if value is not None}
        for contract in row["entry"]["contracts"]
        if Role.OPERATIONS in client.roles or contract["plan"] == client.organization
    ]
    kept = [contract for contract in mine if not any(_same(contract, each) for each in fresh)]
    fields = body.model_dump(mode="json", exclude_none=True, exclude={"contracts"})
    return ProviderBody.model_validate_json(orjson.dumps({**fields, "contracts": [*kept, *fresh]}))


def _same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return all(one.get(name) == other.get(name) for name in ("plan", "hub", "from"))


def _said(entry: Mapping[str, Any]) -> Mapping[str, Any]:
    """What the entry says, whatever the order of its contracts."""
    apart = {"version", "occurred_at", "verified_at", "sealed"}
    said = {name: value for name, value in entry.items() if name not in apart}
    return {**said, "contracts": sorted(said["contracts"], key=orjson.dumps)}


async def _write(
    store: Store[Any], lines: Sequence[Line], command_id: UUID, traceparent: str, result: Imported
) -> None:
    submissions = [
        Submission(
            uuid5(command_id, str(line.number)), line.slug, reference=line.reference, traceparent=traceparent
        )
        for line in lines
    ]
    try:
        outcomes = await store.execute(submissions, patience=PATIENCE)
    except StoreUnavailable:
        raise Busy("the database") from None
    for line, submission in zip(lines, submissions, strict=True):
        _answer(line, outcomes[submission.id], result)


def _answer(line: Line, outcome: Outcome | Exception, result: Imported) -> None:
    if isinstance(outcome, Refused):
        result.refuse(line.number, "/id", outcome.slug, outcome.fix or "Operations make the entry first.")
    elif isinstance(outcome, Exception):
        raise outcome
    elif not outcome.events:
        result.keep(line.number, line.slug, "unchanged")
    else:
        result.keep(line.number, line.slug, "created" if outcome.state["version"] == 1 else "changed")


async def _look(pool: Pool, lines: Sequence[Line], at: datetime, result: Imported) -> None:
    """What writing these lines would do."""
    rows = await pool.fetch(
        "SELECT to_jsonb(p) AS row FROM provider p WHERE id = ANY($1::text[])", [line.slug for line in lines]
    )
    known = {row["id"]: row for row in (orjson.loads(each["row"]) for each in rows)}
    for line in lines:
        row = known.get(line.slug)
        try:
            recorded = line.reference.change(row, at)
        except Refused as refused:
            result.refuse(line.number, "/id", refused.slug, refused.fix or "Operations make the entry first.")
            continue
        if recorded is None:
            result.keep(line.number, line.slug, "unchanged")
        else:
            result.keep(line.number, line.slug, "created" if row is None else "changed")
