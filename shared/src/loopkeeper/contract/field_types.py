"""What a value somebody sends may be: a day by what it means, a moment, a whole number, a county, a language.

Days and moments are written out, never numbers: those would be taken for seconds since 1970. Each kind of day has a
range, so that nothing computed from it leaves the calendar and every look-up of the day's policy finds its rows.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, AwareDatetime, BeforeValidator, Field
from pydantic_core import PydanticCustomError, PydanticKnownError

from loopkeeper.contract.vocabulary.languages import Language, language_of
from loopkeeper.contract.vocabulary.places import County, county_of

# ECM began on this day (ECMG26 p8), and so do the rows of the policy.
ECM_BEGAN = date(2022, 1, 1)
# Who left custody a year before ECM began may still be referred for it (ECMG26 p32).
RELEASED_FROM = date(2021, 1, 1)
# Medi-Cal began in 1966: no coverage, contract or consent is older.
MEDI_CAL_BEGAN = date(1966, 1, 1)
BORN_FROM = date(1900, 1, 1)
LAST = date(2099, 12, 31)
# What plans' files write for a span without an end.
NO_END = frozenset({"9999-12-31", "2299-12-31"})
FIRST_MOMENT, LAST_MOMENT = datetime(1970, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)


def _is_number(value: object) -> bool:
    """Milliseconds, if it is large; digits in quotes are read alike."""
    return isinstance(value, int | float) or (isinstance(value, str) and not value.strip(" +-.0123456789"))


def _moment_written_out(value: object) -> object:
    if _is_number(value):
        raise PydanticKnownError("datetime_type")
    return value


def _day_written_out(value: object) -> object:
    if _is_number(value) and not (isinstance(value, str) and re.fullmatch(r"\s*\d{4}-\d\d-\d\d\s*", value)):
        raise PydanticKnownError("date_type")
    return value


def _between(first: date, last: date) -> Callable[[date], date]:
    sentence = f"Send a date from {first.isoformat()} through {last.isoformat()}."

    def within(value: date) -> date:
        if not first <= value <= last:
            raise PydanticCustomError("date_out_of_range", sentence)  # pyright: ignore[reportArgumentType] ours
        return value

    return within


def _range(first: date, last: date) -> Any:
    return Field(json_schema_extra={"x-minimum": first.isoformat(), "x-maximum": last.isoformat()})


def _moment_between(first: datetime, last: datetime) -> Callable[[datetime], datetime]:
    sentence = f"Send a time from the year {first.year} on and before {last.year}."

    def within(value: datetime) -> datetime:
        try:
            moved = value.astimezone(UTC)
        except OverflowError:
            moved = None
        if moved is None or not first <= moved < last:
            raise PydanticCustomError("time_out_of_range", sentence)  # pyright: ignore[reportArgumentType] ours
        return moved

    return within


def _no_end(value: object) -> object:
    return None if isinstance(value, str) and value.strip() in NO_END else value


def _not_a_yes(value: object) -> object:
    if isinstance(value, bool):
        raise PydanticKnownError("int_type")
    return value


def _county(value: object) -> object:
    return county_of(value) or value


def _language(value: object) -> object:
    return language_of(value) or value


# A day of any kind, as 2026-03-02. What has a meaning has a type of its own below.
Day = Annotated[
    date,
    BeforeValidator(_day_written_out),
    AfterValidator(_between(BORN_FROM, LAST)),
    _range(BORN_FROM, LAST),
]
# The day somebody was born.
BirthDay = Day
# A day on which a service, an attempt, a wish, a closing or another act of ECM took place, is claimed or is to come.
ServiceDay = Annotated[
    date,
    BeforeValidator(_day_written_out),
    AfterValidator(_between(ECM_BEGAN, LAST)),
    _range(ECM_BEGAN, LAST),
]
# The day of a decision, and of its end.
DecisionDay = ServiceDay
# A day for which the policy's rows are looked up.
PolicyDay = ServiceDay
# The day on which somebody leaves custody.
ReleaseDay = Annotated[
    date,
    BeforeValidator(_day_written_out),
    AfterValidator(_between(RELEASED_FROM, LAST)),
    _range(RELEASED_FROM, LAST),
]
# The first day of a coverage, an enrollment, a contract or a consent.
TermDay = Annotated[
    date,
    BeforeValidator(_day_written_out),
    AfterValidator(_between(MEDI_CAL_BEGAN, LAST)),
    _range(MEDI_CAL_BEGAN, LAST),
]
# Its last day; missing, or written as one of the files' days without an end, it has none.
TermEnd = Annotated[TermDay | None, BeforeValidator(_no_end)]

# A moment somebody sends: with its zone, kept as UTC, far from both ends of the calendar.
Instant = Annotated[
    AwareDatetime,
    BeforeValidator(_moment_written_out),
    AfterValidator(_moment_between(FIRST_MOMENT, LAST_MOMENT)),
    Field(json_schema_extra={"x-minimum": "1970-01-01T00:00:00Z", "x-maximum": "2100-01-01T00:00:00Z"}),
]
# A moment at which something of ECM happened.
HappenedAt = Annotated[
    AwareDatetime,
    BeforeValidator(_moment_written_out),
    AfterValidator(_moment_between(datetime(2022, 1, 1, tzinfo=UTC), LAST_MOMENT)),
    Field(json_schema_extra={"x-minimum": "2022-01-01T00:00:00Z", "x-maximum": "2100-01-01T00:00:00Z"}),
]

# A whole number; true is none.
Whole = Annotated[int, BeforeValidator(_not_a_yes)]
# A county by its id, its name, the state's code 01 to 58, or FIPS 06001 to 06115.
AnyCounty = Annotated[County, BeforeValidator(_county)]
# A language by its code or name.
AnyLanguage = Annotated[Language, BeforeValidator(_language)]
