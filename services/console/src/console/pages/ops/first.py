"""The board: when each open loop is due, the next actor of each step, how the services are, how old the loops."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

import htpy as h
from fastapi import APIRouter
from starlette.responses import Response

from console.api.client import Away
from console.api.models.intake import ShownReferral
from console.pages.care.first import live
from console.pages.ops.status import services, statuses
from console.pages.rows import all_referrals, by_due, loop_of
from console.pages.visit import Visit, see, visiting
from console.parts import loops
from console.parts.basics import blocks, labels, marks, times
from console.parts.basics.html import form_to, href
from console.parts.board import Due, board
from console.web.refusals import NotHere
from console.words import Words
from loopkeeper.contract.calendar import la_date
from loopkeeper.security.organizations import Role

router = APIRouter()
Operator = Annotated[Visit, visiting(Role.OPERATIONS)]
HERE = "/ops"
ACTORS = ("plan", "provider", "referrer", "loopkeeper")
SHOWN, STEP_SHOWN = 5, 100
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
    """Everything that is open, at a glance."""
    _, now = visit.words, visit.now
    open_now = await all_referrals(visit.api, order="due")
    standing = await statuses(visit)
    late, soon = loops.due_words([one.next_step.due_at for one in open_now], now)
    lanes = {
        actor: [Due(one.id, one.next_step.due_at) for one in open_now if one.next_step.actor == actor]
        for actor in ACTORS
    }
    lanes = {actor: due for actor, due in lanes.items() if due or actor in ("plan", "provider")}
    return visit.page(
        _("Board"),
        blocks.head(
            _.many("{count} loop is open", "{count} loops are open", len(open_now)),
            _lead(late, soon, {actor: len(due) for actor, due in lanes.items()}, _)
            if open_now
            else _("Every loop is closed, and everybody was told."),
            live(visit),
        ),
        board(lanes, now, _) if open_now else None,
        h.div(".cols")[
            h.div(".work")[
                h.h2[_("Next actor")], (_group(step, of, visit) for step, of in _by_step(open_now))
            ],
            h.aside(".facts")[
                services(standing, _, now),
                _stages(open_now, _),
                _ages(open_now, now, _),
                _clock(visit, standing),
            ],
        ],
        here=HERE,
        live=True,
    )


def _lead(late: int, soon: int, lanes: dict[str, int], words: Words) -> h.Node:
    _ = words
    who = ", ".join(
        _("{actor}s must act on {count}", actor=labels.of(labels.ACTOR, actor, _).lower(), count=count)
        for actor, count in lanes.items()
        if count
    )
    return [
        h.span(".n.late")[_.many("{count} is late", "{count} are late", late)] if late else _("None is late"),
        ", ",
        h.span(".n.soon")[_("{count} due within two days", count=soon)]
        if soon
        else _("none due within two days"),
        f". {labels.capital(who)}." if who else ".",
    ]


def _by_step(found: Sequence[ShownReferral]) -> list[tuple[tuple[str, str], list[ShownReferral]]]:
    """By actor and step; what is due first, first."""
    groups: dict[tuple[str, str], list[ShownReferral]] = defaultdict(list)
    for one in by_due(found):
        groups[(one.next_step.actor, one.next_step.step)].append(one)
    return list(groups.items())


def _group(step: tuple[str, str], found: Sequence[ShownReferral], visit: Visit) -> h.Element:
    _ = visit.words
    actor, does = step
    return loops.group(
        [h.strong(".who")[labels.of(labels.ACTOR, actor, _)], " ", _("must {step}", step=_(does))],
        len(found),
        marks.mark(times.standing(found[0].next_step.due_at, visit.now)),
        loops.rows(
            [loop_of(one, visit, sub=visit.name(one.plan)) for one in found[:SHOWN]], visit.now, _, does
        ),
        loops.more(href("/ops/step", actor=actor, step=does), _("{count} more", count=len(found) - SHOWN))
        if len(found) > SHOWN
        else None,
        under_heading=True,
    )


@router.get("/ops/step")
async def one_step(visit: Operator, actor: str = "", step: str = "") -> Response:
    """All loops that wait for this step."""
    _ = visit.words
    if actor not in ACTORS:
        raise NotHere
    found = [
        one for one in await all_referrals(visit.api, order="due", actor=actor) if one.next_step.step == step
    ]
    return visit.page(
        _("Board"),
        blocks.back(HERE, _("Board")),
        blocks.head(
            _.many("{count} loop", "{count} loops", len(found)),
            [h.strong[labels.of(labels.ACTOR, actor, _)], " ", _("must {step}.", step=_(step))]
            if found
            else None,
            live(visit),
        ),
        h.div(".group")[
            loops.rows(
                [loop_of(one, visit, sub=visit.name(one.plan)) for one in found[:STEP_SHOWN]],
                visit.now,
                _,
                step,
            )
        ]
        if found
        else blocks.empty(_("Nothing waits for this"), _("It was done meanwhile.")),
        here=HERE,
        live=True,
    )


def _stages(found: Sequence[ShownReferral], words: Words) -> h.Element:
    counted = Counter(one.status for one in found)
    rows = [
        (words(name), counted[status])
        for status, name in STAGES.items()
        if counted[status] or status in ("pending_authorization", "assigned")
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


def _clock(visit: Visit, standing: Sequence[object]) -> h.Node:
    """A demo's clock moves by a press; a real one does not."""
    _ = visit.words
    if visit.running.settings.clock != "movable":
        return None
    away = any(isinstance(one, Away) for one in standing)
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
