"""The draft itself. Only words of lists are written into it, never what is in a column about a person."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice

import yaml

from loopkeeper.plan_files.fields import Kind, field_of
from loopkeeper.plan_files.guessing.cells import (
    UNKNOWN_CODE,
    constant,
    day_patterns,
    period_pattern,
    text_at,
    width_of,
    words_in,
)
from loopkeeper.plan_files.guessing.columns import Found, Match, fields_by_column, find
from loopkeeper.spreadsheets import Row
from loopkeeper.spreadsheets.book import Book, opened
from loopkeeper.spreadsheets.cells import Value
from loopkeeper.spreadsheets.encoding import encoding_of
from loopkeeper.spreadsheets.headings import folded
from loopkeeper.spreadsheets.values import NO, YES

# Rows that are looked at; the last one is, however many there are.
LOOKED_AT = 500
NEEDED: Mapping[Kind, frozenset[str]] = {
    "mif": frozenset({"member.cin", "member.last_name", "member.first_name", "member.birth_date"}),
    "rtf": frozenset({"member.cin", "referral.status", "referral.status_on", "referral.closing_reason"}),
    "otf": frozenset({"member.cin", "attempt.on", "attempt.method", "attempt.successful"}),
    "referrals": frozenset({"plan"}),
    "decisions": frozenset({"member.cin", "decision.outcome"}),
}
# The one-byte alphabet of Western text, declared where the bytes are no UTF-8.
ONE_BYTE = "cp1252"


@dataclass(slots=True)
class Guessed:
    """One column of the draft and why it is what it is."""

    heading: str
    name: str = ""
    why: str = ""
    group: str = ""
    always: str = ""
    width: int = 0
    words: dict[str, list[str]] = field(default_factory=dict[str, "list[str]"])


@dataclass(slots=True)
class Draft:
    """What was found of a file's form."""

    kind: Kind
    columns: list[Guessed]
    dates: list[str]
    serial: bool = False
    yes: str = "Y"
    no: str = "N"
    trailer: str = ""
    period: str = ""
    notes: list[str] = field(default_factory=list[str])


def guess(content: bytes, name: str = "", kind: Kind | None = None) -> str:
    """A profile as YAML with comments. Raises `Unreadable` where no row looks like headings."""
    book = opened(content, name=name, encoding=ONE_BYTE)
    found = find(book, name, kind)
    rows, trailer = _rows(found)
    columns = {
        place: [_at(row, place) for row in rows]
        for place, cell in enumerate(found.row.cells)
        if folded(str(cell or ""))
    }
    matches = fields_by_column(found, columns)
    draft = Draft(found.kind, [], [], trailer=trailer)
    _columns(draft, found, columns, matches)
    _days(draft, columns, matches)
    _yes_and_no(draft, columns, matches)
    _notes(draft, found, book, content)
    return "".join(_written(draft, book, found, name))


def _rows(found: Found) -> tuple[Sequence[Row], str]:
    """The first rows under the headings, and the mark of the last one where it is a trailer, which is no row."""
    below = (
        row for row in found.sheet.rows() if row.number > found.row.number and not row.blank and not row.fault
    )
    rows = list(islice(below, LOOKED_AT))
    rest = deque(below, maxlen=1)
    last = rest[0] if rest else rows[-1] if rows else None
    filled = [text for cell in last.cells if (text := text_at(cell))] if last else []
    if len(filled) != 2 or not filled[0].isalpha() or len(filled[0]) > 8 or not filled[1].isdecimal():
        return rows, ""
    return [row for row in rows if row is not last], filled[0]


def _at(row: Row, place: int) -> Value:
    return row.cells[place] if place < len(row.cells) else None


# ── what is in it ─────────────────────────────────────────────────────────────────────────────────────────────────


def _columns(
    draft: Draft, found: Found, columns: Mapping[int, Sequence[Value]], matches: Mapping[int, Match]
) -> None:
    headings = {place: " ".join(str(found.row.cells[place]).split()) for place in columns}
    seen: dict[tuple[str, str], int] = {}
    for place, values in columns.items():
        heading, group = headings[place], ""
        if sum(folded(each) == folded(heading) for each in headings.values()) > 1:
            group = found.groups[place]
        key = folded(heading), folded(group)
        if key in seen:
            # Of two columns of one name the field is in either; the reader takes what one of them says.
            if place in matches and not draft.columns[seen[key]].name:
                draft.columns[seen[key]] = _column(draft.kind, heading, group, matches.get(place), values)
            draft.notes.append(f"`{heading}` is there twice: cells that differ are refused.")
            continue
        seen[key] = len(draft.columns)
        draft.columns.append(_column(draft.kind, heading, group, matches.get(place), values))


