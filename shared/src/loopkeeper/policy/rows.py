"""Which row holds? The rows of all tables, indexed once, and the choice of one by the date of the fact and the plan."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import cached_property
from typing import Any, NamedTuple, TypeVar

from loopkeeper.contract.calendar import Calendar, Holiday, la_date
from loopkeeper.policy.tables import Finding, Table

Key = tuple[Any, ...]
T = TypeVar("T")
# Choices are remembered per table, day, plan and what else was asked for; days pass, so the memory is emptied at this many.
MOST_REMEMBERED = 4096


@dataclass(frozen=True, slots=True)
class Row:
    """One dated row; `row["column"]` is its value. It holds from `effective_from` through `effective_to`."""

    table: str
    id: str
    plan: str | None
    effective_from: date
    effective_to: date | None
    source: str
    confidence: str
    values: Mapping[str, Any] = field(hash=False)
    note: str = ""
    place: str = ""

    @property
    def ref(self) -> str:
        """The stable name a decision keeps: `table/id@from`, a plan's own with the plan before it."""
        own = f"{self.plan}/" if self.plan else ""
        return f"{own}{self.table}/{self.id}@{self.effective_from.isoformat()}"

    def __getitem__(self, column: str) -> Any:
        """The value of a column; None where an optional one was left out."""
        return self.values.get(column)

    def holds_on(self, day: date) -> bool:
        return self.effective_from <= day and (self.effective_to is None or day <= self.effective_to)

    def overlaps(self, other: Row) -> bool:
        later, earlier = (
            max(self.effective_from, other.effective_from),
            (self.effective_to, other.effective_to),
        )
        return all(end is None or later <= end for end in earlier)


class Due(NamedTuple):
    """A deadline and the reference of the row that set it."""

    at: datetime
    ref: str


class Policy:
    """All rows, read once. A question costs a look-up; the answer to the same one is remembered."""

    def __init__(
        self, tables: Mapping[str, Table], rows: Iterable[Row], findings: Sequence[Finding] = ()
    ) -> None:
        self.tables = tables
        self.all_rows = tuple(rows)
        # What was already wrong while reading; `check` reports it with the rest.
        self.findings = tuple(findings)
        self._by_table: dict[str, dict[Key, list[Row]]] = {name: {} for name in tables}
        for row in self.all_rows:
            self._by_table[row.table].setdefault(self.key_of(row), []).append(row)
        self._by_ref = {row.ref: row for row in self.all_rows}
        self._remembered: dict[tuple[Any, ...], Any] = {}

    def key_of(self, row: Row) -> Key:
        """What the row is about: its values in the table's key columns."""
        return tuple(row[column] for column in self.tables[row.table].key)

    def rows(self, table: str, *, on: date, plan: str | None = None, **match: Any) -> tuple[Row, ...]:
        """The rows that hold on a day for a plan, in the order written, with these values.

        Of one key a plan's own row replaces the packaged one, except in a table a plan only adds to, where both
        hold. Raises `LookupError` for an unknown table.
        """
        asked = (table, on, plan, *match.items())
        found: tuple[Row, ...] | None = self._remembered.get(asked)
        if found is None:
            found = self._choose(table, on, plan) if not match else self.rows(table, on=on, plan=plan)
            found = tuple(row for row in found if all(row[name] == value for name, value in match.items()))
            self._remember(asked, found)
        return found

    def derived(
        self, of: Callable[[Sequence[Row]], T], table: str, *, on: date, plan: str | None = None, **match: Any
    ) -> T:
        """What `of` makes of the rows that hold; remembered like them, so it depends on nothing else."""
        asked = (of, table, on, plan, *match.items())
        found: T | None = self._remembered.get(asked)
        if found is None:
            found = of(self.rows(table, on=on, plan=plan, **match))
            self._remember(asked, found)
        return found

    def row(self, table: str, *, on: date, plan: str | None = None, **match: Any) -> Row:
        """The one row that holds. Raises `LookupError` where none does, which for packaged tables is a defect and
        for a plan's choice says that the plan has not made it."""
        found = self.rows(table, on=on, plan=plan, **match)
        if not found:
            asked = ", ".join(f"{name} {value}" for name, value in match.items())
            raise LookupError(f"no row of {table} holds on {on} for {plan or 'all plans'} {asked}".rstrip())
        return found[0]

    def by_ref(self, ref: str) -> Row | None:
        """The row a decision named, None where it is no longer there."""
        return self._by_ref.get(ref)

    def due(self, clock: str, start: datetime, *, on: date | None = None) -> Due:
        """The deadline a clock sets from `start`, by the row that held on the Los Angeles day of `start` (or `on`)."""
        row = self.row("clocks", on=on or la_date(start), clock=clock)
        return Due(self.calendar.after(start, row["amount"], row["unit"]), row.ref)

    def plans(self) -> frozenset[str]:
        """The plans that have rows of their own."""
        return frozenset(row.plan for row in self.all_rows if row.plan)

    @cached_property
    def calendar(self) -> Calendar:
        """The business calendar of the holiday rows, each binding on the days it holds."""
        rows = (row for row in self.all_rows if row.table == "holidays")
        return Calendar.of(
            Holiday(effective_from=row.effective_from, effective_to=row.effective_to, **_rule(row))
            for row in rows
        )

    def _choose(self, table: str, on: date, plan: str | None) -> tuple[Row, ...]:
        if table not in self._by_table:
            raise LookupError(f"there is no policy table {table}")
        adds = self.tables[table].plans.may == "add"
        chosen: list[Row] = []
        for rows in self._by_table[table].values():
            holding = [row for row in rows if row.plan in (None, plan) and row.holds_on(on)]
            own = [row for row in holding if row.plan is not None]
            chosen += holding if adds or not own else own
        return tuple(chosen)

    def _remember(self, asked: tuple[Any, ...], found: object) -> None:
        if len(self._remembered) >= MOST_REMEMBERED:
            self._remembered.clear()
        self._remembered[asked] = found


def _rule(row: Row) -> dict[str, Any]:
    return {name: value for name, value in row.values.items() if name != "holiday"}
