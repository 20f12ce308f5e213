"""One decision: the clock, why a person must decide, what the answers say, who it is; choose, look at what follows, send."""

from __future__ import annotations

import htpy as h
from fastapi import APIRouter
from starlette.responses import Response

from console.api.client import Refused, unless
from console.api.models.authorization import QueueCounts, ShownAuthorization
from console.api.models.intake import ShownReferral
from console.pages.plan.case import (
    Case,
    answers,
    bar,
    case_of,
    clock,
    form_says,
    missing,
    whose,
    why,
)
from console.pages.plan.choice import body_of, choices, chosen, kept, lacking, sent
from console.pages.plan.queue import HERE, Plan, pending, title_of
from console.pages.refused import problem
from console.pages.visit import Visit, see
from console.parts import account
from console.parts.basics import blocks, labels, times
from console.parts.basics.html import form_to, href, once_field
from console.parts.basics.options import options, submit
from console.web.forms import EMPTY, Form
from loopkeeper.contract.calendar import la_date

router = APIRouter()
DONE = {"approve": "Approved.", "modify": "Approved in part.", "pend": "Asked.", "deny": "Denied."}


@router.get("/plan/decide/{id}")
async def decide(id: str, visit: Plan, after: str = "") -> Response:
    """The page of a decision."""
    return await page(await case_of(id, visit), visit, after=after)


async def page(
    case: Case,
    visit: Visit,
    *,
    typed: Form = EMPTY,
    refused: h.Node = None,
    after: str = "",
    status: int = 200,
) -> Response:
    _, found = visit.words, case.found
    waiting = (await pending(visit)).items
    counts = await visit.api.get("authorization", "/v1/authorizations:count", QueueCounts)
    here = next((at for at, each in enumerate(waiting) if each.id == found.id), None)
    referral = case.referral if isinstance(case.referral, ShownReferral) else None
    return visit.page(
        _("Decide"),
        h.p(".toast", role="status")[_(DONE[after])] if after in DONE else None,
        bar([each.id for each in waiting], here, counts.waits_for.get("decision", 0), visit.words),
        blocks.head(
            title_of(found, _),
            _(
                "Referred {day} by {who}.",
                day=times.day(la_date(referral.received_at), _),
                who=visit.name(referral.referrer),
            )
            + " "
            + " · ".join(
                each
                for each in (
                    labels.county(referral.county),
                    labels.language(referral.language, _),
                    labels.of(labels.URGENCY, found.urgency, _),
                )
                if each
            )
            if referral
            else labels.of(labels.URGENCY, found.urgency, _),
        ),
        refused,
        clock(found, visit),
        h.div(".cols.decide")[
            h.div(".case")[
                why(case, visit),
                answers(found, referral, visit.words),
                missing(referral, visit.words),
                await whose(found, visit),
                await form_says(found, visit),
                visit.away(case.explanation, case.referral),
            ],
            h.aside[await _decision(case, typed, visit)],
        ],
        here=HERE,
        status=status,
    )


async def _decision(case: Case, typed: Form, visit: Visit) -> h.Element:
    _, found = visit.words, case.found
    if found.status not in ("pending", "started") and found.waits_for != "decision":
        return _decided(found, visit)
    mine = found.claim is not None and found.claim.person == visit.signed.id
    return h.section(".card.decision")[
        form_to(f"/plan/decide/{found.id}/review", id="decision", data_guard=True)[
            options(
                "choice", h.h2[_("Your decision")], choices(case, typed, visit.words), typed.text("choice")
            ),
            h.p(".as")[
                _("You decide as "),
                h.strong[visit.signed.name],
                f", {visit.signed.title}" if visit.signed.title else "",
                _(", licence {number}", number=visit.signed.licence) if visit.signed.licence else None,
                _(". That is kept with the decision."),
            ],
            submit(_("Review before sending"), _),
        ],
        h.div(".hold")[
            h.p(".sub")[_("You work on this.") if mine else _("{name} works on this.", name=case.holder)],
            account.action("/plan/queue/give-back", _("Give it back"), tone="small", id=found.id),
        ]
        if found.claim
        else None,
    ]


def _decided(found: ShownAuthorization, visit: Visit) -> h.Element:
    _, decision = visit.words, found.decision
    return h.section(".card.next")[
        h.h2[_("It is decided")],
        h.p(".big")[labels.capital(_(labels.plain(decision.kind)))]
        if decision
        else h.p[_("Nothing waits here.")],
        blocks.facts(
            (
                (_("Number"), h.code[decision.number] if decision.number else None),
                (_("When"), times.moment(decision.at, _, year=True)),
                (_("Reason"), _(labels.plain(decision.reason)) if decision.reason else None),
                (_("Appeal by"), times.day(decision.appeal_by, _, year=True) if decision.appeal_by else None),
            )
        )
        if decision
        else None,
        h.p[h.a(href=href("/referrals/{}", found.referral))[_("The whole story")]],
    ]


