"""The same reader for a body that arrives in pieces: text line by line in bounded memory, or a workbook at once.

Each line comes as values by column name, or as a fault; the names of columns are compared without case. A file whose
columns are not known is refused whole, and told which are.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, cast

import orjson

from loopkeeper.spreadsheets.book import OLE, SEPARATOR_LINE, ZIP, opened
from loopkeeper.spreadsheets.cells import Limits, Row, Unreadable, Value, is_error, too_large
from loopkeeper.spreadsheets.delimited import DELIMITERS, Delimited, Lines
from loopkeeper.spreadsheets.encoding import LOST, SNIFFED, decoder, encoding_of_start
from loopkeeper.spreadsheets.headings import Heading, folded, found_in
from loopkeeper.spreadsheets.values import text_of

NOT_A_ROW = "not-a-row"
LINE_BREAK = "line-break-in-cell"
CELL_ERROR = "cell-error"
COLUMNS = "columns"
# Anyone who else the program serves has a turn after so many lines, however small they are.
AT_ONCE = 64


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the file under its number: its values by column, or what makes it unreadable. `cells`: the values are
    texts of cells, in which a list is written with semicolons; of a JSON object they are what it says."""

    number: int
    values: Mapping[str, Any]
    fault: str = ""
    column: str = ""
    cells: bool = False


@dataclass(frozen=True, slots=True)
class Form:
    """What a body should be: its columns, whether each line is a JSON object in place of cells, and in which encoding it
    is declared to be; a byte order mark says it better."""

    columns: Sequence[Heading]
    json: bool = False
    declared: str = "utf-8"
    limits: Limits = field(default_factory=Limits)


async def lines_of(pieces: AsyncIterator[bytes], form: Form, *, first: int = 1) -> AsyncIterator[Line]:
    """The lines of the body, numbered as in the whole file, of which it begins with line `first`. A later part of a
    file with columns repeats the line that names them. Others have their turn while it is read, whatever it holds.
    Raises `Unreadable`."""
    count = 0
    async for line in _read(pieces, form, first):
        yield line
        count += 1
        if not count % AT_ONCE:
            await asyncio.sleep(0)


async def _read(pieces: AsyncIterator[bytes], form: Form, first: int) -> AsyncIterator[Line]:
    start = b""
    async for piece in pieces:
        start += piece
        if len(start) >= SNIFFED:
            break
    if start.startswith((ZIP, OLE)):
        async for line in _workbook(start, pieces, form):
            yield line
        return
    reading = _Json(form.limits, first) if form.json else _Cells(form, first)
    letters, lines = decoder(encoding_of_start(start, form.declared)), Lines(form.limits.line)
    async for text in _texts(lines.feed(letters.decode(start))):
        for line in reading.feed(text):
            yield line
    async for piece in pieces:
        async for text in _texts(lines.feed(letters.decode(piece))):
            for line in reading.feed(text):
                yield line
    for text in (*lines.feed(letters.decode(b"", True)), *lines.finish()):
        for line in reading.feed(text):
            yield line
    for line in reading.finish():
        yield line


async def _texts(found: Iterable[str]) -> AsyncIterator[str]:
    """The same; lines that turn out to be empty cost time too."""
    for number, text in enumerate(found, 1):
        yield text
        if not number % AT_ONCE:
            await asyncio.sleep(0)


