"""What a sheet is made of: values, rows, the bounds of a file, and the refusal of one that cannot be read."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

MEGABYTE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Broken:
    """A cell that shows an error, such as `#REF!`: it has no value."""

    text: str


# What is in a cell. A `datetime` is a `date` too; a duration comes from a cell formatted as hours and minutes.
Value = str | int | float | bool | date | timedelta | Broken | None


# How an error is written where a cell has become text.
ERRORS = frozenset(
    {"#REF!", "#N/A", "#DIV/0!", "#VALUE!", "#NAME?", "#NUM!", "#NULL!", "#SPILL!", "#CALC!", "#FIELD!", "#GETTING_DATA"}
)  # fmt: skip

# A number that did not fit into its column was written as hashes; one or two of them are what somebody typed.
LEAST_HASHES = 3


def is_error(value: Value) -> bool:
    """Whether the cell shows an error: as such, or as the text that a program wrote in its place."""
    if not isinstance(value, str):
        return isinstance(value, Broken)
    text = value.strip()
    return text in ERRORS or (len(text) >= LEAST_HASHES and not text.strip("#"))


@dataclass(frozen=True, slots=True)
class Row:
    """One row, by the number a spreadsheet program shows next to it; `line` is where its text begins in the file.

    `fault` names what makes the whole row unreadable; the cells of such a row are not to be used. `blank` says that
    none of its own cells has anything in it, whatever a merged cell above fills into it."""

    number: int
    cells: tuple[Value, ...]
    line: int = 0
    fault: str = ""
    hidden: bool = False
    blank: bool = False
    broken_lines: bool = False


@dataclass(frozen=True, slots=True)
class Limits:
    """The bounds of one file. Past one of them the file, or the row, is refused."""

    size: int = 25 * MEGABYTE
    unpacked: int = 200 * MEGABYTE
    rows: int = 100_000
    columns: int = 400
    # Characters of one cell, and of one line of text.
    cell: int = 8_000
    line: int = 256 * 1024


class Unreadable(Exception):
    """A file that is refused whole: a code for programs, a sentence, and what to do. No value of the file is in it."""

    def __init__(self, code: str, sentence: str, fix: str, *, column: str = "") -> None:
        super().__init__(sentence)
        self.code = code
        self.sentence = sentence
        self.fix = fix
        self.column = column


# What may be wrong with a whole row of text, and what to do about it.
ROW_FIXES = {
    "not-in-encoding": "Save the file as UTF-8: this line has bytes that are no letters in it.",
    "nul-character": "Remove the NUL character from this line.",
    "quote-not-closed": 'Close the quotation mark ("), or write it twice inside a quoted cell.',
    "quote-misplaced": 'After a closing quotation mark (") begin the next cell.',
    "cell-too-long": "Shorten the longest cell of this line.",
    "line-too-long": "Send one entry a line.",
    "line-break-in-cell": "Take the line break out of the cell.",
    "cell-error": "Correct the cell: it shows an error.",
}


def too_large(what: str, bound: str) -> Unreadable:
    """The refusal of a file that passes a bound."""
    return Unreadable(
        "file-too-large", f"The file has more than {bound} {what}.", "Split it into several files."
    )
