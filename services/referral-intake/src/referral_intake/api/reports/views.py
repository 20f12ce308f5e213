"""How a report and its figures are asked for and shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any

import orjson
from pydantic import BaseModel, ConfigDict, Field

from loopkeeper.contract.blanks import BlankIsMissing
from loopkeeper.http.paging import Page
from loopkeeper.http.person import Person
from loopkeeper.runtime.service import Call
from referral_intake.domain.reports.counting import Figure, Kind
from referral_intake.domain.reports.figures import Value
from referral_intake.domain.reports.period import Period
from referral_intake.files.contents import PREVIEW, SOURCES

NAME = r"^2\d{3}-(0[1-9]|1[0-2]|Q[1-4])$"
BY = r"^(population|county|provider|referrer|age_band)?$"


class ReportBody(BlankIsMissing):
    """Which report, and of which days: `2026-10` for `measures` and `monthly`, `2026-Q4` for `qimr`."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)

    kind: Kind
    period: str = Field(pattern=NAME, description="A month or a quarter, by Californian days")


class SubmitBody(BlankIsMissing):
    model_config = ConfigDict(frozen=True, extra="forbid")

    acted_by: Person = Field(description="Who of the plan says that these figures were submitted")


class ReportsQuery(Page):
    kind: Kind | None = Field(None, description="Only of this kind")
    period: str | None = Field(None, pattern=NAME, description="Only of this month or quarter")


class FiguresQuery(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    by: str | None = Field(
        None, pattern=BY, description="Only figures by this; empty for totals: population, county, provider, referrer, age_band"
    )  # fmt: skip


class BehindQuery(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    figure: str = Field("", max_length=200, description="A figure's name; empty for all of the report")
    by: str = Field("", pattern=BY, description="By what it is told apart; empty for the total")
    of: str = Field("", max_length=200, description="The population, county, provider, referrer or age band")
    after: str = Field("", max_length=60, description="Only referrals after this one")
    limit: int = Field(200, ge=1, le=1000, description="Referrals a page")


class Report(BaseModel):
    """One report. `state`: building, ready or failed. `known_through`: what was heard later is not in it."""

    model_config = ConfigDict(frozen=True)

    id: str
    plan: str
    kind: str
    period: str
    state: str
    preview: str = PREVIEW
    sources: tuple[str, ...]
    known_through: datetime
    due_on: date | None = Field(None, description="When the state expects the quarter")
    ready_at: datetime | None
    submitted_at: datetime | None
    referrals: int = Field(description="Referrals that count in any of its figures")
    bytes: int
    digest: str = Field(description="SHA-256 of its bytes, in hexadecimal; the same facts give the same")
    code: str | None = None
    forgotten_at: datetime | None = None


class ShownFigure(BaseModel):
    """One figure. `submitted`: what it was in the report of this period that was submitted last."""

    model_config = ConfigDict(frozen=True)

    figure: str
    by: str
    of: str
    value: int | None
    share: float | None
    median_days: int | None
    p95_days: int | None
    submitted: int | None = None


class Definition(BaseModel):
    model_config = ConfigDict(frozen=True)

    figure: str
    definition: str
    source: str
    confidence: str


class Figures(BaseModel):
    """The figures of a report, and what each of them is. `submitted`: the report whose figures are shown next to these."""

    model_config = ConfigDict(frozen=True)

    preview: str = PREVIEW
    sources: tuple[str, ...]
    definitions: tuple[Definition, ...]
    submitted: str | None = None
    items: tuple[ShownFigure, ...]


class Behind(BaseModel):
    """The referrals that count in a figure, and how often each does."""

    model_config = ConfigDict(frozen=True)

    items: tuple[CountedReferral, ...]
    next_after: str | None = None


class CountedReferral(BaseModel):
    model_config = ConfigDict(frozen=True)

    referral: str
    times: int


# ── shown ───────────────────────────────────────────────────────────────────────────────────────────────────


def shown(call: Call, row: Mapping[str, Any]) -> Report:
    kind: Kind = row["kind"]
    due_on = None
    if kind == "qimr":
        last = Period.of(row["period"]).last
        days: int = call.service.policy.row("reporting", on=last, plan=row["plan_id"], step="due")["days"]
        due_on = last + timedelta(days=days)
    return Report(
        id=row["id"],
        plan=row["plan_id"],
        kind=kind,
        period=row["period"],
        state=row["state"],
        sources=tuple(SOURCES[kind]),
        known_through=row["asked_at"],
        due_on=due_on,
        ready_at=row["ready_at"],
        submitted_at=row["submitted_at"],
        referrals=row["referrals"],
        bytes=row["bytes"],
        digest=row["digest"],
        code=row["code"] or None,
        forgotten_at=row["forgotten_at"],
    )


def values(row: Mapping[str, Any]) -> list[Value]:
    return [
        Value(
            each["figure"],
            each["by"],
            each["of"],
            each["value"],
            tuple(each["days"]) if each["days"] else None,
        )
        for each in orjson.loads(row["figures"])
    ]


def defined(row: Mapping[str, Any]) -> list[Figure]:
    """The figures as they were defined when the report was built."""
    return [
        Figure(
            each["figure"], "", row["kind"], part_of=each["part_of"], share_of=each["share_of"],
            definition=each["definition"], source=each["source"], confidence=each["confidence"],
        )
        for each in orjson.loads(row["rows"])
    ]  # fmt: skip


def definitions(defined: Sequence[Figure]) -> tuple[Definition, ...]:
    return tuple(
        Definition(
            figure=each.name, definition=each.definition, source=each.source, confidence=each.confidence
        )
        for each in defined
    )


def figure_of(value: Value, rate: float | None, submitted: int | None) -> ShownFigure:
    return ShownFigure(
        figure=value.figure,
        by=value.by,
        of=value.of,
        value=value.value,
        share=rate,
        median_days=value.days[0] if value.days else None,
        p95_days=value.days[1] if value.days else None,
        submitted=submitted,
    )