async def _workbook(start: bytes, pieces: AsyncIterator[bytes], form: Form) -> AsyncIterator[Line]:
    content = bytearray(start)
    async for piece in pieces:
        content += piece
        if len(content) > form.limits.size:
            raise too_large("megabytes", str(form.limits.size // (1024 * 1024)))
    # Unpacking and reading happen outside the event loop: one small archive may hold a million cells.
    book = await asyncio.to_thread(opened, bytes(content), limits=form.limits)
    sheet = next((each for each in book.sheets if each.visible), book.sheets[0])
    columns: Columns | None = None
    rows = sheet.rows()
    while taken := await asyncio.to_thread(lambda: list(islice(rows, AT_ONCE))):
        for row in taken:
            if row.blank:
                continue
            if columns is None:
                columns = Columns.of(row, form.columns)
            else:
                yield columns.line(row.number, row)


class Columns:
    """The columns of a body, by the line that names them."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = names

    @classmethod
    def of(cls, row: Row, known: Sequence[Heading]) -> Columns:
        """Raises `Unreadable` where a name is not known, is there twice, or a needed one is missing: what is there
        is not repeated, since of a file without names it may be a person's."""
        found = found_in(row, known)
        names = [""] * len(row.cells)
        for index, places in found.places.items():
            for place in places:
                names[place] = known[index].name
        last = max((place for place, cell in enumerate(row.cells) if str(cell or "").strip()), default=-1)
        missing = [heading.name for heading in known if heading.needed and heading.name not in names]
        repeated = len([name for name in names if name]) != len({name for name in names if name})
        if row.fault or missing or repeated or "" in names[: last + 1]:
            needed = [heading.name for heading in known if heading.needed]
            others = [heading.name for heading in known if not heading.needed]
            raise Unreadable(
                "columns-unknown",
                "The first line does not name the columns.",
                f"Name {', '.join(needed)} and any of {', '.join(others)}, each once.",
            )
        return cls(names)

    def line(self, number: int, row: Row) -> Line:
        if row.fault:
            return Line(number, {}, row.fault)
        if row.broken_lines:
            return Line(number, {}, LINE_BREAK)
        if any(cell is not None and str(cell).strip() for cell in row.cells[len(self.names) :]):
            return Line(number, {}, COLUMNS)
        values: dict[str, Any] = {}
        for name, cell in zip(self.names, row.cells, strict=False):
            fault = _fault(cell)
            if fault:
                return Line(number, {}, fault, name)
            text = text_of(cell)
            if text and name:
                values[name] = text
        return Line(number, values, cells=True)


def _fault(cell: Value) -> str:
    if is_error(cell):
        return CELL_ERROR
    return LINE_BREAK if isinstance(cell, str) and ("\n" in cell or "\r" in cell) else ""


class _Cells:
    """Lines of text with columns."""

    def __init__(self, form: Form, first: int) -> None:
        self._form = form
        # The line that names the columns is line 1 of the whole file, and is repeated by a later part.
        self._before = 0 if first == 1 else first - 2
        self._columns: Columns | None = None
        self._rows: Delimited | None = None

    def feed(self, text: str) -> Iterator[Line]:
        if self._rows is None:
            if not text.strip() or text.lower().startswith(SEPARATOR_LINE):
                self._before += 1
                return
            self._rows = Delimited(_delimiter(text, self._form.columns), self._form.limits)
        for row in self._rows.feed(text):
            yield from self._row(row)

    def finish(self) -> Iterator[Line]:
        if self._rows is not None:
            for row in self._rows.finish():
                yield from self._row(row)

    def _row(self, row: Row) -> Iterator[Line]:
        if row.blank:
            return
        if self._columns is None:
            self._columns = Columns.of(row, self._form.columns)
            return
        width = len(self._columns.names)
        if not row.fault and not row.broken_lines and len(row.cells) != width:
            yield Line(self._before + row.line, {}, COLUMNS)
            return
        yield self._columns.line(self._before + row.line, row)


def _delimiter(text: str, known: Sequence[Heading]) -> str:
    """What is between the names of the columns: that by which most of them are known."""
    words = frozenset[str]().union(*(heading.words for heading in known))
    counts = {between: sum(folded(part) in words for part in text.split(between)) for between in DELIMITERS}
    return max(DELIMITERS, key=lambda between: counts[between])


class _Json:
    """Lines that are JSON objects."""

    def __init__(self, limits: Limits, first: int) -> None:
        self._limits = limits
        self._number = first - 1

    def feed(self, text: str) -> Iterator[Line]:
        self._number += 1
        if not text.strip():
            return
        if len(text) > self._limits.line:
            yield Line(self._number, {}, "line-too-long")
        elif LOST in text:
            yield Line(self._number, {}, "not-in-encoding")
        else:
            yield self._object(text)

    def finish(self) -> Iterator[Line]:
        return iter(())

    def _object(self, text: str) -> Line:
        try:
            row: object = orjson.loads(text)
        except orjson.JSONDecodeError:
            row = None
        if not isinstance(row, dict):
            return Line(self._number, {}, NOT_A_ROW)
        values = cast("Mapping[str, Any]", row)
        for name, value in values.items():
            if isinstance(value, str) and (len(value) > self._limits.cell or "\0" in value):
                return Line(self._number, {}, "nul-character" if "\0" in value else "cell-too-long", name)
        return Line(self._number, values)
