"""Which days does a report speak of? A month or a quarter of Californian days."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Self

MONTH, QUARTER = re.compile(r"(2\d{3})-(0[1-9]|1[0-2])"), re.compile(r"(2\d{3})-Q([1-4])")
MONTHS_OF_A_QUARTER = 3


@dataclass(frozen=True, slots=True)
class Period:
    """`2026-10`, a month, or `2026-Q4`, a quarter. Its days are those of Los Angeles (loop.md 8.2)."""

    name: str
    first: date
    last: date

    @classmethod
    def of(cls, name: str) -> Self:
        """Raises `ValueError` for what names neither."""
        if found := MONTH.fullmatch(name):
            return cls(name, *_months(int(found[1]), int(found[2]), 1))
        if found := QUARTER.fullmatch(name):
            first = MONTHS_OF_A_QUARTER * (int(found[2]) - 1) + 1
            return cls(name, *_months(int(found[1]), first, MONTHS_OF_A_QUARTER))
        raise ValueError("a month is written 2026-10, a quarter 2026-Q4")

    @property
    def quarter(self) -> bool:
        return "Q" in self.name

    @property
    def months(self) -> tuple[str, ...]:
        """Its months, as YYYY-MM."""
        number = MONTHS_OF_A_QUARTER if self.quarter else 1
        return tuple(f"{self.first.year}-{self.first.month + more:02}" for more in range(number))

    @property
    def january(self) -> date:
        """The first day of its calendar year."""
        return date(self.first.year, 1, 1)

    def has(self, day: date | None) -> bool:
        return day is not None and self.first <= day <= self.last


def _months(year: int, first: int, number: int) -> tuple[date, date]:
    following, month = divmod(first - 1 + number, 12)
    return date(year, first, 1), date(year + following, month + 1, 1) - timedelta(days=1)
