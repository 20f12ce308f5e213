"""One's own page, and the people of an organization."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import htpy as h

from console.parts.basics import blocks, html, marks, times
from console.parts.basics.html import href, icon
from console.parts.entrance import field
from console.words import Words

ROLES: Mapping[str, str] = {
    "referrer": "refers members and hears what came of it",
    "provider": "answers offers and reaches members",
    "plan": "decides, and sees to what only the plan can",
    "partner": "reads what the plan granted",
    "operations": "sees the board, services and parked facts",
}
EVENTS: Mapping[str, str] = {
    "invited": "Invited",
    "invited again": "Invited again",
    "enrolled": "Enrolled",
    "confirmed": "Confirmed",
    "roles set": "Roles set",
    "ended": "Ended",
    "suspended": "Suspended",
    "signed in": "Signed in",
    "signed out": "Signed out",
    "passkey made": "Passkey made",
    "passkey removed": "Passkey removed",
    "recovery codes made": "Recovery codes made",
    "wrong recovery code": "Wrong recovery code",
    "first sign-in by the organization": "First sign-in by the organization",
}
HOW: Mapping[str, str] = {
    "passkey": "with a passkey",
    "recovery code": "with a printed code",
    "organization": "by the organization's own sign-in",
    "picker": "chosen in the rehearsal",
}


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a list: what, more about it, and what can be done with it."""

    name: str
    sub: str
    action: h.Node = None
    current: bool = False


def rows(found: Sequence[Row], words: Words) -> h.Element:
    """A list whose entries may have an action each."""
    return h.ul(".plainrows")[
        (
            h.li[
                h.div[
                    h.strong[row.name],
                    marks.chip(words("this one"), "info") if row.current else None,
                    h.p(".sub")[row.sub],
                ],
                row.action,
            ]
            for row in found
        )
    ]


def action(path: str, text: str, *, tone: str = "", **hidden: str) -> h.Element:
    """One button that does one thing."""
    return html.form_to(path)[
        (h.input(type="hidden", name=name, value=value) for name, value in hidden.items()),
        h.button(class_=tone or None, type="submit")[text],
    ]


def passkey_card(made: Sequence[Row], left: int, words: Words) -> h.Element:
    """What the person proves themselves with."""
    _ = words
    return blocks.card(
        _("Your passkeys"),
        rows(made, _)
        if made
        else h.p(".sub")[_("You have none. Make one now: without it only a printed code lets you in.")],
        h.div("#passkey-way", hidden=True, data_scripted=True)[
            field(_("What do you call this device?"), "label", _("My phone"), needed=False),
            h.button("#passkey-make", type="button")[icon("key"), _("Make a passkey on this device")],
            h.p("#passkey-said.error", role="alert"),
            h.p(".sub")[_("Not on a computer that others use.")],
        ],
        h.p[
            _.many(
                "{count} printed recovery code is left.", "{count} printed recovery codes are left.", left
            ),
            " ",
        ],
        action("/me/codes", _("Print ten new ones")),
        id="passkeys",
    )


def openings(found: Sequence[tuple[str, str, datetime, str]], words: Words) -> h.Element:
    """Referral, reason, when, and by whom where that is not oneself."""
    if not found:
        return h.p(".sub")[words("Nobody's identity was opened.")]
    return h.ul(".plainrows")[
        (
            h.li[
                h.div[
                    h.a(href=href("/referrals/{}", referral))[h.span(".id")["…" + referral[-6:]]],
                    h.p(".sub")[html.joined([who, words(reason)])],
                ],
                h.span(".sub")[times.time(at, times.moment(at, words))],
            ]
            for referral, reason, at, who in found
        )
    ]


