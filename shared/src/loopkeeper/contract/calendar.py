"""When is a deadline? California's working days, in Los Angeles, as instants in UTC.

A deadline in days belongs to a day, not to an hour: it ends with its Los Angeles day, whatever hour it began,
and that end is stored as one instant in UTC (loop.md 8.2). A deadline in hours runs on the clock, to the minute.
Which days are holidays is data (`Holiday` rows), because legislatures change them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Literal
from zoneinfo import ZoneInfo

LOS_ANGELES = ZoneInfo("America/Los_Angeles")
SATURDAY, SUNDAY = 5, 6
WEEK = 7

Unit = Literal["business_days", "calendar_days", "hours", "months"]


def la_date(instant: datetime) -> date:
    """The day it is in Los Angeles at this instant. `instant` must be aware."""
    return _aware(instant).astimezone(LOS_ANGELES).date()


def written(instant: datetime) -> str:
    """The instant as it is told everywhere: in UTC, with a Z. `instant` must be aware."""
    return _aware(instant).astimezone(UTC).isoformat().replace("+00:00", "Z")


def end_of_la_day(day: date) -> datetime:
    """The instant (UTC) at which this Los Angeles day is over: the first of the next one."""
    midnight = datetime.combine(day + timedelta(days=1), time(), LOS_ANGELES)
    return midnight.astimezone(UTC)


def noon_of(day: date) -> datetime:
    """A moment of a Californian day, for a fact of which only the day is known."""
    return datetime.combine(day, time(12), LOS_ANGELES).astimezone(UTC)


def month_start(day: date) -> date:
    """The first day of this day's month."""
    return day.replace(day=1)


def month_end(day: date) -> date:
    """The last day of this day's month."""
    return date(day.year + day.month // 12, day.month % 12 + 1, 1) - timedelta(days=1)


def calendar_days_after(start: datetime, days: int) -> datetime:
    """The end of the Los Angeles day that is `days` after the day of `start`; every day counts."""
    return end_of_la_day(la_date(start) + timedelta(days=_not_negative(days)))


def hours_after(start: datetime, hours: int) -> datetime:
    """`hours` later in UTC, so daylight saving neither gives nor takes one; never later than asked: seconds drop."""
    return _aware(start).astimezone(UTC).replace(second=0, microsecond=0) + timedelta(
        hours=_not_negative(hours)
    )


def anniversary(day: date, months: int) -> date:
    """The same day `months` later; one that does not exist falls on the first of the next month (loop.md 4.7)."""
    year, month = divmod(day.year * 12 + day.month - 1 + _not_negative(months), 12)
    try:
        return date(year, month + 1, day.day)
    except ValueError:
        year, month = divmod(year * 12 + month + 1, 12)
        return date(year, month + 1, 1)


def term_through(start: date, months: int) -> date:
    """The last day of a term that begins on `start`: the day before its anniversary (loop.md 4.7)."""
    return anniversary(start, months) - timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Holiday:
    """One holiday's rule: a `day` of the month, or the `nth` (1 to 4, -1 the last) `weekday` (0 Monday), `plus_days`.

    `from_sunday` and `from_saturday` say how many days it moves when it falls there. It binds on days from
    `effective_from` through `effective_to`.
    """

    month: int
    day: int | None = None
    weekday: int | None = None
    nth: int = 1
    plus_days: int = 0
    from_sunday: int = 0
    from_saturday: int = 0
    effective_from: date = date.min
    effective_to: date | None = None

    def in_year(self, year: int) -> date | None:
        """The day that is kept free in this year, None where the rule does not bind then."""
        falls = self._falls(year)
        if falls.weekday() == SUNDAY:
            falls += timedelta(days=self.from_sunday)
        elif falls.weekday() == SATURDAY:
            falls += timedelta(days=self.from_saturday)
        binds = self.effective_from <= falls and (self.effective_to is None or falls <= self.effective_to)
        return falls if binds else None

    def _falls(self, year: int) -> date:
        if self.day is not None:
            return date(year, self.month, self.day)
        if self.weekday is None:
            raise ValueError("a holiday names a day of the month or a weekday")
        return _nth_weekday(year, self.month, self.weekday, self.nth) + timedelta(days=self.plus_days)


@dataclass(frozen=True, slots=True)
class Calendar:
    """The business calendar of these holidays: Monday to Friday without them."""

    holidays: frozenset[Holiday] = frozenset()

    @classmethod
    def of(cls, holidays: Iterable[Holiday]) -> Calendar:
        return cls(frozenset(holidays))

    def is_business_day(self, day: date) -> bool:
        return day.weekday() < SATURDAY and day not in _kept_free(self.holidays, day.year)

    def business_days_after(self, start: datetime, days: int) -> datetime:
        """The end of the `days`-th business day after the Los Angeles day of `start`, which itself never counts.

        Begun on a Saturday, the first day is Monday. For 0 it is the end of the day of `start`.
        """
        day, left = la_date(start), _not_negative(days)
        while left:
            day += timedelta(days=1)
            left -= self.is_business_day(day)
        return end_of_la_day(day)

    def business_days_before(self, day: date, days: int) -> date:
        """The `days`-th business day before this one, which itself never counts."""
        left = _not_negative(days)
        while left:
            day -= timedelta(days=1)
            left -= self.is_business_day(day)
        return day

    def business_days_between(self, after: date, through: date) -> int:
        """How many business days follow `after`, through the last; none where it lies before."""
        days = range(1, (through - after).days + 1)
        return sum(self.is_business_day(after + timedelta(days=n)) for n in days)

    def after(self, start: datetime, amount: int, unit: Unit) -> datetime:
        """The deadline `amount` of `unit` after `start`, in UTC; in months, the end of a term that begins that day."""
        match unit:
            case "business_days":
                return self.business_days_after(start, amount)
            case "calendar_days":
                return calendar_days_after(start, amount)
            case "hours":
                return hours_after(start, amount)
            case "months":
                return end_of_la_day(term_through(la_date(start), amount))


# A deadline looks at a few years only; 64 of them hold every calendar and year a running program meets.
@lru_cache(maxsize=64)
def _kept_free(holidays: frozenset[Holiday], year: int) -> frozenset[date]:
    # The neighbours' rules too: one that falls on New Year's Eve may move into this year, or back out of it.
    years = (each for each in (year - 1, year, year + 1) if date.min.year <= each <= date.max.year)
    days = (holiday.in_year(each) for each in years for holiday in holidays)
    return frozenset(day for day in days if day is not None and day.year == year)


def _nth_weekday(year: int, month: int, weekday: int, nth: int) -> date:
    if nth < 0:
        last = anniversary(date(year, month, 1), 1) - timedelta(days=1)
        return last - timedelta(days=(last.weekday() - weekday) % WEEK)
    first = date(year, month, 1)
    return first + timedelta(days=(weekday - first.weekday()) % WEEK + WEEK * (nth - 1))


def _aware(instant: datetime) -> datetime:
    if instant.tzinfo is None:
        raise ValueError("a time without a zone is no instant")
    return instant


def _not_negative(amount: int) -> int:
    if amount < 0:
        raise ValueError("a deadline lies ahead")
    return amount
