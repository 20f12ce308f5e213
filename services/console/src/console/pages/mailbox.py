"""The mailbox: what one's organization is to be told. Only a person's own press tells; no list, refresh or prefetch does."""

from __future__ import annotations

from typing import Annotated, Any

import htpy as h
from fastapi import APIRouter
from starlette.responses import Response

from console.api.client import Refused, unless
from console.api.models.notification import Item, ListingItem, Opened
from console.pages.care.first import live
from console.pages.refused import problem
from console.pages.rows import PAGE, Looked, cut_short, lately, pages
from console.pages.visit import Visit, see, visiting
from console.parts.basics import blocks, labels, marks, times
from console.parts.basics.html import form_to, href, once_field, said
from console.parts.basics.options import picks, select, submit
from console.web.refusals import NotHere
from console.words import Words
from loopkeeper.contract.vocabulary.languages import Language
from loopkeeper.security.organizations import Role

router = APIRouter()
Reader = Annotated[Visit, visiting(Role.REFERRER, Role.PROVIDER, Role.PLAN)]
HERE = "/mailbox"
WHICH = {"": "To read", "told": "Read", "member": "To tell members"}
WAYS = {
    "in_person": "In person",
    "call": "By a call",
    "text": "By a text message",
    "email": "By e-mail",
    "mail": "By mail",
    "fax": "By fax",
    "via_caregiver": "Through a caregiver",
    "asked": "They asked for it",
}
TO = {
    "member": "The member",
    "parent": "A parent",
    "guardian": "A guardian",
    "court": "A court",
    "county": "The county",
    "conservator": "A conservator",
    "authorized_representative": "A representative",
}


@router.get(HERE)
async def mailbox(visit: Reader, which: str = "") -> Response:
    """The list. Reading it tells nothing."""
    if which not in WHICH:
        raise NotHere
    _ = visit.words
    query: dict[str, Any] = {"told": which == "told"}
    if which == "member":
        query["recipient_kind"] = "member"
    if which == "told":
        found, _days = await lately(visit, "notification", "/v1/mailbox", ListingItem, **query)
    else:
        found = await pages(visit.api, "notification", "/v1/mailbox", ListingItem, most=1, **query)
    shown = [each for each in found if which == "member" or each.recipient_kind != "member"]
    # What waits longest comes first where not all of it fits.
    cut = isinstance(found, Looked) and found.cut
    ordered = sorted(shown, key=lambda each: each.at, reverse=not cut)[:100]
    return visit.page(
        _("Mailbox"),
        blocks.head(
            _(WHICH[which])
            if which
            else _("More than {count} to read", count=len(shown))
            if cut
            else _.many("{count} to read", "{count} to read", len(shown))
            if shown
            else _("Nothing to read"),
            _("Opening one by its button tells you, and that is recorded. This list tells nothing.")
            if which != "member"
            else _("Read these to the member, or to who holds consent, and record how."),
            live(visit),
        ),
        h.nav(".tabs", aria_label=_("Which"))[
            h.ul[
                (
                    h.li[
                        h.a(href=href(HERE, which=code), aria_current="true" if code == which else None)[
                            _(name)
                        ]
                    ]
                    for code, name in WHICH.items()
                    if code != "member" or visit.has(Role.PLAN, Role.PROVIDER)
                )
            ]
        ],
        cut_short(found, visit),
        h.div(".group")[h.ul(".tiles-list")[(_row(each, visit) for each in ordered)]]
        if ordered
        else blocks.empty(
            _("Nothing here"),
            _("What your organization is to be told comes here, and by mail or webhook if you have one."),
        ),
        here=HERE,
        live=True,
    )


def title_of(item: Item | Opened, words: Words) -> str:
    return labels.capital(words(labels.plain(item.code)))


def _row(item: Item, visit: Visit) -> h.Element:
    _ = visit.words
    return h.li(id=item.id, data_row=True, tabindex="-1")[
        h.div[
            h.a(".headline", href=href("/mailbox/{}", item.id))[title_of(item, _)],
            h.span(".sub")[
                h.span(".mono")[f"…{item.referral[-6:]}"], " · ", times.time(item.at, times.moment(item.at, _)),
                f" · {_('to the {who}', who=_(labels.plain(item.recipient_kind)))}" if item.recipient_kind == "member" else "",
            ],
        ],
        h.div(".chips")[
            marks.chip(_("late"), "late") if item.overdue and not item.told_at else None,
            marks.chip(_("told"), "good") if item.told_at else marks.chip(_("not read"), "info"),
        ],
    ]  # fmt: skip