def _column(kind: Kind, heading: str, group: str, match: Match | None, values: Sequence[Value]) -> Guessed:
    found = field_of(kind, match.field) if match else None
    if match is None or found is None:
        return Guessed(heading, "", "no field has such a heading", group, constant(values))
    guessed = Guessed(heading, match.field, match.why, group)
    if found.type in ("word", "words"):
        guessed.words = words_in(match.field, found, values)
    if found.type == "number":
        guessed.width = width_of(match.field, values)
    return guessed


def _days(draft: Draft, columns: Mapping[int, Sequence[Value]], matches: Mapping[int, Match]) -> None:
    days: list[Value] = []
    for place, match in matches.items():
        found = field_of(draft.kind, match.field)
        if found is not None and found.type == "day":
            days += columns[place]
        if found is not None and found.type == "period":
            draft.period = period_pattern(columns[place])
    draft.dates, draft.serial, notes = day_patterns(days)
    draft.notes += notes


def _yes_and_no(draft: Draft, columns: Mapping[int, Sequence[Value]], matches: Mapping[int, Match]) -> None:
    for place, match in matches.items():
        found = field_of(draft.kind, match.field)
        if found is None or found.type != "yes_no":
            continue
        for text in map(text_at, columns[place]):
            if text.casefold() in YES:
                draft.yes = text
            elif text.casefold() in NO:
                draft.no = text


def _notes(draft: Draft, found: Found, book: Book, content: bytes) -> None:
    if found.known < 3:
        draft.notes.append(f"Only {found.known} headings are known, so the kind is doubtful.")
    if book.format == "csv" and encoding_of(content, "") == "":
        draft.notes.append(
            f"The bytes are no UTF-8; {ONE_BYTE} is assumed: look whether names with accents are right."
        )
    if found.row.number > 1:
        draft.notes.append(
            f"The headings are in row {found.row.number}. Give what is above them as `titles`, if a file that is "
            "written must have it too."
        )
    missing = NEEDED[draft.kind] - {column.name for column in draft.columns}
    if missing:
        draft.notes.append(f"No column was found for {', '.join(sorted(missing))}.")
    if draft.trailer:
        draft.notes.append("The last line has a mark and a number, as a trailer that counts has.")
    if any(UNKNOWN_CODE in column.words for column in draft.columns):
        draft.notes.append(f"Write a code in place of each {UNKNOWN_CODE}, or take the word out.")


# ── the draft in words ────────────────────────────────────────────────────────────────────────────────────────────


def _written(draft: Draft, book: Book, found: Found, name: str) -> Iterator[str]:
    sheet = found.sheet
    yield "# A draft, guessed from one file. Look at every line, and take these comments out.\n"
    for note in dict.fromkeys(draft.notes):
        yield f"# {note}\n"
    yield "plan: WHICH-PLAN\nnumber_in_files: ''\neffective_from: 2026-01-01  # from which day on\n"
    yield "source: WHERE-IT-IS-WRITTEN\nconfidence: M\nfiles:\n"
    yield f"  {draft.kind}:\n    name: {_quoted(name or 'FILE')}  # {{npi}} {{yyyymm}} {{yyyymmdd}} {{seq}}\n"
    if book.format == "csv":
        yield f"    format: csv\n    encoding: {book.encoding}  # by its bytes\n"
        yield f"    delimiter: {_quoted(sheet.delimiter)}  # by which most headings are known\n"
    else:
        yield f"    format: xlsx\n    sheet: {_quoted(sheet.name)}\n"
    yield f"    dates: [{', '.join(_quoted(each) for each in draft.dates)}]\n"
    if draft.serial:
        yield "    serial_dates: true\n"
    yield f"    says_yes: [{_quoted(draft.yes)}]\n    says_no: [{_quoted(draft.no)}]\n"
    if draft.trailer:
        yield f"    trailer: {_quoted(draft.trailer)}\n"
    if draft.period:
        yield f"    period: {_quoted(draft.period)}\n"
    yield "    columns:\n"
    for column in draft.columns:
        yield from _written_column(draft, column)


def _written_column(draft: Draft, column: Guessed) -> Iterator[str]:
    yield f"    - heading: {_quoted(column.heading)}\n"
    if column.group:
        yield f"      group: {_quoted(column.group)}\n"
    if column.name:
        yield f"      field: {column.name}  # {column.why}\n"
    else:
        yield f"      # {column.why}: written empty, not read\n"
    if column.always:
        yield f"      always: {_quoted(column.always)}\n"
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
