"""A profile drafted from one file, for a person to confirm: every guess says why it was made.

Values are looked at to tell dates, words and widths. Only words of lists are written into the draft, never what is
in a column about a person.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from difflib import get_close_matches
from itertools import islice

import yaml

from loopkeeper.contract.vocabulary import Population
from loopkeeper.plan_files.fields import (
    ANSWER,
    KINDS,
    POPULATION,
    POPULATION_HINTS,
    Field,
    Kind,
    field_of,
    fields_of,
)
from loopkeeper.spreadsheets import Row, Unreadable
from loopkeeper.spreadsheets.book import Book, Sheet, opened
from loopkeeper.spreadsheets.cells import Broken, Value
from loopkeeper.spreadsheets.headings import WITHIN, Heading, folded, found_in
from loopkeeper.spreadsheets.values import NO, YES, pattern, text_of

PATTERNS = ("MM/DD/YYYY", "YYYY-MM-DD", "YYYYMMDD", "MM-DD-YYYY", "DD-MON-YYYY", "DD.MM.YYYY", "DD/MM/YYYY")
LOOKED_AT = 500
CLOSE = 0.88
MOST_WORDS = 15
NEEDED: Mapping[Kind, frozenset[str]] = {
    "mif": frozenset({"member.cin", "member.last_name", "member.first_name", "member.birth_date"}),
    "rtf": frozenset({"member.cin", "referral.status", "referral.status_on", "referral.closing_reason"}),
    "otf": frozenset({"member.cin", "attempt.on", "attempt.method", "attempt.successful"}),
    "referrals": frozenset({"plan"}),
    "decisions": frozenset({"member.cin", "decision.outcome"}),
}


@dataclass(slots=True)
class Guessed:
    """One column of the draft and why it is what it is."""

    heading: str
    name: str = ""
    why: str = ""
    width: int = 0
    words: dict[str, list[str]] = field(default_factory=dict[str, list[str]])


@dataclass(slots=True)
class Draft:
    """What was found of a file's form."""

    kind: Kind
    columns: list[Guessed]
    dates: list[str]
    yes: str = "Y"
    no: str = "N"
    trailer: str = ""
    notes: list[str] = field(default_factory=list[str])


def guess(content: bytes, name: str = "", kind: Kind | None = None) -> str:
    """A profile as YAML with comments. Raises `Unreadable` where no row looks like headings."""
    book = opened(content, name=name)
    kind, sheet, heading, score = _kind(book, kind)
    rows = [row for row in islice(sheet.rows(), LOOKED_AT) if row.number > heading.number and not row.blank]
    draft = Draft(kind, [], [])
    if score < 3:
        draft.notes.append(f"Only {score} headings are known, so the kind is doubtful.")
    taken: set[str] = set()
    for place, cell in enumerate(heading.cells):
        text = " ".join(str(cell or "").split())
        if text:
            draft.columns.append(_column(kind, text, [_at(row, place) for row in rows], taken))
    _dates(draft, rows)
    _yes_and_no(draft, rows, heading)
    _trailer(draft, rows)
    return "".join(_written(draft, book, sheet, name))


# ── which kind, which row, which field ────────────────────────────────────────────────────────────────────────────


def _kind(book: Book, wanted: Kind | None) -> tuple[Kind, Sheet, Row, int]:
    best: tuple[int, Kind, Sheet, Row] | None = None
    for kind in (wanted,) if wanted else KINDS:
        known = [Heading(name, field.hints) for name, field in fields_of(kind).items()]
        for sheet in book.sheets:
            for row in islice(sheet.rows(), WITHIN):
                score = len(found_in(row, known).places)
                if best is None or score > best[0]:
                    best = score, kind, sheet, row
    if best is None or best[0] == 0:
        raise Unreadable(
            "columns-missing",
            "No row of the first 30 looks like headings.",
            "Send a file whose columns are named.",
        )
    return best[1], best[2], best[3], best[0]


def _column(kind: Kind, heading: str, values: Sequence[Value], taken: set[str]) -> Guessed:
    name, why = _field(kind, heading, taken)
    guessed = Guessed(heading, name, why)
    if not name:
        return guessed
    taken.add(name)
    found = field_of(kind, name)
    if found is None:
        return guessed
    if found.type in ("word", "words"):
        guessed.words = _words(found, values)
    if found.type == "number":
        guessed.width = _width(values)
    return guessed


def _field(kind: Kind, heading: str, taken: set[str]) -> tuple[str, str]:
    told = folded(heading)
    hints = {hint: name for name, each in fields_of(kind).items() for hint in each.hints if name not in taken}
    if told in hints:
        return hints[told], "the heading is a usual one"
    for name, each in fields_of(kind).items():
        if name not in taken and told == folded(each.meaning):
            return name, "the heading says what the field means"
    flag = _flag(kind, told)
    if flag and flag not in taken:
        return flag, "the heading is a population"
    close = get_close_matches(told, list(hints), n=1, cutoff=CLOSE)
    if close:
        return hints[close[0]], f"the heading is like `{close[0]}`; please look"
    ending = [hint for hint in hints if told.endswith(f" {hint}") and len(hint) > 6]
    if ending:
        longest = max(ending, key=len)
        return hints[longest], f"the heading ends in `{longest}`; please look"
    return "", "no field has such a heading"


def _flag(kind: Kind, told: str) -> str:
    known = {**POPULATION_HINTS, **{folded(each.label): each.value for each in Population}}
    if told in known:
        name = f"{POPULATION}{known[told]}"
        return name if field_of(kind, name) else ""
    return f"{ANSWER}{told.removeprefix('answer ').replace(' ', '_')}" if told.startswith("answer ") else ""


