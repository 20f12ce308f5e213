"""Tables written as text or as a workbook. Nothing that is written can be taken for a formula, a link or a macro."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

from loopkeeper.spreadsheets.cells import Broken, Value
from loopkeeper.spreadsheets.values import text_of

# A cell of text that begins so is taken for a formula by spreadsheet programs: an apostrophe before it says that it is
# text, and the reader takes the apostrophe off again.
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "'")
MARKED, HEADING = "#FFC7CE", "#DDEBF7"
LONGEST_LIST = 255
LONGEST_NOTE = 1000


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a text file is written."""

    encoding: str = "utf-8"
    delimiter: str = ","
    line_end: str = "\n"


@dataclass(slots=True)
class SheetOut:
    """A sheet to write: rows by their number, and what is marked. Places are (row from 1, column from 0)."""

    name: str
    rows: Iterable[tuple[int, Sequence[Value]]]
    heading_row: int = 1
    notes: Mapping[tuple[int, int], str] = field(default_factory=dict[tuple[int, int], str])
    # Of a column the texts that may be in it, for the rows below the headings.
    lists: Mapping[int, Sequence[str]] = field(default_factory=dict[int, "Sequence[str]"])
    days: frozenset[int] = frozenset()
    visible: bool = True


def plain(value: Value) -> str:
    """A cell as text of a file with delimiters."""
    text = (
        value.text if isinstance(value, Broken) else text_of(value) if not isinstance(value, str) else value
    )
    return f"'{text}" if isinstance(value, str) and text.startswith(FORMULA_STARTS) else text


def write_text(rows: Iterable[Sequence[Value]], dialect: Dialect) -> bytes:
    """Raises `UnicodeEncodeError` where a letter is not in the encoding."""
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, delimiter=dialect.delimiter, lineterminator=dialect.line_end)
    for row in rows:
        writer.writerow([plain(cell) for cell in row])
    return buffer.getvalue().encode(dialect.encoding)


def write_workbook(
    sheets: Sequence[SheetOut], *, date_format: str = "mm/dd/yyyy", created: datetime | None = None
) -> bytes:
    """A workbook. `created` is the moment it bears; without one it bears none of its own, so the same rows give the
    same bytes."""
    # Forty modules, for whom nobody asks but where plans exchange workbooks: a service without files is spared them.
    import xlsxwriter  # pyright: ignore[reportMissingTypeStubs] it has none

    content = io.BytesIO()
    options = {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False}
    book: Any = xlsxwriter.Workbook(content, options)
    book.set_properties({"created": created or datetime(2022, 1, 1)})  # noqa: DTZ001 written as UTC
    formats = {
        "day": book.add_format({"num_format": date_format}),
        "text": book.add_format({"num_format": "@"}),
        "heading": book.add_format({"bold": True, "bg_color": HEADING, "text_wrap": True}),
        "marked": book.add_format({"bg_color": MARKED}),
        "marked day": book.add_format({"bg_color": MARKED, "num_format": date_format}),
        "hours": book.add_format({"num_format": "[h]:mm"}),
    }
    for number, one in enumerate(sheets):
        sheet = book.add_worksheet(one.name[:31] or None)
        if not one.visible and number:
            sheet.hide()
        _write_sheet(book, sheet, one, formats)
    book.close()
    return content.getvalue()


def _write_sheet(book: Any, sheet: Any, one: SheetOut, formats: Mapping[str, Any]) -> None:
    widest = 0
    for number, cells in one.rows:
        widest = max(widest, len(cells))
        for place, cell in enumerate(cells):
            marked = (number, place) in one.notes and number != one.heading_row
            _write_cell(sheet, number, place, cell, formats, heading=number == one.heading_row, marked=marked)
    for (number, place), note in one.notes.items():
        sheet.write_comment(number - 1, place, note[:LONGEST_NOTE], {"x_scale": 2})
    sheet.freeze_panes(one.heading_row, 0)
    if widest:
        sheet.set_column(0, widest - 1, 18)
    for place in one.days:
        sheet.set_column(place, place, 14, formats["day"])
    for place, texts in one.lists.items():
        _list(book, sheet, one, place, texts)


def _write_cell(
    sheet: Any,
    number: int,
    place: int,
    cell: Value,
    formats: Mapping[str, Any],
    *,
    heading: bool,
    marked: bool,
) -> None:
    row = number - 1
    style = formats["heading" if heading else "marked" if marked else "text"]
    match cell:
        case None | "":
            if marked:
                sheet.write_blank(row, place, None, style)
        case bool():
            sheet.write_boolean(row, place, cell, style if marked else None)
        case int() | float():
            sheet.write_number(row, place, cell, style if marked else None)
        case date():
            sheet.write_datetime(row, place, cell, formats["marked day" if marked else "day"])
        case timedelta():
            sheet.write_datetime(row, place, cell, formats["hours"])
        case _:
            text = cell.text if isinstance(cell, Broken) else cell
            sheet.write_string(row, place, f"'{text}" if text.startswith("'") else text, style)


def _list(book: Any, sheet: Any, one: SheetOut, place: int, texts: Sequence[str]) -> None:
    """The texts offered in a column; a long list is on a sheet of its own, out of sight."""
    source: Any = list(texts)
    if sum(len(text) + 1 for text in texts) > LONGEST_LIST or any("," in text for text in texts):
        name = f"{one.name[:20]} list {place + 1}"
        hidden = book.add_worksheet(name)
        hidden.hide()
        hidden.write_column(0, 0, texts)
        source = f"='{name}'!$A$1:$A${len(texts)}"
    options = {"validate": "list", "source": source, "error_type": "warning", "ignore_blank": True}
    sheet.data_validation(one.heading_row, place, one.heading_row + 5000, place, options)
