"""A file read by its layout: records of our own fields, each with what in it cannot be read.

Blank rows, trailers and lines of totals are no records. A trailer that counts otherwise than the rows, a text that was
cut short before the trailer of its layout, a missing column and a file without rows refuse the file whole.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from loopkeeper.contract.field_types import BORN_FROM, ECM_BEGAN, LAST
from loopkeeper.plan_files.fields import BIRTH_DATES, Field, Kind, field_of
from loopkeeper.plan_files.profile import Column, Layout, period_expression, words_of
from loopkeeper.spreadsheets import values
from loopkeeper.spreadsheets.book import Book, opened
from loopkeeper.spreadsheets.cells import Broken, Limits, Row, Unreadable, Value, is_error
from loopkeeper.spreadsheets.headings import folded, locate
from loopkeeper.spreadsheets.values import Damaged, text_of

# Which days a file speaks of.
Period = tuple[date, date]
_TOTALS = re.compile(
    r"(grand )?totals?\b|(row|record|line|member|total)s? (count|rows|records|lines|members)|end of file"
)
_ROWS_COUNTED = re.compile(r"\b(rows?|records?|lines?|members?|count)\b")
MOST_CELLS_OF_TOTALS = 4
MOST_SKIPPED = 1000


@dataclass(slots=True)
class Record:
    """One row by our fields. A field that is not here is empty; `faults` name fields whose cells say nothing that can
    be read. `unknown` are words of a list that nobody knows: for people, never for logs."""

    row: int
    digest: bytes
    values: Mapping[str, Any]
    faults: Mapping[str, str]
    unknown: Mapping[str, tuple[str, ...]]
    # What makes the whole row unreadable.
    fault: str = ""

    def __getitem__(self, name: str) -> Any:
        return self.values.get(name)


@dataclass(slots=True)
class Table:
    """An opened file: its records, and what was passed over. `records` can be read once."""

    kind: Kind
    layout: Layout
    format: str
    heading_row: int
    # The headings as they are in the file.
    headings: Sequence[str]
    hidden: list[int] = field(default_factory=list[int])
    skipped: list[int] = field(default_factory=list[int])
    read_headings: Mapping[str, str] = field(default_factory=dict[str, str])
    # Of each field the columns in which it is.
    places: Mapping[str, tuple[int, ...]] = field(default_factory=dict[str, "tuple[int, ...]"])
    rows: Iterator[Row] = field(default_factory=lambda: iter(()))

    def heading(self, name: str) -> str:
        """The heading of a field as the file has it."""
        return self.read_headings.get(name) or self.layout.heading(name)


def open_table(
    content: bytes, kind: Kind, layout: Layout, *, name: str = "", limits: Limits | None = None
) -> Table:
    """The table of a file. Raises `Unreadable`."""
    book: Book = opened(
        content, name=name, encoding=layout.encoding, delimiter=layout.delimiter, limits=limits
    )
    _, found, below = locate(book, layout.headings, layout.sheet, layout.header_within)
    places = {
        layout.columns[index].field: at for index, at in found.places.items() if layout.columns[index].field
    }
    shown = {name: found.shown[at[0]] for name, at in places.items()}
    table = Table(kind, layout, book.format, found.number, found.shown, read_headings=shown, places=places)
    # A text whose last line has an end was not cut within it.
    whole = content.rstrip(b"\0").endswith((b"\n", b"\r"))
    cut = bool(layout.trailer) and book.format == "csv" and not whole
    table.rows = _told_apart(table, below, cut=cut)
    return table


def records(table: Table, wanted: frozenset[str] | None = None) -> Iterator[Record]:
    """The records of the table; `wanted` are the fields to read, all by default. Raises `Unreadable` (`no-rows`,
    `trailer-differs`, `trailer-missing`)."""
    reading = _Reading(table, wanted)
    for row in table.rows:
        yield reading.record(row)


# ── rows that are records, and rows that are none ─────────────────────────────────────────────────────────────────


def _told_apart(table: Table, below: Iterator[Row], *, cut: bool) -> Iterator[Row]:
    """The rows that are records. Raises where there is none, a trailer counts otherwise, or the file was cut short."""
    counted = 0
    blanks: list[int] = []
    said: int | None = None
    ended = False
    for row in below:
        if row.blank:
            blanks.append(row.number)
            continue
        if len(table.skipped) < MOST_SKIPPED:
            table.skipped += blanks[: MOST_SKIPPED - len(table.skipped)]
        blanks.clear()
        last = _counts(table.layout, row)
        if last is not None:
            table.skipped.append(row.number)
            said = last if last >= 0 else said
            ended = ended or _marked(table.layout, row)
            continue
        if row.hidden:
            table.hidden.append(row.number)
        counted += 1
        yield row
    if not counted:
        raise Unreadable("no-rows", "There is no row under the headings.", "Send the file with its rows.")
    if said is not None and said != counted:
        raise Unreadable(
            "trailer-differs",
            f"The last line counts {said} rows, and {counted} are here.",
            "Send the whole file, or correct the count.",
        )
    if cut and not ended:
        # Its last cell may be half a one.
        raise Unreadable(
            "trailer-missing",
            "The file ends in the middle of a line, without the last line that its layout has.",
            f"Send the whole file; its last line begins with {table.layout.trailer}.",
        )


def _marked(layout: Layout, row: Row) -> bool:
    """Whether the row begins with the layout's mark of a trailer."""
    filled = (text_of(cell) for cell in row.cells if not isinstance(cell, Broken))
    return next((text for text in filled if text), "").casefold() == layout.trailer.casefold()


