"""`/v1/subscriptions`: where an organization wants to hear of its referrals, and what came of each attempt."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from loopkeeper.contract import ids
from loopkeeper.contract.blanks import BlankIsMissing
from loopkeeper.contract.decider import Refused
from loopkeeper.http.old import Api, Call, Listing, Page, Reply, check_match, listing, not_found
from loopkeeper.postgres.connections import Connection
from loopkeeper.runtime.service import Context
from loopkeeper.security.organizations import Role
from loopkeeper.store.definition import Reference, Submission
from loopkeeper.store.row_access import reading
from notification.delivery.ssrf_guard import Allow, UrlForbidden, check_url
from notification.delivery.webhook import new_secret
from notification.persistence import feed, subscriptions
from notification.persistence.subscriptions import SEALED_PART, Wanted

api = Api("notification")
OWNERS = (Role.REFERRER, Role.PROVIDER, Role.PLAN, Role.PARTNER)
COLUMNS = (
    "id, organization, url, description, old_secret_until, state, disabled_why, disabled_at, epoch, sequence, kept, "
    "n, created_at, at"
)
# Long enough to roll a secret out everywhere, short enough that a leaked one ends.
USUAL_GRACE, LONGEST_GRACE = 24 * 3600, 7 * 24 * 3600


class SubscriptionBody(BlankIsMissing):
    """`url` null: no webhooks, the feed only."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str | None = Field(
        None, min_length=1, max_length=2048, description="https address that takes webhooks"
    )
    description: str = Field("", max_length=200)


class Subscription(BaseModel):
    """`sequence` is the number of the last entry of its feed, with `epoch` the cursor of that. `disabled_why`: owner, gone (it answered 410) or failing
    (five days of nothing but failure); what arises meanwhile is kept. Until `old_secret_until` two secrets sign."""

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


class AttemptShown(BaseModel):
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


@api.route(
    "POST",
    "/v1/subscriptions",
    roles=OWNERS,
    summary="Subscribe to what concerns your organization",
    body=SubscriptionBody,
    answers={201: NewSubscription},
    refusals={"url-forbidden": 422},
    example=EXAMPLE,
)
async def subscribe(call: Call[SubscriptionBody, Context]) -> Reply:
    """Nothing is sent before `:verify`; what arises meanwhile is kept and then sent."""
    context, wanted = call.service, _wanted(call)
    subscription = ids.new("sub")
    sealed = context.sealer.seal("system", subscription, SEALED_PART, {"secret": new_secret()})
    reference = subscriptions.create(subscription, call.client.organization, wanted, sealed, feed.new_epoch())
    outcome = await submit(call, reference)
    # A repeated request finds the subscription its first one made, secret and all.
    row = await context.pool.fetchrow("SELECT * FROM subscription WHERE id = $1", outcome.stream)
    if row is None or row["state"] == "deleted":
        raise not_found()
    opened = context.sealer.open("system", row["id"], SEALED_PART, row["secret"])
    body = NewSubscription(**shown(row).model_dump(), secret=opened["secret"])
    return Reply(201, body, {"Location": f"/v1/subscriptions/{row['id']}"}, etag=row["n"])


@api.route(
    "GET",
    "/v1/subscriptions",
    roles=(*OWNERS, Role.OPERATIONS),
    summary="Your organization's subscriptions",
    query=SubscriptionPage,
    answers={200: Listing[Subscription]},
)
async def subscriptions_of(call: Call[None, Context, SubscriptionPage]) -> Reply:
    """Operations see those of all, without their addresses."""
    start, operations = call.query.start(), Role.OPERATIONS in call.client.roles
    async with own(call) as connection:
        rows = await connection.fetch(
            f"""SELECT {COLUMNS} FROM subscription
                WHERE (organization = $1 OR $5) AND (at, id) > ($2, $3) AND state <> 'deleted'
                AND ($6 = '' OR state = $6) ORDER BY at, id LIMIT $4""",  # noqa: S608
            call.client.organization,
            start.at,
            start.id,
            call.query.fetch,
            operations,
            call.query.state or "",
        )
    return listing(call, [{**row, "url": None} if operations else row for row in rows], shown)


@api.route(
    "GET",
    "/v1/subscriptions/{id}",
    roles=OWNERS,
    summary="One subscription",
    answers={200: Subscription},
)
async def subscription_of(call: Call[None, Context]) -> Reply:
    row = await row_of(call)
    return Reply(200, shown(row), etag=row["n"])


@api.route(
    "PUT",
    "/v1/subscriptions/{id}",
    roles=OWNERS,
    summary="Change a subscription",
    body=SubscriptionBody,
    answers={200: Subscription},
    refusals={"url-forbidden": 422},
    needs_if_match=True,
    example=EXAMPLE,
)
async def restate(call: Call[SubscriptionBody, Context]) -> Reply:
    """Another url must be verified before anything is sent to it."""
    wanted, row = _wanted(call), await row_of(call)
    check_match(call, row["n"])
    await submit(call, subscriptions.restate(row["id"], row["n"], wanted))
    changed = await row_of(call)
    return Reply(200, shown(changed), etag=changed["n"])


@api.route(
    "DELETE",
    "/v1/subscriptions/{id}",
    roles=OWNERS,
    summary="End a subscription",
    answers={204: None},
    needs_if_match=True,
)
async def delete(call: Call[None, Context]) -> Reply:
    """Nothing more is sent, not even what waits."""
    row = await row_of(call)
    check_match(call, row["n"])
    await submit(call, subscriptions.delete(row["id"], row["n"]))
    return Reply(204)


@asynccontextmanager
async def own(call: Call[Any, Context, Any]) -> AsyncGenerator[Connection]:
    """A reading connection that sees the caller's own organization's subscriptions and attempts, and no others."""
    async with reading(call.service.readers, call.client) as connection:
        await connection.execute("SELECT set_config('app.organization', $1, true)", call.client.organization)
        yield connection


async def row_of(call: Call[Any, Context, Any]) -> Mapping[str, Any]:
    async with own(call) as connection:
        row = await connection.fetchrow(
            f"SELECT {COLUMNS} FROM subscription WHERE id = $1 AND organization = $2 AND state <> 'deleted'",  # noqa: S608
            call.path["id"],
            call.client.organization,
        )
    if row is None:
        raise not_found()
    return dict(row)


async def submit(call: Call[Any, Context, Any], reference: Reference) -> Any:
    return await call.service.store.submit(
        Submission(
            call.claim,
            reference.id,
            reference=reference,
            body_hash=call.body_hash,
            traceparent=call.traceparent,
        )
    )


def _wanted(call: Call[SubscriptionBody, Context, Any]) -> Wanted:
    url = call.body.url
    if url is not None:
        try:
            url = check_url(url, Allow.parse(call.service.settings.webhook_allow))
        except UrlForbidden as forbidden:
            raise Refused(
                "url-forbidden", forbidden.sentence, fix="Send a public https address.", status=422
            ) from None
    return Wanted(url, call.body.description)


def shown(row: Mapping[str, Any]) -> Subscription:
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
