"""The open questions of one referral, answered on one page; and the way to the right plan, and whom the member wants."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import htpy as h
from fastapi import APIRouter
from starlette.responses import Response

from console.api.client import Refused, unless
from console.api.models.form import ANSWERS
from console.api.models.intake import ShownQuestion, ShownReferral
from console.pages import sentences
from console.pages.refer.mine import HERE, Referrer
from console.pages.refused import field_fix, named, problem
from console.pages.visit import Visit, see
from console.parts.basics import blocks, marks
from console.parts.basics.html import form_to, href, once_field, said
from console.parts.basics.options import checks, select, submit
from console.parts.entrance import field
from console.web.forms import EMPTY, Form
from console.web.refusals import NotHere
from console.words import Words
from loopkeeper.contract.vocabulary.codes import Code
from loopkeeper.contract.vocabulary.languages import Language
from loopkeeper.contract.vocabulary.people import ConsentHolder, RaceEthnicity
from loopkeeper.contract.vocabulary.places import County
from loopkeeper.contract.vocabulary.populations import Population
from loopkeeper.contract.vocabulary.programs import Program
from loopkeeper.contract.vocabulary.referring import Relationship

router = APIRouter()
YES_NO = ("provider-change", "redirect-", "confirm-", "attestation")
DATES = ("birth-date", "age-group", "age-group-adult", "other-birth-date", "release-date", "referral-date")
LISTS: Mapping[str, type[Code]] = {
    "language": Language,
    "county": County,
    "redirect": County,
    "relationship": Relationship,
    "consent-holder": ConsentHolder,
    "presumptive-population": Population,
}
SEVERAL: Mapping[str, type[Code]] = {
    "populations": Population,
    "race-ethnicity": RaceEthnicity,
    "programs": Program,
}
CHOICES = (("ecm", "Enhanced Care Management (ECM)"), ("program", "The program"))
CAREGIVER = (
    ("name", "Their name"),
    ("relationship", "What they are to the member"),
    ("phone", "Their phone"),
)
NONE = "none"


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
    blocking = sum(each.blocking for each in asked)
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
            _.many(
                "Answer what you know; leave the rest. One holds the loop up.",
                "Answer what you know; leave the rest. {count} hold the loop up.",
                blocking,
            )
            if blocking
            else _("Answer what you know; leave the rest. None holds the loop up."),
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
    kinds = ((LISTS, "list"), (SEVERAL, "several"), (DATES, "date"), (("caregiver",), "caregiver"))
    found = next((kind for ids, kind in kinds if question in ids), "words")
    return "choice" if question.startswith("choice-") else found


def _question(asked: ShownQuestion, typed: Form, words: Words) -> h.Element:
    _ = words
    name, text = f"q-{asked.id}", sentences.question(asked.id, asked.asks, words)
    holds = marks.chip(_("holds the loop up"), "due") if asked.blocking else None
    match kind_of(asked.id):
        case "yes_no":
            taps = (("yes", _("Yes")), ("no", _("No")), ("", _("Not known")))
            return _taps(name, text, taps, typed, holds)
        case "choice":
            return _taps(name, text, [(code, _(label)) for code, label in CHOICES], typed, holds)
        case "list":
            codes = LISTS[asked.id]
            found = [(str(code), _(codes.label_of(code))) for code in codes]
            return h.div[select(text, name, found, typed.text(name), empty=_("Not known")), holds]
        case "several":
            codes = SEVERAL[asked.id]
            found = [(str(code), _(codes.label_of(code))) for code in codes]
            more = [(NONE, _("None of them"))] if asked.id == "programs" else []
            return h.details(".rest.several", open=bool(typed.all(name)))[
                h.summary[said(text), " ", holds], checks(name, "", more + found, typed.all(name))
            ]
        case "caregiver":
            return h.fieldset(".caregiver")[
                h.legend[said(text), " ", holds],
                (
                    field(_(label), f"{name}.{part}", typed.text(f"{name}.{part}"), needed=False)
                    for part, label in CAREGIVER
                ),
            ]
        case kind:
            types = {"count": "number", "date": "date"}
            return h.div[
                field(text, name, typed.text(name), kind=types.get(kind, "text"), needed=False), holds
            ]


def _taps(name: str, text: str, taps: Sequence[tuple[str, str]], typed: Form, holds: h.Node) -> h.Element:
    return h.fieldset(".yesno")[
        h.legend[said(text), " ", holds],
        (
            h.label[
                h.input(type="radio", name=name, value=value, checked=typed.text(name) == value),
                h.span[shown],
            ]
            for value, shown in taps
        ),
    ]


def given_of(typed: Form) -> dict[str, Any]:
    """Every answer that was given, by the question's id, as the service takes it."""
    given: dict[str, Any] = {}
    for name in typed:
        question, _dot, part = name.removeprefix("q-").partition(".")
        value = typed.text(name)
        if not name.startswith("q-") or not value:
            continue
        match kind_of(question):
            case "yes_no":
                given[question] = value == "yes"
            case "count" if value.isdigit():
                given[question] = int(value)
            case "several" if question == "programs":
                ticked = typed.all(name)
                given[question] = (
                    {str(code): "no" for code in Program} if NONE in ticked else dict.fromkeys(ticked, "yes")
                )
            case "several":
                given[question] = list(typed.all(name))
            case "caregiver":
                given.setdefault(question, {})[part] = value
            case _:
                given[question] = value
    return given


@router.post("/refer/{id}/answers")
async def send(id: str, visit: Referrer) -> Response:
    """Every answer that was given, in one request."""
    _, typed = visit.words, await visit.form()
    given = given_of(typed)
    if not given:
        shown = blocks.problem(_("Nothing is answered"), _("Answer at least one question."), "", _)
        return await page(id, visit, typed=typed, refused=shown, status=422)
    try:
        await visit.api.act("intake", f"/v1/referrals/{id}:answer", {"answers": given}, once=typed.once)
    except Refused as refusal:
        fields = [
            (f"q-{pointer.rpartition('/')[2]}", named(pointer, _), field_fix(fix, _))
            for pointer, fix in refusal.fields
        ]
        shown = problem(refusal, _, fields)
        return await page(id, visit, typed=typed, refused=shown, status=refusal.status)
    return see(href("/refer/{}", id, after="answered"))
