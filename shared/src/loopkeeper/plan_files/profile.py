"""How does a plan, or a clinic, write its files? One dated, sourced profile, checked before anything is read by it."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator, Mapping
from datetime import date
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from loopkeeper.plan_files.fields import DEMANDABLE, KINDS, Kind, field_of, fields_of
from loopkeeper.policy.tables import CONFIDENCES, Finding
from loopkeeper.spreadsheets.headings import Heading, folded
from loopkeeper.spreadsheets.values import pattern

SLUG = r"^[a-z0-9]+(-[a-z0-9]+)*$"
_PERIOD_PART = re.compile(r"\{(start|end):([^}]+)\}")
NAME_PARTS = frozenset({"npi", "yyyymm", "yyyymmdd", "seq", "plan", "provider"})
_NAME_PART = re.compile(r"\{([^}]*)\}")


def _day_pattern(text: str) -> str:
    pattern(text)
    return text


def _known_encoding(name: str) -> str:
    try:
        codecs.lookup(name)
    except LookupError:
        raise ValueError("there is no such encoding") from None
    return name


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", str_max_length=300)


class Column(_Part):
    """A column, in the order of writing. Without a field it is written empty and not read."""

    heading: Annotated[str, Field(min_length=1)]
    field: str = ""
    also: tuple[str, ...] = ()
    needed: bool = False
    width: Annotated[int, Field(ge=0, le=40)] = 0
    words: Mapping[str, tuple[str, ...]] = Field(default_factory=dict[str, "tuple[str, ...]"])
    # The heading over a group of columns; it tells columns of one heading apart.
    group: str = ""
    # What is written into a column without a field, such as a mark of the kind of line.
    always: str = ""


class Layout(_Part):
    """One kind of file: its name, its form, and its columns."""

    name: str
    format: Literal["csv", "xlsx"] = "csv"
    encoding: Annotated[str, AfterValidator(_known_encoding)] = "utf-8"
    delimiter: Literal[",", ";", "\t", "|"] = ","
    line_end: Literal["lf", "crlf"] = "lf"
    sheet: str = ""
    titles: tuple[str, ...] = ()
    header_within: Annotated[int, Field(ge=1, le=30)] = 30
    dates: Annotated[tuple[Annotated[str, AfterValidator(_day_pattern)], ...], Field(min_length=1)]
    serial_dates: bool = False
    says_yes: Annotated[tuple[str, ...], Field(min_length=1)] = ("Y",)
    says_no: Annotated[tuple[str, ...], Field(min_length=1)] = ("N",)
    empty: tuple[str, ...] = ()
    trailer: str = ""
    period: str = "{start:MM/DD/YYYY}-{end:MM/DD/YYYY}"
    columns: Annotated[tuple[Column, ...], Field(min_length=1, max_length=400)]

    @cached_property
    def headings(self) -> tuple[Heading, ...]:
        return tuple(
            Heading(column.heading, column.also, column.needed, column.group) for column in self.columns
        )

    @cached_property
    def by_field(self) -> Mapping[str, tuple[Column, ...]]:
        found: dict[str, tuple[Column, ...]] = {}
        for column in self.columns:
            if column.field:
                found[column.field] = (*found.get(column.field, ()), column)
        return found

    @cached_property
    def grouped(self) -> bool:
        """Whether the headings of groups are written: in workbooks, and where they tell columns apart."""
        headings = [folded(column.heading) for column in self.columns]
        apart = self.format == "xlsx" or len(set(headings)) < len(headings)
        return apart and any(column.group for column in self.columns)

    def has(self, field: str) -> bool:
        return field in self.by_field

    def heading(self, field: str) -> str:
        """The heading of a field, the field's own name where the layout has no column for it."""
        columns = self.by_field.get(field)
        return columns[0].heading if columns else field


class Profile(_Part):
    """How one plan writes its files from a day on."""

    plan: Annotated[str, Field(pattern=SLUG, max_length=60)]
    number_in_files: str = ""
    effective_from: date
    effective_to: date | None = None
    source: Annotated[str, Field(min_length=1)]
    confidence: str
    note: str = ""
    files: Annotated[Mapping[Kind, Layout], Field(min_length=1)]

    @model_validator(mode="after")
    def _sure(self) -> Profile:
        if self.confidence not in CONFIDENCES:
            raise ValueError(f"confidence is one of {', '.join(CONFIDENCES)}")
        if self.effective_to is not None and self.effective_to < self.effective_from:
            raise ValueError("it ends before it begins")
        return self

    def holds_on(self, day: date) -> bool:
        return self.effective_from <= day and (self.effective_to is None or day <= self.effective_to)


def words_of(kind: Kind, column: Column) -> Mapping[str, str]:
    """Of each word of the column, folded, its code: the profile's words, and the codes and labels of a list of ours."""
    known: dict[str, str] = {}
    field = field_of(kind, column.field)
    if field is not None and field.vocabulary is not None:
        for code in field.vocabulary:
            known[folded(code.value)] = known[folded(code.label)] = code.value
    for code, words in column.words.items():
        for word in words:
            known[folded(word)] = code
    return known


