"""What one referred: asked of you, on their way, closed; and what can be done with each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import htpy as h
from fastapi import APIRouter
from starlette.responses import Response

from console.api.client import Away, Refused, together, unless
from console.api.models.intake import ListingShownReferral, ShownReferral
from console.api.models.notification import ListingItem
from console.pages import sentences
from console.pages.care.first import live
from console.pages.record.page import door, toast
from console.pages.refused import problem
from console.pages.rows import MOST, by_due, cut_short, lately, loop_of, needs, pages, progress_of
from console.pages.visit import Visit, see, visiting
from console.parts import loops
from console.parts.basics import blocks, labels, marks, times
from console.parts.basics.html import form_to, href, icon, once_field, said
from console.parts.basics.options import area, picks, submit
from console.parts.ring import ring, steps
from console.web.forms import EMPTY, Form
from console.web.refusals import NotHere
from loopkeeper.contract.calendar import la_date
from loopkeeper.security.organizations import Role

router = APIRouter()
Referrer = Annotated[Visit, visiting(Role.REFERRER, Role.PROVIDER, Role.PLAN)]
HERE = "/refer"
CLOSED_SHOWN = 20


@router.get(HERE)
async def mine(visit: Annotated[Visit, visiting(Role.REFERRER)]) -> Response:
    """Asked of you first, then what is on its way, then what is closed."""
    _ = visit.words
    found, first, over, box = await together(
        pages(visit.api, "intake", "/v1/referrals", ListingShownReferral, most=1, order="due"),
        visit.api.get(
            "intake", "/v1/referrals", ListingShownReferral, actor="referrer", order="due", limit=MOST
        ),
        lately(visit, "intake", "/v1/referrals", ListingShownReferral, status="closed"),
        visit.api.get("notification", "/v1/mailbox", ListingItem, told=False, limit=50),
    )
    if isinstance(found, Away) or isinstance(first, Away) or isinstance(over, Away):
        raise Away("intake")
    mine, days = visit.signed.organization.id, over[1]
    there = {one.id: one for one in (*found, *first.items, *over[0])}
    own = [one for one in there.values() if one.referrer == mine]
    asked = by_due([one for one in own if one.closing is None and one.questions])
    waiting = by_due([one for one in own if one.closing is None and not one.questions])
    closed = sorted(
        (one for one in own if one.closing is not None), key=lambda one: one.updated_at, reverse=True
    )
    unread = len(box.items) if isinstance(box, ListingItem) else 0
    return visit.page(
        _("Referrals"),
        blocks.head(
            _("More than {count} referrals are on their way", count=len(asked) + len(waiting))
            if found.cut
            else _.many(
                "{count} referral is on its way",
                "{count} referrals are on their way",
                len(asked) + len(waiting),
            ),
            _(
                "{asked} ask something of you. {closed} closed in the last {days} days.",
                asked=len(asked),
                closed=len(closed),
                days=days,
            ),
            live(visit),
        ),
        h.p(".doors")[
            h.a(".button.primary", href="/refer/new")[icon("plus"), _("Refer somebody")],
            h.a(".button", href="/mailbox")[
                icon("mail"), _("Mailbox"), h.span(".waiting")[str(unread)] if unread else None
            ],
        ],
        visit.away(box),
        cut_short(found, visit),
        _group(_("Asked of you"), asked, visit, path="answers") if asked else None,
        _group(_("On their way"), waiting, visit) if waiting else None,
        _group(_("Closed"), closed[:CLOSED_SHOWN], visit, count=len(closed)) if closed else None,
        blocks.empty(
            _("Nothing yet"),
            _("Refer somebody; what becomes of it is here, and comes to your mailbox."),
            h.p[h.a(".button.primary", href="/refer/new")[_("Refer somebody")]],
        )
        if not own
        else None,
        here=HERE,
        live=True,
    )


def _group(
    title: str, found: Sequence[ShownReferral], visit: Visit, *, path: str = "", count: int | None = None
) -> h.Element:
    _ = visit.words
    shown = [
        loop_of(
            one,
            visit,
            path=href("/refer/{}/answers", one.id) if path else href("/refer/{}", one.id),
            headline=needs(one, _),
            sub=f"…{one.id[-6:]} · "
            + (
                _.many("{count} question", "{count} questions", len(one.questions or ()))
                if path
                else visit.name(one.plan)
            ),
        )
        for one in found[:100]
    ]
    return loops.group(
        title, count if count is not None else len(found), None, loops.rows(shown, visit.now, _, title)
    )


@router.get("/refer/{id}")
async def one(id: str, visit: Referrer, after: str = "") -> Response:
    """One referral of one's own: how it is, and what can be done."""
    return await page(id, visit, after=after)


