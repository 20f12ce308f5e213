"""Terms and what stays to be judged of them: renew, go on, end, resume, revoke a grant, record what an appeal said."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import htpy as h
from fastapi import APIRouter
from starlette.responses import Response

from console.api.client import Refused, unless
from console.api.models.authorization import ListingShownAuthorization, ShownAuthorization
from console.pages.care.first import live
from console.pages.plan.queue import Plan, title_of
from console.pages.refused import problem
from console.pages.rows import PAGE, cut_short, pages
from console.pages.term import term as drawn
from console.pages.visit import Visit, see
from console.parts import loops
from console.parts.basics import blocks, labels, marks, times
from console.parts.basics.html import form_to, href, once_field
from console.parts.basics.options import select
from console.parts.entrance import field
from console.web.forms import EMPTY, Form
from console.web.refusals import NotHere
from loopkeeper.contract.calendar import la_date
from loopkeeper.contract.vocabulary.decisions import DenialReason, Discontinuation

router = APIRouter()
HERE = "/plan/terms"
DONE = {
    "continue": "The term goes on.",
    "end": "The term ends; the member must get notice first.",
    "resume": "The clock runs on.",
    "revoke-grant": "The grant is ended.",
    "appeal": "The appeal is recorded. Made in time, the term goes on until it is resolved.",
    "overturn": "It is recorded: the member is authorized.",
    "approve": "Another term begins when this one ends.",
    "deny": "There is no other term; the member must get notice.",
}
# Where a notice may be sent by the day of the ending (42 CFR 431.213).
AT_ONCE = {
    "death_confirmed": "The death is confirmed",
    "signed_wish": "The member's signed wish",
    "institution": "An institution that makes ineligible",
    "mail_returned": "Whereabouts unknown, mail returned",
}


@router.get(HERE)
async def terms(visit: Plan) -> Response:
    """What waits for a judgement first, then terms by their end."""
    _ = visit.words
    judged, renew, running = await asyncio.gather(
        _waiting(visit, "discontinuation"),
        _waiting(visit, "reauthorization"),
        pages(visit.api, "authorization", "/v1/authorizations", ListingShownAuthorization, status="approved"),
    )
    today = la_date(visit.now)
    live_terms = sorted(
        (one for one in running if one.term and one.term.through >= today and not one.waits_for),
        key=lambda one: one.term.through if one.term else today,
    )
    return visit.page(
        _("Terms"),
        blocks.head(
            _.many(
                "{count} term waits for a judgement",
                "{count} terms wait for a judgement",
                len(judged) + len(renew),
            )
            if judged or renew
            else _("No term waits for you"),
            _.many("{count} term runs.", "{count} terms run.", len(live_terms)),
            live(visit),
        ),
        cut_short(running, visit),
        _group(_("Does the term end?"), judged, visit) if judged else None,
        _group(_("Another term is asked for"), renew, visit) if renew else None,
        _group(_("Running, by their end"), live_terms[:30], visit, count=len(live_terms))
        if live_terms
        else None,
        blocks.empty(_("No terms yet"), _("An approval begins one."))
        if not (judged or renew or live_terms)
        else None,
        here=HERE,
        live=True,
    )


async def _waiting(visit: Visit, what: str) -> Sequence[ShownAuthorization]:
    found = await visit.api.get(
        "authorization", "/v1/authorizations", ListingShownAuthorization, waits_for=what, limit=PAGE
    )
    return found.items


def _group(
    title: str, found: Sequence[ShownAuthorization], visit: Visit, count: int | None = None
) -> h.Element:
    _ = visit.words
    return loops.group(
        title,
        count if count is not None else len(found),
        None,
        h.ul(".tiles-list")[
            (
                h.li(id=one.id, data_row=True, tabindex="-1")[
                    h.div[
                        h.a(".headline", href=href("/plan/terms/{}", one.id))[title_of(one, _)],
                        h.span(".sub")[
                            h.code[one.term.number] if one.term else None,
                            f" · {_('through {day}', day=times.day(one.term.through, _, year=True))}"
                            if one.term
                            else None,
                            f" · {_(labels.plain(one.discontinuation.why))}" if one.discontinuation else None,
                        ],
                    ],
                    marks.when(one.due.due_at, visit.now, _)
                    if one.due and one.waits_for
                    else marks.chip(
                        _(labels.plain(one.term.state)) if one.term else "",
                        "good" if one.term and one.term.state == "running" else "",
                    ),
                ]
                for one in found
            )
        ],
    )


@router.get("/plan/terms/{id}")
async def term(id: str, visit: Plan, after: str = "") -> Response:
    """One term, and what may be done with it."""
    return await page(id, visit, after=after)


async def page(
    id: str, visit: Visit, *, typed: Form = EMPTY, refused: h.Node = None, after: str = "", status: int = 200
) -> Response:
    _ = visit.words
    got = await unless(
        visit.api.versioned("authorization", f"/v1/authorizations/{id}", ShownAuthorization), 404
    )
    if got is None:
        raise NotHere
    found, etag = got
    return visit.page(
        _("Term"),
        blocks.back(HERE, _("Terms")),
        h.p(".toast", role="status")[_(DONE[after])] if after in DONE else None,
        blocks.head(
            title_of(found, _),
            _lead(found, visit),
            marks.when(found.due.due_at, visit.now, _) if found.due and found.waits_for else None,
        ),
        refused,
        h.div(".cols")[
            h.div(".case")[
                drawn(found.term, visit.now, _) if found.term else None, _acts(found, etag, typed, visit)
            ],
            h.aside(".facts")[_facts(found, visit)],
        ],
        here=HERE,
        status=status,
    )


def _lead(found: ShownAuthorization, visit: Visit) -> str:
    _ = visit.words
    if found.discontinuation is not None:
        return _(
            "Since {day} a person must judge whether it ends: {why}.",
            day=times.day(la_date(found.discontinuation.since), _),
            why=_(labels.plain(found.discontinuation.why)),
        )
    if found.waits_for == "reauthorization":
        return _(
            "{who} asks for another term; this one lives on until you decide.",
            who=visit.name(found.reauthorization_asked_by),
        )
    if found.term is not None:
        return _(
            "From {from_} through {through}.",
            from_=times.day(found.term.from_, _, year=True),
            through=times.day(found.term.through, _, year=True),
        )
    return labels.capital(_(labels.plain(found.status)))


def _facts(found: ShownAuthorization, visit: Visit) -> h.Element:
    _, term, decision, grant = visit.words, found.term, found.decision, found.grant
    return blocks.card(
        _("Facts"),
        blocks.facts(
            (
                (_("State"), _(labels.plain(term.state)) if term else None),
                (
                    _("Renewed"),
                    _.many("{count} time", "{count} times", term.renewals)
                    if term and term.renewals
                    else None,
                ),
                (_("Ends"), times.day(term.ends_on, _, year=True) if term and term.ends_on else None),
                (_("Why"), _(term.why) if term and term.why else None),
                (
                    _("Notice by"),
                    times.deadline(term.notice_due_at, _, now=visit.now)
                    if term and term.notice_due_at
                    else None,
                ),
                (_("Decided"), times.moment(decision.at, _, year=True) if decision else None),
                (_("Decision"), _(labels.plain(decision.kind)) if decision else None),
                (
                    _("Appeal by"),
                    times.day(decision.appeal_by, _, year=True) if decision and decision.appeal_by else None,
                ),
                (
                    _("Grant"),
                    _("{name}, through {day}", name=grant.name, day=times.day(grant.through, _, year=True))
                    if grant
                    else None,
                ),
            )
        ),
        h.p[h.a(href=href("/referrals/{}", found.referral))[_("The whole story")]],
    )


def _acts(found: ShownAuthorization, etag: str, typed: Form, visit: Visit) -> list[h.Node]:
    """Every act that may be one now; the service refuses what is not, in words."""
    _ = visit.words
    codes = [(str(code), _(Discontinuation.label_of(code))) for code in Discontinuation]
    reasons = [(str(code), _(DenialReason.label_of(code))) for code in DenialReason]
    term, decision = found.term, found.decision
    live_term = term is not None and term.state in ("running", "extended", "not_yet")
    made: list[h.Node] = []

    def act(
        action: str,
        title: str,
        hint: str,
        *inner: h.Node,
        button: str,
        tone: str = "primary",
        first: bool = False,
    ) -> None:
        made.append(
            h.details(".card.way", open=first or typed.text("action") == action)[
                h.summary[title],
                form_to(f"/plan/terms/{found.id}/{action}")[
                    once_field(),
                    h.input(type="hidden", name="action", value=action),
                    h.input(type="hidden", name="etag", value=etag),
                    h.p(".sub")[hint],
                    inner,
                    h.button(class_=tone, type="submit")[button],
                ],
            ]
        )

    if found.waits_for == "reauthorization":
        act(
            "approve",
            _("Approve another term"),
            _("It begins when this one ends, without a gap."),
            button=_("Approve"),
            first=True,
        )
        act(
            "deny", _("No other term"), _("The member gets notice with the reason and the way to appeal."),
            select(_("Reason"), "reason", reasons, typed.text("reason"), empty=_("Choose a reason"), needed=True), button=_("Deny"), tone="danger",
        )  # fmt: skip
    if found.pause is not None:
        act(
            "resume",
            _("Let the clock run on"),
            _("What was asked is no longer waited for."),
            button=_("Let it run"),
            first=True,
        )
    if found.discontinuation is not None:
        act(
            "continue",
            _("The term goes on"),
            _("What spoke for an end is judged, and it goes on."),
            button=_("It goes on"),
            first=True,
        )
    if live_term:
        act(
            "end", _("End the term"), _("By one of the state's codes; the member gets notice ten days before."),
            select(_("Why"), "code", codes, typed.text("code"), empty=_("Choose a reason"), needed=True),
            field(_("Last day"), "on", typed.text("on"), kind="date", needed=False, id="end-on", hint=_("Missing, the first that the notice allows.")),
            select(
                _("May the notice come on the day itself?"), "without_notice", [(code, _(name)) for code, name in AT_ONCE.items()],
                typed.text("without_notice"), empty=_("No: ten days before"), hint=_("Only where the law names it."),
            ),
            button=_("End it"), tone="danger",
        )  # fmt: skip
    if term is not None and term.ends_on is not None:
        act(
            "appeal", _("The member appeals against the end"),
            _("Told by the day on which the term was to end, it goes on until the appeal is resolved."),
            field(_("Day of the appeal"), "on", typed.text("on"), kind="date", needed=False, id="appealed-on", hint=_("Missing, it is today.")),
            button=_("Record the appeal"),
        )  # fmt: skip
    if found.grant is not None and not found.grant.ended:
        act(
            "revoke-grant",
            _("End the presumptive grant"),
            _("Who serves under it is told."),
            button=_("End the grant"),
            tone="danger",
        )
    if decision is not None and decision.kind == "denied" and decision.overturned_on is None:
        act(
            "overturn", _("An appeal or a hearing overturned the denial"), _("A linked referral follows it, authorized."),
            field(_("Day of that decision"), "on", typed.text("on"), kind="date", needed=False, id="overturned-on"), button=_("Record it"),
        )  # fmt: skip
    return made or [blocks.card(_("Nothing to do"), h.p(".sub")[_("What may be done with a term is here.")])]


@router.post("/plan/terms/{id}/{action}")
async def act(id: str, action: str, visit: Plan) -> Response:
    """One act of a named person; the token says who that is."""
    form = await visit.form()
    body: dict[str, Any] = {}
    match action:
        case "end":
            body = {"code": int(form.text("code")) if form.text("code").isdigit() else 0}
            body |= {name: form.text(name) for name in ("on", "without_notice") if form.text(name)}
        case "overturn" | "appeal":
            body = {"on": form.text("on")} if form.text("on") else {}
        case "deny":
            body = {"reason": form.text("reason")}
        case "continue" | "resume" | "revoke-grant" | "approve":
            pass
        case _:
            raise NotHere
    try:
        await visit.api.act(
            "authorization",
            f"/v1/authorizations/{id}:{action}",
            body,
            once=form.once,
            match=form.text("etag"),
        )
    except Refused as refusal:
        shown = problem(refusal, visit.words)
        return await page(id, visit, typed=form, refused=shown, status=refusal.status)
    return see(href("/plan/terms/{}", id, after=action))
