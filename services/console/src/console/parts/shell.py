"""The frame of every page of somebody who is signed in: what is here, who is signed in, where one can go."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import htpy as h

from console.parts.basics import html, times
from console.parts.basics.html import href, icon, key
from console.web.files import asset
from console.words import LANGUAGES, Words
from loopkeeper.contract.calendar import la_date

# What idle means: two minutes before it the page warns, then it hides itself, then the session ends.
HIDES_AFTER = 15 * 60
ENDS_AFTER = 30 * 60


@dataclass(frozen=True, slots=True)
class Place:
    """One entry of the navigation. `letter`: after g, it goes there."""

    path: str
    name: str
    icon: str
    letter: str
    waiting: int | None = None


@dataclass(frozen=True, slots=True)
class Frame:
    """What the frame says next to the page itself."""

    words: Words
    name: str
    title: str
    organization: str
    places: Sequence[Place] = ()
    rehearsal: str = ""
    theme: str = ""
    keys: bool = True
    admin: bool = False
    path: str = "/"
    quiet: Mapping[str, str] = field(default_factory=dict[str, str])


def shell(
    frame: Frame,
    title: str,
    *content: h.Node,
    here: str = "",
    live: bool = False,
    script: str = "",
) -> h.Element:
    """A whole page. `here`: the path of the place it belongs to. `live`: it is fetched again when something changes.
    The title holds no name of a member."""
    _ = frame.words
    return html.document(
        _.language,
        frame.theme,
        [
            h.title[f"{title} – Loopkeeper"],
            h.script(src=asset("idiomorph.js"), defer=True) if live else None,
            h.script(src=asset("console.js"), defer=True),
            h.script(src=asset(script), defer=True) if script else None,
        ],
        h.body(
            data_hides=str(HIDES_AFTER),
            data_ends=str(ENDS_AFTER),
            data_keys=None if frame.keys else "off",
        )[
            h.a(".skip", href="#main")[_("Skip to the page")],
            h.aside(".demo", aria_label="Rehearsal")[frame.rehearsal] if frame.rehearsal else None,
            _top(frame),
            _side(frame, here),
            h.main("#main", tabindex="-1", data_live="/live" if live else None)[content],
            h.p("#say.sr", role="status", aria_live="polite"),
            _covers(frame),
            h.p(".paper-only")[
                _(
                    "Printed by {name}, {organization}. Shred it when it is no longer needed.",
                    name=frame.name,
                    organization=frame.organization,
                )
            ],
        ],
    )


def _top(frame: Frame) -> h.Element:
    _ = frame.words
    return h.header(".top")[
        h.a(".brand", href="/", aria_label=_("Loopkeeper, first page"))[_logo(), h.span["Loopkeeper"]],
        h.div(".find")[
            html.form_to("/find", role="search")[
                h.label(".sr", for_="find")[_("Find a referral by its id")],
                icon("search"),
                h.input(
                    "#find",
                    type="text",
                    name="q",
                    placeholder=_("Referral id"),
                    autocomplete="off",
                    spellcheck="false",
                    maxlength="60",
                    aria_keyshortcuts="/",
                ),
                key("/"),
            ]
        ],
        h.details(".me")[
            h.summary[
                h.span(".avatar", aria_hidden="true")[initials(frame.name)],
                h.span[h.strong[frame.name], h.small[frame.organization]],
            ],
            h.div(".menu")[
                h.p(".sub")[frame.title] if frame.title else None,
                h.a(href="/me")[_("You, your passkeys and sessions")],
                h.a(href="/people")[_("People of {organization}", organization=frame.organization)]
                if frame.admin
                else None,
                _language(frame),
                _theme(frame),
                h.button(type="button", data_keys_help=True)[_("Keys"), " ", key("?")],
                html.form_to("/signout")[h.button(type="submit")[_("Sign out")]],
            ],
        ],
    ]


def _language(frame: Frame) -> h.Element:
    _ = frame.words
    return html.form_to("/me/language")[
        (
            h.button(type="submit", name="language", value=code, lang=code)[name]
            for code, name in LANGUAGES.items()
            if code != _.language
        ),
        h.input(type="hidden", name="back", value=frame.path),
    ]


def _theme(frame: Frame) -> h.Element:
    _ = frame.words
    names = {"": _("As the machine"), "light": _("Light"), "dark": _("Dark")}
    return html.form_to("/me/theme", class_="themes")[
        h.span(".sub")[_("Colours")],
        (
            h.button(
                type="submit",
                name="theme",
                value=code or "system",
                aria_pressed=str(code == frame.theme).lower(),
            )[name]
            for code, name in names.items()
        ),
        h.input(type="hidden", name="back", value=frame.path),
    ]


def _side(frame: Frame, here: str) -> h.Element:
    return h.nav(".side", aria_label=frame.words("Places"))[
        h.ul[
            (
                h.li[
                    h.a(
                        href=href(place.path),
                        aria_current="page" if place.path == here else None,
                        data_letter=place.letter,
                    )[
                        icon(place.icon),
                        h.span[place.name],
                        h.span(".waiting")[str(place.waiting), html.sr(frame.words(" waiting"))]
                        if place.waiting
                        else None,
                    ]
                ]
                for place in frame.places
            )
        ]
    ]


def _covers(frame: Frame) -> h.Node:
    """What lies over the page: the help for keys, the warning, and the cover of a page that nobody looks at."""
    _ = frame.words
    rows = (
        ("j k", _("next and previous row")),
        ("Enter", _("open it")),
        ("/", _("find")),
        ("u", _("back")),
        ("g", _("and a letter: a place of the navigation")),
        ("?", _("this help")),
    )
    return [
        h.dialog("#keys", aria_labelledby="keys-title")[
            h.h2("#keys-title")[_("Keys")],
            h.dl[(h.div[h.dt[[h.kbd[each] for each in keys.split()]], h.dd[what]] for keys, what in rows)],
            html.form_to("/me/keys")[
                h.input(type="hidden", name="keys", value="off" if frame.keys else "on"),
                h.input(type="hidden", name="back", value=frame.path),
                h.button(type="submit")[_("Switch keys off") if frame.keys else _("Switch keys on")],
            ],
            h.form(method="dialog")[h.button(".primary")[_("Close")]],
        ],
        h.dialog("#idle", aria_labelledby="idle-title")[
            h.h2("#idle-title")[_("Are you still there?")],
            h.p[_("This page hides itself in "), h.strong("#idle-left"), _(". What you typed stays.")],
            h.form(method="dialog")[h.button(".primary")[_("Go on")]],
        ],
        h.div("#cover", hidden=True)[
            h.div(".card")[
                _logo(),
                h.h2[_("Hidden, because nobody was here")],
                h.p[_("What you typed is still there.")],
                h.button("#uncover.primary", type="button")[_("Go on")],
            ]
        ],
    ]


def rehearsal(on: bool, now: datetime, words: Words) -> str:
    """What is above every page of a demo."""
    if not on:
        return ""
    day = times.day(la_date(now), words, year=True)
    return words("Rehearsal: everyone here is invented. The clock shows {day}.", day=day)


def initials(name: str) -> str:
    """MC for Maria Chen, RN."""
    words = name.partition(",")[0].split()
    return "".join(word[0] for word in (*words[:1], *words[1:][-1:])).upper()


def _logo() -> h.Element:
    return h.svg(".logo", viewBox="0 0 24 24", aria_hidden="true")[
        h.path(d="M12 3a9 9 0 1 1-6.4 2.6"), h.path(d="M8.6 12.4l2.3 2.3 4.4-4.8")
    ]


def doorway(
    words: Words, title: str, *content: h.Node, rehearsal: str = "", script: str = "", wide: bool = False
) -> h.Element:
    """A page before anybody is signed in: one card, the language, nothing else."""
    _ = words
    return html.document(
        _.language,
        "",
        [h.title[f"{title} – Loopkeeper"], h.script(src=asset(script), defer=True) if script else None],
        h.body(".door")[
            h.a(".skip", href="#main")[_("Skip to the page")],
            h.aside(".demo", aria_label="Rehearsal")[rehearsal] if rehearsal else None,
            h.header(".doorhead")[
                h.a(".brand", href="/", aria_label="Loopkeeper")[_logo(), h.span["Loopkeeper"]],
                html.form_to("/signin/language")[
                    (
                        h.button(".plain", type="submit", name="language", value=code, lang=code)[name]
                        for code, name in LANGUAGES.items()
                        if code != _.language
                    )
                ],
            ],
            h.main("#main", class_="wide" if wide else None, tabindex="-1")[content],
        ],
        font=False,
    )