DONE = {
    "answered": "Your answers are with the plan.",
    "withdrawn": "It is withdrawn.",
    "contested": "It goes on as a new referral.",
    "released": "The day of release is recorded.",
}


async def page(
    id: str, visit: Visit, *, typed: Form = EMPTY, refused: h.Node = None, after: str = "", status: int = 200
) -> Response:
    _ = visit.words
    found = await unless(visit.api.get("intake", f"/v1/referrals/{id}", ShownReferral), 404)
    if found is None:
        raise NotHere
    closing, step = found.closing, found.next_step
    outcome = labels.of(labels.OUTCOME, closing.outcome, _) if closing else ""
    stands = progress_of(found, visit.now)
    return visit.page(
        _("Referral"),
        blocks.back(HERE, _("Referrals")),
        h.p(".toast", role="status")[_(DONE[after])] if after in DONE else toast(after, _),
        h.div(".storyhead.myhead")[
            ring(stands, _, large=True),
            h.div[
                h.h1(tabindex="-1")[
                    _("Closed: {outcome}", outcome=outcome)
                    if closing
                    else labels.capital(labels.of(labels.STATUS, found.status, _))
                ],
                h.p(".lead")[
                    f"{needs(found, _)}. ",
                    _("To {plan}, ", plan=visit.name(found.plan)),
                    times.day(la_date(found.received_at), _, year=True),
                    ".",
                ],
                steps(stands, _),
            ],
        ],
        refused,
        h.div(".cols")[
            h.div(".case")[
                h.section(".card.next")[
                    h.h2[_("Next")],
                    h.p(".big")[_("Nothing is expected of anybody.")]
                    if closing
                    else h.p(".big")[
                        h.strong[labels.of(labels.ACTOR, step.actor, _)],
                        " ",
                        _(
                            "must {step}.",
                            step=sentences.step(step.code or "", step.step, step.values or {}, _),
                        ),
                    ],
                    marks.when(step.due_at, visit.now, _) if step.due_at and not closing else None,
                    h.p[said(closing.text)] if closing and closing.text else None,
                    h.p(".proved")[
                        icon("check"),
                        _("You were told {day}.", day=times.day(la_date(closing.told_at), _, year=True)),
                    ]
                    if closing and closing.told_at
                    else None,
                ],
                blocks.card(
                    _.many("{count} question is open", "{count} questions are open", len(found.questions)),
                    h.ol(".asks")[
                        (
                            h.li[said(sentences.question(each.id, each.asks, _))]
                            for each in found.questions[:5]
                        )
                    ],
                    h.p[h.a(".button.primary", href=href("/refer/{}/answers", id))[_("Answer")]],
                )
                if found.questions and not closing
                else None,
                _acts(found, typed, visit),
            ],
            h.aside(".facts")[
                blocks.card(
                    _("Facts"),
                    blocks.facts(
                        (
                            (_("Form"), labels.of(labels.FORM, found.form, _)),
                            (_("Urgency"), labels.of(labels.URGENCY, found.urgency, _)),
                            (_("County"), labels.county(found.county)),
                            (_("Language"), labels.language(found.language, _)),
                            (
                                _("Authorization"),
                                h.code[found.authorization.number] if found.authorization.number else None,
                            ),
                            (
                                _("Release"),
                                times.day(found.release_on, _, year=True) if found.release_on else None,
                            ),
                            (_("Id"), h.code(".whole")[found.id]),
                        )
                    ),
                    h.p[h.a(href=href("/referrals/{}", id))[_("The whole story")]],
                    h.p[h.a(href=href("/refer/{}/receipt", id))[_("Receipt to print")]],
                ),
                door(id, _),
            ],
        ],
        here=HERE,
        status=status,
    )


