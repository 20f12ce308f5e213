"""Everything that is known of one person whom a provider serves, asked of the services together."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from console.api.client import Away, together, unless
from console.api.models.assignment import ShownAssignment
from console.api.models.intake import ListingShownSupport, ShownReferral, Timeline
from console.api.models.notification import OutreachShown
from console.pages.visit import Visit
from console.web.refusals import NotHere

# Hearing of a yes takes a tenth of a second; a page waits no longer than this.
TRIES, PAUSE = 20, 0.15


@dataclass(frozen=True)
class Whole:
    """What is known of one person."""

    outreach: OutreachShown
    etag: str
    referral: ShownReferral | Away | None
    assignment: ShownAssignment | Away | None
    supports: ListingShownSupport | Away | None
    authorization: str = ""


async def whole_of(ref: str, visit: Visit) -> Whole:
    """The person of this referral, if the provider holds it. Raises `NotHere`."""
    got = await _outreach(ref, visit)
    referral, assignment, supports, history = await together(
        unless(visit.api.get("intake", f"/v1/referrals/{ref}", ShownReferral), 404),
        unless(visit.api.get("assignment", f"/v1/assignments/{ref}", ShownAssignment), 404),
        unless(visit.api.get("intake", "/v1/supports", ListingShownSupport, referral=ref), 403, 404),
        unless(visit.api.get("intake", f"/v1/referrals/{ref}/timeline", Timeline), 404),
    )
    events = history.items if isinstance(history, Timeline) else []
    of = [each.authorization for each in events if each.authorization]
    return Whole(got[0], got[1], referral, assignment, supports, of[-1] if of else "")


async def _outreach(ref: str, visit: Visit) -> tuple[OutreachShown, str]:
    """How the outreach is. Right after a yes it is not known there yet: the service learns of it from the log, and is waited
    for. Raises `NotHere` for whom this provider does not hold."""
    for attempt in range(TRIES):
        got = await unless(
            visit.api.versioned("notification", f"/v1/outreach/{ref}", OutreachShown), 403, 404
        )
        if got is not None:
            return got
        if attempt == 0:
            held = await unless(
                visit.api.get("assignment", f"/v1/assignments/{ref}", ShownAssignment), 403, 404
            )
            if held is None or held.status != "accepted":
                raise NotHere
        await asyncio.sleep(PAUSE)
    raise Away("notification")
