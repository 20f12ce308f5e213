"""Text with cells between commas, semicolons, tabs or pipes, read as it arrives.

Lines end with LF, CRLF or CR. A quoted cell may hold line breaks, up to a bound: where a quotation mark is never
closed, that line alone is refused and reading goes on with the next one.
"""

from __future__ import annotations

import csv
import io
from collections import deque
from collections.abc import Iterator

from loopkeeper.spreadsheets.cells import Limits, Row
from loopkeeper.spreadsheets.encoding import LOST

DELIMITERS = (",", ";", "\t", "|")
# A quoted cell may run over so many lines of text.
MOST_LINES_A_ROW = 40


class Lines:
    """Text in pieces becomes lines without their ends. Only CR and LF end a line: what else Unicode calls a break
    stays in its cell."""

    def __init__(self, longest: int) -> None:
        self._rest = ""
        self._longest = longest
        # The text ended with CR: an LF that comes next belongs to it.
        self._after_cr = False
        # The line is over the bound and was given already: what is left of it is passed over.
        self._passing = False

    def feed(self, text: str) -> Iterator[str]:
        """The lines that are whole now. Of a line over the bound only its beginning comes, longer than the bound."""
        if self._after_cr and text:
            text = text.removeprefix("\n")
            self._after_cr = False
        self._after_cr = text.endswith("\r") or (self._after_cr and not text)
        if "\r" in text:
            text = text.replace("\r\n", "\n").replace("\r", "\n")
        *lines, rest = text.split("\n")
        for line in lines:
            yield from self._end(line)
        if self._passing:
            return
        self._rest += rest
        if len(self._rest) > self._longest:
            yield self._rest
            self._rest, self._passing = "", True

    def _end(self, line: str) -> Iterator[str]:
        if not self._passing:
            yield self._rest + line
        self._rest, self._passing = "", False

    def finish(self) -> Iterator[str]:
        """The last line, where nothing ends it."""
        if self._rest:
            yield self._rest
            self._rest = ""


class Delimited:
    """Lines become rows. A row's number counts rows, as a spreadsheet program shows them; its line counts lines."""

    def __init__(self, delimiter: str, limits: Limits) -> None:
        self.delimiter = delimiter
        self._limits = limits
        self._number = 0
        self._line = 0
        # The lines of a row whose quotation mark is still open.
        self._open: list[str] = []

    def feed(self, line: str) -> Iterator[Row]:
        """The rows that are whole with this line: none while a quotation mark is open."""
        waiting = deque((line,))
        while waiting:
            yield from self._take(waiting.popleft(), waiting)

    def finish(self) -> Iterator[Row]:
        """What is left at the end: a row whose quotation mark is never closed, and the lines after its first."""
        while self._open:
            later = self._give_up()
            yield self._row((), "quote-not-closed")
            for line in later:
                yield from self.feed(line)

    def _take(self, line: str, waiting: deque[str]) -> Iterator[Row]:
        fault = self._fault(line)
        if not self._open and (fault or '"' not in line):
            yield self._row((), fault) if fault else self._split(line)
            return
        self._open.append(line)
        cells = None if fault else self._cells("\n".join(self._open))
        if isinstance(cells, tuple):
            broken, span = len(self._open) > 1, len(self._open)
            self._open = []
            yield self._row(cells, self._long(cells), broken=broken, span=span)
            return
        if not fault and cells is None and self._may_go_on():
            return
        later = self._give_up()
        yield self._row((), cells or "quote-not-closed")
        waiting.extendleft(reversed(later))

    def _may_go_on(self) -> bool:
        return (
            len(self._open) < MOST_LINES_A_ROW and sum(len(line) for line in self._open) <= self._limits.line
        )

    def _give_up(self) -> list[str]:
        """The lines after the first of a row that is none."""
        later, self._open = self._open[1:], []
        return later

    def _fault(self, line: str) -> str:
        if len(line) > self._limits.line:
            return "line-too-long"
        if LOST in line:
            return "not-in-encoding"
        return "nul-character" if "\0" in line else ""

    def _split(self, line: str) -> Row:
        cells = tuple(line.split(self.delimiter)) if line else ()
        return self._row(cells, self._long(cells))

    def _long(self, cells: tuple[str, ...]) -> str:
        return "cell-too-long" if any(len(cell) > self._limits.cell for cell in cells) else ""

    def _cells(self, text: str) -> tuple[str, ...] | str | None:
        """The cells of this text; None while a quotation mark is open; the fault where one is misplaced."""
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=self.delimiter, strict=True)
        try:
            return tuple(next(reader, list[str]()))
        except csv.Error as error:
            said = str(error)
            if "unexpected end" in said:
                return None
            return "cell-too-long" if "limit" in said else "quote-misplaced"

    def _row(self, cells: tuple[str, ...], fault: str, *, broken: bool = False, span: int = 1) -> Row:
        self._number += 1
        line = self._line + 1
        self._line += span
        blank = not fault and not any(cell.strip() for cell in cells)
        return Row(self._number, () if fault else cells, line, fault, blank=blank, broken_lines=broken)
