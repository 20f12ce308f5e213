"""What happened in a loop, by day: who, what, under which policy rows; long silences drawn as gaps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby

import htpy as h

from console.parts.basics import labels, times
from console.parts.basics.html import said
from console.words import Words
from loopkeeper.contract.calendar import la_date

SILENCE = timedelta(days=7)
# What changes a loop's state is said louder.
TURNS = frozenset(
    (
        "referral.received", "referral.closed", "authorization.approved", "authorization.denied",
        "authorization.presumptive_granted", "assignment.accepted", "outreach.services_started",
    )
)  # fmt: skip
TABLES = "#"


@dataclass(frozen=True, slots=True)
class Entry:
    """One line."""

    id: str
    at: datetime
    type: str
    source: str
    sentence: str
    policy: Sequence[str] = ()
    organization: str = ""
    person: str = ""
    trace: str = ""


def timeline(entries: Sequence[Entry], words: Words) -> h.Element:
    """All lines, a heading for each day."""
    first = la_date(entries[0].at) if entries else None
    days = groupby(entries, key=lambda entry: la_date(entry.at))
    return h.ol(".timeline")[
        (node for day, lines in days for node in _day(day, list(lines), first, entries, words))
    ]


def _day(
    day: object, lines: list[Entry], first: object, entries: Sequence[Entry], words: Words
) -> Iterator[h.Element]:
    _ = words
    on, from_ = la_date(lines[0].at), la_date(entries[0].at)
    before = entries[entries.index(lines[0]) - 1].at if lines[0] is not entries[0] else None
    if before is not None and lines[0].at - before > SILENCE:
        yield h.li(".gap")[
            h.span[
                _.many(
                    "{count} day without an entry",
                    "{count} days without an entry",
                    (on - la_date(before)).days,
                )
            ]
        ]
    yield h.li(".day")[
        h.h3[times.day(on, _, year=True)], h.span(".sub")[_("day {number}", number=(on - from_).days)]
    ]
    for entry in lines:
        yield _entry(entry, words)


def _entry(entry: Entry, words: Words) -> h.Element:
    _ = words
    late = entry.type.endswith((".overdue", "deemed_adverse"))
    loud = entry.type in TURNS
    return h.li(
        class_=" ".join(
            each for each in ("ev", entry.source, "big" if loud else "", "over" if late else "") if each
        ),
        id=f"e-{entry.id}",
    )[
        times.time(entry.at, times.clock(entry.at, _)),
        h.p(".sentence")[said(entry.sentence)],
        h.div(".meta")[
            h.span(".src")[labels.of(labels.SOURCE, entry.source, _)],
            h.span[
                h.b[said(entry.person)],
                ", " if entry.person and entry.organization else None,
                entry.organization,
            ]
            if entry.person or entry.organization
            else None,
            _policy(entry.policy, words),
            h.span(".tr")[_("trace"), " ", h.code[entry.trace[:8]]] if entry.trace else None,
        ],
    ]


def _policy(rows: Sequence[str], words: Words) -> h.Node:
    if not rows:
        return None
    return h.details(".pol")[
        h.summary[words.many("{count} policy row", "{count} policy rows", len(rows))],
        h.ul[(h.li[_row(row)] for row in rows)],
    ]


def _row(reference: str) -> h.Node:
    """`table/id@date`, as its parts."""
    name, _, day = reference.partition("@")
    table, _, id = name.partition("/")
    return [
        h.code[id or table],
        h.span(".sub")[f" {labels.plain(table)}{f' · in force {day}' if day else ''}"],
    ]


def filters(sources: Mapping[str, str], words: Words) -> h.Element:
    """Which services' lines are shown: by style alone, so that it works without script."""
    return h.form(".filters", aria_label=words("Lines of"))[
        h.fieldset[
            (
                h.label[
                    h.input(type="checkbox", id=f"show-{source}", checked=True),
                    h.span(class_=f"src {source}")[words(name)],
                ]
                for source, name in sources.items()
            )
        ]
    ]
