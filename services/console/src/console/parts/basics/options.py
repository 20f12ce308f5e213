"""A choice of which each option unfolds what it needs, by style alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import htpy as h

from console.parts.basics.html import key
from console.words import Words


@dataclass(frozen=True, slots=True)
class Option:
    """One option. `letter`: the key that chooses it, and never sends."""

    value: str
    title: str
    sub: str
    letter: str = ""
    inner: h.Node = None


def options(name: str, legend: h.Node, found: Sequence[Option], chosen: str = "") -> h.Element:
    """The options of one choice."""
    return h.fieldset(".opts")[
        h.legend[legend],
        (
            h.div(".opt")[
                h.input(
                    id=f"{name}-{each.value}",
                    type="radio",
                    name=name,
                    value=each.value,
                    required=True,
                    checked=each.value == chosen,
                    data_choose=each.letter or None,
                ),
                h.label(for_=f"{name}-{each.value}")[
                    h.span[h.strong[each.title], h.span(".sub")[each.sub] if each.sub else None],
                    key(each.letter) if each.letter else None,
                ],
                h.div(".inner")[each.inner] if each.inner else None,
            ]
            for each in found
        ),
    ]


def checks(name: str, legend: str, found: Sequence[tuple[str, str]], chosen: Sequence[str] = ()) -> h.Node:
    """Boxes of which several may be ticked."""
    return [
        h.p(".lbl")[legend],
        (
            h.label(".check")[
                h.input(type="checkbox", name=name, value=value, checked=value in chosen), h.span[text]
            ]
            for value, text in found
        ),
    ]


def picks(
    name: str,
    legend: str,
    found: Sequence[tuple[str, str]],
    chosen: str = "",
    *,
    needed: bool = True,
    rare: tuple[str, Sequence[tuple[str, str]]] | None = None,
) -> h.Element:
    """A few short answers, one tap each. `rare`: what unfolds under these words, open where one of it is chosen."""

    def taps(some: Sequence[tuple[str, str]]) -> h.Element:
        return h.div[
            (
                h.label[
                    h.input(type="radio", name=name, value=value, checked=value == chosen, required=needed),
                    h.span[text],
                ]
                for value, text in some
            )
        ]

    return h.fieldset(".picks")[
        h.legend[legend],
        taps(found),
        h.details(".rest", open=any(value == chosen for value, _text in rare[1]))[
            h.summary[rare[0]], taps(rare[1])
        ]
        if rare
        else None,
    ]


def select(
    label: str,
    name: str,
    found: Sequence[tuple[str, str]],
    chosen: str = "",
    *,
    empty: str = "",
    hint: str = "",
    needed: bool = False,
    id: str = "",
) -> h.Element:
    """One of a longer list."""
    own = id or name
    return h.div(".field")[
        h.label(for_=own)[label],
        h.p(".hint", id=f"{own}-hint")[hint] if hint else None,
        h.select(id=own, name=name, required=needed, aria_describedby=f"{own}-hint" if hint else None)[
            h.option(value="")[empty] if empty else None,
            (h.option(value=value, selected=value == chosen)[text] for value, text in found),
        ],
    ]


def area(label: str, name: str, value: str = "", *, hint: str = "", most: int = 2000) -> h.Element:
    """A longer text."""
    return h.div(".field")[
        h.label(for_=name)[label],
        h.p(".hint", id=f"{name}-hint")[hint] if hint else None,
        h.textarea(
            id=name,
            name=name,
            maxlength=str(most),
            autocomplete="off",
            aria_describedby=f"{name}-hint" if hint else None,
        )[value],
    ]


def submit(text: str, words: Words, back: str = "") -> h.Element:
    """The last line of a form."""
    return h.div(".actions")[
        h.button(".primary", type="submit")[text],
        h.a(href=back)[words("Back, nothing is sent")] if back else None,
    ]
