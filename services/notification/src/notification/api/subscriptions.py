"""`/v1/subscriptions`: where an organization wants to hear of its referrals, and what came of each attempt."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from loopkeeper.contract import ids
from loopkeeper.contract.decider import Refused
from loopkeeper.http.call import allowed
from loopkeeper.http.paging import Listing, Page, listing
from loopkeeper.http.route import Id, Operation, example, refused
from loopkeeper.kernel.errors import not_found
from loopkeeper.postgres.connections import Connection
from loopkeeper.runtime.service import Call
from loopkeeper.security.organizations import Role
from loopkeeper.store.row_access import reading
from notification.api.views import Body
from notification.delivery.ssrf_guard import Allow, UrlForbidden, check_url
from notification.delivery.webhook import new_secret
from notification.persistence import feed, subscriptions
from notification.persistence.subscriptions import SEALED_PART, Wanted

router = APIRouter(tags=["notification"], route_class=Operation)
OWNERS = (Role.REFERRER, Role.PROVIDER, Role.PLAN, Role.PARTNER)
Owner = Annotated[Call, allowed(*OWNERS)]
OwnerWithMatch = Annotated[Call, allowed(*OWNERS, needs_if_match=True)]
COLUMNS = (
    "id, organization, url, description, old_secret_until, state, disabled_why, disabled_at, epoch, sequence, kept, "
    "pruned, "
    "n, created_at, at"
)
# Long enough to roll a secret out everywhere, short enough that a leaked one ends.
USUAL_GRACE, LONGEST_GRACE = 24 * 3600, 7 * 24 * 3600


class SubscriptionBody(Body):
    """`url` null: no webhooks, the feed only."""

    url: str | None = Field(
        None, min_length=1, max_length=2048, description="https address that takes webhooks"
    )
    description: str = Field("", max_length=200)


class Subscription(BaseModel):
    """`sequence` is the number of the last entry of its feed, with `epoch` the cursor of that. `disabled_why`: owner,
    gone (it answered 410) or failing (five days of nothing but failure); what arises meanwhile is kept. Until
    `old_secret_until` two secrets sign."""

    model_config = ConfigDict(frozen=True)

    id: str
    organization: str
    url: str | None
    description: str
    state: str
    disabled_why: str | None
    disabled_at: datetime | None
    old_secret_until: datetime | None
    epoch: str
    sequence: int
    created_at: datetime
    updated_at: datetime


class NewSubscription(Subscription):
    """`secret` signs the webhooks (Standard Webhooks) and is shown only here and by `:rotate`."""

    secret: str


class DeliveryAttemptShown(BaseModel):
    """`outcome`: delivered, failed (tried again at `next_attempt_at`), exhausted, gone. `response`: its first 4 kB.
    `trigger`: scheduled, manual (resent) or recovery."""

    model_config = ConfigDict(frozen=True)

    id: str
    delivery: str
    webhook_id: str
    type: str
    referral: str
    number: int
    trigger: str
    at: datetime
    outcome: str
    status: int | None
    error: str | None
    duration_ms: int
    response: str
    next_attempt_at: datetime | None


class SubscriptionPage(Page):
    state: Literal["unverified", "enabled", "disabled"] | None = Field(None, description="Only these")


EXAMPLE = {"url": "https://loops.harbor-street.example/webhooks", "description": "Street team inbox"}


@router.post(
    "/v1/subscriptions",
    status_code=201,
    summary="Subscribe to what concerns your organization",
    responses=refused("url-forbidden", status=422) | refused("too-many-subscriptions"),
)
async def subscribe(body: Annotated[SubscriptionBody, example(EXAMPLE)], call: Owner) -> NewSubscription:
    """Nothing is sent before `:verify`; what arises meanwhile is kept and then sent."""
    context, wanted = call.service, _wanted(call, body)
    subscription = ids.new("sub")
    sealed = context.sealer.seal("system", subscription, SEALED_PART, {"secret": new_secret()})
    most = subscriptions.most_of(context)
    reference = subscriptions.create(
        subscription, call.client.organization, wanted, sealed, feed.new_epoch(), most=most
    )
    outcome = await call.record(reference)
    # A repeated request finds the subscription its first one made, secret and all.
    row = await context.pool.fetchrow("SELECT * FROM subscription WHERE id = $1", outcome.stream)
    if row is None or row["state"] == "deleted":
        raise not_found()
    opened = context.sealer.open("system", row["id"], SEALED_PART, row["secret"])
    call.location(f"/v1/subscriptions/{row['id']}")
    call.etag(row["n"])
    return NewSubscription(**shown(row).model_dump(), secret=opened["secret"])


@router.get("/v1/subscriptions", summary="Your organization's subscriptions")
async def subscriptions_of(
    asked: Annotated[SubscriptionPage, Query()],
    call: Annotated[Call, allowed(*OWNERS, Role.OPERATIONS)],
) -> Listing[Subscription]:
    """Operations see those of all, without their addresses."""
    start, operations = asked.start(), Role.OPERATIONS in call.client.roles
    async with own_organization(call) as connection:
        rows = await connection.fetch(
            f"""SELECT {COLUMNS} FROM subscription
                WHERE (organization = $1 OR $5) AND (at, id) > ($2, $3) AND state <> 'deleted'
                AND ($6 = '' OR state = $6) ORDER BY at, id LIMIT $4""",  # noqa: S608
            call.client.organization,
            start.at,
            start.id,
            asked.fetch,
            operations,
            asked.state or "",
        )
    return await listing(call, asked, [{**row, "url": None} if operations else row for row in rows], shown)


@router.get("/v1/subscriptions/{id:key}", summary="One subscription")
async def subscription_of(id: Id, call: Owner) -> Subscription:
    """Its address and state, without its secret."""
    return answered(call, await row_of(call, id))


@router.put(
    "/v1/subscriptions/{id:key}",
    summary="Change a subscription",
    responses=refused("url-forbidden", status=422),
)
async def restate(
    id: Id, body: Annotated[SubscriptionBody, example(EXAMPLE)], call: OwnerWithMatch
) -> Subscription:
    """A new url must be verified before anything is sent to it."""
    wanted, row = _wanted(call, body), await row_of(call, id)
    call.check_match(row["n"])
    await call.record(subscriptions.restate(row["id"], row["n"], wanted))
    return answered(call, await row_of(call, id))


@router.delete("/v1/subscriptions/{id:key}", status_code=204, summary="End a subscription")
async def delete(id: Id, call: OwnerWithMatch) -> None:
    """Nothing more is sent; waiting deliveries are dropped."""
    row = await row_of(call, id)
    call.check_match(row["n"])
    await call.record(subscriptions.delete(row["id"], row["n"]))


# ── shared by the routes ──────────────────────────────────────────────────────────────────────────────────


@asynccontextmanager
async def own_organization(call: Call, *, ordered: bool = False) -> AsyncGenerator[Connection]:
    """A reading connection that sees the caller's own organization's subscriptions and attempts, and no others."""
    async with reading(call.service.readers, call.client, ordered=ordered) as connection:
        await connection.execute("SELECT set_config('app.organization', $1, true)", call.client.organization)
        yield connection


async def row_of(call: Call, id: str) -> Mapping[str, Any]:
    """The subscription's row, if it is of the caller's organization. Raises 404 otherwise."""
    async with own_organization(call) as connection:
        row = await connection.fetchrow(
            f"SELECT {COLUMNS} FROM subscription WHERE id = $1 AND organization = $2 AND state <> 'deleted'",  # noqa: S608
            id,
            call.client.organization,
        )
    if row is None:
        raise not_found()
    return row


def answered(call: Call, row: Mapping[str, Any]) -> Subscription:
    """The subscription of this row as an answer, with its version."""
    call.etag(row["n"])
    return shown(row)


def _wanted(call: Call, body: SubscriptionBody) -> Wanted:
    url = body.url
    if url is not None:
        try:
            url = check_url(url, Allow.parse(call.service.settings.webhook_allow))
        except UrlForbidden as forbidden:
            raise Refused(
                "url-forbidden", forbidden.sentence, fix="Send a public https address.", status=422
            ) from None
    return Wanted(url, body.description)


def shown(row: Mapping[str, Any]) -> Subscription:
    """The subscription of this row, as its owner sees it."""
    return Subscription(
        id=row["id"],
        organization=row["organization"],
        url=row["url"],
        description=row["description"],
        state=row["state"],
        disabled_why=row["disabled_why"] or None,
        disabled_at=row["disabled_at"],
        old_secret_until=row["old_secret_until"],
        epoch=row["epoch"],
        sequence=row["sequence"],
        created_at=row["created_at"],
        updated_at=row["at"],
    )
