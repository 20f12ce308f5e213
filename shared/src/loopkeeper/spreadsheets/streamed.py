"""A workbook of plain rows, written a row at a time: what was written is held compressed, and nothing goes to a disk.

For tables of hundreds of thousands of rows, which `writing.py` would hold as objects. The same rows give the same bytes. Texts
are texts: nothing that is written can be taken for a formula or a link.
"""

from __future__ import annotations

import io
import re
import zlib
from collections.abc import Sequence
from datetime import date
from xml.sax.saxutils import escape, quoteattr
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

Cell = str | int | float | date | None
# The day from which spreadsheet programs count; and the style of a day.
DAY_ZERO, DAY = date(1899, 12, 30), 1
# No character of these may be in XML.
NOT_WRITTEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff\ud800-\udfff]")
LONGEST_NAME, ALPHABET, PIECE = 31, 26, 1 << 15
MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
RELATIONS = "http://schemas.openxmlformats.org/package/2006/relationships"
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
KINDS = "application/vnd.openxmlformats-officedocument.spreadsheetml"
HEAD = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
STYLES = (
    f'{HEAD}<styleSheet xmlns="{MAIN}"><fonts count="1"><font/></fonts><fills count="1"><fill/></fills>'
    '<borders count="1"><border/></borders><cellStyleXfs count="1"><xf/></cellStyleXfs>'
    '<cellXfs count="2"><xf/><xf numFmtId="14" applyNumberFormat="1"/></cellXfs></styleSheet>'
)


class StreamedWorkbook:
    """Rows come in any order of the sheets; `close` gives the workbook."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names
        self._rows = [0 for _ in names]
        self._packed = [bytearray() for _ in names]
        self._packers = [zlib.compressobj(1) for _ in names]

    def add(self, sheet: int, cells: Sequence[Cell]) -> None:
        """The next row of this sheet."""
        self._rows[sheet] += 1
        row = self._rows[sheet]
        text = "".join(
            _cell(f"{column(place)}{row}", cell) for place, cell in enumerate(cells) if cell not in (None, "")
        )
        self._packed[sheet] += self._packers[sheet].compress(f'<row r="{row}">{text}</row>'.encode())

    def close(self) -> bytes:
        """The whole workbook; nothing can be added any more."""
        content = io.BytesIO()
        with ZipFile(content, "w", ZIP_DEFLATED, compresslevel=6) as book:
            for name, text in self._frame().items():
                book.writestr(_part_named(name), text)
            for sheet, packed in enumerate(self._packed):
                packed += self._packers[sheet].flush()
                with book.open(
                    _part_named(f"xl/worksheets/sheet{sheet + 1}.xml"), "w", force_zip64=True
                ) as part:
                    part.write(f'{HEAD}<worksheet xmlns="{MAIN}"><sheetData>'.encode())
                    unpacker = zlib.decompressobj()
                    for start in range(0, len(packed), PIECE):
                        part.write(unpacker.decompress(bytes(packed[start : start + PIECE])))
                    part.write(b"</sheetData></worksheet>")
                packed.clear()
        return content.getvalue()

    def _frame(self) -> dict[str, str]:
        numbers = range(1, len(self._names) + 1)
        parts = "".join(
            f'<Override PartName="/xl/worksheets/sheet{n}.xml" ContentType="{KINDS}.worksheet+xml"/>'
            for n in numbers
        )
        sheets = "".join(
            f'<sheet name={quoteattr(name[:LONGEST_NAME])} sheetId="{n}" r:id="rId{n}"/>'
            for n, name in zip(numbers, self._names, strict=True)
        )
        links = "".join(
            f'<Relationship Id="rId{n}" Type="{OFFICE}/worksheet" Target="worksheets/sheet{n}.xml"/>'
            for n in numbers
        )
        styles = f'<Relationship Id="rId{len(self._names) + 1}" Type="{OFFICE}/styles" Target="styles.xml"/>'
        return {
            "[Content_Types].xml": f'{HEAD}<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
            '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
            '<Default Extension="xml" ContentType="application/xml"/>'
            f'<Override PartName="/xl/workbook.xml" ContentType="{KINDS}.sheet.main+xml"/>'
            f'<Override PartName="/xl/styles.xml" ContentType="{KINDS}.styles+xml"/>{parts}</Types>',
            "_rels/.rels": f'{HEAD}<Relationships xmlns="{RELATIONS}">'
            f'<Relationship Id="rId1" Type="{OFFICE}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
            "xl/workbook.xml": f'{HEAD}<workbook xmlns="{MAIN}" xmlns:r="{OFFICE}"><sheets>{sheets}</sheets></workbook>',
            "xl/_rels/workbook.xml.rels": f'{HEAD}<Relationships xmlns="{RELATIONS}">{links}{styles}</Relationships>',
            "xl/styles.xml": STYLES,
        }


def column(place: int) -> str:
    """The letters of a column, by its number from 0."""
    letters = ""
    place += 1
    while place:
        place, letter = divmod(place - 1, ALPHABET)
        letters = chr(ord("A") + letter) + letters
    return letters


def _cell(at: str, cell: Cell) -> str:
    match cell:
        case bool() | int() | float():
            return (
                f'<c r="{at}"><v>{cell:d}</v></c>'
                if isinstance(cell, int)
                else f'<c r="{at}"><v>{cell!r}</v></c>'
            )
        case date():
            return f'<c r="{at}" s="{DAY}"><v>{(cell - DAY_ZERO).days}</v></c>'
        case _:
            text = escape(NOT_WRITTEN.sub("\ufffd", str(cell)))
            return f'<c r="{at}" t="inlineStr"><is><t xml:space="preserve">{text}</t></is></c>'


def _part_named(name: str) -> ZipInfo:
    """One part, dated as every other: the moment of writing is none of its content."""
    part = ZipInfo(name, (2022, 1, 1, 0, 0, 0))
    part.compress_type = ZIP_DEFLATED
    return part
