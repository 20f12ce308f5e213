"""The answer to a file is the file itself: the same rows and columns, and of each row what became of it.

`Result`, `Code` and `What to do` come after the last column. In a workbook the cells that are wrong are marked, each
with a comment. The same layout reads it: correct it, send it again, and only the corrected rows act.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from loopkeeper.plan_files.outcomes import FIXES, Judged, Outcome
from loopkeeper.plan_files.profile import Layout
from loopkeeper.plan_files.writing import excel_format
from loopkeeper.spreadsheets.book import Sheet, opened
from loopkeeper.spreadsheets.cells import Limits, Row, Unreadable, Value
from loopkeeper.spreadsheets.headings import HeadingRow, folded, locate
from loopkeeper.spreadsheets.writing import Dialect, SheetOut, write_text, write_workbook

ADDED = ("Result", "Code", "What to do")
# Further columns, and what is in them of each row.
Receipts = tuple[Sequence[str], Mapping[int, Mapping[str, Value]]]
NONE: Receipts = ((), {})


@dataclass(frozen=True, slots=True)
class Returned:
    """The file that goes back, and whether it is a workbook."""

    content: bytes
    workbook: bool


def returned_file(
    content: bytes,
    layout: Layout,
    judged: Judged,
    *,
    name: str = "",
    limits: Limits | None = None,
    receipts: Receipts = NONE,
) -> Returned:
    """Raises `Unreadable` for a file that was refused whole: that one is answered by its reason alone."""
    book = opened(content, name=name, encoding=layout.encoding, delimiter=layout.delimiter, limits=limits)
    sheet, found, _ = locate(book, layout.headings, layout.sheet, layout.header_within)
    rows = _rows(sheet, found, judged, receipts)
    if book.format == "csv":
        line_end = "\r\n" if b"\r\n" in content[:65536] else "\n"
        encoding = book.encoding if book.encoding != "utf-8" else "utf-8-sig"
        text = write_text((cells for _, cells in _filled(rows)), Dialect(encoding, sheet.delimiter, line_end))
        return Returned(text, workbook=False)
    answered = SheetOut(sheet.name, rows, found.number, notes=_notes(layout, found, judged))
    others = [copy for each in book.sheets if each is not sheet and each.visible if (copy := _copied(each))]
    return Returned(write_workbook([answered, *others], date_format=excel_format(layout.dates[0])), True)


def _rows(
    sheet: Sheet, found: HeadingRow, judged: Judged, receipts: Receipts
) -> Iterator[tuple[int, Sequence[Value]]]:
    more, told = receipts
    outcomes = {outcome.row: outcome for outcome in judged.outcomes}
    width = _width(found)
    for row in sheet.rows():
        if row.number < found.number:
            yield row.number, _title(row)
            continue
        cells = [*row.cells[:width], *[None] * (width - len(row.cells))]
        if row.number == found.number:
            yield row.number, [*(found.shown[:width]), *ADDED, *more]
        elif row.number in outcomes:
            receipt = told.get(row.number, {})
            yield row.number, [*cells, *_answer(outcomes[row.number]), *(receipt.get(each) for each in more)]
        else:
            yield row.number, cells if not row.blank else ()


def _width(found: HeadingRow) -> int:
    """The columns of the file itself, without those that an earlier answer added."""
    shown = [folded(text) for text in found.shown]
    while shown and not shown[-1]:
        shown.pop()
    added = [folded(text) for text in ADDED]
    at = next((n for n in range(len(shown) - len(added), -1, -1) if shown[n : n + len(added)] == added), None)
    return len(shown) if at is None else at


def _answer(outcome: Outcome) -> Sequence[str]:
    codes = [outcome.code, *(warned.code for warned in outcome.warnings)]
    return outcome.result, ", ".join(code for code in codes if code), outcome.fix


def _notes(layout: Layout, found: HeadingRow, judged: Judged) -> Mapping[tuple[int, int], str]:
    """The cells that are wrong, each with its code and what to do."""
    places = {
        layout.columns[index].field: at[0]
        for index, at in found.places.items()
        if layout.columns[index].field
    }
    notes: dict[tuple[int, int], str] = {}
    for outcome in judged.outcomes:
        wrong = [(outcome.field, outcome.code)] if outcome.field else []
        wrong += [(warned.field, warned.code) for warned in outcome.warnings]
        for field, code in wrong:
            if field in places:
                notes[outcome.row, places[field]] = f"{code}: {FIXES.get(code, '')}"
    return notes


def _filled(rows: Iterator[tuple[int, Sequence[Value]]]) -> Iterator[tuple[int, Sequence[Value]]]:
    """Rows without gaps, so that each is on the line it had."""
    last = 0
    for number, cells in rows:
        for missing in range(last + 1, number):
            yield missing, ()
        yield number, cells
        last = number


def _title(row: Row) -> Sequence[Value]:
    """A row above the headings: what a merged title fills is there once."""
    return [
        cell if not place or row.cells[place - 1] != cell else None for place, cell in enumerate(row.cells)
    ]


def _copied(sheet: Sheet) -> SheetOut | None:
    """Another sheet of the workbook, as it came; None where it cannot be read, which is no fault of the rows."""
    try:
        return SheetOut(sheet.name, [(row.number, row.cells) for row in sheet.rows()], 0)
    except Unreadable:
        return None
