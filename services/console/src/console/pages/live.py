"""Says that something changed for this organization; the page then fetches itself. Nothing else goes through it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated

from fastapi import APIRouter
from starlette.responses import Response, StreamingResponse

from console.api.client import Away, Refused
from console.api.models.intake import ListingShownReferral
from console.pages.visit import Visit, visiting
from loopkeeper.security.organizations import Role

router = APIRouter()
EVERY = 1.0
# What an idle line is told, so that nobody on the way takes it for dead.
ALIVE_EVERY = 15.0
HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


@dataclass
class _Seen:
    """When something of an organization changed last, as somebody of it asked last: one question for all its pages."""

    at: datetime = datetime(1970, 1, 1, tzinfo=UTC)
    asked: float = 0.0


SEEN: dict[str, _Seen] = {}


@router.get("/live")
async def live(
    visit: Annotated[Visit, visiting(Role.REFERRER, Role.PROVIDER, Role.PLAN, Role.OPERATIONS)],
) -> Response:
    """A stream of `changed`. It ends with its session, within two seconds, on every replica."""
    return StreamingResponse(_changes(visit), media_type="text/event-stream", headers=HEADERS)


async def _changes(visit: Visit) -> AsyncGenerator[str]:
    seen = await _newest(visit)
    quiet = time.monotonic()
    yield "retry: 2000\n\n"
    while not visit.running.stopping():
        await asyncio.sleep(EVERY)
        if not await visit.people.alive(visit.signed):
            yield "event: ended\ndata: \n\n"
            return
        newest = await _newest(visit)
        if newest > seen:
            seen, quiet = newest, time.monotonic()
            yield "event: changed\ndata: \n\n"
        elif time.monotonic() - quiet > ALIVE_EVERY:
            quiet = time.monotonic()
            yield ": still here\n\n"


async def _newest(visit: Visit) -> datetime:
    """When a referral this organization sees changed last. While the service is away nothing has changed."""
    known = SEEN.setdefault(visit.signed.organization.id, _Seen())
    if time.monotonic() - known.asked < EVERY / 2:
        return known.at
    known.asked = time.monotonic()
    visit.api.renew()
    first = known.at + timedelta(microseconds=1) if known.at.year > 1970 else visit.now - timedelta(seconds=2)
    try:
        found = await visit.api.get(
            "intake", "/v1/referrals", ListingShownReferral, updated_since=first.isoformat(), limit=200
        )
    except (Away, Refused):
        return known.at
    known.at = max([known.at, *(each.updated_at for each in found.items)])
    if known.at.year == 1970:
        known.at = first
    return known.at
