"""Every loop of a plan: by its state and by population, what is late first."""

from __future__ import annotations

import htpy as h
from fastapi import APIRouter
from starlette.responses import Response

from console.api.client import Away, together
from console.api.models.intake import ListingShownReferral, ReferralCounts
from console.pages.care.first import live
from console.pages.plan.queue import Plan
from console.pages.rows import MOST, following, lately, loop_of, needs
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
async def every(visit: Plan, status: str = "", population: str = "", cursor: str = "") -> Response:
    """The loops, what is due first."""
    if status not in STATUSES or (population and population not in list(Population)):
        raise NotHere
    _ = visit.words
    asked = {"status": status or None, "population": population or None}
    after, days, whole = None, 0, not status and not population
    if status == "closed":
        found, days = await lately(visit, "intake", "/v1/referrals", ListingShownReferral, **asked)
        shown_now = sorted(found, key=lambda one: one.updated_at, reverse=True)[:MOST]
        count = len(found)
        late = soon = 0
    else:
        page, counted = await together(
            visit.api.get(
                "intake",
                "/v1/referrals",
                ListingShownReferral,
                order="due",
                limit=MOST,
                cursor=cursor or None,
                **asked,
            ),
            visit.api.get("intake", "/v1/referrals:count", ReferralCounts),
        )
        if not isinstance(page, ListingShownReferral) or not isinstance(counted, ReferralCounts):
            raise Away("intake")
        shown_now, after = page.items, page.next_cursor
        count = len(shown_now) if population else counted.status.get(status, 0) if status else counted.open
        late, soon = loops.due_words([one.next_step.due_at for one in shown_now], visit.now)
        if whole:
            late, soon = counted.due.get("late", 0), counted.due.get("soon", 0)
    shown = [
        loop_of(one, visit, headline=needs(one, _), sub=_sub(one.id, one.county, visit.name(one.provider)))
        for one in shown_now
    ]
    return visit.page(
        _("Loops"),
        blocks.head(
            _.many("{count} loop is open", "{count} loops are open", count)
            if whole
            else _.many("{count} loop closed lately", "{count} loops closed lately", count)
            if status == "closed"
            else _.many("{count} loop", "{count} loops", count),
            [
                h.span(".n.late")[_.many("{count} is late", "{count} are late", late)] if late else None,
                ", " if late and soon else None,
                h.span(".n.soon")[_("{count} due within two days", count=soon)] if soon else None,
                "." if late or soon else _("Each has a next actor."),
            ]
            if status != "closed"
            else _.many("In the last day.", "In the last {count} days.", days),
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
        following(visit, HERE, after, MOST, status=status, population=population),
        here=HERE,
        live=True,
    )


def _sub(id: str, county: str | None, provider: str) -> str:
    return " · ".join(each for each in (f"…{id[-6:]}", labels.county(county), provider) if each)
