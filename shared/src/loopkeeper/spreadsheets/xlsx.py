"""Excel's workbooks (.xlsx, .xlsm), row by row as they are unpacked.

A library that keeps the whole sheet needs five times the memory and hides what people must be told: error cells,
hidden rows, merged cells (docs/adr/0022). A formula gives the result it was saved with; one that was never calculated is
empty.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from posixpath import join, normpath

from loopkeeper.spreadsheets.cells import Broken, Limits, Row, Value, too_large
from loopkeeper.spreadsheets.container import Container, Xml, damaged, ignore
from loopkeeper.spreadsheets.merges import Area, Merges
from loopkeeper.spreadsheets.number_formats import day_of_serial, kind_of_format, number_of

WORKBOOK = "xl/workbook.xml"
# Merged cells fill what they cover, so what they cover altogether is bounded.
MOST_MERGED_CELLS = 4_000_000
_MERGED = re.compile(rb'<(?:\w+:)?mergeCell\s[^>]*?\bref="([A-Z]{1,3})([0-9]{1,7}):([A-Z]{1,3})([0-9]{1,7})"')
_ESCAPED = re.compile("_x([0-9A-Fa-f]{4})_")
_DIGITS = "0123456789"
REMEMBERED = 4096


@dataclass(frozen=True, slots=True)
class Part:
    """A sheet of the workbook: its name, its part, and whether it is shown."""

    name: str
    path: str
    visible: bool


class Strings:
    """The workbook's shared texts, kept as bytes: a text object for each would take four times the room."""

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._ends = array("L")
        self._remembered: dict[int, str] = {}

    def add(self, text: str) -> None:
        self._bytes += _plain(text).encode("utf-8", "replace")
        self._ends.append(len(self._bytes))

    def __getitem__(self, index: int) -> str | None:
        """None where there is no such text."""
        found = self._remembered.get(index)
        if found is not None:
            return found
        if not 0 <= index < len(self._ends):
            return None
        start = self._ends[index - 1] if index else 0
        text = self._bytes[start : self._ends[index]].decode()
        if len(self._remembered) >= REMEMBERED:
            self._remembered.clear()
        self._remembered[index] = text
        return text


class Workbook:
    """An opened workbook: its sheets, and the rows of each."""

    def __init__(self, content: bytes, limits: Limits) -> None:
        self._limits = limits
        self._container = Container(content, limits)
        self.sheets: list[Part] = []
        self.since_1904 = False
        self._read_workbook()
        self._formats = self._read_formats()
        self._strings: Strings | None = None

    def rows(self, sheet: Part) -> Iterator[Row]:
        """The rows that are in the sheet, those with nothing in them too. Raises `Unreadable`."""
        if self._strings is None:
            self._strings = self._read_strings()
        ready: list[Row] = []
        reading = _Sheet(self, self._strings, self._formats, self._merges(sheet), self._limits, ready)
        xml = Xml(reading.start, reading.end, reading.text)
        for piece in self._container.pieces(sheet.path):
            xml.feed(piece)
            yield from ready
            ready.clear()
        xml.feed(b"", final=True)
        yield from ready

    def _read_workbook(self) -> None:
        targets: dict[str, str] = {}

        def relation(name: str, attributes: dict[str, str]) -> None:
            if name == "Relationship" and attributes.get("TargetMode") != "External":
                targets[attributes.get("Id", "")] = _path(attributes.get("Target", ""))

        found: list[tuple[str, str, bool]] = []

        def part(name: str, attributes: dict[str, str]) -> None:
            if name == "workbookPr":
                self.since_1904 = attributes.get("date1904", "") in ("1", "true")
            if name == "sheet":
                shown = attributes.get("state", "visible") == "visible"
                ids = [value for key, value in attributes.items() if key.rpartition(":")[2] == "id"]
                found.append((attributes.get("name", ""), ids[0] if ids else "", shown))

        Xml(part, ignore, ignore).read(iter([self._container.whole(WORKBOOK)]))
        Xml(relation, ignore, ignore).read(iter([self._container.whole("xl/_rels/workbook.xml.rels")]))
        self.sheets = [
            Part(name, targets[key], shown)
            for name, key, shown in found
            if key in targets and targets[key] in self._container
        ]
        if not self.sheets:
            raise damaged()

    def _read_formats(self) -> list[str]:
        """Of each cell style whether its numbers are days or hours."""
        codes: dict[int, str] = {}
        styles: list[str] = []
        inside = ""

        def start(name: str, attributes: dict[str, str]) -> None:
            nonlocal inside
            if name == "numFmt":
                codes[_whole(attributes.get("numFmtId"))] = attributes.get("formatCode", "")
            elif name == "cellXfs":
                inside = name
            elif name == "xf" and inside:
                number = _whole(attributes.get("numFmtId"))
                styles.append(kind_of_format(number, codes.get(number, "")))

        def end(name: str) -> None:
            nonlocal inside
            if name == "cellXfs":
                inside = ""

        if "xl/styles.xml" in self._container:
            Xml(start, end, ignore).read(iter([self._container.whole("xl/styles.xml")]))
        return styles

    def _read_strings(self) -> Strings:
        strings = Strings()
        said: list[str] = []
        # Texts in the order of the part; how a word is spoken (rPh) is no part of it.
        state = {"text": False, "spoken": False}

        def start(name: str, attributes: dict[str, str]) -> None:
            if name == "t":
                state["text"] = not state["spoken"]
            elif name == "rPh":
                state["spoken"] = True
            elif name == "si":
                said.clear()

        def end(name: str) -> None:
            if name == "t":
                state["text"] = False
            elif name == "rPh":
                state["spoken"] = False
            elif name == "si":
                strings.add("".join(said))

        def text(piece: str) -> None:
            if state["text"]:
                said.append(piece)

        if "xl/sharedStrings.xml" in self._container:
            Xml(start, end, text).read(self._container.pieces("xl/sharedStrings.xml"))
        return strings

    def _merges(self, sheet: Part) -> Merges:
        """Merged ranges are after the rows in the part, so they are looked for first."""
        areas: list[Area] = []
        rest, covered = b"", 0
        for piece in self._container.pieces(sheet.path):
            window = rest + piece
            end = 0
            for match in _MERGED.finditer(window):
                end = match.end()
                left, top, right, bottom = match.groups()
                area = Area(int(top), _column(left.decode()), int(bottom), _column(right.decode()))
                areas.append(area)
                covered += area.covered
            if covered > MOST_MERGED_CELLS:
                raise too_large("merged cells", str(MOST_MERGED_CELLS))
            rest = window[max(end, len(window) - 256) :]
        return Merges(areas)