def events(found: Sequence[Mapping[str, Any]], names: Mapping[str, str], words: Words) -> h.Element:
    """What happened to somebody's access, and by which of these people where it was another."""
    _ = words
    return h.ul(".plainrows")[
        (
            h.li[
                h.div[
                    _(EVENTS.get(each["what"], each["what"])),
                    h.p(".sub")[said] if (said := _more(each, names, _)) else None,
                ],
                h.span(".sub")[times.time(each["at"], times.moment(each["at"], _))],
            ]
            for each in found
        )
    ]


def _more(event: Mapping[str, Any], names: Mapping[str, str], words: Words) -> h.Node:
    """How somebody signed in, or who did it."""
    how = words(HOW[event["how"]]) if event["how"] in HOW else ""
    by = names.get(event["by"] or "", "")
    return html.joined([how, words("by {name}", name=by) if by else ""])


@dataclass(frozen=True, slots=True)
class Member:
    """One of an organization's people, as its admin sees them."""

    id: str
    name: str
    email: str
    title: str
    licence: str
    roles: Sequence[str]
    admin: bool
    state: str
    seen: str
    mine: bool


STATES: Mapping[str, tuple[str, str]] = {
    "active": ("here", "good"),
    "invited": ("invited", "info"),
    "waiting": ("waits for your word", "due"),
    "suspended": ("suspended", "due"),
    "ended": ("left", ""),
}


def people(found: Sequence[Member], words: Words) -> h.Element:
    """Everybody of the organization."""
    _ = words
    return h.ul(".people")[
        (
            h.li(id=one.id)[
                h.span(".avatar", aria_hidden="true")[
                    "".join(word[0] for word in one.name.split()[:2]).upper()
                ],
                h.div[
                    h.strong[html.said(one.name)],
                    h.p(".sub")[html.joined([html.said(one.title), html.said(one.email), one.seen])],
                    h.p(".sub")[
                        ", ".join([_(role) for role in one.roles] + ([_("admin")] if one.admin else []))
                    ],
                ],
                marks.chip(_(STATES[one.state][0]), STATES[one.state][1]),
                None if one.mine else _way(one, _),
            ]
            for one in found
        )
    ]


def _way(one: Member, words: Words) -> h.Element:
    """To their page: what can be changed, or what happened."""
    _ = words
    over = one.state == "ended"
    said = _("Look at {name}", name=one.name) if over else _("Change {name}", name=one.name)
    return h.a(".button.small", href=href("/people/{}", one.id), aria_label=said)[
        _("Look") if over else _("Change")
    ]


def role_boxes(may: Collection[str], held: Collection[str], words: Words) -> h.Element:
    """What a person may do."""
    _ = words
    return h.fieldset(".boxes")[
        h.legend[_("May do")],
        (
            h.label(".check")[
                h.input(type="checkbox", name="roles", value=role, checked=role in held),
                h.span[h.strong[_(role)], h.span(".sub")[_(ROLES[role])]],
            ]
            for role in sorted(may)
        ),
    ]


def person_fields(title: str, licence: str, admin: bool, words: Words) -> h.Node:
    """What an organization says of a person."""
    _ = words
    return [
        field(
            _("Title"),
            "title",
            title,
            hint=_("Such as UM nurse; it is shown with their decisions."),
            needed=False,
        ),
        field(_("Licence"), "licence", licence, hint=_("Needed to deny by criteria."), needed=False),
        h.label(".check")[
            h.input(type="checkbox", name="admin", value="yes", checked=admin),
            h.span[_("Admin: invites, sets roles, ends")],
        ],
    ]


def invitation(address: str, name: str, words: Words) -> h.Element:
    """The link of an invitation, shown this once."""
    _ = words
    return h.section(".card.next", role="status", tabindex="-1", autofocus=True)[
        h.h2[_("Hand this on to {name}", name=name)],
        h.p[_("It lets one person enrol, once, within 72 hours. It is not shown again.")],
        h.p(".handon")[h.code[address]],
        h.p(".sub")[
            _("They will read you three words. Type them here, and what they may do begins to count.")
        ],
    ]