async def _item(id: str, visit: Visit) -> Item:
    """The item without its words: the lists have it, and looking at a list tells nothing."""
    for told in (False, True):
        cursor: str | None = None
        for _page in range(10):
            found = await visit.api.get(
                "notification", "/v1/mailbox", ListingItem, told=told, limit=PAGE, cursor=cursor
            )
            for each in found.items:
                if each.id == id:
                    return each
            cursor = found.next_cursor
            if cursor is None:
                break
    raise NotHere


@router.get("/mailbox/{id}")
async def sealed(id: str, visit: Reader) -> Response:
    """The envelope: what was read before is shown; what was not waits for a press."""
    _ = visit.words
    item = await _item(id, visit)
    if item.told_at is not None:
        return await _open(id, visit)
    return visit.page(
        _("Mailbox"),
        blocks.back(HERE, _("Mailbox")),
        h.section(".card.review.sealed")[
            h.h1(tabindex="-1")[title_of(item, _)],
            h.p(".lead")[times.moment(item.at, _, year=True)],
            h.p[_("Opening it tells your organization. When, and who opened it, is recorded.")]
            if item.recipient_kind != "member"
            else h.p[_("It is the member's. Opening it tells nobody; you record how you told it.")],
            form_to(f"/mailbox/{id}")[h.button(".primary", type="submit")[_("Open it")]],
        ],
        here=HERE,
    )


@router.post("/mailbox/{id}")
async def press(id: str, visit: Reader) -> Response:
    """A person's own press opens it."""
    return await _open(id, visit)


async def _open(id: str, visit: Visit, refused: h.Node = None, status: int = 200) -> Response:
    _ = visit.words
    found = await unless(visit.api.get("notification", f"/v1/mailbox/{id}", Opened), 404)
    if found is None:
        raise NotHere
    member = found.recipient_kind == "member"
    return visit.page(
        _("Mailbox"),
        blocks.back(HERE, _("Mailbox")),
        refused,
        h.article(".card.review")[
            h.h1(tabindex="-1")[title_of(found, _)],
            h.p(".lead")[times.moment(found.at, _, year=True)],
            h.div(".letter", lang=found.language)[
                (h.p[said(each)] for each in found.text.split("\n") if each.strip())
            ],
            h.p(".proved")[
                _(
                    "Told {at}, {how}.",
                    at=times.moment(found.told_at, _, year=True),
                    how=_(labels.plain(found.told_how or "")),
                )
            ]
            if found.told_at
            else None,
            h.p(".sub")[_("This is a draft in this language: tell it in your own approved words.")]
            if found.state == "draft" and member
            else None,
            h.p[h.a(href=href("/referrals/{}", found.referral))[_("The whole story")]]
            if found.referral
            else None,
        ],
        _hand_over(found, visit) if member and found.told_at is None else None,
        here=HERE,
        status=status,
    )


def _hand_over(found: Opened, visit: Visit) -> h.Element:
    _ = visit.words
    return h.section(".card.review")[
        h.h2[_("Record how it was told")],
        form_to(f"/mailbox/{found.id}/hand-over")[
            once_field(),
            picks("how", _("How?"), [(way, _(text)) for way, text in WAYS.items()]),
            select(
                _("To whom"),
                "to",
                [(code, _(name)) for code, name in TO.items()],
                found.addressee or "member",
            ),
            select(
                _("In which language"),
                "language",
                [(str(code), _(Language.label_of(code))) for code in Language],
                found.language,
            ),
            h.label(".check")[
                h.input(type="checkbox", name="interpreted", value="yes"), h.span[_("With an interpreter")]
            ],
            h.label(".check")[
                h.input(type="checkbox", name="own_words", value="yes"), h.span[_("In our own approved text")]
            ],
            h.label(".check")[
                h.input(type="checkbox", name="safe", value="yes"),
                h.span[_("The contact rules were read and kept")],
            ],
            submit(_("Record it"), _),
        ],
    ]


@router.post("/mailbox/{id}/hand-over")
async def hand_over(id: str, visit: Reader) -> Response:
    """Who told it is who is signed in."""
    form = await visit.form()
    body = {
        "how": form.text("how"),
        "to": form.text("to") or "member",
        "language": form.text("language") or None,
        "interpreted": "interpreted" in form,
        "own_words": "own_words" in form,
        "safe_contact_checked": "safe" in form,
    }
    try:
        await visit.api.act("notification", f"/v1/notices/{id}:hand-over", body, once=form.once)
    except Refused as refusal:
        shown = problem(refusal, visit.words)
        return await _open(id, visit, shown, refusal.status)
    return see(href("/mailbox/{}", id))
