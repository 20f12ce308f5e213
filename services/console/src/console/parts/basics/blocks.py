"""Cards, lists of facts, empty states, summaries of what is wrong."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import htpy as h

from console.parts.basics.html import icon
from console.parts.basics.times import DueState
from console.words import Words

Fact = tuple[str, h.Node]


def card(
    title: str, *content: h.Node, id: str | None = None, class_: str = "", note: h.Node = None
) -> h.Element:
    """A block with its heading."""
    return h.section(id=id, class_=["card", class_ or None])[
        h.div(".chead")[h.h2[title], note] if note else h.h2[title], content
    ]


def facts(rows: Iterable[Fact | None]) -> h.Element:
    """What is what; rows without a value are left out."""
    return h.dl(".dl")[
        (h.div[h.dt[row[0]], h.dd[row[1]]] for row in rows if row is not None and row[1] not in (None, ""))
    ]


def head(title: h.Node, lead: h.Node = None, aside: h.Node = None) -> h.Element:
    """The page's first words: its state, and what to do."""
    return h.div(".head")[h.div[h.h1(tabindex="-1")[title], h.p(".lead")[lead] if lead else None], aside]


def empty(title: str, words: str, action: h.Node = None) -> h.Element:
    """Nothing is here: why, and what makes something come."""
    return h.div(".empty")[icon("check"), h.h2[title], h.p(".lead")[words], action]


def problem(
    title: str, fix: str, trace: str, words: Words, fields: Sequence[tuple[str, str, str]] = ()
) -> h.Element:
    """What could not be done and what helps, read out at once. `fields`: id of the field, its name, what to do."""
    return h.section(".card.problem", id="problem", role="alert", tabindex="-1", autofocus=True)[
        h.h2[icon("alert"), title],
        h.p[fix] if fix else None,
        h.ul[(h.li[h.a(href=f"#{id}")[name] if id else name, ": ", what] for id, name, what in fields)]
        if fields
        else None,
        h.p(".sub")[words("If you ask for help, give this number:"), " ", h.code[trace]] if trace else None,
    ]


def away(name: str, words: Words) -> h.Element:
    """A service that does not answer now; the rest of the page is there."""
    return h.section(".card.away", role="status")[
        h.h2[icon("alert"), words("{name} does not answer", name=name)],
        h.p(".sub")[words("The rest of this page is as it is now. Try again in a moment; nothing is lost.")],
    ]


def bar(share: float, tone: str = "c1") -> h.Element:
    """A bar of a share between 0 and 1, as a picture next to its number."""
    width = max(0.0, min(1.0, share)) * 100
    return h.svg(viewBox="0 0 100 10", preserveAspectRatio="none", aria_hidden="true")[
        h.rect(".bg", width="100", height="10", rx="1.5"),
        h.rect(class_=tone, width=f"{width:.1f}", height="10", rx="1.5") if width else None,
    ]


def bars(rows: Sequence[tuple[str, int]], tone: str = "c1") -> h.Element:
    """A table of counts with a bar to each."""
    most = max((count for _, count in rows), default=0) or 1
    return h.table(".bars")[
        h.tbody[
            (
                h.tr[h.th(scope="row")[name], h.td[bar(count / most, tone)], h.td(".n")[str(count)]]
                for name, count in rows
            )
        ]
    ]


def timer(left: str, words: h.Node, spent: float, state: DueState, mark: h.Node) -> h.Element:
    """A clock: what is left, in words and as a bar."""
    width = max(0.0, min(1.0, spent)) * 100
    return h.div(class_=["clock", state])[
        h.div[mark, h.p[h.strong(".left")[left], h.span(".sub")[words]]],
        h.svg(viewBox="0 0 100 2", preserveAspectRatio="none", aria_hidden="true")[
            h.rect(".bg", width="100", height="2"), h.rect(".fill", width=f"{width:.1f}", height="2")
        ],
    ]


def back(path: str, text: str) -> h.Element:
    """The way back, above the heading."""
    return h.nav(".crumbs", aria_label="Breadcrumb")[h.a(href=path, data_up=True)[text]]
