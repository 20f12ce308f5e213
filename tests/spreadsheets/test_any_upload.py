"""Every reader of files, given anything: it reads it, or refuses it in words. Nothing else comes out of it."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator, Callable
from typing import Any, TypeVar

import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from assignment.api.directory_import import FORM as DIRECTORY
from loopkeeper.plan_files.guessing import guess
from loopkeeper.plan_files.profile_folder import read_profile
from loopkeeper.spreadsheets import Limits, Unreadable
from loopkeeper.spreadsheets.book import opened
from loopkeeper.spreadsheets.upload import Form, Line, lines_of
from referral_intake.persistence.roster_rows import COLUMNS, Loaded, checked
from tests.examples import many
from tests.spreadsheets.books import ods, xls, xlsx

ROSTER = b"cin,birth_date,county,covered_from\r\n90000001S,1964-03-02,alameda,2026-01-01\r\n"
HEADS = st.sampled_from(
    [b"", ROSTER, b"\xef\xbb\xbf" + ROSTER, b"id,name\r\n", ROSTER.decode().encode("utf-16")]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
FIELDS = st.dictionaries(
    st.sampled_from(["cin", "birth_date", "county", "covered_from", "covered_through", "pcp", "programs"]),
    JSON,
)
quick = settings(max_examples=many(120), deadline=None, suppress_health_check=list(HealthCheck))
T = TypeVar("T")


def lines(content: bytes, form: Form, cut: int = 7) -> list[Line]:
    """What is read of it, arriving in pieces; nothing where it is refused, which it says in words."""

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(content), cut):
            yield content[start : start + cut]

    async def whole() -> list[Line]:
        return [line async for line in lines_of(pieces(), form)]

    return refused(lambda: asyncio.run(whole())) or []


def refused(read: Callable[[], T]) -> T | None:
    """What is read; None where it is refused, which says so in words."""
    try:
        return read()
    except Unreadable as error:
        said = (error.code, error.sentence, error.fix)
    assert all(said)
    return None


@quick
@given(HEADS, st.binary(max_size=300), st.booleans(), st.integers(1, 400))
def test_a_roster_or_a_directory_of_any_bytes_is_read_or_refused(
    head: bytes, rest: bytes, objects: bool, cut: int
) -> None:
    for form in (Form(COLUMNS, json=objects, limits=Limits(line=200)), DIRECTORY):
        for line in lines(head + rest, form, cut):
            assert line.number
            assert line.fault or line.values is not None


@quick
@given(st.lists(FIELDS | JSON, max_size=5))
@example([{"cin": "\x00"}, {"programs": [1]}, {"birth_date": -1e300}, {"covered_from": "9999-12-31"}])
def test_any_line_of_a_roster_is_a_coverage_or_is_refused_by_its_number(values: list[Any]) -> None:
    content = b"\n".join(json.dumps(each).encode() for each in values)
    loaded = Loaded(state="running")
    for line in lines(content, Form(COLUMNS, json=True), 64):
        before = loaded.refused
        row = checked(line, loaded, synthetic=True)
        assert (row is None) == (loaded.refused == before + 1)


def _books() -> list[bytes]:
    rows = [["CIN", "Day"], ["90000001S", "2026-10-05"], ["", 7]]

    def fill(_: Any, sheet: Any) -> None:
        for number, row in enumerate(rows):
            sheet.write_row(number, 0, row)
        sheet.merge_range(4, 0, 5, 1, "both")

    cell = "<table:table-cell office:value-type='string'><text:p>90000001S</text:p></table:table-cell>"
    return [xlsx(fill), xls(rows), ods(f"<table:table-row>{cell * 2}</table:table-row>" * 3)]


BOOKS = _books()


@quick
@given(st.sampled_from(BOOKS), st.integers(0, 2**32))
def test_a_workbook_that_was_damaged_is_read_or_refused(book: bytes, seed: int) -> None:
    chance, content = random.Random(seed), bytearray(book)
    for _ in range(chance.randint(1, 5)):
        at = chance.randrange(len(content))
        content[at : at + chance.randint(1, 30)] = chance.randbytes(chance.randint(0, 30))
    for form in (Form(COLUMNS), DIRECTORY):
        lines(bytes(content), form, 512)
    numbers = refused(lambda: [row.number for sheet in opened(bytes(content)).sheets for row in sheet.rows()])
    assert all(numbers or ())


@quick
@given(st.binary(max_size=300) | st.sampled_from(BOOKS), st.sampled_from(["", "MIF_20261109.csv", "a.xlsx"]))
def test_a_profile_is_guessed_from_any_bytes_or_they_are_refused(content: bytes, name: str) -> None:
    assert refused(lambda: guess(content, name)) != ""


@quick
@given(st.binary(max_size=300) | st.text(max_size=300).map(lambda text: text.encode("utf-8", "replace")))
@example(b"a: &a [*a]")
@example(b"- !!python/object:os.system {}")
def test_a_profile_of_any_bytes_is_read_or_its_faults_are_found(content: bytes) -> None:
    found, faults = read_profile(content, "profiles/any.yaml")
    assert all(each.place for each in faults)
    assert found or faults or not content.strip() or not yaml.safe_load(content)
