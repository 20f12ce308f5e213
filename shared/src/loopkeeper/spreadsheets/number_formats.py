"""Is a number in a cell a day? What a workbook's number formats say, and the day a serial number means."""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta

# Built in, without a text of their own (ECMA-376 18.8.30).
_DAYS = frozenset({14, 15, 16, 17, 22, *range(27, 37), *range(50, 59)})
_HOURS = frozenset({18, 19, 20, 21, 45, 46, 47})
# Quoted text, escaped characters, padding, and brackets but for elapsed hours, minutes and seconds.
_NOT_CODE = re.compile(r'"[^"]*"|\\.|_.|\*.|\[(?!h+\]|m+\]|s+\])[^\]]*\]', re.I)
# 1900 is taken for a leap year by spreadsheet programs, so numbers before March 1900 are a day off.
EPOCH, EPOCH_1904 = datetime(1899, 12, 30), datetime(1904, 1, 1)  # noqa: DTZ001 days, no moments
FIRST, LAST = 61, 2_958_465
# A whole number is exact up to here; a longer one has lost digits.
EXACT = 10**15


def kind_of_format(number: int, code: str = "") -> str:
    """`day`, `hours` or nothing, by a format's number and its text."""
    if not code:
        return "day" if number in _DAYS else "hours" if number in _HOURS else ""
    bare = _NOT_CODE.sub("", code.split(";")[0]).lower()
    if "general" in bare:
        return ""
    if "y" in bare or "d" in bare:
        return "day"
    if "h" in bare or "s" in bare:
        return "hours"
    return "day" if "m" in bare else ""


def day_of_serial(serial: float, *, since_1904: bool = False) -> date | None:
    """The day, with its time where there is one; None for a number that is no day."""
    if not FIRST <= serial <= LAST:
        return None
    moment = (EPOCH_1904 if since_1904 else EPOCH) + timedelta(seconds=round(serial * 86_400))
    return moment if serial % 1 else date(moment.year, moment.month, moment.day)


def number_of(text: str) -> int | float | str:
    """A number as written in a workbook; the text itself where it is none."""
    try:
        found = float(text)
    except ValueError:
        return text
    if found.is_integer() and abs(found) < EXACT:
        return int(found)
    return found if abs(found) != float("inf") and found == found else text
