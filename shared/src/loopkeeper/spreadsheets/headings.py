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
    """A column that is known: its name, the other names it is given, and whether a file without it is refused."""

    name: str
    also: tuple[str, ...] = ()
    needed: bool = False

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


def found_in(row: Row, known: Sequence[Heading]) -> HeadingRow:
    """What this row would be as the row of headings."""
    cells = [folded(cell) if isinstance(cell, str) else "" for cell in row.cells]
    places: dict[int, tuple[int, ...]] = {}
    for index, heading in enumerate(known):
        words = heading.words
        at = tuple(place for place, cell in enumerate(cells) if cell in words)
        if at:
            places[index] = at
    return HeadingRow(row.number, places, tuple(_shown(cell) for cell in row.cells))


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
        for row in islice(one.rows(), within):
            torn = torn or row.fault in ("not-in-encoding", "nul-character")
            if row.fault or row.number > within:
                continue
            found = found_in(row, known)
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