def _acts(found: ShownReferral, typed: Form, visit: Visit) -> h.Node:
    _ = visit.words
    if found.closing is not None:
        return h.details(".card.way", open="reason" in typed)[
            h.summary[_("The closing is wrong")],
            form_to(f"/refer/{found.id}/contest")[
                once_field(),
                h.p(".sub")[
                    _(
                        "Within 30 days. It goes on as a new referral with everything carried over; this one stays closed."
                    )
                ],
                area(_("Why?"), "reason", typed.text("reason"), most=500),
                submit(_("Contest it"), _),
            ],
        ]
    return h.details(".card.way", open="by" in typed)[
        h.summary[_("Withdraw it")],
        form_to(f"/refer/{found.id}/withdraw")[
            once_field(),
            picks(
                "by",
                _("Who withdraws?"),
                [("referrer", _("We do")), ("member", _("The member does"))],
                typed.text("by"),
            ),
            h.p(".sub")[_("You may before it is authorized; the member may at any time.")],
            h.button(".danger", type="submit")[_("Withdraw")],
        ],
    ]


@router.post("/refer/{id}/withdraw")
async def withdraw(id: str, visit: Referrer) -> Response:
    """Taken back by the referrer before authorization, by the member at any time."""
    form = await visit.form()
    return await _act(id, visit, form, "withdraw", {"by": form.text("by")}, "withdrawn")


@router.post("/refer/{id}/contest")
async def contest(id: str, visit: Referrer) -> Response:
    """Within 30 days; a new referral goes on."""
    form = await visit.form()
    return await _act(id, visit, form, "contest", {"reason": form.text("reason")}, "contested")


async def _act(id: str, visit: Visit, form: Form, action: str, body: dict[str, str], after: str) -> Response:
    try:
        answer = await visit.api.act("intake", f"/v1/referrals/{id}:{action}", body, once=form.once)
    except Refused as refusal:
        shown = problem(refusal, visit.words)
        return await page(id, visit, typed=form, refused=shown, status=refusal.status)
    return see(href("/refer/{}", answer.text("id") or id, after=after))


@router.get("/refer/{id}/receipt")
async def receipt(id: str, visit: Referrer) -> Response:
    """What was handed in, to print and keep: no name, no answer."""
    _ = visit.words
    found = await unless(visit.api.get("intake", f"/v1/referrals/{id}", ShownReferral), 404)
    if found is None:
        raise NotHere
    of = visit.running.people.access.directory.organization(found.plan)
    return visit.page(
        _("Receipt"),
        blocks.back(href("/refer/{}", id), _("Back")),
        h.section(".card.review")[
            h.h1(tabindex="-1")[_("Your referral is received")],
            h.p(".lead")[_("Keep this page. It names nobody.")],
            blocks.facts(
                (
                    (_("Number"), h.code(".whole")[found.id]),
                    (_("Received"), times.moment(found.received_at, _, year=True)),
                    (_("By"), visit.name(found.referrer)),
                    (_("To"), visit.name(found.plan)),
                    (_("Call"), of.phone if of and of.phone else None),
                    (_("Now"), labels.capital(labels.of(labels.STATUS, found.status, _))),
                    (
                        _("Next"),
                        _(
                            "{actor} must {step}.",
                            actor=labels.of(labels.ACTOR, found.next_step.actor, _),
                            step=sentences.step(
                                found.next_step.code or "",
                                found.next_step.step,
                                found.next_step.values or {},
                                _,
                            ),
                        )
                        if found.next_step.actor
                        else None,
                    ),
                    (
                        _("By when"),
                        times.deadline(found.next_step.due_at, _, now=visit.now)
                        if found.next_step.due_at
                        else None,
                    ),
                )
            ),
            h.p(".actions")[
                h.button(type="button", data_print=True)[_("Print")],
                h.a(href="/refer/new")[_("Refer somebody else")],
            ],
        ],
        here=HERE,
    )
