"""Rows of loops: ring, id, when something is due, its state."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

import htpy as h

from console.parts.basics import labels, marks, times
from console.parts.basics.html import href
from console.parts.ring import Progress, ring
from console.words import Words


@dataclass(frozen=True, slots=True)
class Loop:
    """One row. `path`: where it leads; `headline`: what it is, in words, instead of its id."""

    id: str
    path: str
    progress: Progress
    sub: str
    due_at: datetime | None
    since: datetime
    status: str
    tone: str = ""
    headline: str = ""
    closed: bool = False
    note: str = ""


def short(id: str, path: str, words: Words) -> h.Element:
    """An id that a person tells from others by its end."""
    return h.a(".id", href=path, aria_label=words("Referral {id}", id=id))[
        h.span[f"{id[:8]}…"], h.span[id[-6:]]
    ]


def rows(found: Iterable[Loop], now: datetime, words: Words, caption: str) -> h.Element:
    """The rows as a table; on a phone they stack."""
    _ = words
    return h.table(".rows")[
        h.caption(".sr")[caption],
        heads((("Progress", "k1"), ("Referral", ""), ("Due", "k3"), ("Open", "k4"), ("Status", "k5")), _),
        h.tbody[(_row(each, now, _) for each in found)],
    ]


def heads(columns: Iterable[tuple[str, str]], words: Words) -> h.Element:
    """The columns' names, for who listens; they give the columns their width."""
    return h.thead[
        h.tr[(h.th(scope="col", class_=width or None)[h.span(".sr")[words(name)]] for name, width in columns)]
    ]


def _row(found: Loop, now: datetime, words: Words) -> h.Element:
    age = h.td(".age.k4")[times.since(found.since, now, words), h.span(".sub")[words("open")]]
    return h.tr(id=found.id, data_row=True, tabindex="-1")[
        h.td(".ringcell.k1")[ring(found.progress, words)],
        h.td[
            h.a(".headline", href=found.path)[found.headline]
            if found.headline
            else short(found.id, found.path, words),
            h.span(".sub")[found.sub],
        ],
        h.td(".k3")[
            h.span(".sub")[words("closed")] if found.closed else marks.when(found.due_at, now, words)
        ],
        age if not found.closed else h.td(".age.k4"),
        h.td(".st.k5")[
            marks.chip(found.status, found.tone), h.span(".sub")[found.note] if found.note else None
        ],
    ]


def group(
    title: h.Node,
    count: int,
    mark: h.Node,
    content: h.Node,
    more: h.Node = None,
    id: str | None = None,
    *,
    under_heading: bool = False,
) -> h.Element:
    """A group of rows that wait for the same. `under_heading`: whether a heading of its own names all the groups."""
    heading = (h.h3 if under_heading else h.h2)[title]
    return h.section(".group", id=id)[
        h.div(".ghead")[mark, heading, h.span(".gcount")[str(count)]], content, more
    ]


def more(path: str, text: str) -> h.Element:
    return h.a(".more", href=path)[text]


def due_words(due: Sequence[datetime | None], now: datetime) -> tuple[int, int]:
    """How many are late, and how many due within two days."""
    states = [times.due_state(at, now) for at in due]
    return states.count("late"), states.count("soon")


def status_of(status: str, outcome: str, words: Words) -> tuple[str, str]:
    """The word and the tone of a loop's status."""
    if status == "closed":
        return labels.of(labels.OUTCOME, outcome, words), "good" if outcome == "services_received" else ""
    return labels.of(labels.STATUS, status, words), "due" if status == "needs_information" else ""


def story(id: str) -> str:
    return href("/referrals/{}", id)