def _counts(layout: Layout, row: Row) -> int | None:
    """What a trailer or a line of totals counts, -1 where it counts no rows; None for a record."""
    filled: list[str] = []
    for cell in row.cells:
        text = "" if isinstance(cell, Broken) else text_of(cell)
        if text:
            filled.append(text)
        if len(filled) > MOST_CELLS_OF_TOTALS and not layout.trailer:
            return None
    if not filled:
        return None
    mark = bool(layout.trailer) and filled[0].casefold() == layout.trailer.casefold()
    if not mark and (len(filled) > MOST_CELLS_OF_TOTALS or not _TOTALS.match(folded(filled[0]))):
        return None
    if not mark and not _ROWS_COUNTED.search(folded(filled[0])):
        return -1
    numbers = [int(text) for text in filled[1:] if text.isdecimal() and len(text) < 10]
    if not numbers and (inside := re.search(r"\d{1,9}", filled[0])) and not mark:
        numbers = [int(inside[0])]
    return numbers[0] if numbers else -1


# ── cells ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class _Read:
    """How the cells of one column are read."""

    name: str
    field: Field
    column: Column
    places: tuple[int, ...]
    words: Mapping[str, str]


class _Reading:
    """Reads the cells of rows by the layout."""

    def __init__(self, table: Table, wanted: frozenset[str] | None) -> None:
        self._layout = table.layout
        self._period = period_expression(table.layout.period)
        # The same words are in thousands of rows: each is kept once.
        self._texts: dict[str, str] = {}
        self._columns = list(_columns(table, wanted))

    def record(self, row: Row) -> Record:
        if row.fault:
            return Record(row.number, row.number.to_bytes(8, "big"), {}, {}, {}, row.fault)
        whole = "\x1f".join(cell if isinstance(cell, str) else str(cell) for cell in row.cells)
        digest = hashlib.blake2b(whole.encode("utf-8", "replace"), digest_size=16)
        found: dict[str, Any] = {}
        faults: dict[str, str] = {}
        unknown: dict[str, tuple[str, ...]] = {}
        for column in self._columns:
            try:
                value, strange = self._value(column, self._cell(column, row))
            except Damaged as damaged:
                faults[column.name] = damaged.code
                continue
            if strange:
                unknown[column.name] = strange
                faults[column.name] = "word-unknown"
            if value not in (None, "", ()):
                found[column.name] = value
        return Record(row.number, digest.digest(), found, faults, unknown)

    def _cell(self, column: _Read, row: Row) -> Value:
        """What is in the column, an error where the text of one is."""
        cell = self._one_of(column, row)
        shows_error = (
            isinstance(cell, str) and is_error(cell) and bool(_as_compared(cell, self._layout.empty))
        )
        return Broken(str(cell)) if shows_error else cell

    def _one_of(self, column: _Read, row: Row) -> Value:
        """What is in the column. Raises `Damaged` where two columns of one heading say different things."""
        if len(column.places) == 1:
            place = column.places[0]
            return row.cells[place] if place < len(row.cells) else None
        said: list[Value] = []
        for place in column.places:
            cell = row.cells[place] if place < len(row.cells) else None
            if isinstance(cell, Broken) or _as_compared(cell, self._layout.empty):
                said.append(cell)
        if len(said) > 1 and len({_as_compared(cell).casefold() for cell in said}) > 1:
            raise Damaged("cell-contradicts")
        return said[0] if said else None

    def _value(self, column: _Read, cell: Value) -> tuple[Any, tuple[str, ...]]:
        layout, empty = self._layout, self._layout.empty
        match column.field.type:
            case "text" | "name":
                return self._once(text_of(cell, empty)), ()
            case "number":
                return values.number_text(cell, column.column.width, empty), ()
            case "day":
                day = values.day_of(cell, layout.dates, serial_dates=layout.serial_dates, empty=empty)
                return _within(day, BORN_FROM if column.name in BIRTH_DATES else ECM_BEGAN), ()
            case "yes_no":
                return values.yes_or_no(cell, layout.says_yes, layout.says_no, empty), ()
            case "word":
                return self._word(column, cell)
            case "words":
                return values.words_of(cell, column.words, empty)
            case "count":
                return values.count_of(cell, empty), ()
            case "minutes":
                return values.minutes_of(cell, empty), ()
            case "phone":
                return values.phone_of(cell, empty), ()
            case "period":
                return self._period_of(text_of(cell, empty)), ()
            case "answer":
                return self._answer(cell), ()

    def _word(self, column: _Read, cell: Value) -> tuple[str, tuple[str, ...]]:
        text = text_of(cell, self._layout.empty)
        if not text:
            return "", ()
        code = column.words.get(folded(text))
        return (code, ()) if code is not None else ("", (text,))

    def _answer(self, cell: Value) -> bool | int | None:
        """Yes or no, or a number of visits: which of them a question wants is the form's matter."""
        text = text_of(cell, self._layout.empty)
        if not isinstance(cell, bool) and re.fullmatch(r"\d{1,4}", text):
            said = {word.casefold() for word in (*self._layout.says_yes, *self._layout.says_no)}
            if text not in said:
                return int(text)
        return values.yes_or_no(cell, self._layout.says_yes, self._layout.says_no, self._layout.empty)

    def _period_of(self, text: str) -> Period | None:
        if not text:
            return None
        expression, parts = self._period
        found = expression.fullmatch(text)
        if found is None:
            raise Damaged("date-unreadable")
        days = {
            name: values.pattern(written).read(group)
            for (name, written), group in zip(parts, found.groups(), strict=True)
        }
        start, end = days.get("start"), days.get("end")
        if start is None or end is None or end < start:
            raise Damaged("date-unreadable")
        _within(start, ECM_BEGAN)
        _within(end, ECM_BEGAN)
        return start, end

    def _once(self, text: str) -> str:
        if len(self._texts) > 50_000:
            self._texts.clear()
        return self._texts.setdefault(text, text)


def _within(day: date | None, first: date) -> date | None:
    """The same ranges by meaning as of the same days in requests (`contract/field_types.py`)."""
    if day is not None and not first <= day <= LAST:
        raise Damaged("date-out-of-range")
    return day


def _columns(table: Table, wanted: frozenset[str] | None) -> Iterator[_Read]:
    for column in table.layout.columns:
        field_ = field_of(table.kind, column.field) if column.field else None
        if field_ is None or (wanted is not None and column.field not in wanted):
            continue
        at = table.places.get(column.field, ())
        if at:
            yield _Read(column.field, field_, column, at, words_of(table.kind, column))


def _as_compared(cell: Value, empty: Sequence[str] = ()) -> str:
    return cell.text if isinstance(cell, Broken) else text_of(cell, empty)
