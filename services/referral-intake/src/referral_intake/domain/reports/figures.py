"""A report's figures as they are kept, as its plan sees them, and as they may be published."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from referral_intake.domain.reports.counting import WHOLE, Cell, Figure, Tally, at_rank, in_order
from referral_intake.domain.reports.masking import hidden

MEDIAN, NEARLY_ALL = 50, 95


@dataclass(frozen=True, slots=True)
class Value:
    """One figure of a report. `days`: the median, and within which 95 of 100 closed."""

    figure: str
    by: str
    of: str
    value: int
    days: tuple[int, int] | None = None

    @property
    def cell(self) -> Cell:
        return (self.figure, self.by, self.of)


@dataclass(frozen=True, slots=True)
class Published:
    """One figure as anybody may read it. Without a value it is one of the counts that are not published."""

    figure: str
    by: str
    of: str
    value: int | None
    share: float | None
    days: tuple[int, int] | None


def values_of(tally: Tally, figures: Sequence[Figure]) -> list[Value]:
    """What was counted, in the order of the figures' rows; each figure has its total, though it be none."""
    cells = {(figure.name, *WHOLE): 0 for figure in figures} | tally.cells
    found: list[Value] = []
    for cell in in_order(cells, figures):
        taken = tally.days.get(cell)
        days = (at_rank(taken, MEDIAN), at_rank(taken, NEARLY_ALL)) if taken else None
        found.append(Value(*cell, cells[cell], days))
    return found


def share(values: Mapping[Cell, int], cell: Cell, figures: Mapping[str, Figure]) -> float | None:
    """The share that it is of the figure its row names, to four places."""
    figure = figures.get(cell[0])
    whole = values.get((figure.share_of, *cell[1:]), 0) if figure is not None and figure.share_of else 0
    return round(values[cell] / whole, 4) if whole else None


def published(values: Sequence[Value], figures: Sequence[Figure], below: int) -> list[Published]:
    """The figures without those that would tell of fewer than `below` people: no rate and no days of a hidden count."""
    counts = {each.cell: each.value for each in values}
    by_name = {figure.name: figure for figure in figures}
    gone = hidden(*_equations(counts, figures), below)
    found: list[Published] = []
    for each in values:
        if each.cell in gone:
            found.append(Published(*each.cell, None, None, None))
            continue
        figure = by_name.get(each.figure)
        whole = (figure.share_of, each.by, each.of) if figure is not None and figure.share_of else None
        rated = whole is not None and whole not in gone
        told = share(counts, each.cell, by_name) if rated else None
        found.append(Published(*each.cell, each.value, told, each.days))
    return found


def _equations(
    counts: Mapping[Cell, int], figures: Sequence[Figure]
) -> tuple[Mapping[Cell, int], list[tuple[Cell, Sequence[Cell]]]]:
    """Every whole with its parts: a figure's total and what it is by a name; a figure and those that are part of it. What
    the parts leave of a whole is a count like any other."""
    known = dict(counts)
    named: dict[tuple[str, str], list[Cell]] = {}
    for cell in counts:
        if cell[1]:
            named.setdefault((cell[0], cell[1]), []).append(cell)
    found: list[tuple[Cell, Sequence[Cell]]] = [
        ((figure, *WHOLE), cells) for (figure, _), cells in named.items() if (figure, *WHOLE) in counts
    ]
    parts: dict[str, list[str]] = {}
    for figure in figures:
        if figure.part_of:
            parts.setdefault(figure.part_of, []).append(figure.name)
    for whole in counts:
        if whole[0] not in parts:
            continue
        mine = [(part, *whole[1:]) for part in parts[whole[0]] if (part, *whole[1:]) in counts]
        left = counts[whole] - sum(counts[part] for part in mine)
        if left > 0:
            rest = (f"not in {', '.join(parts[whole[0]])}", *whole[1:])
            known[rest] = left
            mine.append(rest)
        found.append((whole, mine))
    return known, found