@router.post("/plan/decide/{id}/review")
async def review(id: str, visit: Plan) -> Response:
    """What follows from the choice. Nothing is sent yet."""
    _, form, case = visit.words, await visit.form(), await case_of(id, visit)
    choice, body = body_of(form)
    lacks = lacking(choice, body, _)
    if lacks:
        return await page(case, visit, typed=form, refused=blocks.problem(*lacks, "", _), status=422)
    try:
        dry = await visit.api.post(
            "authorization", f"/v1/authorizations/{id}:{choice}", sent(choice, body) | {"dry_run": True},
            ShownAuthorization, once=f"{form.once}-dry",
        )  # fmt: skip
    except Refused as refusal:
        shown = problem(refusal, _)
        return await page(case, visit, typed=form, refused=shown, status=refusal.status)
    return visit.page(
        _("Review"),
        h.section(".card.review")[
            h.h1(tabindex="-1")[_(HEADINGS[choice])],
            h.p(".lead")[title_of(case.found, _)],
            blocks.facts(chosen(choice, body, case, _)),
            h.h2[_("What follows")],
            h.ul(".why")[
                (h.li[each] for each in _follows(dry, visit)), (h.li[_(each)] for each in FOLLOWS[choice])
            ],
            h.p(".as")[_("You decide as {who}.", who=visit.signed.said)],
            form_to(f"/plan/decide/{id}/send")[
                once_field(),
                h.input(type="hidden", name="etag", value=case.etag),
                (
                    h.input(type="hidden", name=name, value=value)
                    for name in kept(form)
                    for value in form.all(name)
                ),
                submit(_(SENDS[choice]), _, href("/plan/decide/{}", id)),
            ],
        ],
        here=HERE,
    )


def _follows(dry: ShownAuthorization, visit: Visit) -> list[str]:
    """What the service says would be: days and rights, of a decision that nothing kept."""
    _, decision = visit.words, dry.decision
    said: list[str] = []
    if decision is not None and decision.from_ and decision.through:
        said.append(
            _(
                "A term from {from_} through {through}.",
                from_=times.day(decision.from_, _, year=True),
                through=times.day(decision.through, _, year=True),
            )
        )
    if decision is not None and decision.notice_due_at:
        said.append(
            _("The notice is due by {day}.", day=times.deadline(decision.notice_due_at, _, now=visit.now))
        )
    if decision is not None and decision.appeal_by:
        said.append(
            _("An appeal is possible through {day}.", day=times.day(decision.appeal_by, _, year=True))
        )
    if dry.pause is not None:
        said.append(_("The referrer has until {day}.", day=times.deadline(dry.pause.by, _, now=visit.now)))
    return said


HEADINGS = {
    "approve": "Approve this?",
    "modify": "Approve this in part?",
    "pend": "Ask for this?",
    "deny": "Deny this?",
}
SENDS = {"approve": "Approve", "modify": "Approve in part", "pend": "Ask", "deny": "Deny"}
FOLLOWS = {
    "approve": (
        "The search for a provider starts at once.",
        "The referrer and, by you, the member are told.",
    ),
    "modify": (
        "A term begins for what is approved, and the search for a provider starts.",
        "For the rest the member gets a notice with the reason and the way to appeal.",
        "The referrer is told.",
    ),
    "pend": (
        "The referrer is asked now, and reminded.",
        "The decision's clock is paused; the legal cap is not.",
        "Any answer lets the clock run on.",
    ),
    "deny": (
        "The loop closes: not authorized.",
        "The member must get a notice with the reason, the citation and the way to appeal.",
        "The referrer is told, without the reason where it would say too much.",
        "An appeal or a hearing may overturn it; you record that on the term's page.",
    ),
}


@router.post("/plan/decide/{id}/send")
async def send(id: str, visit: Plan) -> Response:
    """The decision, once; then the next case."""
    _, form = visit.words, await visit.form()
    choice, body = body_of(form)
    before = [each.id for each in (await pending(visit)).items]
    try:
        await visit.api.act(
            "authorization",
            f"/v1/authorizations/{id}:{choice}",
            sent(choice, body),
            once=form.once,
            match=form.text("etag"),
        )
    except Refused as refusal:
        shown = problem(refusal, _)
        return await page(await case_of(id, visit), visit, typed=form, refused=shown, status=refusal.status)
    await unless(
        visit.api.act("authorization", f"/v1/authorizations/{id}:release", {}, once=f"{form.once}-free"),
        404,
        409,
    )
    at = before.index(id) if id in before else -1
    following = (
        before[at + 1] if 0 <= at < len(before) - 1 else before[0] if before and before[0] != id else ""
    )
    return see(href("/plan/decide/{}", following, after=choice) if following else href(HERE))
