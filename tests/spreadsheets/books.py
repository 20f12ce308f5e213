"""Small workbooks of every kind, made for a test."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Sequence
from typing import Any

import xlsxwriter
import xlwt

from loopkeeper.spreadsheets.book import opened
from loopkeeper.spreadsheets.cells import Limits, Row, Value

TABLE = "urn:oasis:names:tc:opendocument:xmlns:table:1.0"
OFFICE = "urn:oasis:names:tc:opendocument:xmlns:office:1.0"
TEXT = "urn:oasis:names:tc:opendocument:xmlns:text:1.0"


def xlsx(fill: Callable[[Any, Any], None]) -> bytes:
    """A workbook as Excel writes it; `fill` gets the book and its first sheet."""
    content = io.BytesIO()
    book = xlsxwriter.Workbook(content, {"in_memory": True})
    fill(book, book.add_worksheet("One"))
    book.close()
    return content.getvalue()


def xls(rows: Sequence[Sequence[Any]], fill: Callable[[Any], None] | None = None) -> bytes:
    """An old workbook."""
    book = xlwt.Workbook()
    sheet = book.add_sheet("One")
    for number, cells in enumerate(rows):
        for place, cell in enumerate(cells):
            sheet.write(number, place, cell)
    if fill is not None:
        fill(sheet)
    content = io.BytesIO()
    book.save(content)
    return content.getvalue()


def ods(rows: str, styles: str = "") -> bytes:
    """An OpenDocument spreadsheet with these `table:table-row` elements."""
    document = (
        f'<office:document-content xmlns:office="{OFFICE}" xmlns:table="{TABLE}" xmlns:text="{TEXT}" '
        f'xmlns:style="urn:style">{styles}<office:body><office:spreadsheet>'
        f'<table:table table:name="One">{rows}</table:table>'
        "</office:spreadsheet></office:body></office:document-content>"
    )
    return zipped({"content.xml": document.encode()})


def zipped(parts: dict[str, bytes]) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as made:
        for name, part in parts.items():
            made.writestr(name, part)
    return content.getvalue()


def replaced(content: bytes, part: str, change: Callable[[bytes], bytes]) -> bytes:
    """A workbook with one part changed."""
    with zipfile.ZipFile(io.BytesIO(content)) as read:
        return zipped(
            {name: change(read.read(name)) if name == part else read.read(name) for name in read.namelist()}
        )


def rows_of(content: bytes, limits: Limits | None = None, sheet: int = 0) -> list[Row]:
    return list(opened(content, limits=limits).sheets[sheet].rows())


def cells_of(content: bytes) -> list[tuple[Value, ...]]:
    return [row.cells for row in rows_of(content)]
