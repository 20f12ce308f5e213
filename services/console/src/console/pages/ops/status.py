"""How the four services are, as each says itself: what waits, what is parked, which task is not well."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import htpy as h

from console.api.client import Away, together
from console.api.models import assignment, authorization, intake, notification
from console.pages.visit import Visit
from console.parts.basics import blocks, labels, times
from console.parts.basics.html import href, icon
from console.words import Words
from loopkeeper.contract.calendar import la_date

MODELS = {
    "intake": intake.ServiceStatus,
    "authorization": authorization.ServiceStatus,
    "assignment": assignment.ServiceStatus,
    "notification": notification.ServiceStatus,
}
ServiceStatus = (
    intake.ServiceStatus | authorization.ServiceStatus | assignment.ServiceStatus | notification.ServiceStatus
)


async def statuses(visit: Visit) -> Sequence[ServiceStatus | Away]:
    """All four at once; one that is away says so."""
    return await together(
        *(visit.api.get(name, f"/v1/operations/{name}/status", model) for name, model in MODELS.items())
    )


def services(found: Sequence[ServiceStatus | Away], words: Words, now: datetime) -> h.Element:
    """A row for each service."""
    _ = words
    return blocks.card(
        _("Services"),
        h.table(".svc")[
            h.thead[
                h.tr[
                    h.th[h.span(".sr")[_("Service")]],
                    (h.th(scope="col")[_(name)] for name in ("unread", "unsent", "parked")),
                ]
            ],
            h.tbody[(_row(name, one, _, now) for name, one in zip(MODELS, found, strict=True))],
        ],
        id="services",
    )


def _row(name: str, one: ServiceStatus | Away, words: Words, now: datetime) -> h.Element:
    _ = words
    if isinstance(one, Away):
        return h.tr(".bad")[
            h.th(scope="row")[
                h.span(".dotok")[icon("alert")],
                h.span[h.strong[_(labels.SOURCE[name])], h.span(".sub")[_("does not answer")]],
            ],
            h.td(colspan="3"),
        ]
    unwell = [task for task, detail in one.tasks.items() if detail not in ("running", "")]
    sub = (
        _("closed: {why}", why=one.closed)
        if one.closed
        else _("not well: {tasks}", tasks=", ".join(task.partition(".")[2] for task in unwell[:2]))
        if unwell
        else _("next: {day}", day=times.day(la_date(one.next_timer_at), _))
        if one.next_timer_at
        else _("no timer waits")
    )
    bad = bool(one.closed or unwell or one.parked)
    return h.tr(class_="bad" if bad else None)[
        h.th(scope="row")[
            h.span(".dotok")[icon("alert" if bad else "check")],
            h.span[h.strong[_(labels.SOURCE[name])], h.span(".sub")[sub]],
        ],
        _count(one.lag),
        _count(one.outbox),
        h.td[h.a(href=href("/ops/parked"))[str(one.parked)]] if one.parked else _count(0),
    ]


def _count(value: int | None) -> h.Element:
    return h.td(class_="zero" if not value else None)["?" if value is None else str(value)]
