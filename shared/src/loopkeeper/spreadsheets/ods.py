"""OpenDocument's spreadsheets (.ods), row by row as they are unpacked."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from loopkeeper.spreadsheets.cells import Broken, Limits, Row, Value, too_large
from loopkeeper.spreadsheets.container import Container, Xml, damaged, ignore
from loopkeeper.spreadsheets.merges import Area, Merges
from loopkeeper.spreadsheets.number_formats import number_of

CONTENT = "content.xml"
# A part that is this far encrypted begins with no XML; the manifest tells why.
MANIFEST = "META-INF/manifest.xml"
_DURATION = re.compile(r"PT(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)(?:[.,]\d+)?S)?")


@dataclass(frozen=True, slots=True)
class Table:
    """A sheet by its place in the document."""

    name: str
    place: int
    visible: bool


@dataclass(slots=True)
class _Cell:
    attributes: dict[str, str]
    covered: bool
    # Paragraphs of the cell, each a line.
    said: list[str]


class Document:
    """An opened document: its sheets, and the rows of each."""

    def __init__(self, content: bytes, limits: Limits) -> None:
        self._limits = limits
        self._container = Container(content, limits)
        if CONTENT not in self._container:
            raise damaged()
        self.sheets: list[Table] = []
        hidden: set[str] = set()
        style = ""

        def start(name: str, attributes: dict[str, str]) -> None:
            nonlocal style
            if name == "style":
                style = _attribute(attributes, "name")
            elif name == "table-properties" and _attribute(attributes, "display") == "false":
                hidden.add(style)
            elif name == "table":
                shown = _attribute(attributes, "style-name") not in hidden
                self.sheets.append(Table(_attribute(attributes, "name"), len(self.sheets), shown))

        Xml(start, ignore, ignore).read(self._container.pieces(CONTENT))
        if not self.sheets:
            raise damaged()

    def rows(self, sheet: Table) -> Iterator[Row]:
        """The rows that are in the sheet. Raises `Unreadable`."""
        ready: list[Row] = []
        reading = _Sheet(sheet.place, self._limits, ready)
        xml = Xml(reading.start, reading.end, reading.text)
        for piece in self._container.pieces(CONTENT):
            xml.feed(piece)
            yield from ready
            ready.clear()
            if reading.over:
                return
        xml.feed(b"", final=True)
        yield from ready


class _Sheet:
    """The rows of one table, put into `ready` as each ends."""

    def __init__(self, place: int, limits: Limits, ready: list[Row]) -> None:
        self._wanted, self._limits, self._ready = place, limits, ready
        self._table = -1
        self._depth = 0
        self._number = self._filled = self._merged = 0
        self._repeated = 1
        self._hidden = False
        self._fault = ""
        self._cells: list[Value] = []
        # Empty cells count only once something follows them.
        self._gap = 0
        self._cell: _Cell | None = None
        # Comments and drawings inside a cell are no part of it.
        self._outside = 0
        self._merges = Merges([])
        self.over = False

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if name == "table":
            self._depth += 1
            if self._depth == 1:
                self._table += 1
        if self._table != self._wanted or self._depth != 1:
            return
        if self._outside or name in ("annotation", "shapes", "frame"):
            self._outside += 1
        elif name == "table-row":
            self._repeated = _count(attributes, "number-rows-repeated")
            self._hidden = _attribute(attributes, "visibility") in ("collapse", "filter")
            self._cells, self._gap, self._fault = [], 0, ""
        elif name in ("table-cell", "covered-table-cell"):
            self._cell = _Cell(attributes, name == "covered-table-cell", [])
        elif self._cell is not None and name == "p":
            self._cell.said.append("")
        elif self._cell is not None and self._cell.said and name in ("s", "tab", "line-break"):
            self._cell.said[-1] += " " * min(_count(attributes, "c"), self._limits.cell)

    def text(self, piece: str) -> None:
        if self._cell is not None and self._cell.said and not self._outside:
            self._cell.said[-1] += piece

    def end(self, name: str) -> None:
        if name == "table":
            self._depth -= 1
            self.over = self._depth == 0 and self._table == self._wanted
        if self._table != self._wanted or self._depth != 1:
            return
        if self._outside:
            self._outside -= 1
        elif name in ("table-cell", "covered-table-cell") and self._cell is not None:
            self._keep(self._cell)
            self._cell = None
        elif name == "table-row":
            self._finish_row()

    def _keep(self, cell: _Cell) -> None:
        times = _count(cell.attributes, "number-columns-repeated")
        value = None if cell.covered else _value(cell)
        if isinstance(value, str) and len(value) > self._limits.cell:
            self._fault = "cell-too-long"
        place = len(self._cells) + self._gap
        wide, high = (
            _count(cell.attributes, "number-columns-spanned"),
            _count(cell.attributes, "number-rows-spanned"),
        )
        if value is None:
            self._gap += times
            return
        if place + times > self._limits.columns:
            raise too_large("columns", str(self._limits.columns))
        self._cells += [None] * self._gap + [value] * times
        self._gap = 0
        if wide > 1 or high > 1:
            self._merge(place, wide, high)

    def _merge(self, place: int, wide: int, high: int) -> None:
        top = self._number + 1
        area = Area(top, place, top + high - 1, place + wide - 1)
        self._merged += area.covered
        if self._merged > 4_000_000:
            raise too_large("merged cells", "4000000")
        self._merges.add(area)

    def _finish_row(self) -> None:
        blank = not self._fault and not any(
            not isinstance(cell, str) or cell.strip() for cell in self._cells if cell is not None
        )
        if blank:
            # A sheet ends in a million empty rows, said once: nothing to give for them but their number.
            for _ in range(min(self._repeated, 1)):
                self._give(blank=True)
            self._number += self._repeated - 1
            return
        self._filled += self._repeated
        if self._filled > self._limits.rows:
            raise too_large("rows", str(self._limits.rows))
        for _ in range(self._repeated):
            self._give(blank=False)

    def _give(self, *, blank: bool) -> None:
        self._number += 1
        cells = list(self._cells)
        self._merges.fill(self._number, cells, self._limits.columns)
        self._ready.append(
            Row(self._number, tuple(cells), self._number, self._fault, hidden=self._hidden, blank=blank)
        )


def _value(cell: _Cell) -> Value:
    attributes = cell.attributes
    text = "\n".join(cell.said)
    kind = _attribute(attributes, "value-type")
    if kind == "error" or attributes.get("calcext:value-type") == "error":
        return Broken(text)
    match kind:
        case "float" | "percentage" | "currency":
            return number_of(_attribute(attributes, "value"))
        case "date":
            return _day(_attribute(attributes, "date-value"))
        case "boolean":
            return _attribute(attributes, "boolean-value") == "true"
        case "time":
            return _duration(_attribute(attributes, "time-value"))
        case _:
            return text or None


def _day(text: str) -> date | str:
    try:
        return datetime.fromisoformat(text) if "T" in text else date.fromisoformat(text)
    except ValueError:
        return text


def _duration(text: str) -> timedelta | str:
    found = _DURATION.fullmatch(text)
    if found is None or any(part and len(part) > 6 for part in found.groups()):
        return text
    hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return timedelta(hours=hours, minutes=minutes, seconds=seconds)


def _attribute(attributes: dict[str, str], name: str) -> str:
    """An attribute by its local name, whatever prefix the writer chose."""
    for prefix in ("table", "office", "style"):
        found = attributes.get(f"{prefix}:{name}")
        if found is not None:
            return found
    return ""


def _count(attributes: dict[str, str], name: str) -> int:
    text = attributes.get(f"table:{name}") or attributes.get(f"text:{name}", "1")
    return min(int(text), 1 << 21) if text.isdecimal() and len(text) < 9 and text != "0" else 1
