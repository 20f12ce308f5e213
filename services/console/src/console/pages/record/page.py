"""What is rare, on one page of a referral: only what this person may record is on it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import groupby
from typing import Annotated

import htpy as h
from fastapi import APIRouter
from starlette.responses import Response

from console.api.client import Refused, together, unless
from console.api.models.assignment import PublicDirectory
from console.api.models.intake import ShownReferral, Timeline
from console.pages import sentences
from console.pages.record import attempt, closing, consent, death, provider, release
from console.pages.record.act import Act, Known, unfolded
from console.pages.refused import field_fix, named, problem
from console.pages.visit import Visit, see, visiting
from console.parts.basics import blocks
from console.parts.basics.html import href, icon
from console.web.forms import EMPTY, Form
from console.web.refusals import NotHere
from console.words import Words
from loopkeeper.security.organizations import Role

router = APIRouter()
Concerned = Annotated[Visit, visiting(Role.REFERRER, Role.PROVIDER, Role.PLAN)]
BACK = re.compile(r"/(plan/asked|care/people|refer)/ref_[0-9a-f]{32}")


async def known_of(id: str, visit: Visit) -> Known:
    """The referral, what happened to it, and which providers there are. Raises `NotHere`."""
    found = await unless(visit.api.get("intake", f"/v1/referrals/{id}", ShownReferral), 404)
    if found is None:
        raise NotHere
    history, directory = await together(
        visit.api.get("intake", f"/v1/referrals/{id}/timeline", Timeline),
        visit.api.get(
            "assignment", "/v1/providers", PublicDirectory, plan=found.plan, county=found.county, limit=100
        ),
    )
    events = history.items if isinstance(history, Timeline) else []
    types = [sentences.kind_of(each.type) for each in events]
    return Known(found, types, directory)


def acts_of(known: Known, typed: Form, visit: Visit) -> Sequence[Act]:
    """Everything that this person may record of it now."""
    nouns = (attempt, release, consent, death, provider, closing)
    found = [act for noun in nouns for act in noun.acts(known, typed, visit)]
    order = list(dict.fromkeys(act.about for act in found))
    return sorted(found, key=lambda act: order.index(act.about))


def some_of(
    names: Sequence[str], known: Known, typed: Form, visit: Visit, back: str, *, first: bool = True
) -> list[h.Node]:
    """These acts, where another page is about them. `first`: whether the first of them is open."""
    found = {act.name: act for act in acts_of(known, typed, visit)}
    there = [found[name] for name in names if name in found]
    return [
        unfolded(act, known.found.id, back, typed, first=first and at == 0) for at, act in enumerate(there)
    ]


@router.get("/referrals/{id}/record")
async def record(id: str, visit: Concerned) -> Response:
    """What may be recorded of this referral."""
    return page(await known_of(id, visit), visit)


def page(
    known: Known, visit: Visit, *, typed: Form = EMPTY, refused: h.Node = None, status: int = 200
) -> Response:
    _, found = visit.words, known.found
    groups = groupby(acts_of(known, typed, visit), key=lambda act: act.about)
    return visit.page(
        _("Record something"),
        blocks.back(href("/referrals/{}", found.id), _("The whole story")),
        blocks.head(
            _("What happened?"),
            [
                _("Referral "),
                h.span(".mono")[found.id[-6:]],
                ". ",
                _("Everyone concerned is told what you record, and that you did."),
            ],
        ),
        refused,
        h.div(".narrow.record")[
            ([h.h2(".about")[about], [unfolded(act, found.id, typed=typed) for act in acts]] for about, acts in groups)
        ],
        status=status,
    )  # fmt: skip


def door(id: str, words: Words) -> h.Element:
    """The way to that page, from wherever a referral is worked on."""
    _ = words
    return h.a(".card.sidedoor", href=href("/referrals/{}/record", id))[
        h.span[
            h.strong[_("Did something else happen?")],
            h.span(".sub")[_("Another provider, a death, a day of release, a closing that is wrong.")],
        ],
        icon("next"),
    ]


DONE = {
    "attempt": "The attempt is recorded.",
    "release": "The day of release is recorded.",
    "custody": "It is recorded. Outreach waits.",
    "consent": "It is recorded, and counts from now on.",
    "death": "It is told. Nobody contacts the member now.",
    "death-confirmed": "It is confirmed. Everyone concerned is told.",
    "death-not-so": "It is taken back. Contact may go on.",
    "another-provider": "The wish is passed on to the plan.",
    "take-offer-back": "The offer is taken back.",
    "no-longer": "The assignment ends. The plan finds another provider.",
    "close": "The loop is closed. The referrer is told.",
    "contest": "It goes on as a new referral.",
    "split": "It goes on as a new referral.",
}


def toast(after: str, words: Words) -> h.Node:
    """That it is done, on the page that comes after."""
    return h.p(".toast", role="status")[words(DONE[after])] if after in DONE else None


@router.post("/referrals/{id}/record/{name}")
async def send(id: str, name: str, visit: Concerned) -> Response:
    """One of them, once; what is refused is said on the page, with what was typed."""
    form = await visit.form()
    known = await known_of(id, visit)
    act = next((each for each in acts_of(known, form, visit) if each.name == name), None)
    if act is None:
        raise NotHere
    try:
        made = await visit.api.act(act.service, act.path, act.body(form), once=form.once)
    except Refused as refusal:
        lines = [("", named(at, visit.words), field_fix(fix, visit.words)) for at, fix in refusal.fields]
        shown = problem(refusal, visit.words, lines)
        return page(known, visit, typed=form, refused=shown, status=refusal.status)
    if name == "no-longer" and not visit.has(Role.PLAN):
        # From now on it is not theirs to see.
        return see(href("/care", after=name))
    new = made.text("id") if act.service == "intake" else ""
    if BACK.fullmatch(form.text("back")) and new in ("", id):
        return see(href(form.text("back"), after=name))
    return see(href("/referrals/{}", new or id, after=name))
