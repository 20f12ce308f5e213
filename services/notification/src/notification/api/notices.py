"""`/v1/outreach/{referral}/notices`: who is to be told what about one referral, whether they were, and how the endpoints took it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any

import orjson
from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict

from loopkeeper.http.call import allowed
from loopkeeper.http.paging import Listing
from loopkeeper.http.route import Id, Operation
from loopkeeper.postgres.connections import Pool
from loopkeeper.runtime.service import Call
from loopkeeper.security.organizations import Role
from loopkeeper.store.row_access import OWN, visible_row
from notification.api.mailbox import MINE, own_of
from notification.api.subscriptions import own_organization

router = APIRouter(tags=["notification"], route_class=Operation)
READ = """SELECT n.id, n.referral, n.code, n.recipient, n.recipient_kind, n.needs, n.at, n.due_at, n.overdue_at, n.told_at,
            n.told_how, n.told_by FROM notice n"""
# More than any loop has.
ORDER = "ORDER BY n.at, n.id LIMIT 500"


class ShownDelivery(BaseModel):
    """One way to an endpoint. `state`: pending, delivered, or exhausted: not tried again by itself."""

    model_config = ConfigDict(frozen=True)

    id: str
    state: str
    attempts: int
    next_attempt_at: datetime | None
    delivered_at: datetime | None


class ShownNotice(BaseModel):
    """One notice, without its words. `told_by`: the person who handed it over, or opened it."""

    model_config = ConfigDict(frozen=True)

    id: str
    referral: str
    code: str
    recipient: str
    recipient_kind: str
    needs: tuple[str, ...]
    at: datetime
    due_at: datetime | None
    overdue: bool
    told_at: datetime | None
    told_how: str | None
    told_by: str | None
    proved: bool
    deliveries: tuple[ShownDelivery, ...]


@router.get(
    "/v1/outreach/{referral:key}/notices", summary="What is to be told about a referral, and whether it was"
)
async def notices(
    referral: Id,
    call: Annotated[Call, allowed(Role.REFERRER, Role.PROVIDER, Role.PLAN, Role.OPERATIONS)],
) -> Listing[ShownNotice]:
    """For a plan all notices of its member's referral, for others those to themselves and, for who serves, the member's;
    operations see all without who told them. Oldest first; nobody is told by reading this."""
    query = f"SELECT id FROM referral WHERE id = $1 AND {OWN}"  # noqa: S608 own fragments
    await visible_row(call.service.readers, call.client, query, referral)
    operations = Role.OPERATIONS in call.client.roles
    if operations:
        # A mailbox is shut for operations; what is read here holds none of its words.
        rows = await call.service.pool.fetch(f"{READ} WHERE n.referral = $1 {ORDER}", referral)
    else:
        async with own_organization(call) as connection:
            rows = await connection.fetch(
                f"{READ} WHERE n.referral = $4 AND ({MINE} OR ($5 AND n.plan = $1)) {ORDER}",
                *own_of(call.client),
                referral,
                Role.PLAN in call.client.roles,
            )
    sent = await _deliveries(call.service.pool, [row["id"] for row in rows])
    return Listing[ShownNotice](items=tuple(_shown(row, sent, whole=not operations) for row in rows))


async def _deliveries(pool: Pool, ids: Sequence[str]) -> Mapping[str, tuple[ShownDelivery, ...]]:
    """How the endpoints took each of these notices, which the caller may see."""
    rows = await pool.fetch(
        """SELECT id, notice, state, number, next_attempt_at, delivered_at FROM delivery
           WHERE notice = ANY($1::text[]) AND notice <> '' ORDER BY id""",
        list(ids),
    )
    found: dict[str, list[ShownDelivery]] = defaultdict(list)
    for row in rows:
        waits = row["state"] == "pending"
        found[row["notice"]].append(
            ShownDelivery(
                id=row["id"],
                state=row["state"],
                attempts=row["number"],
                next_attempt_at=row["next_attempt_at"] if waits else None,
                delivered_at=row["delivered_at"],
            )
        )
    return {notice: tuple(each) for notice, each in found.items()}


def _shown(
    row: Mapping[str, Any], sent: Mapping[str, tuple[ShownDelivery, ...]], *, whole: bool
) -> ShownNotice:
    by: Mapping[str, Any] = orjson.loads(row["told_by"]) if whole else {}
    return ShownNotice(
        id=row["id"],
        referral=row["referral"],
        code=row["code"],
        recipient=row["recipient"],
        recipient_kind=row["recipient_kind"],
        needs=tuple(row["needs"]),
        at=row["at"],
        due_at=row["due_at"],
        overdue=row["overdue_at"] is not None,
        told_at=row["told_at"],
        told_how=row["told_how"] or None,
        told_by=by.get("person") or None,
        proved=bool(by.get("proved")),
        deliveries=sent.get(row["id"], ()),
    )
