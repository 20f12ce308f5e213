"""Referrals and assignments as rows of a list."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import htpy as h

from console.api.client import Api
from console.api.models.intake import ListingShownReferral, ShownReferral
from console.pages.visit import Visit
from console.parts import loops
from console.parts.basics import labels, times
from console.parts.basics.html import href
from console.parts.loops import Loop
from console.parts.ring import Progress, progress
from console.words import Words

# A list longer than this is filtered, not scrolled.
MOST = 50
PAGE = 200
# What is looked through page by page where a service has no filter for it: a few thousand entries.
MOST_PAGES = 12
# What is over is shown of so many days, the most that fit.
LATELY = (30, 7, 1)


def loop_of(found: ShownReferral, visit: Visit, *, path: str = "", sub: str = "", headline: str = "") -> Loop:
    """One referral as a row."""
    closing = found.closing
    status, tone = loops.status_of(found.status, closing.outcome if closing else "", visit.words)
    due_at = found.next_step.due_at
    return Loop(
        id=found.id,
        path=path or loops.story(found.id),
        progress=progress_of(found, visit.now),
        sub=sub or labels.county(found.county) or visit.name(found.plan),
        due_at=due_at,
        since=found.received_at,
        status=status,
        tone=tone,
        headline=headline,
        closed=closing is not None,
    )


def progress_of(found: ShownReferral, now: datetime) -> Progress:
    """How far a referral is, as its list shows it."""
    closing = found.closing
    return progress(
        found.status,
        decided=bool(found.authorization.number or found.authorization.denied),
        told=bool(closing and closing.told_at),
        outcome=closing.outcome if closing else "",
        served=bool(closing and closing.outcome == "services_received"),
        late=times.due_state(found.next_step.due_at, now) == "late",
    )


def needs(found: ShownReferral, words: Words) -> str:
    """What the member needs ECM for, as the heading of a row: the claimed populations, or those that are met."""
    shown = found.populations or []
    named = [each for each in shown if each.claimed] or [each for each in shown if each.result == "met"]
    return ", ".join(labels.population(each.code, words) for each in named[:2]) or words(
        "No population named"
    )


class Looked(list[Any]):
    """Entries of a list; `cut` where there are more than a page may look at."""

    cut = False
    next = ""


def cut_short(found: Sequence[Any], visit: Visit) -> h.Node:
    """That there is more than what was looked through; nothing where there is not."""
    if not (isinstance(found, Looked) and found.cut):
        return None
    said = visit.words(
        "The first {count} were looked through; there are more. Find one by its id.", count=len(found)
    )
    return h.p(".sub", role="note")[said]


async def all_referrals(api: Api, *, order: str) -> Looked:
    """Every referral that fits, page by page, as far as a page may look."""
    return await pages(api, "intake", "/v1/referrals", ListingShownReferral, order=order)


async def pages(
    api: Api,
    service: str,
    path: str,
    model: type[Any],
    *,
    most: int = MOST_PAGES,
    limit: int = PAGE,
    after: str = "",
    **query: object,
) -> Looked:
    """The entries of a list, page by page, as far as a page may look. Where `most` is 1, it is what comes first."""
    found = Looked()
    cursor: str | None = after or None
    for _ in range(most):
        page = await api.get(service, path, model, limit=limit, cursor=cursor, **query)
        found += page.items
        cursor = page.next_cursor
        if cursor is None:
            break
    found.cut, found.next = cursor is not None, cursor or ""
    return found


async def possibly_twice(api: Api) -> Looked:
    """Open loops that may be another's member, what is due first, first."""
    return await pages(
        api,
        "intake",
        "/v1/referrals",
        ListingShownReferral,
        most=1,
        limit=PAGE,
        order="due",
        possible_duplicate=True,
    )


async def lately(
    visit: Visit, service: str, path: str, model: type[Any], **query: object
) -> tuple[Sequence[Any], int]:
    """What changed last of a list that begins with what changed first: of as many days as fit into one answer, with
    how many days that is."""
    found: Sequence[Any] = ()
    for days in LATELY:
        since = (visit.now - timedelta(days=days)).isoformat()
        page = await visit.api.get(service, path, model, limit=PAGE, updated_since=since, **query)
        found = page.items
        if page.next_cursor is None or days == LATELY[-1]:
            return found, days
    return found, LATELY[-1]


def by_due(found: Sequence[ShownReferral]) -> list[ShownReferral]:
    """Earliest due first; what has no deadline last, oldest first."""
    return sorted(
        found, key=lambda one: (one.next_step.due_at is None, one.next_step.due_at or one.received_at, one.id)
    )


def following(visit: Visit, path: str, cursor: str | None, count: int, **asked: str) -> h.Node:
    """The way to what comes after; nothing at the end."""
    if not cursor:
        return None
    text = visit.words("The next {count}", count=count)
    return h.p(".doors")[h.a(".button", href=href(path, cursor=cursor, **asked))[text]]
