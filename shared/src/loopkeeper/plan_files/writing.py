"""Our fields written as a plan's file: its columns in order, its words, its dates, its trailer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from typing import Any, cast

from loopkeeper.plan_files.fields import Kind, field_of
from loopkeeper.plan_files.profile import Column, Layout
from loopkeeper.plan_files.table import Period
from loopkeeper.spreadsheets.cells import Value
from loopkeeper.spreadsheets.values import pattern
from loopkeeper.spreadsheets.writing import Dialect, SheetOut, write_text, write_workbook

BETWEEN = "; "
MEDIA = {
    "csv": "text/csv",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}


def write_file(kind: Kind, layout: Layout, rows: Iterable[Mapping[str, Any]]) -> bytes:
    """A file of this kind. Each row is our fields with their values; a field without a column is left out."""
    numbered = enumerate(_lines(kind, layout, rows), 1)
    if layout.format == "csv":
        return write_text((cells for _, cells in numbered), dialect(layout))
    heading = heading_row(layout)
    sheet = SheetOut(layout.sheet or kind, numbered, heading)
    return write_workbook([sheet], date_format=excel_format(layout.dates[0]))


def dialect(layout: Layout) -> Dialect:
    return Dialect(layout.encoding, layout.delimiter, "\r\n" if layout.line_end == "crlf" else "\n")


def excel_format(text: str) -> str:
    """A pattern of dates as a workbook's number format."""
    return text.replace("MON", "mmm").replace("M", "m").replace("Y", "y").replace("D", "d")


def _lines(kind: Kind, layout: Layout, rows: Iterable[Mapping[str, Any]]) -> Iterator[Sequence[Value]]:
    for title in layout.titles:
        yield (title,)
    if layout.grouped:
        yield groups(layout)
    yield tuple(column.heading for column in layout.columns)
    counted = 0
    for row in rows:
        counted += 1
        yield tuple(_cell(kind, layout, column, row.get(column.field)) for column in layout.columns)
    if layout.trailer:
        yield (layout.trailer, counted)


def heading_row(layout: Layout) -> int:
    return len(layout.titles) + layout.grouped + 1


def groups(layout: Layout) -> Sequence[Value]:
    """The heading of each group, over its first column."""
    names = [column.group for column in layout.columns]
    return [name if not place or names[place - 1] != name else "" for place, name in enumerate(names)]


def _cell(kind: Kind, layout: Layout, column: Column, value: Any) -> Value:
    if not column.field:
        return column.always
    field = field_of(kind, column.field)
    match value:
        case None | "" | ():
            return ""
        case bool():
            return (layout.says_yes if value else layout.says_no)[0]
        case date():
            return value if layout.format == "xlsx" else pattern(layout.dates[0]).write(value)
        case tuple() | list() if field is not None and field.type == "period":
            return period_text(layout, cast("Period", value))
        case tuple() | list():
            return BETWEEN.join(_word(kind, column, str(each)) for each in value)  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
        case str() if field is not None and field.type == "word":
            return _word(kind, column, value)
        case str():
            return value.zfill(column.width) if value.isdecimal() else value
        case _:
            return value


def _word(kind: Kind, column: Column, code: str) -> str:
    words = column.words.get(code)
    if words:
        return words[0]
    field = field_of(kind, column.field)
    return field.vocabulary.label_of(code) if field is not None and field.vocabulary else code


def period_text(layout: Layout, period: Period) -> str:
    """The days a file speaks of, as its plan writes them."""
    text = layout.period
    for name, day in (("start", period[0]), ("end", period[1])):
        before, _, rest = text.partition("{" + name + ":")
        written, _, after = rest.partition("}")
        text = f"{before}{pattern(written).write(day)}{after}" if rest else text
    return text


def file_name(layout: Layout, on: date, *, npi: str = "", seq: int = 1, **parts: str) -> str:
    """The name the plan gives this file; never anything about a person."""
    said = {"npi": npi, "yyyymm": f"{on:%Y%m}", "yyyymmdd": f"{on:%Y%m%d}", "seq": f"{seq:02}", **parts}
    name = layout.name
    for part, text in said.items():
        name = name.replace("{" + part + "}", text)
    return name
