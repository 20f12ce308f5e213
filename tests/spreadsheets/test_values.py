"""One cell: a day, a number, a yes, a length of time; or why it cannot be told."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loopkeeper.spreadsheets.cells import Broken
from loopkeeper.spreadsheets.number_formats import day_of_serial, kind_of_format
from loopkeeper.spreadsheets.values import (
    Damaged,
    count_of,
    day_of,
    minutes_of,
    number_text,
    pattern,
    phone_of,
    text_of,
    words_of,
    yes_or_no,
)

PATTERNS = ("MM/DD/YYYY", "YYYY-MM-DD", "YYYYMMDD", "DD-MON-YYYY", "M/D/YYYY")
OCTOBER = date(2026, 10, 5)


@pytest.mark.parametrize(
    "cell",
    [
        "10/05/2026", "10/5/2026", "10/05/2026 00:00:00", "10/5/2026 12:00:00 AM", "2026-10-05T00:00:00", "20261005",
        20261005, "05-OCT-2026", "5-Oct-2026", " 10/05/2026\u00a0", "'10/05/2026", OCTOBER, datetime(2026, 10, 5, 14),  # noqa: DTZ001
    ],
)  # fmt: skip
def test_a_day_is_read_however_it_is_written(cell: Any) -> None:
    assert day_of(cell, PATTERNS) == OCTOBER


@pytest.mark.parametrize(
    "cell", ["10/05/26", "13/14/2026", "02/30/2026", "0026-10-05", "soon", 46300, "46300", True]
)
def test_a_day_that_cannot_be_told_is_unreadable(cell: Any) -> None:
    with pytest.raises(Damaged, match="date-unreadable"):
        day_of(cell, PATTERNS)


def test_a_bare_number_is_a_day_only_where_the_layout_says_so() -> None:
    assert day_of(46300, PATTERNS, serial_dates=True) == day_of("46300", PATTERNS, serial_dates=True)
    assert day_of_serial(46300) == date(2026, 10, 5)
    assert day_of_serial(44838, since_1904=True) == date(2026, 10, 5)


@given(st.dates(date(1900, 1, 1), date(2199, 12, 31)), st.sampled_from(PATTERNS))
def test_a_day_that_is_written_is_read_back(day: date, written: str) -> None:
    assert pattern(written).read(pattern(written).write(day)) == day


@pytest.mark.parametrize("text", ["MM/DD/YY", "MM/DD", "YYYY", "MM/MM/YYYY", "DD/MM/YYYY/DD"])
def test_a_pattern_says_year_month_and_day_once_each(text: str) -> None:
    with pytest.raises(ValueError, match=r"day|digits"):
        pattern(text)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("mm/dd/yyyy", "day"), ('"day" 0.00', ""), ("[h]:mm", "hours"), ("General", ""), ("[Red]0", ""), ("d-mmm", "day"),
        ("[$-409]mmmm d, yyyy", "day"), ("0.00E+00", ""), ("@", ""), ("h:mm AM/PM", "hours"),
    ],
)  # fmt: skip
def test_a_number_format_tells_days_from_numbers(code: str, kind: str) -> None:
    assert kind_of_format(164, code) == kind


def test_lost_zeros_come_back_and_lost_digits_do_not() -> None:
    assert (number_text(11, 5), number_text("11", 5), number_text("94601-1234", 5)) == (
        "00011",
        "00011",
        "94601-1234",
    )
    for cell in ("6.45722E+12", "6,45722e+12", 6.45722e18):
        with pytest.raises(Damaged, match="cell-damaged"):
            number_text(cell)
    assert number_text("12E45") == "12E45"


@pytest.mark.parametrize(
    ("cell", "minutes"),
    [("70", 70), (70, 70), ("1 h 10 min", 70), ("1h10", 70), ("1:10", 70), ("70 min", 70), ("2 hours", 120), (timedelta(minutes=70), 70), ("1.5 hr", 90)],
)  # fmt: skip
def test_a_length_of_time_is_read_in_minutes(cell: Any, minutes: int) -> None:
    assert minutes_of(cell) == minutes


@pytest.mark.parametrize(
    ("read", "cell", "code"),
    [
        (minutes_of, "quite long", "minutes-unreadable"),
        (minutes_of, 5000, "minutes-unreadable"),
        (count_of, "a few", "count-unreadable"),
        (count_of, -1, "count-unreadable"),
        (count_of, True, "count-unreadable"),
        (count_of, 1.5, "count-unreadable"),
        (phone_of, "ask at the shelter", "phone-unreadable"),
        (phone_of, "12", "phone-unreadable"),
        (yes_or_no, "maybe", "word-unknown"),
        (text_of, Broken("#REF!"), "cell-error"),
    ],
)
def test_what_cannot_be_read_says_why(read: Any, cell: Any, code: str) -> None:
    with pytest.raises(Damaged, match=code):
        read(cell)


def test_yes_and_no_in_every_usual_way_and_in_the_plans_own() -> None:
    assert [yes_or_no(cell) for cell in ("Y", "yes", 1, "TRUE", "t", "x", True)] == [True] * 7
    assert [yes_or_no(cell) for cell in ("N", "No", 0, "FALSE", "f", False)] == [False] * 6
    assert yes_or_no("Sí", says_yes=("Sí",)) is True
    assert [yes_or_no(cell, empty=("N/A",)) for cell in ("", None, " n/a ")] == [None] * 3


def test_several_words_stand_between_semicolons_and_a_comma_may_be_part_of_one() -> None:
    words = {"a": "A", "b": "B", "living in the community at risk": "L"}
    assert words_of("a; b", words) == (("A", "B"), ())
    assert words_of("Living in the community, at risk; b", words) == (("L", "B"), ())
    assert words_of("a, b, left-handed", words) == (("A", "B"), ("left-handed",))


@given(st.text(max_size=60))
def test_tidying_a_text_twice_changes_nothing_but_an_apostrophe(text: str) -> None:
    tidy = text_of(text)
    assert tidy == tidy.strip()
    assert "\u00a0" not in tidy
    assert text_of("'" + tidy) == tidy
