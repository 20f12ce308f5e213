"""Which kind of file is it, which row has its headings, and which field is each column? By headings, then by values."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache
from itertools import islice

from loopkeeper.contract.vocabulary import Population
from loopkeeper.contract.vocabulary.identifiers import cin as plain_cin
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
from loopkeeper.plan_files.guessing.cells import looks_like_day, text_at
from loopkeeper.plan_files.guessing.terms import KIND_NAMES, OWN, likeness, terms_of
from loopkeeper.spreadsheets import Row, Unreadable
from loopkeeper.spreadsheets.book import Book, Sheet
from loopkeeper.spreadsheets.cells import Broken, Value
from loopkeeper.spreadsheets.headings import WITHIN, folded, groups_above

# So alike a heading must be to a usual one, and so alike that nobody need look.
ALIKE, SURE = 0.7, 0.97
# Values that do not fit a field make it so much less likely.
UNFIT = 0.3
_CIN = re.compile(r"9\d{7}[A-Z]")
LONGEST_HEADING = 160


@dataclass(frozen=True, slots=True)
class Found:
    """The headings of a file: on which sheet, in which row, with which groups above them, and how many are known."""

    kind: Kind
    sheet: Sheet
    row: Row
    groups: Sequence[str]
    known: int


@dataclass(frozen=True, slots=True)
class Match:
    """A field that a column may be, how likely it is, and why."""

    score: float
    field: str
    why: str


def find(book: Book, name: str, wanted: Kind | None) -> Found:
    """Raises `Unreadable` where no row looks like headings."""
    words = folded(name.rpartition(".")[0] or name).split()
    named = next((kind for word, kind in KIND_NAMES if word in words), None)
    best: tuple[float, Found] | None = None
    for sheet in [each for each in book.sheets if each.visible] or book.sheets:
        above: Row | None = None
        for row in islice(sheet.rows(), WITHIN):
            groups = groups_above(row, above)
            above = row
            if row.fault or row.blank:
                continue
            for kind in (wanted,) if wanted else KINDS:
                fields = _fields_in(kind, row, groups)
                score = sum(fields.values()) + 1.5 * len(OWN[kind] & set(fields))
                score += 3 if kind == named and fields else 0
                if fields and (best is None or score > best[0]):
                    best = score, Found(kind, sheet, row, groups, len(fields))
    if best is None:
        raise Unreadable(
            "columns-missing",
            "No row of the first 30 looks like headings.",
            "Send a file whose columns are named.",
        )
    return best[1]


def _fields_in(kind: Kind, row: Row, groups: Sequence[str]) -> Mapping[str, float]:
    """The fields that the cells of this row name, each with how surely."""
    found: dict[str, float] = {}
    for place, cell in enumerate(row.cells):
        if not isinstance(cell, str) or len(cell) > LONGEST_HEADING:
            continue
        matches = _by_heading(kind, cell, groups[place])
        if matches:
            found[matches[0].field] = max(found.get(matches[0].field, 0.0), matches[0].score)
    return found


def fields_by_column(found: Found, columns: Mapping[int, Sequence[Value]]) -> Mapping[int, Match]:
    """Of each column, by its place, the field it is. The likeliest pair comes first; a field is given once."""
    pairs: list[tuple[float, int, Match]] = []
    for place, values in columns.items():
        heading = str(found.row.cells[place])
        matches: dict[str, Match] = {}
        for match in _by_heading(found.kind, heading, found.groups[place]):
            matches.setdefault(match.field, match)
        for match in (*matches.values(), *_by_values(found.kind, values, matches)):
            field = field_of(found.kind, match.field)
            fits = field is None or _fits(match.field, field, values)
            pairs.append((match.score if fits else match.score * UNFIT, place, match))
    chosen: dict[int, Match] = {}
    taken: set[str] = set()
    for score, place, match in sorted(pairs, key=lambda pair: (-pair[0], pair[1])):
        if score >= ALIKE and place not in chosen and match.field not in taken:
            chosen[place] = match
            taken.add(match.field)
    return chosen


# ── by the heading ────────────────────────────────────────────────────────────────────────────────────────────────


@cache
def _hints(kind: Kind) -> Sequence[tuple[str, str, frozenset[str]]]:
    """Usual headings of each field: the field, the heading, its words."""
    usual = [
        (name, hint)
        for name, field in fields_of(kind).items()
        for hint in (*field.hints, folded(field.meaning))
    ]
    if field_of(kind, f"{POPULATION}homelessness") is not None:
        flags = {**POPULATION_HINTS, **{folded(each.label): each.value for each in Population}}
        usual += [(f"{POPULATION}{code}", hint) for hint, code in flags.items()]
    return [(name, hint, terms_of(hint)) for name, hint in usual]


def _by_heading(kind: Kind, heading: str, group: str) -> Sequence[Match]:
    """What a heading may be, likeliest first: by itself, or with the heading of its group."""
    alone = _matches(kind, heading)
    if not group or folded(group) == folded(heading):
        return alone
    together = _matches(kind, f"{group} {heading}")
    return sorted((*alone, *together), key=lambda match: -match.score)


@cache
def _matches(kind: Kind, heading: str) -> Sequence[Match]:
    told, terms = folded(heading), terms_of(heading)
    if kind == "referrals" and told.startswith("answer "):
        question = told.removeprefix("answer ").replace(" ", "_")
        return (Match(1.0, f"{ANSWER}{question}", "the heading names a question"),)
    best: dict[str, Match] = {}
    for name, hint, words in _hints(kind):
        score = 1.0 if told == folded(hint) else 0.99 * likeness(terms, words)
        if score < ALIKE or score <= best.get(name, Match(0.0, "", "")).score:
            continue
        sure = score >= SURE
        why = "the heading is a usual one" if sure else f"the heading is like `{hint}`; please look"
        best[name] = Match(score, name, why)
    return sorted(best.values(), key=lambda match: -match.score)


# ── by the values ─────────────────────────────────────────────────────────────────────────────────────────────────


def _texts(values: Sequence[Value]) -> Iterator[str]:
    return (text for value in values if not isinstance(value, Broken) and (text := text_at(value)))


def _cins(values: Sequence[Value]) -> tuple[int, int]:
    """How many of the filled cells are a CIN, and how many are filled."""
    told = list(_texts(values))
    return sum(_CIN.fullmatch(plain_cin(text)) is not None for text in told), len(told)


def _by_values(kind: Kind, values: Sequence[Value], known: Mapping[str, Match]) -> Sequence[Match]:
    """A column of CINs is known by them, whatever it is called."""
    name = "cin" if kind == "referrals" else "member.cin"
    right, told = _cins(values)
    if name in known or not told or right * 5 < told * 4:
        return ()
    return (Match(0.9, name, "the heading is no usual one, but the values look like CINs; please look"),)


def _fits(name: str, field: Field, values: Sequence[Value]) -> bool:
    """Whether at least a third of what the column has could be this field's. An empty column fits everything."""
    told = [value for value in values if isinstance(value, Broken) or text_at(value)]
    if not told:
        return True
    if name.rpartition(".")[2] == "cin":
        right, said = _cins(values)
    elif field.type == "day":
        right, said = sum(looks_like_day(value) for value in told), len(told)
    elif field.type in ("count", "phone", "minutes"):
        right, said = sum(any(each.isdecimal() for each in text) for text in _texts(told)), len(told)
    elif field.type in ("name", "yes_no"):
        right, said = sum(not isinstance(value, date) for value in told), len(told)
    else:
        return True
    return right * 3 >= said
