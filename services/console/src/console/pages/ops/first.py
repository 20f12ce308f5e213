"""The board: when each open loop is due, the next actor of each step, how the services are, how old the loops."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

import htpy as h
from fastapi import APIRouter
from starlette.responses import Response

from console.api.client import Away, together
from console.api.models.intake import ListingShownReferral, ReferralCounts, ShownReferral
from console.pages.care.first import live
from console.pages.ops.status import services, statuses
from console.pages.rows import all_referrals, by_due, following, loop_of
from console.pages.visit import Visit, see, visiting
from console.parts import loops
from console.parts.basics import blocks, labels, marks, times
from console.parts.basics.html import form_to, href
from console.parts.board import Due, board, lane_card
from console.web.refusals import NotHere
from console.words import Words
from loopkeeper.contract.calendar import la_date
from loopkeeper.security.organizations import Role

router = APIRouter()
Operator = Annotated[Visit, visiting(Role.OPERATIONS)]
HERE = "/ops"
ACTORS = ("plan", "provider", "referrer", "loopkeeper")
SHOWN, STEP_SHOWN = 5, 50
# Above so many loops nobody tells one mark from another.
DRAWN = 400
COUNT = "/v1/referrals:count"
STAGES = {
    "needs_information": "Answers are missing",
    "received": "Just received",
    "pending_authorization": "Plan decides",
    "authorized": "Provider is sought",
    "assigned": "Offer is out",
    "accepted": "Accepted",
    "outreach_initiated": "Outreach",
}
AGES = (
    ("up to 2 days", 2),
    ("3 to 7", 7),
    ("8 to 14", 14),
    ("15 to 30", 30),
    ("31 to 60", 60),
    ("over 60", 100000),
)


@router.get(HERE)
async def first(visit: Operator) -> Response:
    """Everything that is open, at a glance: each loop by itself as long as one sees them, above that their numbers."""
    _, now = visit.words, visit.now
    counted = await visit.api.get("intake", COUNT, ReferralCounts)
    drawn = counted.open <= DRAWN
    open_now = await all_referrals(visit.api, order="due") if drawn else ()
    running, groups, lanes = await together(
        statuses(visit), _groups(counted, open_now, visit), _lanes(counted, open_now, visit)
    )
    if isinstance(groups, Away) or isinstance(lanes, Away):
        raise Away("intake")
    return visit.page(
        _("Board"),
        blocks.head(
            _.many("{count} loop is open", "{count} loops are open", counted.open),
            _lead(counted.due.get("late", 0), counted.due.get("soon", 0), counted.actor, _)
            if counted.open
            else _("Every loop is closed, and everybody was told."),
            live(visit),
        ),
        (board(lanes, now, _) if drawn else lane_card(lanes, _)) if counted.open else None,
        h.div(".cols")[
            h.div(".work")[h.h2[_("Next actor")], (_group(group, visit) for group in groups)],
            h.aside(".facts")[
                services(running, _, now),
                _stages(counted.status, _),
                _ages(open_now, now, _) if drawn else None,
                _clock(visit, running),
            ],
        ],
        here=HERE,
        live=True,
    )


@dataclass(frozen=True)
class Group:
    """What waits for one step: how many, and the earliest due of them."""

    count: int
    earliest: Sequence[ShownReferral]


async def _groups(
    counted: ReferralCounts, open_now: Sequence[ShownReferral], visit: Visit
) -> Sequence[Group]:
    """By step; what is due first, first."""
    if open_now:
        by: dict[str, list[ShownReferral]] = defaultdict(list)
        for one in by_due(open_now):
            by[one.next_step.step].append(one)
        return [Group(len(found), found[:SHOWN]) for found in by.values()]
    asked = [
        visit.api.get("intake", "/v1/referrals", ListingShownReferral, step=code, order="due", limit=SHOWN)
        for code in counted.step
    ]
    pages = [page for page in await together(*asked) if isinstance(page, ListingShownReferral)]
    found = [
        Group(counted.step[page.items[0].next_step.code or ""], page.items) for page in pages if page.items
    ]
    first = {group.earliest[0].id: group for group in found}
    return [first[one.id] for one in by_due([group.earliest[0] for group in found])]


async def _lanes(
    counted: ReferralCounts, open_now: Sequence[ShownReferral], visit: Visit
) -> Mapping[str, Any]:
    """For each actor the loops, or where they are too many their number by the state of the deadline."""
    if open_now or not counted.open:
        lanes = {
            actor: [Due(one.id, one.next_step.due_at) for one in open_now if one.next_step.actor == actor]
            for actor in ACTORS
        }
        return {actor: due for actor, due in lanes.items() if due or actor in ("plan", "provider")}
    there = [actor for actor in ACTORS if counted.actor.get(actor)]
    found = await together(*(visit.api.get("intake", COUNT, ReferralCounts, actor=actor) for actor in there))
    return {
        actor: one.due for actor, one in zip(there, found, strict=True) if isinstance(one, ReferralCounts)
    }


def _lead(late: int, soon: int, actors: Mapping[str, int], words: Words) -> h.Node:
    _ = words
    who = ", ".join(
        _("{actor}s must act on {count}", actor=labels.of(labels.ACTOR, actor, _).lower(), count=count)
        for actor in ACTORS
        if (count := actors.get(actor, 0))
    )
    return [
        h.span(".n.late")[_.many("{count} is late", "{count} are late", late)] if late else _("None is late"),
        ", ",
        h.span(".n.soon")[_("{count} due within two days", count=soon)]
        if soon
        else _("none due within two days"),
        f". {labels.capital(who)}." if who else ".",
    ]


def _group(group: Group, visit: Visit) -> h.Element:
    _ = visit.words
    step = group.earliest[0].next_step
    return loops.group(
        [h.strong(".who")[labels.of(labels.ACTOR, step.actor, _)], " ", _("must {step}", step=_(step.step))],
        group.count,
        marks.mark(times.due_state(step.due_at, visit.now)),
        loops.rows(
            [loop_of(one, visit, sub=visit.name(one.plan)) for one in group.earliest], visit.now, _, step.step
        ),
        loops.more(
            href("/ops/step", actor=step.actor, step=step.code), _("{count} more", count=group.count - SHOWN)
        )
        if group.count > SHOWN
        else None,
        under_heading=True,
    )


@router.get("/ops/step")
async def one_step(visit: Operator, actor: str = "", step: str = "", cursor: str = "") -> Response:
    """The loops that wait for this step, what is due first, first."""
    _ = visit.words
    if actor not in ACTORS:
        raise NotHere
    page, counted = await together(
        visit.api.get(
            "intake",
            "/v1/referrals",
            ListingShownReferral,
            actor=actor,
            step=step,
            order="due",
            limit=STEP_SHOWN,
            cursor=cursor or None,
        ),
        visit.api.get("intake", COUNT, ReferralCounts, actor=actor, step=step),
    )
    if not isinstance(page, ListingShownReferral) or not isinstance(counted, ReferralCounts):
        raise Away("intake")
    found = page.items
    return visit.page(
        _("Board"),
        blocks.back(HERE, _("Board")),
        blocks.head(
            _.many("{count} loop", "{count} loops", counted.open),
            [
                h.strong[labels.of(labels.ACTOR, actor, _)],
                " ",
                _("must {step}.", step=_(found[0].next_step.step)),
            ]
            if found
            else None,
            live(visit),
        ),
        h.div(".group")[
            loops.rows(
                [loop_of(one, visit, sub=visit.name(one.plan)) for one in found],
                visit.now,
                _,
                step,
            )
        ]
        if found
        else blocks.empty(_("Nothing waits for this"), _("It was done meanwhile.")),
        following(visit, "/ops/step", page.next_cursor, STEP_SHOWN, actor=actor, step=step),
        here=HERE,
        live=True,
    )


def _stages(counted: Mapping[str, int], words: Words) -> h.Element:
    rows = [
        (words(name), counted.get(status, 0))
        for status, name in STAGES.items()
        if counted.get(status) or status in ("pending_authorization", "assigned")
    ]
    return blocks.card(words("Where open loops are"), blocks.bars(rows))


def _ages(found: Sequence[ShownReferral], now: datetime, words: Words) -> h.Element:
    days = [(la_date(now) - la_date(one.received_at)).days for one in found]
    rows: list[tuple[str, int]] = []
    before = -1
    for name, most in AGES:
        rows.append((words(name), sum(before < each <= most for each in days)))
        before = most
    return blocks.card(words("How long they are open"), blocks.bars(rows, "c2"))


def _clock(visit: Visit, running: Sequence[object]) -> h.Node:
    """A demo's clock moves by a press; a real one does not."""
    _ = visit.words
    if visit.running.settings.clock != "movable":
        return None
    away = any(isinstance(one, Away) for one in running)
    return blocks.card(
        _("The rehearsal's clock"),
        h.p(".sub")[_("It is {at}. Deadlines fire as it moves.", at=times.moment(visit.now, _, year=True))],
        form_to("/ops/clock", class_="clockform")[
            (
                h.button(type="submit", name="days", value=str(days), disabled=away)[
                    _.many("{count} day on", "{count} days on", days)
                ]
                for days in (1, 5)
            )
        ],
    )


@router.post("/ops/clock")
async def advance(visit: Operator) -> Response:
    """Move a demo's clock; refused elsewhere."""
    form = await visit.form()
    if form.text("days") not in ("1", "5"):
        raise NotHere
    body = {"seconds": int(form.text("days")) * 86400}
    await visit.api.act("intake", "/v1/operations/intake/clock:advance", body, once=form.once)
    return see(HERE)
