"""How a deadline looks: shape and colour together, never colour alone. Diamond late, square soon, disc on time, ring none."""

from __future__ import annotations

from datetime import datetime

import htpy as h

from console.parts.basics import times
from console.parts.basics.times import DueState
from console.words import Words

SHAPES: dict[DueState, h.Node] = {
    "late": h.path(d="M8 1 15 8 8 15 1 8Z"),
    "soon": h.rect(x="2", y="2", width="12", height="12"),
    "ok": h.circle(cx="8", cy="8", r="6.2"),
    "none": h.circle(".hollow", cx="8", cy="8", r="5.6"),
}
SAID: dict[DueState, str] = {"late": "late", "soon": "within 2 days", "ok": "on time", "none": "no deadline"}


def mark(state: DueState) -> h.Element:
    """The shape alone, for people who look; words are next to it."""
    return h.svg(class_=["mark", state], viewBox="0 0 16 16", aria_hidden="true")[SHAPES[state]]


def when(due_at: datetime | None, now: datetime, words: Words) -> h.Element:
    """A deadline in two lines: how far, and the day."""
    state = times.due_state(due_at, now)
    if due_at is None:
        return h.div(".when")[mark(state), h.span[h.strong(class_=state)[words("no deadline")]]]
    return h.div(".when")[
        mark(state),
        h.span[
            h.strong(class_=state)[times.distance(due_at, now, words)],
            h.span(".sub")[times.time(due_at, times.deadline(due_at, words, now=now))],
        ],
    ]


def legend(words: Words) -> h.Element:
    """What the four shapes mean."""
    return h.ul(".legend")[(h.li[mark(each), words(text)] for each, text in SAID.items())]


def chip(text: str, tone: str = "") -> h.Element:
    """A word in a coloured field: good, late, due, info, or plain."""
    return h.span(class_=["chip", tone or None])[text]
