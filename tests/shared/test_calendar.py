"""Deadlines: working days of California, days of Los Angeles, and the two hours a year that are not like others."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from loopkeeper.contract.calendar import (
    Calendar,
    Holiday,
    anniversary,
    calendar_days_after,
    end_of_la_day,
    hours_after,
    la_date,
    term_through,
)
from loopkeeper.policy.reading import load

PACIFIC = ZoneInfo("America/Los_Angeles")
CALENDAR = load([]).calendar

# Worked out by hand from Gov. Code 19853 and a wall calendar: what the rows must yield.
STATE_HOLIDAYS = {
    2023: "01-02 01-16 02-20 03-31 05-29 07-04 09-04 11-10 11-23 11-24 12-25",
    2024: "01-01 01-15 02-19 04-01 05-27 07-04 09-02 11-11 11-28 11-29 12-25",
    2025: "01-01 01-20 02-17 03-31 05-26 07-04 09-01 11-11 11-27 11-28 12-25",
    2026: "01-01 01-19 02-16 03-31 05-25 07-04 09-07 11-11 11-26 11-27 12-25",
    2027: "01-01 01-18 02-15 03-31 05-31 07-05 09-06 11-11 11-25 11-26 12-25",
    2028: "01-01 01-17 02-21 03-31 05-29 07-04 09-04 11-10 11-23 11-24 12-25",
}


def listed(year: int) -> set[date]:
    return {date.fromisoformat(f"{year}-{day}") for day in STATE_HOLIDAYS[year].split()}


def pacific(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=PACIFIC)


@pytest.mark.parametrize("year", list(STATE_HOLIDAYS))
def test_business_days_are_those_the_state_works(year: int) -> None:
    day, closed = date(year, 1, 1), listed(year)
    while day.year == year:
        assert CALENDAR.is_business_day(day) == (day.weekday() < 5 and day not in closed), day
        day += timedelta(days=1)


def test_business_days_are_counted_as_one_would_on_paper() -> None:
    closed = set[date]().union(*(listed(year) for year in STATE_HOLIDAYS))
    working = [
        day
        for day in (date(2023, 1, 1) + timedelta(days=n) for n in range(365 * 4))
        if day.weekday() < 5 and day not in closed
    ]
    for start in (date(2023, 1, 1) + timedelta(days=n) for n in range(365 * 3)):
        begun = datetime.combine(start, time(15, 30), PACIFIC)
        after = [day for day in working if day > start][:10]
        for count in (1, 2, 5, 10):
            assert CALENDAR.business_days_after(begun, count) == end_of_la_day(after[count - 1]), start


def kept_free(year: int) -> set[date]:
    """The holidays of Gov. Code 19853 once more, each found by looking at every day of the year."""
    days = [
        date(year, 1, 1) + timedelta(days=n)
        for n in range(366)
        if (date(year, 1, 1) + timedelta(n)).year == year
    ]
    mondays = {month: [d for d in days if d.month == month and d.weekday() == 0] for month in range(1, 13)}
    thursday = [d for d in days if d.month == 11 and d.weekday() == 3][3]
    free = {
        mondays[1][2],
        mondays[2][2],
        mondays[5][-1],
        mondays[9][0],
        thursday,
        thursday + timedelta(days=1),
    }
    for month, number in ((1, 1), (3, 31), (7, 4), (11, 11), (12, 25)):
        day = date(year, month, number)
        if day.weekday() == 6:
            day += timedelta(days=1)
        elif day.weekday() == 5 and month == 11:
            day -= timedelta(days=1)
        free.add(day)
    return free


def test_ten_years_of_deadlines_agree_with_a_calendar_that_looks_at_every_day() -> None:
    """Business days, calendar days and hours from every day of ten years, with their year ends and clock changes."""
    closed = set[date]().union(*(kept_free(year) for year in range(2025, 2038)))
    for start in (date(2026, 1, 1) + timedelta(days=n) for n in range(3652)):
        begun = datetime.combine(start, time(15, 30), PACIFIC)
        day, left = start, 0
        for count in (5, 10):
            while left < count:
                day += timedelta(days=1)
                left += day.weekday() < 5 and day not in closed
            midnight = datetime.combine(day + timedelta(days=1), time(), PACIFIC)
            assert CALENDAR.business_days_after(begun, count) == midnight, start
            assert CALENDAR.business_days_between(start, day) == count
            if start.weekday() < 5 and start not in closed:
                assert CALENDAR.business_days_before(day, count) == start
        week = datetime.combine(start + timedelta(days=8), time(), PACIFIC)
        assert calendar_days_after(begun, 7) == week
        assert (hours_after(begun, 72) - begun.astimezone(UTC)).total_seconds() == 72 * 3600


def test_five_business_days_over_thanksgiving_end_a_week_later() -> None:
    assert CALENDAR.after(pacific("2026-11-24T16:59"), 5, "business_days") == end_of_la_day(date(2026, 12, 3))


def test_what_begins_on_a_saturday_has_monday_as_its_first_day() -> None:
    assert CALENDAR.business_days_after(pacific("2026-03-07T10:00"), 1) == end_of_la_day(date(2026, 3, 9))


def test_no_business_days_is_the_end_of_the_day_itself() -> None:
    assert CALENDAR.business_days_after(pacific("2026-03-07T10:00"), 0) == end_of_la_day(date(2026, 3, 7))


def test_late_evening_in_los_angeles_is_still_that_day_though_utc_has_the_next() -> None:
    late = datetime(2026, 3, 3, 7, 59, tzinfo=UTC)
    assert la_date(late) == date(2026, 3, 2)
    assert la_date(late + timedelta(minutes=1)) == date(2026, 3, 3)
    assert CALENDAR.business_days_after(late, 1) == end_of_la_day(date(2026, 3, 3))


@pytest.mark.parametrize(("day", "hours"), [("2026-03-08", 23), ("2026-11-01", 25), ("2026-06-01", 24)])
def test_a_day_lasts_as_long_as_daylight_saving_makes_it(day: str, hours: int) -> None:
    today = date.fromisoformat(day)
    assert end_of_la_day(today) - end_of_la_day(today - timedelta(days=1)) == timedelta(hours=hours)


# loop.md 8.2
@pytest.mark.parametrize("day", ["2026-03-07", "2026-03-08", "2026-10-31", "2026-11-01", "2026-12-31"])
def test_a_day_ends_at_los_angeles_midnight_in_utc(day: str) -> None:
    ended = end_of_la_day(date.fromisoformat(day))
    assert ended.tzinfo is UTC
    assert ended.astimezone(PACIFIC).time() == time()
    assert la_date(ended - timedelta(microseconds=1)) == date.fromisoformat(day)


def test_seventy_two_hours_are_seventy_two_whatever_the_wall_clock_shows() -> None:
    begun = pacific("2026-03-06T12:00:41")
    assert hours_after(begun, 72) - begun.astimezone(UTC).replace(second=0) == timedelta(hours=72)
    assert hours_after(begun, 72).astimezone(PACIFIC).hour == 13


# loop.md 8.2
def test_an_hour_deadline_is_to_the_minute_and_never_later_than_asked() -> None:
    begun = datetime(2026, 3, 2, 17, 4, 59, 999999, tzinfo=UTC)
    assert hours_after(begun, 24) == datetime(2026, 3, 3, 17, 4, tzinfo=UTC)


def test_calendar_days_count_every_day_and_end_with_theirs() -> None:
    assert calendar_days_after(pacific("2026-12-24T23:59"), 7) == end_of_la_day(date(2026, 12, 31))
    assert CALENDAR.after(pacific("2026-03-02T00:00"), 30, "calendar_days") == end_of_la_day(date(2026, 4, 1))


@pytest.mark.parametrize(
    ("start", "months", "through"),
    [
        ("2025-03-03", 12, "2026-03-02"),
        ("2024-02-29", 12, "2025-02-28"),
        ("2025-08-31", 6, "2026-02-28"),
        ("2025-12-01", 1, "2025-12-31"),
        ("2026-01-31", 12, "2027-01-30"),
    ],
)
def test_a_term_runs_through_the_day_before_its_anniversary(start: str, months: int, through: str) -> None:
    assert term_through(date.fromisoformat(start), months) == date.fromisoformat(through)


def test_an_anniversary_that_does_not_exist_falls_on_the_first_of_the_next_month() -> None:
    assert anniversary(date(2024, 2, 29), 12) == date(2025, 3, 1)
    assert anniversary(date(2025, 8, 31), 6) == date(2026, 3, 1)


def test_a_deadline_in_months_is_the_end_of_a_term() -> None:
    assert CALENDAR.after(pacific("2026-03-02T09:00"), 12, "months") == end_of_la_day(date(2027, 3, 1))


def test_a_holiday_binds_from_the_day_its_law_does() -> None:
    calendar = Calendar.of([Holiday(month=6, day=19, effective_from=date(2027, 1, 1))])
    assert calendar.is_business_day(date(2026, 6, 19))
    assert not calendar.is_business_day(date(2028, 6, 19))


def test_new_year_that_moves_back_is_free_in_the_old_year() -> None:
    calendar = Calendar.of([Holiday(month=1, day=1, from_saturday=-1)])
    assert not calendar.is_business_day(date(2027, 12, 31))


def test_a_time_without_a_zone_is_refused() -> None:
    naive = datetime(2026, 3, 2, 9, 0)  # noqa: DTZ001 - the point
    with pytest.raises(ValueError, match="no instant"):
        CALENDAR.business_days_after(naive, 1)


def test_no_deadline_lies_in_the_past() -> None:
    with pytest.raises(ValueError, match="ahead"):
        CALENDAR.after(pacific("2026-03-02T09:00"), -1, "business_days")