class _Sheet:
    """The rows of a sheet's part, put into `ready` as each ends."""

    def __init__(
        self,
        book: Workbook,
        strings: Strings,
        formats: list[str],
        merges: Merges,
        limits: Limits,
        ready: list[Row],
    ) -> None:
        self._since_1904 = book.since_1904
        self._strings, self._formats, self._merges = strings, formats, merges
        self._limits, self._ready = limits, ready
        self._row = self._column = -1
        self._number = self._filled = 0
        self._cells: list[Value] = []
        self._hidden = self._taking = self._spoken = False
        self._fault = self._type = ""
        self._style = 0
        self._said: list[str] = []
        self._columns: dict[str, int] = {}

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if name == "c":
            reference = attributes.get("r")
            self._column = self._place(reference) if reference else self._column + 1
            self._type = attributes.get("t", "n")
            self._style = int(style) if (style := attributes.get("s", "0")).isdecimal() else 0
            self._said = []
        elif name == "v" or name == "t":
            self._taking = not self._spoken
        elif name == "row":
            number = attributes.get("r", "")
            self._number = int(number) if number.isdecimal() else self._number + 1
            self._hidden = attributes.get("hidden", "") in ("1", "true")
            self._cells, self._column, self._fault = [], -1, ""
        elif name == "rPh":
            self._spoken = True

    def text(self, piece: str) -> None:
        if self._taking:
            self._said.append(piece)

    def end(self, name: str) -> None:
        if name == "v" or name == "t":
            self._taking = False
        elif name == "c":
            self._keep("".join(self._said))
        elif name == "row":
            self._finish_row()
        elif name == "rPh":
            self._spoken = False

    def _keep(self, text: str) -> None:
        value = self._value(text) if text else None
        if value is None:
            return
        if self._column >= self._limits.columns:
            raise too_large("columns", str(self._limits.columns))
        if isinstance(value, str) and len(value) > self._limits.cell:
            self._fault = "cell-too-long"
        gap = self._column - len(self._cells)
        if gap > 0:
            self._cells += [None] * gap
        if gap < 0:
            self._cells[self._column] = value
        else:
            self._cells.append(value)

    def _value(self, text: str) -> Value:
        match self._type:
            case "s":
                return self._strings[int(text)] or None if text.isdecimal() else None
            case "str" | "inlineStr":
                return _plain(text)
            case "b":
                return text == "1"
            case "e":
                return Broken(text)
            case "d":
                return _written_day(text)
            case _:
                return self._number_or_day(text)

    def _number_or_day(self, text: str) -> Value:
        number = number_of(text)
        kind = self._formats[self._style] if self._style < len(self._formats) else ""
        if not kind or isinstance(number, str):
            return number
        if kind == "hours" and 0 <= number < 1000:
            return timedelta(seconds=round(number * 86_400))
        day = day_of_serial(number, since_1904=self._since_1904)
        return number if day is None else day

    def _finish_row(self) -> None:
        blank = not self._fault and not any(
            not isinstance(cell, str) or cell.strip() for cell in self._cells if cell is not None
        )
        self._merges.fill(self._number, self._cells, self._limits.columns)
        self._filled += not blank
        if self._filled > self._limits.rows:
            raise too_large("rows", str(self._limits.rows))
        self._ready.append(
            Row(
                self._number,
                tuple(self._cells),
                self._number,
                self._fault,
                hidden=self._hidden,
                blank=blank,
            )
        )

    def _place(self, reference: str) -> int:
        letters = reference.rstrip(_DIGITS)
        found = self._columns.get(letters)
        if found is None:
            found = self._columns[letters] = _column(letters)
        return found


def _plain(text: str) -> str:
    """A text without the marks for characters XML cannot hold."""
    return _ESCAPED.sub(lambda found: chr(int(found[1], 16)), text) if "_x" in text else text


def _path(target: str) -> str:
    return normpath(target.lstrip("/")) if target.startswith("/") else normpath(join("xl", target))


def _column(letters: str) -> int:
    """`A` is 0, `AA` is 26."""
    place = 0
    for letter in letters:
        if not "A" <= letter <= "Z":
            raise damaged()
        place = place * 26 + ord(letter) - 64
    return place - 1


def _whole(text: str | None) -> int:
    return int(text) if text is not None and text.isdecimal() else 0


def _written_day(text: str) -> date | str:
    try:
        return datetime.fromisoformat(text) if "T" in text else date.fromisoformat(text)
    except ValueError:
        return text
