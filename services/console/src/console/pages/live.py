"""Says that something changed for this organization; the page then fetches itself. Nothing else goes through it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Annotated

from fastapi import APIRouter
from starlette.responses import Response, StreamingResponse

from console.api.client import Away, Refused
from console.pages.visit import Visit, visiting
from loopkeeper.security.organizations import Role

router = APIRouter()
# So often the session is looked at: what is open ends within two seconds of it.
EVERY = 1.0
CHANGED, QUIET, ENDED = "changed", "quiet", "ended"
HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


@router.get("/live")
async def live(
    visit: Annotated[Visit, visiting(Role.REFERRER, Role.PROVIDER, Role.PLAN, Role.OPERATIONS)],
) -> Response:
    """A stream of `changed`. It ends with its session, within two seconds, on every replica."""
    return StreamingResponse(_changes(visit), media_type="text/event-stream", headers=HEADERS)


async def _changes(visit: Visit) -> AsyncGenerator[str]:
    yield "retry: 2000\n\n"
    while not visit.running.stopping():
        async for word in _heard(visit):
            if word == ENDED:
                yield "event: ended\ndata: \n\n"
                return
            yield ": still here\n\n" if word == QUIET else "event: changed\ndata: \n\n"
        await asyncio.sleep(EVERY)


async def _heard(visit: Visit) -> AsyncGenerator[str]:
    """What one stream of the service tells. It ends after a minute, as the token does, or where the service is away."""
    visit.api.renew()
    try:
        async with visit.api.stream("intake", "/v1/referrals:changes") as lines:
            reading = asyncio.ensure_future(lines.readline())
            try:
                while not visit.running.stopping():
                    await asyncio.wait({reading}, timeout=EVERY)
                    if not await visit.people.alive(visit.signed):
                        yield ENDED
                        return
                    if not reading.done():
                        continue
                    line = reading.result()
                    if not line:
                        return
                    reading = asyncio.ensure_future(lines.readline())
                    if line.startswith(b"data:"):
                        yield CHANGED
                    elif line.startswith(b":"):
                        yield QUIET
            finally:
                reading.cancel()
    except (Away, Refused):
        return
