"""One provider's entry in the directory, for operations: what it says, and taking it out or putting it back."""

from __future__ import annotations

from typing import Any

import htpy as h
from fastapi import APIRouter
from starlette.responses import Response

from console.api.client import Refused, unless
from console.pages.directory import entry_of, of_others, places_of, taken_of
from console.pages.ops.first import Operator
from console.pages.ops.organizations import HERE as ORGANIZATIONS
from console.pages.refused import problem
from console.pages.visit import Visit, see
from console.parts.basics import blocks, labels, marks
from console.parts.basics.html import form_to, href
from console.web.refusals import NotHere

router = APIRouter()


@router.get("/ops/directory/{id}")
async def entry(id: str, visit: Operator) -> Response:
    """The entry, and what taking it out would mean."""
    return await page(id, visit)


async def page(id: str, visit: Visit, *, refused: h.Node = None, status: int = 200) -> Response:
    _ = visit.words
    got = await entry_of(id, visit)
    if got is None:
        raise NotHere
    found, etag = got
    places = await unless(places_of(id, visit), 404)
    taken = places.taken if places is not None else 0
    return visit.page(
        _("Directory"),
        blocks.back(ORGANIZATIONS, _("Organizations")),
        blocks.head(
            visit.name(id),
            _("Version {version} of its entry.", version=found.version),
            marks.chip(_("in the directory"), "good")
            if found.active
            else marks.chip(_("not in the directory"), "late"),
        ),
        refused,
        h.div(".cols")[
            h.div(".case")[
                of_others(found, visit),
                _out(id, etag, taken, visit) if found.active else _back(id, etag, visit),
            ],
            h.aside(".facts")[
                blocks.card(_("Capacity"), taken_of(places, visit)) if places is not None else None,
                blocks.card(
                    _("What it wrote itself"),
                    blocks.facts(
                        (
                            (_("Phone"), found.phone),
                            (
                                _("Languages"),
                                ", ".join(labels.language(each, _) for each in found.languages),
                            ),
                        )
                    ),
                ),
            ],
        ],
        here=ORGANIZATIONS,
        status=status,
    )


def _out(id: str, etag: str, taken: int, visit: Visit) -> h.Element:
    _ = visit.words
    return h.details(".card.way")[
        h.summary[_("Take it out of the directory")],
        h.p[
            _("It leaves the public list and gets no further offers."),
            " ",
            _.many(
                "{count} member or open offer stays with it until that ends.",
                "{count} members and open offers stay with it until they end.",
                taken,
            )
            if taken
            else _("Nobody is with it now."),
        ],
        form_to(f"/ops/directory/{id}")[
            h.input(type="hidden", name="etag", value=etag),
            h.button(".danger", type="submit", name="do", value="out")[_("Take it out")],
        ],
    ]


def _back(id: str, etag: str, visit: Visit) -> h.Element:
    _ = visit.words
    return blocks.card(
        _("Put it back"),
        h.p[_("Plans with a contract may offer it members again.")],
        form_to(f"/ops/directory/{id}")[
            h.input(type="hidden", name="etag", value=etag),
            h.button(".primary", type="submit", name="do", value="back")[_("Put it back")],
        ],
    )


@router.post("/ops/directory/{id}")
async def change(id: str, visit: Operator) -> Response:
    """Out, or back in; only as the entry was read."""
    _, form = visit.words, await visit.form()
    out = form.text("do") == "out"
    body: dict[str, Any] = {} if out else {"active": True}
    try:
        await visit.api.act(
            "assignment",
            f"/v1/providers/{id}",
            body,
            once="",
            match=form.text("etag"),
            method="DELETE" if out else "PUT",
        )
    except Refused as refusal:
        return await page(id, visit, refused=problem(refusal, _), status=refusal.status)
    return see(href("/ops/directory/{}", id))
