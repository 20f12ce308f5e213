"""Which row names the columns, and which column is which? Compared without case, punctuation and doubled spaces."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice

from loopkeeper.spreadsheets.book import Book, Sheet
from loopkeeper.spreadsheets.cells import Row, Unreadable, Value

# Titles may be above the headings, this far down.
WITHIN = 30
_APART = re.compile(r"[^\w]+|_+")


def folded(text: object) -> str:
    """A heading or a word as it is compared: `Member  D.O.B.` and `member_dob` differ only in where words end."""
    plain = unicodedata.normalize("NFKC", str(text)).casefold()
    return _APART.sub(" ", plain).strip()


@dataclass(frozen=True, slots=True)
class Heading:
    """A column that is known: its name, the other names it is given, whether a file without it is refused, and the
    heading over its group, which tells columns of one name apart."""

    name: str
    also: tuple[str, ...] = ()
    needed: bool = False
    group: str = ""

    @property
    def words(self) -> frozenset[str]:
        return frozenset(filter(None, (folded(word) for word in (self.name, *self.also))))


@dataclass(frozen=True, slots=True)
class HeadingRow:
    """The row of headings: of each known column the places at which it is, and what is there."""

    number: int
    places: Mapping[int, tuple[int, ...]]
    shown: tuple[str, ...]

    @property
    def unknown(self) -> tuple[str, ...]:
        """Headings that nobody asked for."""
        known = set(chain.from_iterable(self.places.values()))
        return tuple(text for place, text in enumerate(self.shown) if text and place not in known)


def found_in(row: Row, known: Sequence[Heading], above: Row | None = None) -> HeadingRow:
    """What this row would be as the row of headings; `above` is the row before it, with the headings of groups. Columns
    of one name are told apart by their group; of a name that is there once the group does not matter."""
    cells = [folded(cell) if isinstance(cell, str) else "" for cell in row.cells]
    named = {
        index: [place for place, cell in enumerate(cells) if cell in heading.words]
        for index, heading in enumerate(known)
    }
    grouped = {
        index: folded(known[index].group) for index, at in named.items() if known[index].group and len(at) > 1
    }
    if grouped:
        groups = [folded(group) for group in groups_above(row, above)]
        for index, group in grouped.items():
            named[index] = [place for place in named[index] if groups[place] == group]
        claimed = {place for index in grouped for place in named[index]}
        named = {
            index: at if index in grouped else [place for place in at if place not in claimed]
            for index, at in named.items()
        }
    places = {index: tuple(at) for index, at in named.items() if at}
    return HeadingRow(row.number, places, tuple(_shown(cell) for cell in row.cells))


def groups_above(row: Row, above: Row | None) -> tuple[str, ...]:
    """Of each cell of a row the text over it in the row before, or the nearest one on its left."""
    if above is None or above.fault or above.number != row.number - 1:
        return ("",) * len(row.cells)
    groups: list[str] = []
    for place in range(len(row.cells)):
        cell = above.cells[place] if place < len(above.cells) else None
        text = _shown(cell) if isinstance(cell, str) else ""
        groups.append(text or (groups[-1] if groups else ""))
    return tuple(groups)


def _shown(cell: Value) -> str:
    return " ".join(str(cell).split()) if cell is not None else ""


def locate(
    book: Book, known: Sequence[Heading], sheet: str = "", within: int = WITHIN
) -> tuple[Sheet, HeadingRow, Iterator[Row]]:
    """The sheet with the headings, the row they are in, and the rows below it. A named sheet is looked at alone where
    it is there; hidden ones only by name. Raises `Unreadable` (`columns-missing`, `file-unreadable`)."""
    best: tuple[Sheet, HeadingRow] | None = None
    torn = False
    for one in _candidates(book, sheet):
        above: Row | None = None
        for row in islice(one.rows(), within):
            torn = torn or row.fault in ("not-in-encoding", "nul-character")
            if row.fault or row.number > within:
                continue
            found = found_in(row, known, above)
            above = row
            if best is None or len(found.places) > len(best[1].places):
                best = one, found
    if best is None or not best[1].places:
        if torn:
            raise Unreadable(
                "file-unreadable",
                "The bytes of the file are no text in its encoding.",
                "Save the file as UTF-8 (`CSV UTF-8`) or as .xlsx.",
            )
        raise missing(known[0] if not _needed(known) else _needed(known)[0])
    for heading in _needed(known):
        if known.index(heading) not in best[1].places:
            raise missing(heading)
    chosen, found = best
    below = (row for row in chosen.rows() if row.number > found.number)
    return chosen, found, below


def missing(heading: Heading) -> Unreadable:
    """The refusal of a file that lacks a column which must be there."""
    return Unreadable(
        "columns-missing",
        f"There is no column `{heading.name}`.",
        "Add it, or name it as the plan's layout does.",
        column=heading.name,
    )


def _needed(known: Sequence[Heading]) -> list[Heading]:
    return [heading for heading in known if heading.needed]


def _candidates(book: Book, name: str) -> list[Sheet]:
    named = [sheet for sheet in book.sheets if name and folded(sheet.name) == folded(name)]
    return named or [sheet for sheet in book.sheets if sheet.visible]
