"""Excel's old workbooks (.xls), through xlrd, which keeps the sheet that is asked for in memory."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import xlrd
from xlrd.biffh import XLRDError
from xlrd.compdoc import CompDocError

from loopkeeper.spreadsheets.cells import Broken, Limits, Row, Value, too_large
from loopkeeper.spreadsheets.container import damaged, locked
from loopkeeper.spreadsheets.merges import Area, Merges
from loopkeeper.spreadsheets.number_formats import EXACT, day_of_serial, kind_of_format

# What the library raises for bytes that are no workbook.
NO_WORKBOOK = (
    XLRDError,
    CompDocError,
    struct.error,
    AssertionError,
    LookupError,
    ValueError,
    TypeError,
    AttributeError,
    OverflowError,
    MemoryError,
    ZeroDivisionError,
    NotImplementedError,
    OSError,
    RecursionError,
)


@dataclass(frozen=True, slots=True)
class Sheet:
    name: str
    place: int
    visible: bool


class OldWorkbook:
    """An opened workbook: its sheets, and the rows of each."""

    def __init__(self, content: bytes, limits: Limits) -> None:
        self._limits = limits
        try:
            self._book: Any = xlrd.open_workbook(
                file_contents=content,
                on_demand=True,
                ragged_rows=True,
                formatting_info=True,
                logfile=io.StringIO(),
            )
            self.sheets = [
                Sheet(str(name), place, self._book._sheet_visibility[place] == 0)
                for place, name in enumerate(self._book.sheet_names())
            ]
        except NO_WORKBOOK as error:
            raise locked() if "encrypt" in str(error).lower() else damaged() from None
        if not self.sheets:
            raise damaged()

    def rows(self, sheet: Sheet) -> Iterator[Row]:
        """The rows of the sheet. Raises `Unreadable`."""
        try:
            found: Any = self._book.sheet_by_index(sheet.place)
        except NO_WORKBOOK:
            raise damaged() from None
        merges = Merges(
            [Area(top + 1, left, bottom, right - 1) for top, bottom, left, right in found.merged_cells]
        )
        filled = 0
        for place in range(found.nrows):
            row = self._row(found, place, merges)
            filled += not row.blank
            if filled > self._limits.rows:
                raise too_large("rows", str(self._limits.rows))
            yield row

    def _row(self, sheet: Any, place: int, merges: Merges) -> Row:
        cells: list[Value] = [
            self._value(kind, value, style)
            for kind, value, style in zip(
                sheet.row_types(place), sheet.row_values(place), self._styles(sheet, place), strict=True
            )
        ]
        fault = (
            "cell-too-long"
            if any(isinstance(cell, str) and len(cell) > self._limits.cell for cell in cells)
            else ""
        )
        blank = not fault and not any(
            not isinstance(cell, str) or cell.strip() for cell in cells if cell is not None
        )
        merges.fill(place + 1, cells, self._limits.columns)
        information = sheet.rowinfo_map.get(place)
        hidden = bool(information is not None and information.hidden)
        return Row(place + 1, tuple(cells), place + 1, fault, hidden=hidden, blank=blank)

    def _styles(self, sheet: Any, place: int) -> list[int]:
        return [sheet.cell_xf_index(place, column) for column in range(sheet.row_len(place))]

    def _value(self, kind: int, value: Any, style: int) -> Value:
        if kind == xlrd.XL_CELL_TEXT:
            return str(value) or None
        if kind == xlrd.XL_CELL_BOOLEAN:
            return bool(value)
        if kind == xlrd.XL_CELL_ERROR:
            return Broken(str(xlrd.error_text_from_code.get(value, "#ERROR")))
        if kind not in (xlrd.XL_CELL_NUMBER, xlrd.XL_CELL_DATE):
            return None
        number = int(value) if float(value).is_integer() and abs(value) < EXACT else float(value)
        shown = self._kind(style)
        if shown == "hours" and 0 <= number < 1000:
            return timedelta(seconds=round(number * 86_400))
        day = day_of_serial(number, since_1904=self._book.datemode == 1) if shown == "day" else None
        return number if day is None else day

    def _kind(self, style: int) -> str:
        try:
            key = self._book.xf_list[style].format_key
            return kind_of_format(key, self._book.format_map[key].format_str)
        except (LookupError, AttributeError):
            return ""
