"""The open questions of one referral, answered on one page; and the way to the right plan, and whom the member wants."""

from __future__ import annotations

from typing import Any

import htpy as h
from fastapi import APIRouter
from starlette.responses import Response

from console.api.client import Refused, unless
from console.api.models.form import ANSWERS
from console.api.models.intake import ShownQuestion, ShownReferral
from console.pages.refer.mine import HERE, Referrer
from console.pages.visit import Visit, see
from console.parts.basics import blocks, marks
from console.parts.basics.html import form_to, href, once_field, said
from console.parts.basics.options import submit
from console.parts.entrance import field
from console.web.forms import EMPTY, Form
from console.web.refusals import NotHere
from console.words import Words

router = APIRouter()
YES_NO = ("provider-change", "redirect")
DATES = ("birth-date", "release-date", "release-on", "first-service")


@router.get("/refer/{id}/answers")
async def answers(id: str, visit: Referrer) -> Response:
    """What is asked."""
    return await page(id, visit)


async def page(
    id: str, visit: Visit, *, typed: Form = EMPTY, refused: h.Node = None, status: int = 200
) -> Response:
    _ = visit.words
    got = await unless(visit.api.versioned("intake", f"/v1/referrals/{id}", ShownReferral), 404)
    if got is None:
        raise NotHere
    found, etag = got
    asked = list(found.questions or ())
    if not asked or found.closing is not None:
        return visit.page(
            _("Answers"),
            blocks.back(href("/refer/{}", id), _("Back")),
            blocks.empty(
                _("Nothing is asked"), _("If something is missing later, it comes here and to your mailbox.")
            ),
            here=HERE,
        )
    return visit.page(
        _("Answers"),
        blocks.back(href("/refer/{}", id), _("Back")),
        blocks.head(
            _.many("{count} question", "{count} questions", len(asked)),
            _(
                "Answer what you know; leave the rest. {count} hold the loop up.",
                count=sum(each.blocking for each in asked),
            ),
        ),
        refused,
        h.section(".card.narrow")[
            form_to(f"/refer/{id}/answers", autocomplete="off", data_guard=True)[
                once_field(),
                h.input(type="hidden", name="etag", value=etag),
                (_question(each, typed, _) for each in sorted(asked, key=lambda each: not each.blocking)),
                submit(_("Send the answers"), _),
            ]
        ],
        here=HERE,
        status=status,
    )


def kind_of(question: str) -> str:
    """How this question is answered."""
    if question.startswith("answer-"):
        return ANSWERS.get(question.removeprefix("answer-"), ("words", ""))[0]
    if question.startswith(YES_NO):
        return "yes_no"
    return "date" if question in DATES else "words"


def _question(asked: ShownQuestion, typed: Form, words: Words) -> h.Element:
    _ = words
    name, value = f"q-{asked.id}", typed.text(f"q-{asked.id}")
    kind = kind_of(asked.id)
    holds = marks.chip(_("holds the loop up"), "due") if asked.blocking else None
    if kind == "yes_no":
        return h.fieldset(".yesno")[
            h.legend[said(_(asked.asks)), " ", holds],
            (
                h.label[h.input(type="radio", name=name, value=each, checked=value == each), h.span[_(text)]]
                for each, text in (("yes", "Yes"), ("no", "No"), ("", "Not known"))
            ),
        ]
    types = {"count": "number", "date": "date"}
    return h.div[field(_(asked.asks), name, value, kind=types.get(kind, "text"), needed=False), holds]


@router.post("/refer/{id}/answers")
async def send(id: str, visit: Referrer) -> Response:
    """Every answer that was given, in one request."""
    _, typed = visit.words, await visit.form()
    given: dict[str, Any] = {}
    for name in typed:
        if not name.startswith("q-") or not typed.text(name):
            continue
        question, value = name.removeprefix("q-"), typed.text(name)
        kind = kind_of(question)
        given[question] = (
            value == "yes"
            if kind == "yes_no"
            else int(value)
            if kind == "count" and value.isdigit()
            else value
        )
    if not given:
        shown = blocks.problem(_("Nothing is answered"), _("Answer at least one question."), "", _)
        return await page(id, visit, typed=typed, refused=shown, status=422)
    try:
        await visit.api.act("intake", f"/v1/referrals/{id}:answer", {"answers": given}, once=typed.once)
    except Refused as refusal:
        fields = [
            (f"q-{pointer.rpartition('/')[2]}", pointer.rpartition("/")[2], fix)
            for pointer, fix in refusal.fields
        ]
        shown = blocks.problem(refusal.title, refusal.fix, refusal.trace, _, fields)
        return await page(id, visit, typed=typed, refused=shown, status=refusal.status)
    return see(href("/refer/{}", id, after="answered"))
