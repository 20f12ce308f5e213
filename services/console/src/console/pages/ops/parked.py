"""Parked referrals: facts that a rule could not take, by cause and in order; tried first, then replayed."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import htpy as h
from fastapi import APIRouter
from starlette.responses import Response

from console.api.client import Away, Refused, together
from console.api.models.intake import (
    ParkedCause,
    ParkedCauses,
    ParkedDetail,
    ParkedList,
    ParkedReferral,
    ReplayResult,
)
from console.pages.care.first import live
from console.pages.ops.first import Operator
from console.pages.ops.status import MODELS
from console.pages.refused import problem
from console.pages.visit import Visit
from console.parts import loops
from console.parts.basics import blocks, labels, marks, times
from console.parts.basics.html import form_to, href, once_field
from console.web.refusals import NotHere

router = APIRouter()
HERE = "/ops/parked"
SHOWN = 50


@router.get(HERE)
async def parked(visit: Operator) -> Response:
    """By service and cause, most referrals first; of each cause those that wait longest."""
    _ = visit.words
    found = await together(*(_of_service(name, visit) for name in MODELS))
    causes = [cause for each in found if not isinstance(each, Away) for cause in each]
    count = sum(cause.referrals for cause in causes)
    return visit.page(
        _("Parked"),
        blocks.head(
            _.many("{count} referral is parked", "{count} referrals are parked", count)
            if count
            else _("Nothing is parked"),
            _(
                "A fact that a rule could not take waits here with all that follows it. Fix the cause, try, then replay."
            )
            if count
            else _(
                "When a rule cannot take a fact, its referral waits here, in order, and nothing else does."
            ),
            live(visit),
        ),
        visit.away(*found),
        (_cause(cause, visit) for cause in causes),
        here=HERE,
        live=True,
    )


@dataclass(frozen=True)
class Cause:
    """What one service could not take, of which types of facts; how many referrals wait for it, and the first of them."""

    service: str
    error: str
    types: Sequence[str]
    referrals: int
    first: Sequence[ParkedReferral]


async def _of_service(name: str, visit: Visit) -> Sequence[Cause]:
    """The causes as the service counts them."""
    counted, listed = await asyncio.gather(
        visit.api.get(name, f"/v1/operations/{name}/parked:causes", ParkedCauses),
        visit.api.get(name, f"/v1/operations/{name}/parked", ParkedList),
    )
    by_error: dict[str, list[ParkedCause]] = defaultdict(list)
    for each in counted.items:
        by_error[each.error].append(each)
    return [
        Cause(
            name,
            error,
            [each.type for each in causes],
            sum(each.referrals for each in causes),
            [one for one in listed.items if one.error == error][:SHOWN],
        )
        for error, causes in by_error.items()
    ]


def _cause(cause: Cause, visit: Visit) -> h.Element:
    _, name = visit.words, cause.service
    more = cause.referrals - len(cause.first)
    return loops.group(
        [h.strong[_(labels.SOURCE[name])], ": ", h.code[cause.error]],
        cause.referrals,
        marks.mark("late"),
        [
            h.p(".note")[_("at "), h.code[", ".join(cause.types)]],
            h.ul(".tiles-list")[
                (
                    h.li(id=one.stream, data_row=True, tabindex="-1")[
                        h.div[
                            h.a(".headline", href=href("/ops/parked/{}/{}", name, one.stream))[
                                h.span(".mono")[f"…{one.stream[-6:]}"]
                            ],
                            h.span(".sub")[
                                _.many("{count} fact", "{count} facts", one.facts),
                                " · ",
                                _.many("{count} try", "{count} tries", one.tries),
                            ],
                        ],
                        h.span(".sub")[_("since {at}", at=times.moment(one.since, _))],
                    ]
                    for one in cause.first
                )
            ],
        ],
        h.p(".note")[_("{count} more wait for the same.", count=more)] if more > 0 else None,
    )


@router.get("/ops/parked/{service}/{id}")
async def one(service: str, id: str, visit: Operator) -> Response:
    """The facts of one referral, in order, each with its error."""
    return await page(service, id, visit)


async def page(service: str, id: str, visit: Visit, *, said: h.Node = None, status: int = 200) -> Response:
    if service not in MODELS:
        raise NotHere
    _ = visit.words
    found = await visit.api.get(service, f"/v1/operations/{service}/parked/{id}", ParkedDetail)
    return visit.page(
        _("Parked"),
        blocks.back(HERE, _("Parked")),
        blocks.head(
            _.many("{count} fact waits", "{count} facts wait", len(found.facts)),
            [_("Referral "), h.span(".mono")[id[-6:]], ", ", _(labels.SOURCE[service]), "."],
        ),
        said,
        h.div(".cols")[
            h.div(".case")[
                blocks.card(
                    _("In order"),
                    h.ol(".plainrows")[
                        (
                            h.li[
                                h.div[h.strong[each.type], h.p(".sub")[h.code[each.error or "–"]]],
                                h.span(".sub")[times.time(each.at, times.moment(each.at, _))],
                            ]
                            for each in found.facts
                        )
                    ],
                )
            ],
            h.aside(".facts")[
                blocks.card(
                    _("Try, then replay"),
                    h.p(".sub")[
                        _("A try keeps nothing. A replay applies the facts in order until one fails again.")
                    ],
                    form_to(f"/ops/parked/{service}/{id}")[
                        once_field(),
                        h.button(type="submit", name="do", value="try")[_("Try")],
                        h.button(".primary", type="submit", name="do", value="replay")[_("Replay")],
                    ],
                ),
                blocks.card(
                    _("Cause"),
                    h.p[h.code[found.stream.error]],
                    h.p(".sub")[_("since {at}", at=times.moment(found.stream.since, _, year=True))],
                ),
            ],
        ],
        here=HERE,
        status=status,
    )


@router.post("/ops/parked/{service}/{id}")
async def replay(service: str, id: str, visit: Operator) -> Response:
    """Try or replay."""
    _, form = visit.words, await visit.form()
    if service not in MODELS:
        raise NotHere
    dry = form.text("do") != "replay"
    body: dict[str, Any] = {"dry_run": dry}
    try:
        done = await visit.api.post(
            service, f"/v1/operations/{service}/parked/{id}:replay", body, ReplayResult, once=form.once
        )
    except Refused as refusal:
        return await page(
            service,
            id,
            visit,
            said=problem(refusal, _),
            status=refusal.status,
        )
    words = _("{applied} applied, {left} left.", applied=done.applied, left=done.left)
    result = h.p(".toast", role="status")[
        _("A try: ") if dry else None, words, f" {done.error}" if done.error else None
    ]
    if not dry and not done.left:
        return visit.page(
            _("Parked"),
            blocks.back(HERE, _("Parked")),
            result,
            blocks.empty(_("Nothing of it is parked any more"), _("The referral goes on.")),
            here=HERE,
        )
    return await page(service, id, visit, said=result)
