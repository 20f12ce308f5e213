"""What is this file? Told by its content, never by its name: a workbook of one of three kinds, or text.

`opened` gives its sheets; a text file has one for each way its cells may be divided, and who knows the headings tells
which of them is meant.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from loopkeeper.spreadsheets import ods, xlsx
from loopkeeper.spreadsheets.cells import Limits, Row, Unreadable, too_large
from loopkeeper.spreadsheets.container import Container, damaged
from loopkeeper.spreadsheets.delimited import DELIMITERS, Delimited, Lines
from loopkeeper.spreadsheets.encoding import decoder, encoding_of

Format = Literal["xlsx", "xls", "ods", "csv"]
ZIP, OLE = b"PK\x03\x04", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
# What people send in place of a table, by its first characters.
OTHERS = {
    b"<": "a web page or XML",
    b"%PDF": "a PDF",
    b"{\\rtf": "a text document",
    b"\x89PNG": "a picture",
    b"\xff\xd8\xff": "a picture",
}
WORKBOOK_NAMES = (".xlsx", ".xlsm", ".xls", ".ods")
SEPARATOR_LINE = "sep="
STEP = 1 << 18


@dataclass(frozen=True, slots=True)
class Sheet:
    """One sheet; `rows` begins at its top each time. Of text, `delimiter` is what is between its cells."""

    name: str
    visible: bool
    rows: Callable[[], Iterator[Row]]
    delimiter: str = ""


@dataclass(frozen=True, slots=True)
class Book:
    """An opened file: what it is, and its sheets. `encoding` is that of a text file."""

    format: Format
    sheets: Sequence[Sheet]
    encoding: str = ""


def opened(
    content: bytes,
    *,
    name: str = "",
    encoding: str = "utf-8",
    delimiter: str = "",
    limits: Limits | None = None,
) -> Book:
    """The sheets of a file. `encoding` and `delimiter` are what is declared for text whose bytes do not tell.
    Raises `Unreadable`."""
    limits = limits or Limits()
    if len(content) > limits.size:
        raise too_large("megabytes", str(limits.size // (1024 * 1024)))
    if not content.strip(b" \t\r\n\0"):
        raise Unreadable("file-unreadable", "The file is empty.", "Send the file with its rows.")
    if content.startswith(ZIP):
        return _zipped(content, limits)
    if content.startswith(OLE):
        # Few still send these: a service that met none keeps no reader of them in memory.
        from loopkeeper.spreadsheets import xls

        old = xls.OldWorkbook(content, limits)
        return Book("xls", [Sheet(s.name, s.visible, lambda s=s: old.rows(s)) for s in old.sheets])
    _refuse_others(content, name)
    return _text(content, encoding, delimiter, limits)


def _zipped(content: bytes, limits: Limits) -> Book:
    container = Container(content, limits)
    if xlsx.WORKBOOK in container:
        book = xlsx.Workbook(content, limits)
        return Book("xlsx", [Sheet(s.name, s.visible, lambda s=s: book.rows(s)) for s in book.sheets])
    if "xl/workbook.bin" in container:
        raise Unreadable("file-unreadable", "This is a binary workbook (.xlsb).", "Save it as .xlsx.")
    if ods.CONTENT not in container:
        raise damaged()
    document = ods.Document(content, limits)
    return Book("ods", [Sheet(s.name, s.visible, lambda s=s: document.rows(s)) for s in document.sheets])


def _refuse_others(content: bytes, name: str) -> None:
    start = content.removeprefix(b"\xef\xbb\xbf").lstrip()[:16]
    for mark, what in OTHERS.items():
        if start.startswith(mark):
            raise Unreadable(
                "file-unreadable", f"This is {what}, not a table.", "Save the table as .xlsx or .csv."
            )
    if name.lower().endswith(WORKBOOK_NAMES):
        raise damaged()


def _text(content: bytes, declared: str, delimiter: str, limits: Limits) -> Book:
    encoding = encoding_of(content, declared)
    try:
        decoder(encoding)
    except LookupError:
        raise Unreadable(
            "file-unreadable", "The declared encoding is not known.", "Correct it in the profile."
        ) from None
    first = dict.fromkeys((delimiter, *DELIMITERS) if delimiter else DELIMITERS)
    sheets = [
        Sheet("", True, lambda between=between: text_rows(content, encoding, between, limits), between)
        for between in first
    ]
    return Book("csv", sheets, encoding)


def text_rows(content: bytes, encoding: str, delimiter: str, limits: Limits) -> Iterator[Row]:
    """The rows of a text file. Raises `Unreadable` past a bound."""
    letters, lines, cells = decoder(encoding), Lines(limits.line), Delimited(delimiter, limits)
    filled = 0
    for row in _rows(content, letters.decode, lines, cells):
        if row.number == 1 and row.cells and str(row.cells[0]).lower().startswith(SEPARATOR_LINE):
            continue
        filled += not row.blank
        if filled > limits.rows:
            raise too_large("rows", str(limits.rows))
        if len(row.cells) > limits.columns:
            row = _narrowed(row, limits.columns)
        yield row


def _rows(content: bytes, decode: Callable[..., str], lines: Lines, cells: Delimited) -> Iterator[Row]:
    for start in range(0, len(content), STEP):
        piece = decode(content[start : start + STEP], final=start + STEP >= len(content))
        for line in lines.feed(piece):
            yield from cells.feed(line)
    for line in lines.finish():
        yield from cells.feed(line)
    yield from cells.finish()


def _narrowed(row: Row, columns: int) -> Row:
    if any(str(cell).strip() for cell in row.cells[columns:]):
        raise too_large("columns", str(columns))
    return Row(row.number, row.cells[:columns], row.line, row.fault, blank=row.blank)
