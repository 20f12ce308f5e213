"""How are a day and a moment sent? Written out, never as a number: that would be taken for seconds since 1970."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, BeforeValidator
from pydantic_core import PydanticCustomError, PydanticKnownError


def _is_number(value: object) -> bool:
    """Milliseconds, if it is large; digits in quotes are read alike."""
    return isinstance(value, int | float) or (isinstance(value, str) and not value.strip(" +-.0123456789"))


def _moment_written_out(value: object) -> object:
    if _is_number(value):
        raise PydanticKnownError("datetime_type")
    return value


def _day_written_out(value: object) -> object:
    if _is_number(value) and not (isinstance(value, str) and value.count("-") == 2):
        raise PydanticKnownError("date_type")
    return value


def _utc(value: datetime) -> datetime:
    try:
        moved = value.astimezone(UTC)
    except OverflowError:
        moved = None
    if moved is None or not 1800 <= moved.year <= 9000:
        raise PydanticCustomError("time_out_of_range", "Send a time between the years 1800 and 9000.")
    return moved


# A day somebody sends, as 2026-03-02.
Day = Annotated[date, BeforeValidator(_day_written_out)]
# A moment somebody sends: with its zone, kept as UTC, far from both ends where adding a term would overflow.
Instant = Annotated[AwareDatetime, BeforeValidator(_moment_written_out), AfterValidator(_utc)]
