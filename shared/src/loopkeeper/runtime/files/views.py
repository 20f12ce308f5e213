"""What a caller sees of a file, and of each of its rows."""

from collections.abc import Callable, Mapping
from datetime import date, datetime
from typing import Any

import orjson
from pydantic import BaseModel, ConfigDict, Field

from loopkeeper.runtime.files.records import judged_of


class ShownFile(BaseModel):
    """How far a file is. `state`: receiving, received, acting, done, refused, held or taken_back. A file that is
    refused whole says why."""

    model_config = ConfigDict(frozen=True)

    id: str
    kind: str
    organization: str
    plan: str | None
    state: str
    dry_run: bool
    received_at: datetime
    done_at: datetime | None
    period_from: date | None
    period_through: date | None
    rows: int
    done: int = Field(description="Rows that are done")
    counts: Mapping[str, int] = Field(description="Rows by result")
    code: str | None = None
    sentence: str | None = None
    fix: str | None = None
    column: str | None = None


class WarnedCell(BaseModel):
    model_config = ConfigDict(frozen=True)

    code: str
    column: str


class FileRow(BaseModel):
    """What became of one row, by the number that a spreadsheet program shows for it. No value of the file is in it."""

    model_config = ConfigDict(frozen=True)

    row: int
    state: str
    result: str
    code: str | None
    column: str | None
    fix: str
    warnings: tuple[WarnedCell, ...]
    referral: str | None
    receipt: Mapping[str, Any]


class FileRows(BaseModel):
    model_config = ConfigDict(frozen=True)

    items: tuple[FileRow, ...]
    next_after: int | None = None


def shown(row: Mapping[str, Any]) -> ShownFile:
    return ShownFile(
        id=row["id"],
        kind=row["kind"],
        organization=row["organization"],
        plan=row["plan"] or None,
        state=row["state"],
        dry_run=row["dry_run"],
        received_at=row["received_at"],
        done_at=row["done_at"],
        period_from=row["period_from"],
        period_through=row["period_through"],
        rows=row["rows"],
        done=row["done"],
        counts=orjson.loads(row["counts"]),
        code=row["code"] or None,
        sentence=row["sentence"] or None,
        fix=row["fix"] or None,
        column=row["column"] or None,
    )


def shown_row(row: Mapping[str, Any], heading: Callable[[str], str]) -> FileRow:
    (outcome,) = judged_of([row]).outcomes
    receipt: Mapping[str, Any] = orjson.loads(row["receipt"])
    return FileRow(
        row=row["row"],
        state=row["state"],
        result=row["result"],
        code=row["code"] or None,
        column=heading(row["field"]) if row["field"] else None,
        fix=outcome.fix,
        warnings=tuple(WarnedCell(code=each.code, column=heading(each.field)) for each in outcome.warnings),
        referral=receipt.get("Referral") or row["stream"] or None if row["result"] != "refused" else None,
        receipt=receipt,
    )
