"""What every part is made with: addresses that can only be ours, texts of others."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.resources import files
from typing import Any
from urllib.parse import quote, urlencode

import htpy as h

from console.web.files import asset
from console.web.forms import ONCE, once
from loopkeeper.contract.decider import InvariantBroken


def href(path: str, *parts: str, **query: str | int | None) -> str:
    """The address of a page of ours: each `{}` of `path` is filled with one of `parts`. Raises where it would leave us."""
    filled = path.format(*(quote(part, safe="") for part in parts))
    if not filled.startswith("/") or filled.startswith(("//", "/\\")):
        raise InvariantBroken("an address of a page begins with one slash")
    asked = {name: str(value) for name, value in query.items() if value not in (None, "")}
    return f"{filled}?{urlencode(asked)}" if asked else filled


def said(text: str, most: int = 2000) -> h.Element:
    """What somebody else wrote, bounded, and apart from the direction of the words around it."""
    return h.bdi[text if len(text) <= most else f"{text[:most]}…"]


def icon(name: str) -> h.Element:
    """A picture next to words; it says nothing by itself."""
    return h.svg(".icon", aria_hidden="true", focusable="false")[h.use(href=f"{asset('icons.svg')}#{name}")]


def sr(text: str) -> h.Element:
    """For who listens, not for who looks."""
    return h.span(".sr")[text]


def key(letter: str) -> h.Element:
    """A key that does the same."""
    return h.kbd(aria_hidden="true")[letter]


def document(language: str, theme: str, head: h.Node, body: h.Node, *, font: bool = True) -> h.Element:
    """A whole page. `theme`: light, dark, or empty for what the machine prefers. `font`: whether it has our own."""
    return h.html(lang=language, class_=theme or None)[
        h.head[
            h.meta(charset="utf-8"),
            h.meta(name="viewport", content="width=device-width, initial-scale=1"),
            h.meta(name="color-scheme", content={"light": "light", "dark": "dark"}.get(theme, "light dark")),
            h.link(rel="icon", href=asset("favicon.svg"), type="image/svg+xml"),
            h.link(
                rel="preload",
                href=asset("public-sans.woff2"),
                as_="font",
                type="font/woff2",
                crossorigin=True,
            )
            if font
            else None,
            h.link(rel="stylesheet", href=asset("console.css")),
            head,
        ],
        body,
    ]


def form_to(action: str, *, id: str | None = None, class_: str | None = None, **attributes: Any) -> h.Element:
    """A form that sends to one of our addresses; what it sends is kept out of the address."""
    return h.form(id=id, class_=class_, method="post", action=href(action), **attributes)


def morphing() -> h.Element:
    """The script by which a page takes its next state in place; live pages have it of themselves."""
    return h.script(src=asset("idiomorph.js"), defer=True)


def once_field(value: str = "") -> h.VoidElement:
    """The key of this submission: sent twice, it acts once."""
    return h.input(type="hidden", name=ONCE, value=value or once())


def joined(parts: Iterable[h.Node], between: str = " · ") -> h.Node:
    """Parts in one line, with a sign between those that are there."""
    there = [part for part in parts if part]
    return [node for at, part in enumerate(there) for node in ((between, part) if at else (part,))]


def licences() -> str:
    """The licences of what others made and we ship."""
    folder = files("console").joinpath("static")
    return "\n\n".join(
        folder.joinpath(f"{name}-license.txt").read_text() for name in ("public-sans", "idiomorph")
    )
