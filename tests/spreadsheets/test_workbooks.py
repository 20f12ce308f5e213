"""Workbooks: what a person sees in them is what is read, and nothing in them is trusted."""

from __future__ import annotations

import io
import zipfile
from datetime import date, datetime, timedelta
from typing import Any

import pytest
import xlwt

from loopkeeper.spreadsheets import Broken, Limits, Unreadable
from loopkeeper.spreadsheets.book import opened
from tests.spreadsheets.books import cells_of, ods, replaced, rows_of, xls, xlsx, zipped

SHEET = "xl/worksheets/sheet1.xml"


def test_texts_numbers_days_and_errors_come_as_what_they_are() -> None:
    def fill(book: Any, sheet: Any) -> None:
        day = book.add_format({"num_format": "mm/dd/yyyy"})
        hours = book.add_format({"num_format": "[h]:mm"})
        money = book.add_format({"num_format": '"day" 0.00'})
        sheet.write_row(0, 0, ["Núñez", "007", True])
        sheet.write_number(1, 0, 645_722_000_000)
        sheet.write_number(1, 1, 1.5)
        sheet.write_datetime(1, 2, date(2026, 10, 5), day)
        sheet.write_datetime(1, 3, timedelta(hours=1, minutes=10), hours)
        sheet.write_number(1, 4, 46_300, money)
        sheet.write_formula(2, 0, "=1/0", None, "#DIV/0!")
        sheet.write_formula(2, 1, "=A2", None, 7)
        sheet.write_formula(2, 2, "=B9", None, "")

    first, second, third = cells_of(xlsx(fill))
    assert first == ("Núñez", "007", True)
    assert second == (645_722_000_000, 1.5, date(2026, 10, 5), timedelta(minutes=70), 46_300)
    # A formula that was never calculated is empty.
    assert third == (Broken("#DIV/0!"), 7)


def test_a_merged_cell_fills_all_it_covers_and_rows_keep_their_numbers_and_say_that_they_are_hidden() -> None:
    def fill(book: Any, sheet: Any) -> None:
        sheet.merge_range(0, 0, 0, 2, "Title")
        sheet.merge_range(2, 0, 4, 0, "Plan", book.add_format({"bold": True}))
        sheet.write_column(2, 1, ["a", "b"])
        sheet.set_row(3, None, None, {"hidden": True})

    rows = {row.number: row for row in rows_of(xlsx(fill))}
    assert rows[1].cells == ("Title", "Title", "Title")
    assert [rows[number].cells for number in (3, 4, 5)] == [("Plan", "a"), ("Plan", "b"), ("Plan",)]
    assert [rows[number].hidden for number in (3, 4)] == [False, True]
    # What a merged cell fills makes no row of an empty one.
    assert [rows[number].blank for number in (3, 5)] == [False, True]


def test_old_workbooks_and_opendocument_say_the_same() -> None:
    rows = [["CIN", "Day"], ["90000001S", datetime(2026, 10, 5)]]  # noqa: DTZ001

    def dated(sheet: Any) -> None:
        sheet.write(1, 1, datetime(2026, 10, 5), xlwt.easyxf(num_format_str="MM/DD/YYYY"))  # noqa: DTZ001
        sheet.write_merge(2, 3, 0, 0, "both")
        sheet.write(3, 1, 1)
        sheet.row(3).hidden = True

    old = rows_of(xls([rows[0], rows[1][:1]], dated))
    assert [row.cells for row in old] == [
        ("CIN", "Day"),
        ("90000001S", date(2026, 10, 5)),
        ("both",),
        ("both", 1),
    ]
    assert [row.hidden for row in old] == [False, False, False, True]

    def cell(text: str, more: str = "") -> str:
        return f"<table:table-cell {more}><text:p>{text}</text:p></table:table-cell>"

    day = cell("10/05/26", 'office:value-type="date" office:date-value="2026-10-05"')
    time = cell("1:10", 'office:value-type="time" office:time-value="PT01H10M00S"')
    error = cell("#REF!", 'calcext:value-type="error" xmlns:calcext="c"')
    document = ods(
        f"<table:table-row>{cell('CIN')}{cell('Day')}</table:table-row>"
        '<table:table-row table:number-rows-repeated="3"><table:table-cell/></table:table-row>'
        f"<table:table-row>{cell('90000001S')}{day}{time}{error}</table:table-row>"
        '<table:table-row table:number-rows-repeated="1048571">'
        '<table:table-cell table:number-columns-repeated="1024"/></table:table-row>'
    )
    found = [row for row in rows_of(document) if not row.blank]
    assert [(row.number, row.cells) for row in found] == [
        (1, ("CIN", "Day")),
        (5, ("90000001S", date(2026, 10, 5), timedelta(minutes=70), Broken("#REF!"))),
    ]