# ── what is in the columns ────────────────────────────────────────────────────────────────────────────────────


def _at(row: Row, place: int) -> Value:
    return row.cells[place] if place < len(row.cells) else None


def _text(value: Value) -> str:
    return "" if isinstance(value, Broken) else text_of(value)


def _words(found: Field, values: Sequence[Value]) -> dict[str, list[str]]:
    """The distinct words of a column of words, each under the code it is most like; a code for a person to write where
    none is."""
    several = found.type == "words"
    parts = (_text(value).split(";") if several else [_text(value)] for value in values)
    texts = sorted({text.strip() for each in parts for text in each if text.strip()})
    if len(texts) > MOST_WORDS:
        return {}
    labels = {folded(code): code for code in found.allowed}
    labels |= {hint: code for hint, code in POPULATION_HINTS.items() if code in found.allowed}
    if found.vocabulary:
        labels |= {folded(code.label): code.value for code in found.vocabulary}
    words: dict[str, list[str]] = {}
    for text in texts:
        close = get_close_matches(folded(text), list(labels), n=1, cutoff=0.6)
        words.setdefault(labels[close[0]] if close else "WHICH-CODE", []).append(text)
    return words


def _width(values: Sequence[Value]) -> int:
    """Digits of one length, some with a zero in front: a spreadsheet may take it away."""
    texts = [text for value in values if (text := _text(value)).isdecimal()]
    lengths = {len(text) for text in texts}
    zeros = any(text.startswith("0") for text in texts)
    return lengths.pop() if texts and len(lengths) == 1 and zeros else 0


def _dates(draft: Draft, rows: Sequence[Row]) -> None:
    cells = [cell for row in rows for cell in row.cells]
    counts = {
        text: sum(pattern(text).read(_text(cell)) is not None for cell in cells if isinstance(cell, str))
        for text in PATTERNS
    }
    found = [text for text in PATTERNS if counts[text]]
    if {"MM/DD/YYYY", "DD/MM/YYYY"} <= set(found) and counts["MM/DD/YYYY"] >= counts["DD/MM/YYYY"]:
        found.remove("DD/MM/YYYY")
    draft.dates = found or ["MM/DD/YYYY"]
    real = sum(isinstance(cell, date) for cell in cells)
    if not found:
        draft.notes.append(
            f"{real} cells are real dates." if real else "No date was found; MM/DD/YYYY is assumed."
        )


def _yes_and_no(draft: Draft, rows: Sequence[Row], heading: Row) -> None:
    for place, cell in enumerate(heading.cells):
        named = next((each for each in draft.columns if each.heading == _text(cell)), None)
        found = field_of(draft.kind, named.name) if named and named.name else None
        if found is None or found.type != "yes_no":
            continue
        for row in rows:
            text = _text(_at(row, place))
            if text.casefold() in YES:
                draft.yes = text
            elif text.casefold() in NO:
                draft.no = text


def _trailer(draft: Draft, rows: Sequence[Row]) -> None:
    last = rows[-1] if rows else None
    filled = [text for cell in last.cells if (text := _text(cell))] if last else []
    if len(filled) == 2 and filled[0].isalpha() and len(filled[0]) <= 6 and filled[1].isdecimal():
        draft.trailer = filled[0]
        draft.notes.append("The last line has a mark and a number, as a trailer that counts has.")


# ── the draft in words ────────────────────────────────────────────────────────────────────────────────────────────


def _written(draft: Draft, book: Book, sheet: Sheet, name: str) -> Iterator[str]:
    yield "# A draft, guessed from one file. Look at every line, and take these comments out.\n"
    for note in draft.notes:
        yield f"# {note}\n"
    yield "plan: WHICH-PLAN\nnumber_in_files: ''\neffective_from: 2026-01-01  # from which day on\n"
    yield "source: WHERE-IT-IS-WRITTEN\nconfidence: M\nfiles:\n"
    yield f"  {draft.kind}:\n    name: {_quoted(name or 'FILE')}  # {{npi}} {{yyyymm}} {{yyyymmdd}} {{seq}}\n"
    if book.format == "csv":
        yield f"    format: csv\n    encoding: {book.encoding}  # by its bytes\n"
        yield f"    delimiter: {_quoted(sheet.delimiter)}  # by which most headings are known\n"
    else:
        yield f"    format: xlsx\n    sheet: {_quoted(sheet.name)}\n"
    yield f"    dates: [{', '.join(draft.dates)}]\n"
    yield f"    says_yes: [{_quoted(draft.yes)}]\n    says_no: [{_quoted(draft.no)}]\n"
    if draft.trailer:
        yield f"    trailer: {_quoted(draft.trailer)}\n"
    yield "    columns:\n"
    for column in draft.columns:
        yield f"    - heading: {_quoted(column.heading)}\n"
        if column.name:
            yield f"      field: {column.name}  # {column.why}\n"
        else:
            yield f"      # {column.why}: written empty, not read\n"
        if column.name in NEEDED[draft.kind]:
            yield "      needed: true\n"
        if column.width:
            yield f"      width: {column.width}\n"
        if column.words:
            yield "      words:\n"
            for code, words in column.words.items():
                yield f"        {code}: [{', '.join(_quoted(word) for word in words)}]\n"


def _quoted(text: str) -> str:
    return yaml.safe_dump(text, default_style="'", width=10_000, allow_unicode=True).strip()
