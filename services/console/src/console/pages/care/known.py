"""What is known of a person, and how it is corrected: facts, how they are reached, the lead, Community Supports."""

from __future__ import annotations

from typing import Any

import htpy as h

from console.api.models.intake import ListingShownSupport, ShownReferral
from console.pages.care.whole import Whole
from console.pages.visit import Visit
from console.parts.basics import blocks, labels, times
from console.parts.basics.html import form_to, href, once_field, said
from console.parts.basics.options import area, checks, select
from console.parts.entrance import field
from console.web.forms import Form
from loopkeeper.contract.vocabulary.supports import CommunitySupport


def facts(known: Whole, visit: Visit) -> h.Element:
    _ = visit.words
    referral = known.referral if isinstance(known.referral, ShownReferral) else None
    return blocks.card(
        _("Facts"),
        blocks.facts(
            (
                (_("Plan"), visit.name(referral.plan) if referral else None),
                (_("Referred by"), visit.name(referral.referrer) if referral else None),
                (_("Lead"), said(referral.lead) if referral and referral.lead else None),
                (_("Language"), labels.language(referral.language, _) if referral else None),
                (_("County"), labels.county(referral.county) if referral else None),
                (
                    _("Consent by"),
                    _(labels.plain(known.outreach.consent_holder)) if known.outreach.consent_holder else None,
                ),
                (_("Term"), _term(referral, visit)),
            )
        ),
        h.p[h.a(href=href("/referrals/{}", known.outreach.referral))[_("The whole story")]],
    )


def _term(referral: ShownReferral | None, visit: Visit) -> h.Node:
    if referral is None or referral.authorization.through is None:
        return None
    return visit.words("through {day}", day=times.day(referral.authorization.through, visit.words, year=True))


def corrections(known: Whole, typed: Form, visit: Visit) -> h.Element:
    _, ref = visit.words, known.outreach.referral
    referral = known.referral if isinstance(known.referral, ShownReferral) else None
    ways = [
        ("phone", _("Phone")),
        ("text", _("Text message")),
        ("email", _("E-mail")),
        ("mail", _("Mail")),
        ("in_person", _("In person")),
    ]
    return h.section(".card")[
        h.h2[_("Correct what is known")],
        h.details(".rest", open=typed.text("action") == "change-contact")[
            h.summary[_("How they are reached")],
            form_to(f"/care/people/{ref}/change-contact", autocomplete="off", data_guard=True)[
                once_field(),
                h.input(type="hidden", name="action", value="change-contact"),
                h.input(type="hidden", name="etag", value=known.etag),
                h.p(".hint")[_("Only what you fill in is changed.")],
                field(_("Phone"), "phone", typed.text("phone"), kind="tel", needed=False),
                field(_("E-mail"), "email", typed.text("email"), kind="email", needed=False),
                field(_("Usual place"), "usual_place", typed.text("usual_place"), needed=False),
                checks("channels", _("Only safe by"), ways, typed.all("channels")),
                field(_("Only safe at"), "hours", typed.text("hours"), needed=False),
                area(_("Words to avoid"), "words_to_avoid", typed.text("words_to_avoid")),
                h.label(".check")[
                    h.input(type="checkbox", name="do_not_contact", value="yes"),
                    h.span[_("They must not be contacted")],
                ],
                h.button(type="submit")[_("Seal the correction")],
            ],
        ],
        h.details(".rest", open=typed.text("action") == "lead")[
            h.summary[_("The lead care manager")],
            form_to(f"/care/people/{ref}/lead")[
                once_field(),
                h.input(type="hidden", name="action", value="lead"),
                field(
                    _("Name"),
                    "lead",
                    typed.text("lead")
                    or (referral.lead if referral and referral.lead else visit.signed.name),
                ),
                h.button(type="submit")[_("Change the lead")],
            ],
        ],
    ]


def contact_of(form: Form) -> dict[str, Any]:
    """Only what was filled in: an empty field changes nothing."""
    body: dict[str, Any] = {
        name: form.text(name) for name in ("phone", "email", "usual_place") if form.text(name)
    }
    safe: dict[str, Any] = {name: form.text(name) for name in ("hours", "words_to_avoid") if form.text(name)}
    if form.all("channels"):
        safe["channels"] = list(form.all("channels"))
    if "do_not_contact" in form:
        safe["do_not_contact"] = True
    return body | ({"safe_contact": safe} if safe else {})


def supports(known: Whole, visit: Visit) -> h.Node:
    _, ref = visit.words, known.outreach.referral
    if not isinstance(known.supports, ListingShownSupport):
        return None
    moves = {"accept": _("Accepted"), "decline": _("Declined"), "done": _("Done")}
    return h.section(".card")[
        h.h2[_("Community Supports")],
        h.ul(".plainrows")[
            (
                h.li[
                    h.div[h.strong[_(each.name)], h.p(".sub")[_(each.status)]],
                    form_to(f"/care/people/{ref}/support", class_="inline")[
                        once_field(),
                        h.input(type="hidden", name="support", value=each.id),
                        (
                            h.button(type="submit", name="move", value=move)[moves[move]]
                            for move in moves
                            if _moved(move) in each.allowed
                        ),
                    ],
                ]
                for each in known.supports.items
            )
        ]
        if known.supports.items
        else h.p(".sub")[_("None is asked for yet.")],
        h.details(".rest")[
            h.summary[_("Ask for one")],
            form_to(f"/care/people/{ref}/supports")[
                once_field(),
                h.input(type="hidden", name="action", value="supports"),
                select(
                    _("Which"),
                    "code",
                    [(str(code), _(CommunitySupport.label_of(code))) for code in CommunitySupport],
                    needed=True,
                ),
                h.button(type="submit")[_("Ask for it")],
            ],
        ],
    ]


def _moved(move: str) -> str:
    return {"accept": "accepted", "decline": "declined"}.get(move, move)
