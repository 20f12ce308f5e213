"""The bytes of a report: measures and the month as JSON, the quarter as a workbook. The same facts give the same bytes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

import orjson

from loopkeeper.contract.events import ProviderRecorded
from loopkeeper.spreadsheets.streamed import StreamedWorkbook
from referral_intake.domain.reports import monthly, sheets
from referral_intake.domain.reports.counting import Figure, Kind
from referral_intake.domain.reports.figures import Value, share
from referral_intake.domain.reports.history import History
from referral_intake.domain.reports.period import Period

PREVIEW = "preview: the official layout is not public"
SOURCES: Mapping[Kind, Sequence[str]] = {
    "measures": (
        "DHCS Closed-Loop Referral FAQ and ECM Policy Guide January 2026 (p100, 123): that loops are tracked and reported",
        "the state's formulas and value lists were not found: every definition is ours",
    ),
    "qimr": (
        "ECM Policy Guide January 2026 p123-124: a quarterly workbook within 45 days; attempts cumulative in the year",
        "GH-CHG1, GH-CHGM (public plan code): six tabs; columns of tabs 1, 4, 5 and 6; the columns of 2 and 3 are ours",
    ),
    "monthly": (
        "ECM Policy Guide January 2026 p123: which elements the monthly JSON has, by phase",
        "the state's schema and dictionary are gated: names, values and order are ours",
    ),
}
MEDIA: Mapping[Kind, str] = {
    "measures": "application/json",
    "monthly": "application/json",
    "qimr": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}


class Content(Protocol):
    """What writes a report, referral by referral. `identity`: whether it says who the member is, of these histories."""

    def identity(self, history: History) -> bool: ...

    def add(self, history: History, who: Mapping[str, Any], npi: str) -> None: ...

    def written(self) -> bytes:
        """The bytes since the last time."""
        ...

    def close(self, values: Sequence[Value]) -> Iterator[bytes]: ...


class Measures:
    """The closed-loop measures: figures alone."""

    def __init__(self, plan: str, period: Period, figures: Sequence[Figure]) -> None:
        self._plan, self._period, self._figures = plan, period, figures

    def identity(self, history: History) -> bool:
        return False

    def add(self, history: History, who: Mapping[str, Any], npi: str) -> None:
        pass

    def written(self) -> bytes:
        return b""

    def close(self, values: Sequence[Value]) -> Iterator[bytes]:
        head = {"report": "closed-loop measures", **_marks("measures", self._plan, self._period)}
        yield orjson.dumps(head | _figures(values, self._figures), option=orjson.OPT_INDENT_2)


class Monthly:
    """One entry a referral, then the figures."""

    def __init__(self, plan: str, period: Period, figures: Sequence[Figure]) -> None:
        self._period, self._figures = period, figures
        head = {"schema": monthly.SCHEMA, **_marks("monthly", plan, period)}
        self._bytes = orjson.dumps(head)[:-1] + b',"entries":['
        self._first = True

    def identity(self, history: History) -> bool:
        return True

    def add(self, history: History, who: Mapping[str, Any], npi: str) -> None:
        self._bytes += b"\n" if self._first else b",\n"
        self._bytes += orjson.dumps(monthly.entry(history, who, self._period, npi))
        self._first = False

    def written(self) -> bytes:
        written, self._bytes = self._bytes, b""
        return written

    def close(self, values: Sequence[Value]) -> Iterator[bytes]:
        yield self.written()
        yield b"],\n" + orjson.dumps(_figures(values, self._figures))[1:]


class Quarter:
    """The six tabs, and a seventh that says what each figure is and where that is known from."""

    def __init__(
        self,
        plan: sheets.PlanNamed,
        period: Period,
        figures: Sequence[Figure],
        directory: Mapping[str, sheets.Entry],
        contracted: Sequence[str],
    ) -> None:
        self._plan, self._period, self._figures = plan, period, figures
        self._directory, self._contracted = directory, contracted
        self._book = StreamedWorkbook(sheets.TABS)
        for tab, headings in sheets.HEADINGS.items():
            self._book.add(tab, headings)

    def identity(self, history: History) -> bool:
        return sheets.names_member(history, self._period)

    def add(self, history: History, who: Mapping[str, Any], npi: str) -> None:
        member = sheets.member_row(history, who, self._plan, self._period, npi)
        if member is not None:
            self._book.add(0, member)
        if (supports := sheets.support_row(history, who, self._plan, self._period)) is not None:
            self._book.add(3, supports)

    def written(self) -> bytes:
        return b""

    def close(self, values: Sequence[Value]) -> Iterator[bytes]:
        for tab, rows in sheets.counted_tabs(values, self._directory, self._contracted).items():
            for row in rows:
                self._book.add(tab, row)
        sources = len(sheets.TABS) - 1
        self._book.add(sources, (PREVIEW,))
        for source in SOURCES["qimr"]:
            self._book.add(sources, ("", "", source))
        for figure in self._figures:
            self._book.add(sources, (figure.name, figure.definition, figure.source, figure.confidence))
        yield self._book.close()


def entry_of(entry: ProviderRecorded, npi: str) -> sheets.Entry:
    return sheets.Entry(npi, entry.name, entry.types, entry.populations, entry.counties, entry.capacity)


def _marks(kind: Kind, plan: str, period: Period) -> dict[str, Any]:
    return {"preview": PREVIEW, "sources": SOURCES[kind], "plan": plan, "period": period.name}


def _figures(values: Sequence[Value], figures: Sequence[Figure]) -> dict[str, Any]:
    counts, by_name = {each.cell: each.value for each in values}, {each.name: each for each in figures}
    return {
        "definitions": [
            {
                "figure": each.name,
                "definition": each.definition,
                "source": each.source,
                "confidence": each.confidence,
            }
            for each in figures
        ],
        "figures": [
            {
                "figure": each.figure,
                "by": each.by,
                "of": each.of,
                "value": each.value,
                "share": share(counts, each.cell, by_name),
                "days": each.days,
            }
            for each in values
        ],
    }
