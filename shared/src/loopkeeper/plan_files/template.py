"""A workbook to fill in: the layout's headings with comments, the lists of its words, and a sheet that explains it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from loopkeeper.plan_files.fields import Kind, field_of
from loopkeeper.plan_files.profile import Column, Layout, Profile
from loopkeeper.plan_files.writing import excel_format, groups, heading_row
from loopkeeper.spreadsheets.cells import Value
from loopkeeper.spreadsheets.writing import SheetOut, write_workbook

EXPLAINED = ("Column", "Needed", "What it means", "How to write it")
HOW = {
    "number": "As text, with its leading zeros.",
    "count": "A whole number.",
    "minutes": "Minutes, or such as 1 h 10 min.",
    "phone": "In digits.",
    "period": "First and last day.",
    "answer": "Yes or no, or a number.",
}


def template(kind: Kind, profile: Profile) -> bytes:
    """The template of a kind of file. Raises `KeyError` where the profile has no such kind."""
    layout = profile.files[kind]
    heading = heading_row(layout)
    rows: list[tuple[int, Sequence[Value]]] = [
        (number, (title,)) for number, title in enumerate(layout.titles, 1)
    ]
    if layout.grouped:
        rows.append((heading - 1, groups(layout)))
    rows.append((heading, tuple(column.heading for column in layout.columns)))
    sheet = SheetOut(
        layout.sheet or kind,
        rows,
        heading,
        notes={
            (heading, place): f"{_meaning(kind, column)} {how(kind, layout, column)}".strip()
            for place, column in enumerate(layout.columns)
        },
        lists={
            place: words
            for place, column in enumerate(layout.columns)
            if (words := _list(kind, layout, column))
        },
        days=frozenset(place for place, column in enumerate(layout.columns) if _type(kind, column) == "day"),
    )
    about = SheetOut("How to fill it in", enumerate(_explanation(kind, profile), 1), 6)
    return write_workbook([sheet, about], date_format=excel_format(layout.dates[0]))


def how(kind: Kind, layout: Layout, column: Column) -> str:
    """How a cell of the column is written, in words."""
    type_ = _type(kind, column)
    if type_ == "day":
        return f"As {layout.dates[0]}."
    if type_ == "yes_no":
        return f"{layout.says_yes[0]} or {layout.says_no[0]}."
    words = _list(kind, layout, column)
    if words and type_ == "words":
        return f"One or more of {'; '.join(words)}, with a semicolon between."
    return f"One of {'; '.join(words)}." if words else HOW.get(type_, "")


def _explanation(kind: Kind, profile: Profile) -> Iterator[Sequence[Value]]:
    layout = profile.files[kind]
    yield (f"How to fill in this file of {profile.plan}",)
    yield (f"In force since {profile.effective_from.isoformat()}. Source: {profile.source}.",)
    yield (f"The file's name: {layout.name}",)
    yield (
        "One row a person or attempt. A row that cannot be read comes back with what to do; the others count.",
    )
    yield ()
    yield EXPLAINED
    for column in layout.columns:
        needed = "yes" if column.needed else ""
        yield column.heading, needed, _meaning(kind, column), how(kind, layout, column)


def _meaning(kind: Kind, column: Column) -> str:
    field = field_of(kind, column.field) if column.field else None
    return field.meaning if field else "Not read."


def _type(kind: Kind, column: Column) -> str:
    field = field_of(kind, column.field) if column.field else None
    return field.type if field else ""


def _list(kind: Kind, layout: Layout, column: Column) -> Sequence[str]:
    type_ = _type(kind, column)
    if type_ == "yes_no":
        return layout.says_yes[0], layout.says_no[0]
    if type_ not in ("word", "words"):
        return ()
    if column.words:
        return [words[0] for words in column.words.values() if words]
    field = field_of(kind, column.field)
    return [code.label for code in field.vocabulary] if field and field.vocabulary else ()
