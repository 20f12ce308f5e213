"""Who a referral is about: sealed until somebody says why, then open for ten minutes, each field of it named."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

import htpy as h

from console.parts.basics import blocks, html, labels, times
from console.parts.basics.html import icon, said
from console.words import Words

NAMES: Mapping[str, str] = {
    "cin": "CIN",
    "birth_date": "Born",
    "approximate_age": "About how old",
    "plan_member_id": "Plan's number",
    "phone": "Phone",
    "email": "E-mail",
    "address": "Address",
    "usual_place": "Usual place",
    "best_contact": "Best reached by",
    "best_time": "Best time",
    "language_spoken": "Speaks",
    "language_written": "Reads",
    "caregiver": "Caregiver",
}
WHOLE = ("first_name", "middle_name", "last_name", "suffix")


def sealed(
    referral: str, reasons: Mapping[str, str], words: Words, *, chosen: str = "", again: str = ""
) -> h.Element:
    """The card while it is shut. `again`: the page to come back to."""
    _ = words
    return h.section("#identity.card.sealed")[
        h.h2[_("Who it is")],
        h.p[_("Sealed. Opening it is written down with your name and your reason.")],
        html.form_to(f"/referrals/{referral}/open")[
            h.input(type="hidden", name="back", value=again),
            h.label(for_="reason")[_("Why do you open it?")],
            h.select("#reason", name="reason", required=True)[
                h.option(value="")[_("Choose a reason")],
                (h.option(value=code, selected=code == chosen)[_(text)] for code, text in reasons.items()),
            ],
            h.button(type="submit", data_open=True)[
                icon("lock"), _("Open for ten minutes"), h.kbd(".plainkey", aria_hidden="true")["o"]
            ],
        ],
    ]


def opened(
    referral: str,
    identity: Mapping[str, Any],
    contact: Mapping[str, Any],
    until: str,
    words: Words,
    *,
    again: str = "",
) -> h.Element:
    """The card while it is open."""
    _ = words
    both = {**contact, **identity}
    name = " ".join(str(both[part]) for part in WHOLE if both.get(part))
    rows = [
        (_("Name"), h.strong[said(name)] if name else None),
        (_("Called"), said(str(both["preferred_name"])) if both.get("preferred_name") else None),
        *((_(label), _value(field, both.get(field), _)) for field, label in NAMES.items()),
    ]
    return h.section("#identity.card.sealed.open", data_open_identity=True)[
        h.h2[_("Who it is")],
        h.p(".openmark")[icon("lock"), _("Opened by you, until {until}. It is written down.", until=until)],
        blocks.facts(rows),
        h.p(".sub")[_("No fixed address.")] if both.get("no_fixed_address") else None,
        html.form_to(f"/referrals/{referral}/shut")[
            h.input(type="hidden", name="back", value=again), h.button(".small", type="submit")[_("Shut it")]
        ],
    ]


def _value(field: str, value: Any, words: Words) -> h.Node:
    if value in (None, "", [], {}):
        return None
    if field == "birth_date":
        return times.day(date.fromisoformat(str(value)), words, year=True, weekday=False)
    if field in ("language_spoken", "language_written"):
        return labels.language(str(value), words)
    if field == "best_contact":
        return words(labels.plain(str(value)))
    if field == "phone":
        return h.a(href=f"tel:{_digits(str(value))}")[said(str(value))]
    if isinstance(value, Mapping):
        found: Mapping[str, Any] = value  # pyright: ignore[reportUnknownVariableType]
        return said(", ".join(str(part) for part in found.values() if part))
    return said(str(value))


def _digits(phone: str) -> str:
    """What a phone dials: nothing but digits, so that the address is a number and nothing else."""
    return "".join(sign for sign in phone if sign.isdigit() or sign == "+")


def safe_contact(contact: Mapping[str, Any], words: Words) -> h.Node:
    """How this member may be reached without danger: above everything else."""
    rules: Any = contact.get("safe_contact")
    if not isinstance(rules, Mapping):
        return None
    _ = words
    found: Mapping[str, Any] = rules  # pyright: ignore[reportUnknownVariableType]
    rows: list[tuple[str, h.Node]] = [
        (_("Only by"), ", ".join(_(labels.plain(str(each))) for each in found.get("channels") or ()) or None),
        (_("Only at"), said(str(found["hours"])) if found.get("hours") else None),
        (_("Only to"), said(str(found["designated_address"])) if found.get("designated_address") else None),
        (_("Avoid the words"), said(str(found["words_to_avoid"])) if found.get("words_to_avoid") else None),
    ]
    return h.section(".card.safe")[
        h.h2[icon("shield"), _("Read this before you reach out")],
        h.p[h.strong[_("Do not contact this member.")]] if found.get("do_not_contact") else None,
        blocks.facts(rows),
    ]