def period_expression(text: str) -> tuple[re.Pattern[str], tuple[tuple[str, str], ...]]:
    """How a period is read: the expression, and of each of its groups which day it is and its pattern."""
    parts: list[tuple[str, str]] = []
    expression, at = "", 0
    for part in _PERIOD_PART.finditer(text):
        expression += re.escape(text[at : part.start()])
        dense = not re.search("[^YMDON]", part[2])
        expression += f"(.{{{len(part[2])}}})" if dense else "([^ ]+?)"
        parts.append((part[1], part[2]))
        at = part.end()
    return re.compile(expression + re.escape(text[at:])), tuple(parts)


# ── what may be wrong with it ─────────────────────────────────────────────────────────────────────────────────


def findings(profile: Profile, place: str) -> Iterator[Finding]:
    """All that is wrong with a profile that can be read: unknown fields, words given twice, what may not be demanded."""
    for kind in KINDS:
        if kind in profile.files:
            yield from _layout_findings(kind, profile.files[kind], f"{place}, {kind}")


def _layout_findings(kind: Kind, layout: Layout, place: str) -> Iterator[Finding]:
    yield from _repeated_headings(layout, place)
    yield from _name_findings(layout, place)
    for column in layout.columns:
        yield from _column_findings(kind, column, f"{place}, column {column.heading}")
    for field, columns in layout.by_field.items():
        if len(columns) > 1:
            yield Finding(place, f"{field} has {len(columns)} columns.", "Give it one column.")
    if not any(column.needed for column in layout.columns):
        yield Finding(
            place, "No column is needed, so any table would be taken for this file.", "Mark one as needed."
        )
    if layout.has("file.period"):
        names = [name for name, _ in period_expression(layout.period)[1]]
        if sorted(names) != ["end", "start"]:
            yield Finding(place, "The period does not say its start and end once each.", "Correct `period`.")
        yield from _period_patterns(layout, place)


def _period_patterns(layout: Layout, place: str) -> Iterator[Finding]:
    for _, text in period_expression(layout.period)[1]:
        try:
            pattern(text)
        except ValueError as error:
            yield Finding(place, f"The period's {text} is no date: {error}.", "Correct `period`.")


def _repeated_headings(layout: Layout, place: str) -> Iterator[Finding]:
    seen: dict[tuple[str, str], str] = {}
    for column in layout.columns:
        for word in sorted({folded(each) for each in (column.heading, *column.also)}):
            key = word, folded(column.group)
            if key in seen:
                yield Finding(
                    place,
                    f"`{column.heading}` and `{seen[key]}` are the same heading.",
                    "Name each column once, or give the `group` that is written over each.",
                )
            seen[key] = column.heading


def _name_findings(layout: Layout, place: str) -> Iterator[Finding]:
    for part in _NAME_PART.findall(layout.name):
        if part not in NAME_PARTS:
            yield Finding(
                place, f"A file's name has no part {{{part}}}.", f"Use {', '.join(sorted(NAME_PARTS))}."
            )
    # The name of a file is seen by everybody who carries it.
    if layout.format == "xlsx" and not layout.sheet:
        yield Finding(place, "A workbook's layout names no sheet.", "Give `sheet`.")


def _column_findings(kind: Kind, column: Column, place: str) -> Iterator[Finding]:
    if not column.field:
        if column.needed:
            yield Finding(
                place,
                "The column is needed, and nothing is read from it.",
                "Give its field, or take `needed` away: nothing beyond the standard may be demanded.",
            )
        return
    field = field_of(kind, column.field)
    if field is None:
        yield Finding(
            place,
            f"There is no field {column.field}.",
            f"The fields are {', '.join(sorted(fields_of(kind)))}.",
        )
        return
    if kind == "referrals" and column.needed and column.field not in DEMANDABLE:
        yield Finding(
            place,
            f"{column.field} may not be demanded of who refers.",
            f"Take `needed` away: only {', '.join(sorted(DEMANDABLE))} may be needed.",
        )
    if column.words and field.type not in ("word", "words"):
        yield Finding(place, f"{column.field} has no words.", "Take `words` away.")
    yield from _word_findings(column, field.allowed, place)
    if field.type == "word" and field.codes and not column.words:
        yield Finding(
            place, f"{column.field} needs its words.", f"Give the words of {', '.join(field.codes)}."
        )


def _word_findings(column: Column, allowed: frozenset[str], place: str) -> Iterator[Finding]:
    seen: dict[str, str] = {}
    for code, words in column.words.items():
        if allowed and code not in allowed:
            yield Finding(place, f"There is no code {code}.", f"One of {', '.join(sorted(allowed))}.")
        if not words:
            yield Finding(place, f"{code} has no word.", "Give the word that is written first.")
        for word in words:
            if seen.get(folded(word), code) != code or not folded(word):
                yield Finding(place, f"`{word}` is given twice.", "Let each word mean one code.")
            seen[folded(word)] = code


def fault_of(error: Mapping[str, Any]) -> str:
    """One fault of a profile that cannot be read, in words."""
    where = ".".join(str(part) for part in error["loc"])
    return f"{where}: {error['msg']}" if where else str(error["msg"])
