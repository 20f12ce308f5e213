"""Text files in any dialect, encoding and pieces: each line is read as it was written, or refused by its number."""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import AsyncIterator, Callable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loopkeeper.spreadsheets import Limits, Unreadable
from loopkeeper.spreadsheets.book import opened
from loopkeeper.spreadsheets.cells import is_error
from loopkeeper.spreadsheets.delimited import DELIMITERS, Delimited, Lines
from loopkeeper.spreadsheets.encoding import encoding_of
from loopkeeper.spreadsheets.headings import Heading, folded, locate
from loopkeeper.spreadsheets.upload import Form, Line, lines_of
from loopkeeper.spreadsheets.values import text_of
from loopkeeper.spreadsheets.writing import Dialect, write_text
from tests.examples import many

FORM = Form((Heading("cin", needed=True), Heading("name"), Heading("note")))
# Any text in a cell but a line break, a NUL and what represents lost bytes.
CELL = st.text(
    st.characters(exclude_characters="\r\n\0\ufffd\ufeff", exclude_categories=("Cs",)), max_size=30
).filter(lambda text: not is_error(text))
ROWS = st.lists(st.tuples(CELL, CELL, CELL), min_size=1, max_size=8)
ENCODINGS = st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
quick = settings(max_examples=many(150), deadline=None)


def read(content: bytes, form: Form = FORM, cuts: list[int] | None = None) -> list[Line]:
    """The lines of a body that arrives in pieces, cut at these places."""
    places = sorted({0, len(content), *(cut % (len(content) + 1) for cut in cuts or [])})

    async def pieces() -> AsyncIterator[bytes]:
        for start, end in pairwise(places):
            yield content[start:end]

    async def whole() -> list[Line]:
        return [line async for line in lines_of(pieces(), form)]

    return asyncio.run(whole())


@quick
@given(
    ROWS,
    st.sampled_from(DELIMITERS),
    st.sampled_from(["\n", "\r\n", "\r"]),
    ENCODINGS,
    st.booleans(),
    st.lists(st.integers(0, 10_000), max_size=6),
)
def test_whatever_is_written_is_read_back_in_any_dialect_encoding_and_pieces(
    rows: list[tuple[str, str, str]], between: str, end: str, encoding: str, quoted: bool, cuts: list[int]
) -> None:
    text = io.StringIO(newline="")
    quoting = csv.QUOTE_ALL if quoted else csv.QUOTE_MINIMAL
    writer = csv.writer(text, delimiter=between, lineterminator=end, quoting=quoting)
    writer.writerow(["CIN", "Name", "NOTE"])
    writer.writerows(rows)
    content = text.getvalue().encode(encoding)
    lines = read(content, cuts=cuts)
    wanted = [
        (
            number,
            {
                name: tidy
                for name, cell in zip(("cin", "name", "note"), row, strict=True)
                if (tidy := text_of(cell))
            },
        )
        for number, row in enumerate(rows, 2)
        if any(cell.strip() for cell in row)
    ]
    assert [(line.number, dict(line.values), line.fault) for line in lines] == [
        (number, values, "") for number, values in wanted
    ]


@pytest.mark.parametrize(
    ("cell", "fault"),
    [
        ("#", ""), ("##", ""), ("#3", ""), ("Apt #", ""), ("# # #", ""),
        ("###", "cell-error"), ("########", "cell-error"), ("#REF!", "cell-error"), (" #N/A ", "cell-error"),
    ],
)  # fmt: skip
def test_hashes_that_a_program_wrote_are_an_error_and_those_that_somebody_typed_are_text(
    cell: str, fault: str
) -> None:
    (line,) = read(f"CIN,Name,NOTE\n90000001S,Elias,{cell}\n".encode())
    assert line.fault == fault


def read_or_refused(read_it: Callable[[], list[Any]]) -> list[Any] | Unreadable:
    try:
        return read_it()
    except Unreadable as refused:
        return refused


@quick
@given(st.binary(max_size=400))
def test_any_bytes_are_refused_whole_with_a_reason_or_read_line_by_line(content: bytes) -> None:
    for body in (content, b"cin,name\n" + content, b"PK\x03\x04" + content, b"\xff\xfe" + content):
        found = read_or_refused(lambda body=body: read(body))
        if isinstance(found, Unreadable):
            assert found.code
            assert found.fix
        else:
            assert not any(line.fault and line.values for line in found)
            assert [line.number for line in found] == sorted({line.number for line in found})


