"""Who sent the plan which files for a month: who is late, who sent it again, and of the rows that were sent how many count."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from loopkeeper.contract.calendar import la_date, noon_of
from loopkeeper.kernel.errors import not_found
from loopkeeper.runtime.files.kinds import FileKind
from loopkeeper.runtime.service import Call
from loopkeeper.store.file_tables import FILE_DAY
from loopkeeper.store.row_access import OWN, visible_rows

KEYS = ("plan_id",)
MONTH = re.compile(r"2\d{3}-(0[1-9]|1[0-2])")
Punctual = Literal["on_time", "late", "missing", "waited_for", "not_expected"]


class SenderOfMonth(BaseModel):
    """What one organization sent for the month. `status`: whether its first whole file came by the due day, later, or not
    at all; `waited_for` while the day is to come. Rows that count recorded something and were not taken back."""

    model_config = ConfigDict(frozen=True)

    organization: str
    status: Punctual
    days_late: int = Field(0, description="Days after the due day; of a missing file those until today")
    first_at: datetime | None = None
    files: int = Field(0, description="Files sent, dry runs aside")
    sent_again: int = Field(0, description="Files after the first")
    same_bytes: int = Field(0, description="Of those, the ones with the bytes of an earlier one")
    refused_whole: int = 0
    held: int = 0
    taken_back: int = 0
    rows_sent: int = Field(0, description="Rows of all these files")
    rows_that_count: int = 0
    rows_unchanged: int = Field(0, description="Rows that said what was on record")
    rows_refused: int = 0


class FilesOfMonth(BaseModel):
    """A kind of file for one month: by sender, and in all. A file speaks of the month in which its period ends; one that
    states no period, of the month in which it came."""

    model_config = ConfigDict(frozen=True)

    plan: str
    kind: str
    month: str
    due_on: date
    late: tuple[str, ...] = Field(description="Who is late or missing")
    sent_again: tuple[str, ...] = Field(description="Who sent more than one file")
    rows_sent: int
    rows_that_count: int
    senders: tuple[SenderOfMonth, ...]


@dataclass(frozen=True, slots=True)
class Month:
    """The days of a month, and by when its file is due."""

    name: str
    first: date
    last: date
    due_on: date


async def files_of_month(call: Call, kind: FileKind, name: str) -> FilesOfMonth:
    """The plan's files of this kind for the month. Raises 404 for what names none."""
    if MONTH.fullmatch(name) is None:
        raise not_found()
    plan, context = call.client.organization, call.service
    month = month_of(call, plan, name)
    rows = {row["organization"]: row for row in await _sent(call, kind, month)}
    unsaid = {row["organization"]: row["first_at"] for row in await _without_period(call, kind, month)}
    expected = frozenset(await kind.expected(context, plan, month.last))
    today = la_date(context.clock.now())
    senders = tuple(
        _sender(name, rows.get(name), unsaid.get(name), month, today, expected=name in expected)
        for name in sorted({*rows, *expected})
    )
    return FilesOfMonth(
        plan=plan,
        kind=kind.kind,
        month=month.name,
        due_on=month.due_on,
        late=tuple(each.organization for each in senders if each.status in ("late", "missing")),
        sent_again=tuple(each.organization for each in senders if each.sent_again),
        rows_sent=sum(each.rows_sent for each in senders),
        rows_that_count=sum(each.rows_that_count for each in senders),
        senders=senders,
    )


def month_of(call: Call, plan: str, name: str) -> Month:
    """The month, and its due day by the row that holds on its last day."""
    year, number = int(name[:4]), int(name[5:])
    first = date(year, number, 1)
    last = date(year + number // 12, number % 12 + 1, 1) - timedelta(days=1)
    policy = call.service.policy
    days: int = policy.row("files", on=last, plan=plan, step="due")["days"]
    due_at = policy.calendar.business_days_after(noon_of(last), days)
    return Month(name, first, last, la_date(due_at - timedelta(seconds=1)))


async def _sent(call: Call, kind: FileKind, month: Month) -> Sequence[Mapping[str, Any]]:
    """What each organization sent for the month, in one statement."""
    return await visible_rows(
        call.service.readers,
        call.client,
        f"""SELECT organization, count(*) AS files, count(*) - count(DISTINCT digest) AS same_bytes,
              count(*) FILTER (WHERE state = 'refused') AS refused_whole,
              count(*) FILTER (WHERE state = 'held') AS held,
              count(*) FILTER (WHERE state = 'taken_back') AS taken_back,
              coalesce(sum(rows), 0) AS rows_sent,
              coalesce(sum((counts ->> 'accepted')::int) FILTER (WHERE state IN ('acting', 'done')), 0) AS that_count,
              coalesce(sum((counts ->> 'unchanged')::int), 0) AS unchanged,
              coalesce(sum((counts ->> 'refused')::int), 0) AS refused,
              min(received_at) FILTER (WHERE state NOT IN ('refused', 'taken_back')) AS first_at
            FROM file WHERE kind = $1 AND {FILE_DAY} BETWEEN $2 AND $3 AND NOT dry_run AND state <> 'receiving'
              AND {OWN} GROUP BY organization""",  # noqa: S608 own fragments
        kind.kind,
        month.first,
        month.last,
        keys=KEYS,
    )


async def _without_period(call: Call, kind: FileKind, month: Month) -> Sequence[Mapping[str, Any]]:
    """Who sent a file that states no period after the month's end, and by the day it is due: it may be the month's."""
    return await visible_rows(
        call.service.readers,
        call.client,
        f"""SELECT organization, min(received_at) AS first_at FROM file
            WHERE kind = $1 AND {FILE_DAY} BETWEEN $2 AND $3 AND period_through IS NULL AND NOT dry_run
              AND state NOT IN ('receiving', 'refused', 'taken_back') AND {OWN} GROUP BY organization""",  # noqa: S608
        kind.kind,
        month.last + timedelta(days=1),
        month.due_on,
        keys=KEYS,
    )


# Of who sent nothing.
NOTHING: Mapping[str, Any] = {
    **dict.fromkeys(
        ("files", "same_bytes", "refused_whole", "held", "taken_back", "rows_sent", "that_count", "unchanged", "refused"), 0
    ),
    "first_at": None,
}  # fmt: skip


def _sender(
    name: str,
    row: Mapping[str, Any] | None,
    unsaid: datetime | None,
    month: Month,
    today: date,
    *,
    expected: bool,
) -> SenderOfMonth:
    known = row if row is not None else NOTHING
    first_at: datetime | None = known["first_at"] or unsaid
    status, late = _punctual(first_at, month, today, expected=expected)
    return SenderOfMonth(
        organization=name,
        status=status,
        days_late=late,
        first_at=first_at,
        files=known["files"],
        sent_again=max(known["files"] - 1, 0),
        same_bytes=known["same_bytes"],
        refused_whole=known["refused_whole"],
        held=known["held"],
        taken_back=known["taken_back"],
        rows_sent=known["rows_sent"],
        rows_that_count=known["that_count"],
        rows_unchanged=known["unchanged"],
        rows_refused=known["refused"],
    )


def _punctual(
    first_at: datetime | None, month: Month, today: date, *, expected: bool
) -> tuple[Punctual, int]:
    """Whether the month's file came in time; a file refused whole, or taken back, is none."""
    if first_at is not None:
        late = (la_date(first_at) - month.due_on).days
        return ("late", late) if late > 0 else ("on_time", 0)
    if not expected:
        return "not_expected", 0
    late = (today - month.due_on).days
    return ("missing", late) if late > 0 else ("waited_for", 0)
