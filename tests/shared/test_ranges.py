"""A day is of a kind, and each kind has a range by what it means: nothing outside it is taken, whatever the year."""

from __future__ import annotations

from datetime import date, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from loopkeeper.contract import calendar
from loopkeeper.contract.field_types import (
    BirthDay,
    DecisionDay,
    HappenedAt,
    Instant,
    PolicyDay,
    ReleaseDay,
    ServiceDay,
    TermDay,
    TermEnd,
)
from loopkeeper.policy.reading import installed, load

LAST = date(2099, 12, 31)
RANGES: dict[str, tuple[Any, date]] = {
    "birth": (BirthDay, date(1900, 1, 1)),
    # ECM began on this day (ECMG26 p8).
    "service": (ServiceDay, date(2022, 1, 1)),
    "decision": (DecisionDay, date(2022, 1, 1)),
    "policy": (PolicyDay, date(2022, 1, 1)),
    # Twelve months before, for who left custody (ECMG26 p32).
    "release": (ReleaseDay, date(2021, 1, 1)),
    "term": (TermDay, date(1966, 1, 1)),
}


def taken(kind: Any, sent: object) -> bool:
    try:
        TypeAdapter(kind).validate_python(sent)
    except ValidationError:
        return False
    return True


@pytest.mark.parametrize("name", RANGES)
@given(day=st.dates(date.min, date.max))
def test_of_all_days_of_the_calendar_those_within_the_range_are_taken(name: str, day: date) -> None:
    kind, first = RANGES[name]
    assert taken(kind, day.isoformat()) is (first <= day <= LAST)


@pytest.mark.parametrize("name", RANGES)
def test_the_range_begins_and_ends_on_its_days(name: str) -> None:
    kind, first = RANGES[name]
    assert taken(kind, first.isoformat())
    assert taken(kind, LAST.isoformat())
    assert not taken(kind, (first - timedelta(days=1)).isoformat())
    assert not taken(kind, "2100-01-01")


@pytest.mark.parametrize(
    "sent", ["2023-02-29", "2100-02-29", "2026-02-30", "26-11-20", "2026-1-5", "20-1-1-5"]
)
def test_a_day_the_calendar_has_not_is_none(sent: str) -> None:
    assert not any(taken(kind, sent) for kind, _ in RANGES.values())


def test_a_leap_day_is_a_day() -> None:
    assert all(taken(kind, "2024-02-29") for kind, _ in RANGES.values())


def test_a_span_without_an_end_is_written_as_files_write_it() -> None:
    ends = TypeAdapter[Any](TermEnd)
    assert ends.validate_python("9999-12-31") is None
    assert ends.validate_python("2299-12-31") is None
    assert ends.validate_python(None) is None
    assert ends.validate_python("2027-12-31") == date(2027, 12, 31)
    assert not taken(TermEnd, "9998-12-31")


@given(moment=st.datetimes().map(lambda at: f"{at.isoformat()}Z"))
def test_moments_have_a_range_too(moment: str) -> None:
    day = moment[:10]
    assert taken(Instant, moment) is ("1970-01-01" <= day < "2100-01-01")
    assert taken(HappenedAt, moment) is ("2022-01-01" <= day < "2100-01-01")


@given(day=st.dates(date(1900, 1, 1), LAST))
def test_nothing_computed_from_a_day_in_range_leaves_the_calendar(day: date) -> None:
    begun = calendar.end_of_la_day(day)
    business = calendar.Calendar()
    for unit, most in (("business_days", 30), ("calendar_days", 400), ("hours", 72), ("months", 24)):
        assert business.after(begun, most, unit) > begun  # type: ignore[arg-type]


def test_every_rule_that_has_rows_from_the_first_day_of_ecm_has_them_without_a_gap() -> None:
    """A look-up of a day in range never falls between two rows of one key."""
    spans: dict[tuple[str, Any], list[Any]] = {}
    policy = load(installed())
    for row in policy.all_rows:
        spans.setdefault((row.table, policy.key_of(row)), []).append(row)
    for rows in spans.values():
        ordered = sorted(rows, key=lambda row: row.effective_from)
        for earlier, later in pairwise(ordered):
            assert earlier.effective_to + timedelta(days=1) == later.effective_from, later.ref
        assert ordered[-1].effective_to is None or ordered[-1].table == "populations", ordered[-1].ref