# ── what is refused ───────────────────────────────────────────────────────────────────────────────────────────────


def _read_all(content: bytes, name: str, limits: Limits | None) -> None:
    for sheet in opened(content, name=name, limits=limits).sheets:
        list(sheet.rows())


def refused(content: bytes, name: str = "", limits: Limits | None = None) -> str:
    with pytest.raises(Unreadable) as found:
        _read_all(content, name, limits)
    assert found.value.fix
    return found.value.code


def small(book: Any, sheet: Any) -> None:
    sheet.write_row(0, 0, ["a", "b"])


def test_a_file_that_unpacks_to_more_than_it_may_is_refused_before_it_is_unpacked() -> None:
    bomb = zipped({"xl/workbook.xml": b" " * 50_000_000, "xl/_rels/workbook.xml.rels": b""})
    assert len(bomb) < 100_000
    assert refused(bomb, limits=Limits(unpacked=10_000_000)) == "file-too-large"
    assert refused(b"x" * 101, limits=Limits(size=100)) == "file-too-large"


def test_a_part_that_declares_less_than_it_unpacks_to_is_refused() -> None:
    content = bytearray(xlsx(small))
    with zipfile.ZipFile(io.BytesIO(bytes(content))) as read:
        size = read.getinfo(SHEET).file_size
    lying = bytes(content).replace(size.to_bytes(4, "little"), (20).to_bytes(4, "little"))
    assert refused(lying) == "file-unreadable"


def test_entities_passwords_and_other_files_are_refused() -> None:
    laughs = b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><worksheet>&b;</worksheet>'
    assert refused(replaced(xlsx(small), SHEET, lambda _: laughs)) == "file-unreadable"
    for content, name in (
        (b"<html><table><tr><td>CIN</td></tr></table></html>", "month.xlsx"),
        (b"%PDF-1.7", "month.pdf"),
        (b"cin,day\n1,2\n", "month.xlsx"),
        (b"", "month.csv"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600, "month.xls"),
        (b"PK\x03\x04 and no more", "month.xlsx"),
        (zipped({"word/document.xml": b"<a/>"}), "month.docx"),
    ):
        assert refused(content, name) == "file-unreadable"


def test_rows_columns_and_merged_cells_are_bounded() -> None:
    def many(book: Any, sheet: Any) -> None:
        sheet.write_column(0, 0, list(range(50)))

    assert refused(xlsx(many), limits=Limits(rows=49)) == "file-too-large"
    assert refused(xlsx(lambda _, sheet: sheet.write(0, 401, "x"))) == "file-too-large"
    assert refused(b",".join([b"a"] * 500)) == "file-too-large"
    wide = b'<mergeCells count="1"><mergeCell ref="A1:XFD1000000"/></mergeCells>'
    covering = replaced(
        xlsx(small), SHEET, lambda part: part.replace(b"</sheetData>", b"</sheetData>" + wide)
    )
    assert refused(covering) == "file-too-large"


def test_a_cell_over_the_bound_makes_its_row_unreadable_and_no_other() -> None:
    def fill(book: Any, sheet: Any) -> None:
        sheet.write_column(0, 0, ["a" * 9000, "b"])

    assert [(row.fault, row.cells) for row in rows_of(xlsx(fill))][1] == ("", ("b",))
    assert rows_of(xlsx(fill))[0].fault == "cell-too-long"


def test_links_and_macros_are_never_touched() -> None:
    """What a link points to is not asked for, and parts that no reader needs are not opened."""

    def fill(book: Any, sheet: Any) -> None:
        sheet.write_url(0, 0, "https://127.0.0.1:1/secret", string="CIN")
        sheet.write_formula(0, 1, '=WEBSERVICE("https://127.0.0.1:1")', None, "cached")

    content = xlsx(fill)
    with zipfile.ZipFile(io.BytesIO(content)) as read:
        parts = {name: read.read(name) for name in read.namelist()}
    parts["xl/vbaProject.bin"] = b"\xff" * 100
    assert cells_of(zipped(parts)) == [("CIN", "cached")]