@quick
@given(st.binary(max_size=400))
def test_any_bytes_with_a_layout_are_refused_whole_or_give_rows_by_number(content: bytes) -> None:
    for body in (content, b"cin,name\n" + content, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + content):
        found = read_or_refused(lambda body=body: list(locate(opened(body), FORM.columns)[2]))
        if isinstance(found, Unreadable):
            assert found.fix
        else:
            assert [row.number for row in found] == sorted({row.number for row in found})


@quick
@given(st.lists(st.text(max_size=30), max_size=6))
def test_text_written_as_csv_is_never_a_formula_and_comes_back_as_it_was(texts: list[str]) -> None:
    tidy = [text_of(text) for text in texts]
    wanted = [text for text in tidy if text and "\ufffd" not in text]
    content = write_text([["note"], *([text] for text in wanted)], Dialect())
    below = list(opened(content).sheets[0].rows())[1:] if wanted else []
    assert all(str(row.cells[0])[0] not in "=+-@" for row in below)
    assert [text_of(row.cells[0]) for row in below] == [text_of("'" + text) for text in wanted]


# ── line by line ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "faults"),
    [
        ('1,"never closed\n2,b\n3,c', {2: "quote-not-closed"}),
        ('1,"a"b\n2,b', {2: "quote-misplaced"}),
        ("1,a\0b\n2,b", {2: "nul-character"}),
        ('1,"a\nb"\n2,b', {2: "line-break-in-cell"}),
        ("1,a,b,c\n2,b", {2: "columns"}),
        ("1," + "a" * 9000 + "\n2,b", {2: "cell-too-long"}),
        ("1," + "a" * 300_000 + "\n2,b", {2: "line-too-long"}),
    ],
)
def test_a_line_that_cannot_be_read_is_refused_by_its_number_and_the_next_is_read(
    text: str, faults: dict[int, str]
) -> None:
    lines = read(b"cin,name\n" + text.encode())
    assert {line.number: line.fault for line in lines if line.fault} == faults
    assert [line.number for line in lines][-1] == 2 + text.count("\n")


def test_a_quotation_mark_that_is_never_closed_costs_no_more_than_its_line() -> None:
    lines = Lines(1000)
    rows = Delimited(",", Limits())
    text = "".join(f'"{number}\n' for number in range(3000))
    found = [row for line in lines.feed(text) for row in rows.feed(line)] + list(rows.finish())
    assert [row.line for row in found] == sorted(row.line for row in found)


@pytest.mark.parametrize(
    ("content", "declared", "encoding"),
    [
        ("Núñez".encode(), "cp1252", "utf-8"),
        ("Núñez".encode("cp1252"), "cp1252", "cp1252"),
        ("Núñez".encode("utf-8-sig"), "cp1252", "utf-8-sig"),
        ("CIN,Núñez".encode("utf-16-le"), "cp1252", "utf-16-le"),
        ("CIN,Núñez".encode("utf-16-be"), "cp1252", "utf-16-be"),
    ],
)
def test_what_is_sure_decides_the_encoding_and_then_what_is_declared(
    content: bytes, declared: str, encoding: str
) -> None:
    assert encoding_of(content, declared) == encoding


def test_unknown_columns_are_refused_with_those_that_are_known_and_never_repeated() -> None:
    for header in (b"cin,shoe", b"name,note", b"cin,cin", b"Jane,Doe"):
        with pytest.raises(Unreadable) as refused:
            read(header + b"\n1,2\n")
        assert "Name cin and any of name, note, each once." in refused.value.fix
        assert "Jane" not in refused.value.fix + refused.value.sentence


def test_headings_are_compared_without_case_punctuation_and_doubled_spaces() -> None:
    assert folded("  Member  D.O.B. (needed)") == folded("member_d o b - NEEDED")
    assert [line.values for line in read(b" CIN ;Name\n1;a")] == [{"cin": "1", "name": "a"}]
    assert [line.values for line in read(b"sep=;\ncin;name\n1;a")] == [{"cin": "1", "name": "a"}]
