"""What a value somebody sends may be: a day by what it means, a moment, a whole number, a county, a language.

Days and moments are written out, never numbers: those would be taken for seconds since 1970. Each kind of day has a
range, so that nothing computed from it leaves the calendar and every look-up of the day's policy finds its rows.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, AwareDatetime, BeforeValidator, Field, Strict, WithJsonSchema
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
ECM_MOMENT = datetime(2022, 1, 1, tzinfo=UTC)


def _is_number(value: object) -> bool:
    """Milliseconds, if it is large; digits in quotes are read alike."""
    if isinstance(value, str):
        try:
            float(value)
        except ValueError:
            return False
        return True
    return isinstance(value, int | float)


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


# Month and day; hour, minute, second and zone.
_DAY = "(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"
_HOUR = "([01][0-9]|2[0-3]):[0-5][0-9]"
_TIME = rf"{_HOUR}:[0-5][0-9](\.[0-9]{{1,6}})?(Z|[+-]{_HOUR})"


def _range(first: date, last: date) -> Any:
    """The bounds, for people; and the years as a pattern, for programs: JSON Schema knows no least date."""
    return Field(
        json_schema_extra={
            "x-minimum": first.isoformat(),
            "x-maximum": last.isoformat(),
            "pattern": f"^{_years(first.year, last.year)}-{_DAY}$",
        }
    )


def _years(first: int, last: int) -> str:
    """A pattern of the years from one to the other, both within one century and the end of the next."""
    decade, year = divmod(first % 100, 10)
    parts = [f"{first // 100}{decade}[{year}-9]"] if year else []
    if (whole := decade + bool(year)) <= 9:
        parts.append(f"{first // 100}[{whole}-9][0-9]")
    if last // 100 > first // 100:
        parts.append(f"{last // 100}[0-9][0-9]")
    return f"({'|'.join(parts)})"


def _moments(first: datetime, last: datetime) -> Any:
    """The same of moments; `last` is the first moment of a year, and outside."""
    return Field(
        json_schema_extra={
            "x-minimum": f"{first.year}-01-01T00:00:00Z",
            "x-maximum": f"{last.year}-01-01T00:00:00Z",
            "pattern": f"^{_years(first.year, last.year - 1)}-{_DAY}T{_TIME}$",
        }
    )


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
    _moments(FIRST_MOMENT, LAST_MOMENT),
]
# A moment at which something of ECM happened.
HappenedAt = Annotated[
    AwareDatetime,
    BeforeValidator(_moment_written_out),
    AfterValidator(_moment_between(ECM_MOMENT, LAST_MOMENT)),
    _moments(ECM_MOMENT, LAST_MOMENT),
]

# A whole number; true is none. Where it has bounds, they are written before this word, or the reference does not show
# them: `Annotated[int, Field(ge=0, le=120), NotAYes]`.
NotAYes = BeforeValidator(_not_a_yes)
Whole = Annotated[int, NotAYes]
# A code of a numbered list of the state; which are on it, the rows of the day say.
Code = Annotated[int, Field(ge=0, le=999), NotAYes]
# true or false; a number or a word is neither.
YesNo = Annotated[bool, Strict()]
_SCALAR: dict[str, Any] = {
    "type": ["string", "boolean", "number", "null"],
    "minimum": -(2**53),
    "maximum": 2**53,
}
_FIELDS: dict[str, Any] = {
    "type": "object",
    "additionalProperties": {"anyOf": [_SCALAR, {"type": "array", "items": _SCALAR}]},
}
# A value of a form's field, whatever the field's own type is; the field judges it.
FormValue = Annotated[
    Any,
    WithJsonSchema({"anyOf": [_SCALAR, _FIELDS, {"type": "array", "items": {"anyOf": [_SCALAR, _FIELDS]}}]}),
]
# A county by its id, its name, the state's code 01 to 58, or FIPS 06001 to 06115.
AnyCounty = Annotated[County, BeforeValidator(_county)]
# A language by its code or name.
AnyLanguage = Annotated[Language, BeforeValidator(_language)]
