"""Merged cells: what is in the first of them fills all that they cover."""

from __future__ import annotations

from dataclasses import dataclass, field

from loopkeeper.spreadsheets.cells import Value


@dataclass(slots=True)
class Area:
    """A merged range, by rows (from 1) and columns (from 0)."""

    top: int
    left: int
    bottom: int
    right: int
    value: Value = None

    @property
    def covered(self) -> int:
        """How many cells it covers; one at least, so that empty ones count."""
        return max(1, (self.bottom - self.top + 1) * (self.right - self.left + 1))


@dataclass(slots=True)
class Merges:
    """The merged ranges of a sheet, asked row by row from the top."""

    areas: list[Area]
    _waiting: list[Area] = field(default_factory=list[Area])
    _active: list[Area] = field(default_factory=list[Area])

    def __post_init__(self) -> None:
        self._waiting = sorted(self.areas, key=lambda area: area.top, reverse=True)

    def add(self, area: Area) -> None:
        """A range that becomes known with the row in which it begins, before that row is filled."""
        self._waiting.append(area)

    def fill(self, number: int, cells: list[Value], most: int) -> None:
        """Put into this row's empty cells what merged cells say; rows come in order."""
        while self._waiting and self._waiting[-1].top <= number:
            area = self._waiting.pop()
            if area.top == number:
                area.value = cells[area.left] if area.left < len(cells) else None
            self._active.append(area)
        if not self._active:
            return
        self._active = [area for area in self._active if area.bottom >= number]
        for area in self._active:
            right = min(area.right, most - 1)
            if area.value is None or right < area.left:
                continue
            cells += [None] * (right + 1 - len(cells))
            for place in range(area.left, right + 1):
                if cells[place] is None:
                    cells[place] = area.value
