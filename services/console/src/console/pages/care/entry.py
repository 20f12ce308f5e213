"""A provider's own part of its entry in the directory: places, one more or less at a tap; number, languages, how it answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import htpy as h
from fastapi import APIRouter
from starlette.responses import Response

from console.api.client import Refused
from console.api.models.assignment import ShownEntry, ShownPlaces
from console.pages.care.first import HERE as CARE
from console.pages.care.first import Provider
from console.pages.directory import entry_of, of_others, places_of, taken_of
from console.pages.refused import field_fix, named, problem
from console.pages.visit import Visit, see
from console.parts.basics import blocks, marks
from console.parts.basics.html import form_to, href
from console.parts.basics.options import checks, picks
from console.parts.entrance import field
from console.web.forms import EMPTY, Form
from loopkeeper.contract.vocabulary.languages import Language

router = APIRouter()
HERE = "/care/entry"
ANSWERS = {"api": "Here, or by a program", "file": "By a monthly file"}


@router.get(HERE)
async def entry(visit: Provider, after: str = "") -> Response:
    """The own entry."""
    return await page(visit, after=after)


async def page(
    visit: Visit, *, typed: Form = EMPTY, refused: h.Node = None, after: str = "", status: int = 200
) -> Response:
    _ = visit.words
    got = await entry_of(visit.signed.organization.id, visit)
    if got is None:
        return visit.page(
            _("Your entry"),
            blocks.back(CARE, _("Care")),
            blocks.empty(
                _("The directory does not name you yet"),
                _("Operations add a provider. From then on plans may offer you members."),
            ),
            here=CARE,
        )
    found, etag = got
    places = await places_of(found.id, visit)
    return visit.page(
        _("Your entry"),
        blocks.back(CARE, _("Care")),
        h.p(".toast", role="status")[_("Your entry is changed.")] if after == "changed" else None,
        blocks.head(
            _("{taken} of {capacity} places are taken", taken=places.taken, capacity=places.capacity),
            _("While a place is free, plans may offer you members."),
            None if found.active else marks.chip(_("not in the directory"), "late"),
        ),
        refused,
        h.div(".cols")[
            h.div(".case")[_places(places, etag, typed, visit), _answers(found, places, etag, typed, visit)],
            h.aside(".facts")[of_others(found, visit)],
        ],
        here=CARE,
        status=status,
    )


def _places(places: ShownPlaces, etag: str, typed: Form, visit: Visit) -> h.Element:
    """One place more or less is one tap, without script too."""
    _ = visit.words

    def tap(sign: str, to: int, says: str) -> h.Element:
        return form_to(HERE)[
            h.input(type="hidden", name="etag", value=etag),
            h.input(type="hidden", name="capacity", value=str(to)),
            h.button(".step", type="submit", aria_label=says, disabled=to < 0)[sign],
        ]

    return blocks.card(
        _("Capacity"),
        taken_of(places, visit),
        h.div(".steps")[
            tap("−", places.capacity - 1, _("One place less")),
            h.strong[str(places.capacity)],
            tap("+", places.capacity + 1, _("One place more")),
        ],
        form_to(HERE, class_="row inline")[
            h.input(type="hidden", name="etag", value=etag),
            field(
                _("Or so many"), "capacity", typed.text("capacity"), kind="number", min="0", max="100000",
                inputmode="numeric",
            ),
            h.button(type="submit")[_("Set")],
        ],
    )  # fmt: skip


def _answers(found: ShownEntry, places: ShownPlaces, etag: str, typed: Form, visit: Visit) -> h.Element:
    _ = visit.words
    spoken = typed.all("languages") or found.languages
    return h.section(".card")[
        h.h2[_("How you are found")],
        form_to(HERE)[
            h.input(type="hidden", name="etag", value=etag),
            h.input(type="hidden", name="part", value="answers"),
            field(
                _("Phone"), "phone", typed.text("phone") or found.phone, kind="tel",
                hint=_("Members and plans call it; it is public."), needed=False,
            ),
            picks(
                "answers_by", _("How do you answer offers?"), [(code, _(text)) for code, text in ANSWERS.items()],
                typed.text("answers_by") or places.answers_by,
            ),
            h.details(".rest", open=bool(typed.all("languages")))[
                h.summary[_.many("{count} language", "{count} languages", len(spoken))],
                checks(
                    "languages", _("Languages you serve in"),
                    [(str(code), _(Language.label_of(code))) for code in Language], spoken,
                ),
            ],
            h.button(".primary", type="submit")[_("Change it")],
        ],
    ]  # fmt: skip


@router.post(HERE)
async def change(visit: Provider) -> Response:
    """Places, or the rest; what is another's to write is not here."""
    _, form = visit.words, await visit.form()
    path = f"/v1/providers/{visit.signed.organization.id}"
    try:
        await visit.api.act("assignment", path, body_of(form), once="", match=form.text("etag"), method="PUT")
    except Refused as refusal:
        lines = [("", named(at, _), field_fix(fix, _)) for at, fix in refusal.fields]
        return await page(visit, typed=form, refused=problem(refusal, _, lines), status=refusal.status)
    return see(href(HERE, after="changed"))


def body_of(form: Form) -> Mapping[str, Any]:
    if form.text("part") != "answers":
        typed = form.text("capacity")
        return {"capacity": int(typed) if typed.isascii() and typed.isdigit() else typed}
    kept = {name: form.text(name) for name in ("phone", "answers_by") if form.text(name)}
    return kept | {"languages": list(form.all("languages"))}
