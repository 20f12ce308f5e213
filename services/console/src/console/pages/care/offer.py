"""One offer: what may be said before the answer; yes with the lead, or no with its reason."""

from __future__ import annotations

from typing import Any

import htpy as h
from fastapi import APIRouter
from starlette.responses import Response

from console.api.client import Refused, unless
from console.api.models.assignment import ShownAssignment
from console.pages.care.first import HERE, Provider, said_of
from console.pages.refused import problem
from console.pages.visit import Visit, see
from console.parts.basics import blocks, labels, marks, times
from console.parts.basics.html import form_to, href, once_field
from console.parts.basics.options import Option, options, picks, submit
from console.parts.entrance import field
from console.web.forms import EMPTY, Form
from console.web.refusals import NotHere
from loopkeeper.contract.vocabulary.providers import DeclineReason

router = APIRouter()


@router.get("/care/offers/{id}")
async def offer(id: str, visit: Provider) -> Response:
    """The offer, and both answers."""
    return await page(id, visit)


async def page(
    id: str, visit: Visit, *, typed: Form = EMPTY, refused: h.Node = None, status: int = 200
) -> Response:
    _ = visit.words
    got = await unless(visit.api.versioned("assignment", f"/v1/assignments/{id}", ShownAssignment), 404)
    if got is None:
        raise NotHere
    found, etag = got
    if found.status != "offered":
        return _answered(found, visit)
    state = times.due_state(found.answer_due_at, visit.now)
    return visit.page(
        _("Offer"),
        blocks.back(HERE, _("Care")),
        blocks.head(
            _("Can you take this person?"),
            [
                _("{plan} asks. Answer by ", plan=visit.name(found.plan)),
                h.strong(class_=state)[times.deadline(found.answer_due_at, _, now=visit.now)],
                ".",
            ],
        ),
        refused,
        h.div(".cols")[
            h.div(".case")[
                h.section(".card")[
                    form_to(f"/care/offers/{id}", data_guard=True)[
                        once_field(),
                        h.input(type="hidden", name="etag", value=etag),
                        options(
                            "answer",
                            h.h2[_("Your answer")],
                            [
                                Option(
                                    "accept",
                                    _("Yes, we take them"),
                                    _("From then on you see who it is."),
                                    "y",
                                    _lead(typed, visit),
                                ),
                                Option(
                                    "decline",
                                    _("No"),
                                    _("The next provider is asked at once."),
                                    "n",
                                    picks(
                                        "reason",
                                        _("Why not?"),
                                        [
                                            (str(code), _(DeclineReason.label_of(code)))
                                            for code in DeclineReason
                                        ],
                                        typed.text("reason"),
                                        needed=False,
                                    ),
                                ),
                            ],
                            typed.text("answer"),
                        ),
                        submit(_("Send the answer"), _),
                    ]
                ]
            ],
            h.aside(".facts")[
                blocks.card(
                    _("What may be said before"),
                    blocks.facts(
                        (
                            (_("Age"), labels.of(labels.AGE_BAND, found.age_band, _)),
                            (_("Place"), labels.county(found.county)),
                            (_("Language"), labels.language(found.language, _)),
                            (
                                _("Needs"),
                                ", ".join(labels.of(labels.NEEDS, need, _) for need in found.needs or ()),
                            ),
                            (
                                _("Begins"),
                                times.day(found.starts_on, _, year=True) if found.starts_on else None,
                            ),
                        )
                    ),
                    h.p(".sub")[_("Name, address and how to reach them safely follow with your yes.")],
                )
            ],
        ],
        here=HERE,
        status=status,
    )


def _lead(typed: Form, visit: Visit) -> h.Node:
    _ = visit.words
    return [
        field(
            _("Who will be the lead care manager?"),
            "lead",
            typed.text("lead") or visit.signed.name,
            hint=_("The member asks for this person by name."),
            needed=False,
        ),
        field(
            _("Their number"),
            "lead_phone",
            typed.text("lead_phone"),
            kind="tel",
            hint=_("Missing, it is yours as a provider."),
            needed=False,
        ),
    ]


def _answered(found: ShownAssignment, visit: Visit) -> Response:
    _ = visit.words
    took = found.status == "accepted"
    return visit.page(
        _("Offer"),
        blocks.back(HERE, _("Care")),
        blocks.head(
            _("You take this person") if took else _("This offer is over"),
            said_of(found, _),
            marks.chip(_(labels.plain(found.status)), "good" if took else ""),
        ),
        h.p[h.a(".button.primary", href=href("/care/people/{}", found.referral))[_("Go to the person")]]
        if took and found.referral
        else h.p[h.a(".button", href=HERE)[_("Back")]],
        here=HERE,
    )


@router.post("/care/offers/{id}")
async def answer(id: str, visit: Provider) -> Response:
    """Yes with the lead, or no with its reason."""
    _, form = visit.words, await visit.form()
    accepts = form.text("answer") == "accept"
    body: dict[str, Any] = {"reason": form.text("reason")}
    if accepts:
        name = form.text("lead") or visit.signed.name
        mine = name == visit.signed.name
        lead = {"name": name, "person": visit.signed.id if mine else "-".join(name.casefold().split())}
        body = {"lead": lead | ({"phone": form.text("lead_phone")} if form.text("lead_phone") else {})}
    try:
        answered = await visit.api.act(
            "assignment",
            f"/v1/assignments/{id}:{'accept' if accepts else 'decline'}",
            body,
            once=form.once,
            match=form.text("etag"),
        )
    except Refused as refusal:
        shown = problem(refusal, _)
        return await page(id, visit, typed=form, refused=shown, status=refusal.status)
    referral = answered.text("referral")
    return see(href("/care/people/{}", referral) if accepts and referral else HERE)
