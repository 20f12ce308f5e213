"""The pages before anybody is signed in: sign in, enrol, and what an enrolled person is shown once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import htpy as h

from console.parts.basics import html
from console.parts.basics.html import href, icon
from console.parts.shell import doorway
from console.words import Words


@dataclass(frozen=True, slots=True)
class Named:
    """An invented person of a demo whom anybody may be."""

    id: str
    name: str
    title: str
    organization: str
    does: str


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why the page is shown again."""

    title: str
    fix: str


def field(
    label: str,
    name: str,
    value: str = "",
    *,
    hint: str = "",
    kind: str = "text",
    complete: str = "off",
    needed: bool = True,
    wrong: str = "",
    id: str = "",
    **attributes: str,
) -> h.Element:
    """A labelled field with its hint and what is wrong with it. `id`: its own, where another form has the same name."""
    own = id or name
    described = " ".join(
        each for each in (f"{own}-hint" if hint else "", f"{own}-wrong" if wrong else "") if each
    )
    return h.div(class_=["field", "wrong" if wrong else None])[
        h.label(for_=own)[label],
        h.p(".hint", id=f"{own}-hint")[hint] if hint else None,
        h.p(".error", id=f"{own}-wrong")[wrong] if wrong else None,
        h.input(
            id=own, name=name, type=kind, value=value, autocomplete=complete, required=needed, spellcheck="false",
            aria_describedby=described or None, aria_invalid="true" if wrong else None, **attributes,
        ),
    ]  # fmt: skip


def trouble(found: Trouble | None, words: Words) -> h.Node:
    """What was refused, read out at once."""
    if found is None:
        return None
    return h.div(".card.problem", role="alert", tabindex="-1", autofocus=True)[
        h.h2[icon("alert"), words(found.title)], h.p[words(found.fix)]
    ]


def sign_in(
    words: Words,
    named: Sequence[Named],
    found: Trouble | None = None,
    *,
    rehearsal: str = "",
    organization: str = "",
) -> h.Element:
    """The ways in: a passkey, the organization's own sign-in, a printed code; in a demo, somebody invented."""
    _ = words
    return doorway(
        _,
        _("Sign in"),
        trouble(found, _),
        h.h1[_("Sign in")],
        _picker(named, _) if named else None,
        h.section(".card.way", id="passkey-way", hidden=True, data_scripted=True)[
            h.h2[_("With your passkey")],
            h.p(".sub")[_("Your phone or computer asks for your finger, face or PIN.")],
            h.button("#passkey.primary", type="button")[icon("key"), _("Use a passkey")],
            h.p("#passkey-said.error", role="alert"),
        ],
        h.section(".card.way")[
            h.h2[_("With your organization")],
            h.p(".sub")[_("If your organization signs people in itself.")],
            html.form_to("/signin/organization")[
                field(
                    _("Your organization's short name"),
                    "organization",
                    organization,
                    complete="organization",
                    hint=_("Such as harbor-health-plan; it is in the mail that invited you."),
                ),
                h.button(type="submit")[_("Go on")],
            ],
        ],
        h.details(".card.way")[
            h.summary[_("With a printed recovery code")],
            html.form_to("/signin/recovery")[
                field(_("Your organization's short name"), "of"),
                field(_("Work e-mail"), "email", kind="email", complete="username"),
                field(_("Recovery code"), "code", hint=_("Four groups of four. Each code works once.")),
                h.button(type="submit")[_("Sign in")],
            ],
        ],
        h.p(".sub")[
            _(
                "Nobody signs up here: an admin of your organization invites you. Lost everything? Call that person."
            )
        ],
        rehearsal=rehearsal,
        script="signin.js",
    )


def _picker(named: Sequence[Named], words: Words) -> h.Element:
    _ = words
    return h.section(".picker", aria_labelledby="who")[
        h.h2("#who")[_("Be somebody in this rehearsal")],
        h.p(".sub")[_("They are invented; no proof is needed here and only here.")],
        html.form_to("/signin/picker")[
            h.ul[
                (
                    h.li[
                        h.button(type="submit", name="person", value=one.id)[
                            h.span(".avatar", aria_hidden="true")[
                                "".join(word[0] for word in one.name.split(",")[0].split()[:2])
                            ],
                            h.span[
                                h.strong[one.name],
                                h.small[f"{one.title} · {one.organization}"],
                                h.small(".does")[one.does],
                            ],
                        ]
                    ]
                    for one in named
                )
            ]
        ],
    ]


