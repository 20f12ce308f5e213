"""Every loop of a plan: by its state and by population, what is late first."""

from __future__ import annotations

import htpy as h
from fastapi import APIRouter
from starlette.responses import Response

from console.api.models.intake import ListingShownReferral
from console.pages.care.first import live
from console.pages.plan.queue import Plan
from console.pages.rows import MOST, PAGE, all_referrals, loop_of, needs
from console.parts import loops
from console.parts.basics import blocks, labels
from console.parts.basics.html import href
from console.parts.basics.options import select
from console.web.refusals import NotHere
from loopkeeper.contract.vocabulary.populations import Population

router = APIRouter()
HERE = "/plan/loops"
STATUSES = {
    "": "Open",
    "needs_information": "Answers missing",
    "pending_authorization": "We decide",
    "authorized": "No provider yet",
    "assigned": "Offered",
    "accepted": "Accepted",
    "outreach_initiated": "Outreach",
    "closed": "Closed",
}


@router.get(HERE)
async def every(visit: Plan, status: str = "", population: str = "") -> Response:
    """The loops, what is due first."""
    if status not in STATUSES or (population and population not in list(Population)):
        raise NotHere
    _ = visit.words
    asked = {"status": status or None, "population": population or None}
    if status == "closed":
        page = await visit.api.get("intake", "/v1/referrals", ListingShownReferral, limit=PAGE, **asked)
        found = list(page.items)
        ordered = sorted(found, key=lambda one: one.updated_at, reverse=True)
    else:
        found = list(await all_referrals(visit.api, order="due", **asked))
        ordered = found
    late, soon = loops.due_words([one.next_step.due_at for one in found], visit.now)
    shown = [
        loop_of(one, visit, headline=needs(one, _), sub=_sub(one.id, one.county, visit.name(one.provider)))
        for one in ordered[:MOST]
    ]
    return visit.page(
        _("Loops"),
        blocks.head(
            _.many("{count} loop is open", "{count} loops are open", len(found))
            if status != "closed"
            else _("Closed loops"),
            [
                h.span(".n.late")[_.many("{count} is late", "{count} are late", late)] if late else None,
                ", " if late and soon else None,
                h.span(".n.soon")[_("{count} due within two days", count=soon)] if soon else None,
                "." if late or soon else _("Each has a next actor."),
            ]
            if status != "closed"
            else None,
            live(visit),
        ),
        h.nav(".tabs", aria_label=_("Which"))[
            h.ul[
                (
                    h.li[
                        h.a(
                            href=href(HERE, status=code, population=population),
                            aria_current="true" if code == status else None,
                        )[_(name)]
                    ]
                    for code, name in STATUSES.items()
                )
            ]
        ],
        h.form(".filterline", method="get", action=HERE)[
            h.input(type="hidden", name="status", value=status) if status else None,
            select(
                _("Population"),
                "population",
                [(str(code), labels.population(str(code), _)) for code in Population],
                population,
                empty=_("All"),
            ),
            h.button(type="submit")[_("Show")],
        ],
        h.div(".group")[loops.rows(shown, visit.now, _, _("Loops"))]
        if shown
        else blocks.empty(_("Nothing here"), _("No loop has this status now.")),
        h.p(".sub")[_("{count} more are not shown: choose a filter.", count=len(ordered) - MOST)]
        if len(ordered) > MOST
        else None,
        here=HERE,
        live=True,
    )


def _sub(id: str, county: str | None, provider: str) -> str:
    return " · ".join(each for each in (f"…{id[-6:]}", labels.county(county), provider) if each)
