"""Who opened whose identity, when and why: the reason a route takes, and the rows that may be read of it afterwards.

Each service keeps its own; the organization that opened reads its openings, a plan those of its members' identities,
operations all. Nothing of what was opened is among it.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from loopkeeper.contract.vocabulary.openings import OpeningReason
from loopkeeper.http.call import Call, allowed
from loopkeeper.http.paging import FIRST, NUMBER, Cursor, Listing, Page, cursor_of, foreign_cursor, listing
from loopkeeper.http.route import Operation
from loopkeeper.security.organizations import Role
from loopkeeper.store.row_access import reading

READERS = (Role.PLAN, Role.PROVIDER, Role.REFERRER, Role.OPERATIONS)
REASONS = {reason.label: reason.value for reason in OpeningReason}
# Above every position.
NEWEST = 10**18 - 1


class OpeningQuery(BaseModel):
    """Why a member's identity is opened: by a code, since words may hold what is in no address."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    reason: OpeningReason | None = Field(None, description="Written down with the opening")

    def why(self, usual: OpeningReason) -> str:
        """What the audit says: the reason given, or what the route is for."""
        return (self.reason or usual).label


class OpeningsQuery(Page):
    referral: str | None = Field(None, max_length=60, description="Only of this referral")
    person: str | None = Field(None, max_length=120, description="Only by this person")
    proved: bool | None = Field(None, description="Only by people who signed in, or only by keys")
    cursor: str | None = cursor_of(NUMBER)


class ShownOpening(BaseModel):
    """One entry: an identity that was opened (`parts`, `fields`), or a decision with who stated it (no parts). `reason` is
    the code of `why`, where it has one. `proved`: the person signed in."""

    model_config = ConfigDict(frozen=True)

    id: str
    at: datetime
    organization: str
    plan: str
    referral: str
    parts: tuple[str, ...]
    fields: tuple[str, ...]
    why: str
    reason: str | None = None
    person: str | None = None
    proved: bool
    client: str | None = None


def openings_of(service: str) -> APIRouter:
    """The same route for every service, under its name."""
    router = APIRouter(prefix=f"/v1/openings/{service}", tags=[service], route_class=Operation)
    router.get("", summary="Who opened which member's identity here, and why")(openings)
    return router


async def openings(
    asked: Annotated[OpeningsQuery, Query()], call: Annotated[Call, allowed(*READERS)]
) -> Listing[ShownOpening]:
    """Newest first: what one's own organization opened and decided, and, for a plan, what others opened of its
    members; operations see all. `updated_since`: only from then on."""
    client = call.client
    seen = asked.start() if asked.cursor is not None else Cursor(FIRST, str(NEWEST))
    if not re.fullmatch(NUMBER, seen.id):
        raise foreign_cursor()
    async with reading(call.service.readers, client) as connection:
        rows = await connection.fetch(
            """SELECT position::text AS id, at, organization, client, plan, stream, parts, fields, why, person, proved
               FROM audit WHERE position < $1 AND at >= $2 AND ($3::text IS NULL OR stream = $3)
                 AND ($4::text IS NULL OR person = $4) AND ($5::boolean IS NULL OR proved = $5)
                 AND ($6 OR organization = $7 OR ($8 AND plan = $7))
               ORDER BY position DESC LIMIT $9""",
            int(seen.id),
            asked.updated_since or FIRST,
            asked.referral,
            asked.person,
            asked.proved,
            Role.OPERATIONS in client.roles,
            client.organization,
            Role.PLAN in client.roles,
            asked.fetch,
        )
    return await listing(
        call,
        asked,
        rows,
        lambda row: ShownOpening(
            id=row["id"],
            at=row["at"],
            organization=row["organization"],
            plan=row["plan"],
            referral=row["stream"],
            parts=tuple(part for part in row["parts"].split(",") if part),
            fields=tuple(each for each in row["fields"].split(",") if each),
            why=row["why"],
            reason=REASONS.get(row["why"]),
            person=row["person"] or None,
            proved=row["proved"],
            client=row["client"] if row["organization"] == client.organization else None,
        ),
    )