def enrol(
    words: Words, name: str, organization: str, token: str, *, found: Trouble | None = None
) -> h.Element:
    """An invited person makes a passkey."""
    _ = words
    return doorway(
        _,
        _("Welcome"),
        trouble(found, _),
        h.h1[_("Welcome, {name}", name=name)],
        h.p(".lead")[_("{organization} invited you to Loopkeeper.", organization=organization)],
        h.section(".card.way", id="passkey-way", hidden=True, data_scripted=True)[
            h.h2[_("Make a passkey")],
            h.p[
                _("It replaces a password. It stays on your device, which asks for your finger, face or PIN.")
            ],
            h.p(".sub")[_("Do not make one on a computer that others use.")],
            field(_("What do you call this device?"), "label", _("My phone"), needed=False),
            h.button("#passkey-make.primary", type="button", data_token=token)[
                icon("key"), _("Make my passkey")
            ],
            h.p("#passkey-said.error", role="alert"),
        ],
        h.noscript[h.p(".card")[_("Making a passkey needs a script. Switch scripts on for this page.")]],
        script="signin.js",
    )


def enrolled(words: Words, codes: Sequence[str], said: str, *, waits: bool) -> h.Element:
    """Shown once: ten codes to print, and three words to read to the inviter."""
    _ = words
    return doorway(
        _,
        _("Keep these codes"),
        h.h1[_("Keep these ten codes")],
        h.p(".lead")[
            _("Each lets you in once if your device is lost. They are not shown again: print them.")
        ],
        h.ol(".codes")[(h.li[h.code[code]] for code in codes)],
        h.p[h.button(type="button", data_print=True)[_("Print")]],
        h.section(".card.next")[
            h.h2[_("One thing more")],
            h.p[
                _(
                    "Read these three words to the person who invited you. Then what you may do begins to count."
                )
            ],
            h.p(".threewords")[said],
        ]
        if waits
        else None,
        h.p[h.a(".button.primary", href="/")[_("Go on")]],
        script="signin.js",
    )


def waiting(words: Words, said: str) -> h.Element:
    """An enrolled person whom the inviter has not confirmed yet."""
    _ = words
    return doorway(
        _,
        _("Almost there"),
        h.h1[_("Almost there")],
        h.p(".lead")[_("Read these three words to the person who invited you. Then you can begin.")],
        h.p(".threewords")[said],
        h.p[h.a(".button", href="/signin")[_("Sign in again after that")]],
    )


def own_sign_in(words: Words, organization: str, name: str) -> h.Element:
    """The way to an organization's own sign-in."""
    _ = words
    return doorway(
        _,
        _("Sign in"),
        h.h1[_("Sign in with {name}", name=name)],
        h.p(".lead")[_("You go to your organization's own page, and come back here.")],
        h.p[
            h.a(".button.primary", href=href("/signin/{}/go", organization))[_("Go on to {name}", name=name)]
        ],
        h.p[h.a(href=href("/signin"))[_("Another way in")]],
    )


def no_own_sign_in(words: Words, organization: str) -> h.Element:
    """The same for an organization that is unknown and for one that signs nobody in itself."""
    _ = words
    return doorway(
        _,
        _("Sign in"),
        h.h1[_("This organization does not sign people in itself")],
        h.p(".lead")[_("Or it is not known here. Use your passkey, or ask the person who invited you.")],
        h.p[h.a(".button", href=href("/signin"))[_("Back")]],
    )


def signed_out(words: Words) -> h.Element:
    """After sign-out: nothing of the person is left in the browser."""
    _ = words
    return doorway(
        _,
        _("Signed out"),
        h.h1[_("You are signed out")],
        h.p(".lead")[_("Nothing of your session is left in this browser.")],
        h.p[h.a(".button.primary", href="/signin")[_("Sign in")]],
    )
