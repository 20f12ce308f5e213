"""What waits for a person of the plan to decide, earliest due first; each case held by the person who works on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated

import htpy as h
from fastapi import APIRouter
from starlette.responses import Response

from console.api.client import Away, together
from console.api.models.authorization import ListingShownAuthorization, QueueCounts, ShownAuthorization
from console.pages.rows import following
from console.pages.visit import Visit, see, visiting
from console.parts import account, loops
from console.parts.basics import blocks, labels, marks, times
from console.parts.basics.html import href
from console.parts.ring import progress, ring
from console.web.refusals import NotHere
from console.words import Words
from loopkeeper.security.organizations import Role

router = APIRouter()
Plan = Annotated[Visit, visiting(Role.PLAN)]
HERE = "/plan/queue"
DUE = {"": "All", "breached": "Late", "at_risk": "Soon", "on_track": "On time"}
WAITS = {"decision": "Decide", "reauthorization": "Renew", "discontinuation": "Judge an ending"}
SHOWN = 50


async def pending(
    visit: Visit, due: str = "", waits_for: str = "decision", cursor: str = ""
) -> ListingShownAuthorization:
    """What waits, earliest due first."""
    return await visit.api.get(
        "authorization",
        "/v1/authorizations",
        ListingShownAuthorization,
        waits_for=waits_for,
        due=due,
        cursor=cursor,
        limit=SHOWN,
    )


@router.get(HERE)
async def queue(visit: Plan, due: str = "", waits: str = "decision", cursor: str = "") -> Response:
    """The queue, by the state of its clocks and what it waits for."""
    if due not in DUE or waits not in WAITS:
        raise NotHere
    _ = visit.words
    found, counts = await together(
        pending(visit, due, waits, cursor),
        visit.api.get("authorization", "/v1/authorizations:count", QueueCounts),
    )
    if not isinstance(found, ListingShownAuthorization) or not isinstance(counts, QueueCounts):
        raise Away("authorization")
    names = await visit.people.names(visit.signed, {one.claim.person for one in found.items if one.claim})
    late, soon = counts.due.get("breached", 0), counts.due.get("at_risk", 0)
    count = counts.waits_for.get(waits, 0)
    return visit.page(
        _("Decide"),
        blocks.head(
            _.many("One waits for a decision", "{count} wait for a decision", count)
            if count
            else _("Nothing waits for a decision"),
            _lead(late, soon, visit.words) if count else _("What needs a person comes here at once."),
            _live(visit),
        ),
        _filters(due, waits, visit.words),
        _list(found.items, names, visit),
        following(visit, HERE, found.next_cursor, SHOWN, due=due, waits=waits if waits != "decision" else ""),
        here=HERE,
        live=True,
    )


def _lead(late: int, soon: int, words: Words) -> h.Node:
    _ = words
    if not late and not soon:
        return _("None is late. A rule may approve or ask; only a named person denies.")
    return [
        h.span(".n.late")[_.many("{count} is late", "{count} are late", late)] if late else None,
        ", " if late and soon else None,
        h.span(".n.soon")[_("{count} due within two days", count=soon)] if soon else None,
        _(". A rule may approve or ask; only a named person denies."),
    ]


def _live(visit: Visit) -> h.Element:
    _ = visit.words
    return h.div(".live")[
        h.button(
            type="button", hidden=True, aria_pressed="true", data_live=_("Live"), data_paused=_("Paused")
        )[h.span(".pulse", aria_hidden="true"), h.span[_("Live")]],
        h.span(".sub")[_("as of {at}", at=times.moment(visit.now, _))],
    ]


def _filters(due: str, waits: str, words: Words) -> h.Element:
    _ = words
    return h.nav(".tabs", aria_label=_("Which"))[
        h.ul[
            (
                h.li[
                    h.a(
                        href=href(HERE, waits=code if code != "decision" else None),
                        aria_current="true" if code == waits else None,
                    )[_(name)]
                ]
                for code, name in WAITS.items()
            )
        ],
        h.ul(".right")[
            (
                h.li[
                    h.a(
                        href=href(HERE, due=code, waits=waits if waits != "decision" else None),
                        aria_current="true" if code == due else None,
                    )[_(name)]
                ]
                for code, name in DUE.items()
            )
        ],
    ]


def _list(found: Sequence[ShownAuthorization], names: Mapping[str, str], visit: Visit) -> h.Element:
    _ = visit.words
    if not found:
        return blocks.empty(
            _("Nothing here"), _("No case has this status now. Choose another filter, or come back later.")
        )
    return h.div(".group")[
        h.table(".rows.queue")[
            h.caption(".sr")[_("Cases, earliest due first")],
            loops.heads((("Progress", "k1"), ("Case", ""), ("Due", "k3"), ("Held by", "k5")), _),
            h.tbody[(_row(one, names, visit) for one in found)],
        ]
    ]


def title_of(found: ShownAuthorization, words: Words) -> str:
    """What it is asked for, in words: the claimed populations, or those that are met."""
    asked = [each for each in found.populations or () if each.claimed] or [
        each for each in found.populations or () if each.result == "met"
    ]
    return ", ".join(labels.population(each.code, words) for each in asked[:2]) or words(
        "No population named"
    )


def _row(found: ShownAuthorization, names: Mapping[str, str], visit: Visit) -> h.Element:
    _, claim = visit.words, found.claim
    mine = claim is not None and claim.person == visit.signed.id
    path = case_path(found)
    stands = progress(
        "pending_authorization",
        decided=False,
        told=False,
        late=bool(found.due and found.due.state == "breached"),
    )
    return h.tr(id=found.id, data_row=True, tabindex="-1")[
        h.td(".ringcell.k1")[ring(stands, _)],
        h.td[
            h.a(".headline", href=path)[title_of(found, _)],
            h.span(".sub")[
                labels.of(labels.URGENCY, found.urgency, _),
                " · ",
                _("coverage {state}", state=labels.of(labels.ELIGIBILITY, found.eligibility, _)),
                " · ",
                h.span(".mono.nowrap")[f"…{found.referral[-6:]}"],
            ],
        ],
        h.td(".k3")[marks.when(found.due.due_at if found.due else found.due_at, visit.now, _)],
        h.td(".st.k5")[
            marks.chip(_("you"), "good")
            if mine
            else marks.chip(names.get(claim.person, claim.person), "info")
            if claim
            else account.action("/plan/queue/claim", _("Take it"), tone="small", id=found.id)
        ],
    ]


def case_path(found: ShownAuthorization) -> str:
    """Where this case is worked on: a term's on its own page."""
    return href("/plan/decide/{}" if found.waits_for == "decision" else "/plan/terms/{}", found.id)


@router.post("/plan/queue/claim")
async def claim(visit: Plan) -> Response:
    """Work on this one: colleagues see it for half an hour."""
    form = await visit.form()
    id = form.text("id")
    await visit.api.act("authorization", f"/v1/authorizations/{id}:claim", {}, once=form.once)
    return see(href("/plan/decide/{}", id))


@router.post("/plan/queue/give-back")
async def give_back(visit: Plan) -> Response:
    """Anybody may take it again."""
    form = await visit.form()
    await visit.api.act("authorization", f"/v1/authorizations/{form.text('id')}:release", {}, once=form.once)
    return see(HERE)
