"""Loops that ask the plan for something that is no decision, by what they ask; and what may be one member's twice."""

from __future__ import annotations

from collections.abc import Sequence

import htpy as h
from fastapi import APIRouter
from starlette.responses import Response

from console.api.client import together
from console.api.models.intake import ListingShownReferral, ReferralCounts, ShownReferral
from console.pages.care.first import live
from console.pages.plan.queue import Plan
from console.pages.rows import cut_short, loop_of, needs, possibly_twice
from console.pages.visit import Visit
from console.parts import loops
from console.parts.basics import blocks, labels, marks, times
from console.parts.basics.html import href
from console.web.refusals import NotHere

router = APIRouter()
HERE = "/plan/asked"
DECIDE, SHOWN = "decide", 50
WHICH = {"": "Waiting for us", "twice": "Perhaps here twice"}


@router.get(HERE)
async def asked(visit: Plan, which: str = "") -> Response:
    """Loops that wait for the plan, and not for a decision; or what may be one member's twice."""
    if which not in WHICH:
        raise NotHere
    _ = visit.words
    if which == "twice":
        return await _twice(visit)
    counted = await visit.api.get("intake", "/v1/referrals:count", ReferralCounts, actor="plan")
    steps = {code: count for code, count in counted.step.items() if code != DECIDE}
    pages = await together(
        *(
            visit.api.get(
                "intake",
                "/v1/referrals",
                ListingShownReferral,
                actor="plan",
                step=code,
                order="due",
                limit=SHOWN,
            )
            for code in steps
        )
    )
    found = [page.items for page in pages if isinstance(page, ListingShownReferral) and page.items]
    found.sort(key=lambda items: (items[0].next_step.due_at is None, items[0].next_step.due_at or visit.now))
    late, soon = loops.due_words([one.next_step.due_at for items in found for one in items], visit.now)
    count = sum(steps.values())
    return visit.page(
        _("Asked of us"),
        blocks.head(
            _.many("{count} loop asks us", "{count} loops ask us", count) if count else _("Nothing is asked of you"),
            [
                h.span(".n.late")[_.many("{count} is late", "{count} are late", late)] if late else None,
                ", " if late and soon else None,
                h.span(".n.soon")[_("{count} due within two days", count=soon)] if soon else None,
                _(". Only a person of the plan can see to these.") if late or soon else _("Only a person of the plan can see to these."),
            ],
            live(visit),
        ),
        _tabs(which, visit),
        visit.away(*pages),
        (_group(items, steps.get(items[0].next_step.code or "", len(items)), visit) for items in found),
        blocks.empty(_("All is seen to"), _("When no provider fits, one does not answer, or a death is told, it comes here."))
        if not found
        else None,
        here=HERE,
        live=True,
    )  # fmt: skip


def _tabs(which: str, visit: Visit) -> h.Element:
    _ = visit.words
    return h.nav(".tabs", aria_label=_("Which"))[
        h.ul[
            (
                h.li[
                    h.a(href=href(HERE, which=code), aria_current="true" if code == which else None)[_(name)]
                ]
                for code, name in WHICH.items()
            )
        ]
    ]


async def _twice(visit: Visit) -> Response:
    """Two referrals that may be one member's."""
    _ = visit.words
    twice = await possibly_twice(visit.api)
    shown = [
        loop_of(
            one,
            visit,
            path=href("/plan/asked/{}", one.id),
            headline=needs(one, _),
            sub=_("perhaps …{id}", id=(one.possible_duplicate_of or "")[-6:]),
        )
        for one in twice[:SHOWN]
    ]
    return visit.page(
        _("Asked of us"),
        blocks.head(
            _.many("{count} is perhaps here twice", "{count} are perhaps here twice", len(twice)),
            _(
                "Two referrals with the same number, or the same name and birth date. Only a person joins them."
            ),
        ),
        _tabs("twice", visit),
        cut_short(twice, visit),
        h.div(".group")[loops.rows(shown, visit.now, _, _("Perhaps one member twice"))]
        if shown
        else blocks.empty(_("Nobody is here twice"), _("What may be one member's twice comes here.")),
        here=HERE,
    )


def _group(found: Sequence[ShownReferral], count: int, visit: Visit) -> h.Element:
    _ = visit.words
    step = found[0].next_step
    shown = [
        loop_of(one, visit, path=href("/plan/asked/{}", one.id), headline=needs(one, _), sub=_sub(one))
        for one in found
    ]
    return loops.group(
        labels.capital(_(step.step)), count, marks.mark(times.due_state(step.due_at, visit.now)),
        loops.rows(shown, visit.now, _, step.step),
    )  # fmt: skip


def _sub(one: ShownReferral) -> str:
    return f"…{one.id[-6:]} · {labels.county(one.county)}"
