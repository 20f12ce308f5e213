"""How a moment is said: Pacific days, a deadline at midnight as the end of its day, and how far away it is."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

import htpy as h
from babel.dates import format_date, format_time

from console.words import Words
from loopkeeper.contract.calendar import la_date

PACIFIC = ZoneInfo("America/Los_Angeles")
SOON = timedelta(days=2)
DueState = Literal["late", "soon", "ok", "none"]


def local(moment: datetime) -> datetime:
    """The moment on a Californian clock."""
    return moment.astimezone(PACIFIC)


def day(on: date, words: Words, *, year: bool = False, weekday: bool = True) -> str:
    """Sun, Nov 29, 2026."""
    english = words.language == "en"
    parts = [
        ("EEE, " if weekday else ""),
        "MMM d" if english else "d MMM",
        (", y" if english else " y") if year else "",
    ]
    return format_date(on, "".join(parts), locale=words.language)


def clock(moment: datetime, words: Words) -> str:
    """1:04 pm."""
    pattern = "h:mm a" if words.language == "en" else "H:mm"
    return format_time(local(moment), pattern, locale=words.language).replace("\u202f", " ").lower()


def moment(at: datetime, words: Words, *, year: bool = False) -> str:
    """Apr 16, 1:43 am."""
    return f"{day(la_date(at), words, year=year, weekday=False)}, {clock(at, words)}"


def deadline(at: datetime, words: Words, *, now: datetime | None = None) -> str:
    """By when: a deadline at midnight is the end of the day before."""
    there = local(at)
    far = now is not None and abs(there.year - local(now).year) > 0
    if (there.hour, there.minute) == (0, 0):
        return words("end of {day}", day=day(last_day(at), words, year=far))
    return f"{day(la_date(at), words, year=far)}, {clock(at, words)}"


def last_day(at: datetime) -> date:
    """The day a deadline belongs to: at midnight the day before."""
    return la_date(at - timedelta(seconds=1))


def due_state(due_at: datetime | None, now: datetime) -> DueState:
    """The state of a deadline: passed, within two days, later, or there is none."""
    if due_at is None:
        return "none"
    return "late" if now >= due_at else "soon" if due_at - now <= SOON else "ok"


def distance(due_at: datetime, now: datetime, words: Words) -> str:
    """29 days late; 46 h left; 3 days left."""
    apart = abs(due_at - now)
    hours, days = int(apart.total_seconds() // 3600), abs((last_day(due_at) - la_date(now)).days)
    if now >= due_at:
        return (
            words.many("{count} day late", "{count} days late", max(days, 1))
            if hours >= 24
            else words("{count} h late", count=max(hours, 1))
        )
    if apart <= SOON:
        return words("{count} h left", count=hours) if hours else words("under an hour left")
    return words.many("{count} day left", "{count} days left", days)


def since(then: datetime, now: datetime, words: Words) -> str:
    """42 days; today."""
    days = (la_date(now) - la_date(then)).days
    return words.many("{count} day", "{count} days", days) if days > 0 else words("today")


def time(at: datetime, text: str) -> h.Element:
    """A moment for people and for programs."""
    return h.time(datetime=at.isoformat(timespec="seconds"))[text]
