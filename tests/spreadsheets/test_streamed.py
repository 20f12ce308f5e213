"""A workbook that is written a row at a time: read back as it was written, the same bytes for the same rows."""

from __future__ import annotations

import tracemalloc
from datetime import date

from loopkeeper.spreadsheets.book import opened
from loopkeeper.spreadsheets.streamed import StreamedWorkbook, column

ROWS = 20_000


def written(rows: int = 1) -> bytes:
    book = StreamedWorkbook(["1 Members", "Sources & more"])
    book.add(0, ["CIN", "Start", "Visits", "Note"])
    for n in range(rows):
        book.add(1, [f"source {n}"])
        book.add(0, [f"9{n:07}S", date(2026, 10, 31), n, "=HYPERLINK(1) <b> & \x01é"])
    book.add(0, [None, "", 2.5, True])
    return book.close()


def test_what_is_written_is_read_back_and_no_text_is_a_formula() -> None:
    members, sources = opened(written()).sheets
    assert (members.name, sources.name) == ("1 Members", "Sources & more")
    assert [row.cells for row in members.rows()] == [
        ("CIN", "Start", "Visits", "Note"),
        ("90000000S", date(2026, 10, 31), 0, "=HYPERLINK(1) <b> & \ufffdé"),
        (None, None, 2.5, 1),
    ]
    assert b"<f>" not in written()


def test_the_same_rows_give_the_same_bytes() -> None:
    assert written(3) == written(3)


def test_many_rows_are_held_packed() -> None:
    tracemalloc.start()
    try:
        written(ROWS)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 8_000_000


def test_columns_go_on_after_the_alphabet() -> None:
    assert [column(place) for place in (0, 25, 26, 51, 52, 701, 702)] == [
        "A",
        "Z",
        "AA",
        "AZ",
        "BA",
        "ZZ",
        "AAA",
    ]
