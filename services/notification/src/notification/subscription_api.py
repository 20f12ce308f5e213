"""`/v1/subscriptions`: where an organization wants to hear of its referrals, and what came of each attempt."""

from __future__ import annotations

import secrets
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from loopkeeper import ids
from loopkeeper.auth import reading
from loopkeeper.clients import Role
from loopkeeper.database import Connection
from loopkeeper.decider import Refused
from loopkeeper.domain import Reference, Submission
from loopkeeper.service import Context
from loopkeeper.web import Api, Call, Listing, Page, Reply, check_match, listing, not_found
from notification import feed, subscriptions
from notification.addresses import Allow, UrlForbidden, check_url
from notification.feed import News
from notification.subscriptions import SEALED_PART, Wanted
from notification.webhook import Sender, challenge, new_secret

api = Api("notification")
OWNERS = (Role.REFERRER, Role.PROVIDER, Role.PLAN, Role.PARTNER)
TEST_TYPE = "ecm.endpoint.test.v1"
COLUMNS = "id, organization, url, description, state, sequence, n, created_at, at"


class SubscriptionBody(BaseModel):
    """`url` null: no webhooks, the feed only."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str | None = Field(
        None, min_length=1, max_length=2048, description="https address that takes webhooks"
    )
    description: str = Field("", max_length=200)


class Subscription(BaseModel):
    """`sequence` is the number of the last entry of its feed."""

    model_config = ConfigDict(frozen=True)

    id: str
    url: str | None
    description: str
    state: str
    sequence: int
    created_at: datetime
    updated_at: datetime


class NewSubscription(Subscription):
    """`secret` signs the webhooks (Standard Webhooks) and is shown only here."""

    secret: str


class Tested(BaseModel):
    model_config = ConfigDict(frozen=True)

    webhook_id: str
    sequence: int


class AttemptShown(BaseModel):
    """`outcome`: delivered, failed (tried again at `next_attempt_at`), exhausted, gone. `response`: its first 4 kB."""

    model_config = ConfigDict(frozen=True)

    id: str
    webhook_id: str
    type: str
    referral: str
    number: int
    at: datetime
    outcome: str
    status: int | None
    error: str | None
    duration_ms: int
    response: str
    next_attempt_at: datetime | None


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
    reference = subscriptions.create(subscription, call.client.organization, wanted, sealed)
    outcome = await _submit(call, reference)
    # A repeated request finds the subscription its first one made, secret and all.
    row = await context.pool.fetchrow("SELECT * FROM subscription WHERE id = $1", outcome.stream)
    if row is None or row["state"] == "deleted":
        raise not_found()
    opened = context.sealer.open("system", row["id"], SEALED_PART, row["secret"])
    body = NewSubscription(**_shown(row).model_dump(), secret=opened["secret"])
    return Reply(201, body, {"Location": f"/v1/subscriptions/{row['id']}"}, etag=row["n"])


@api.route(
    "GET",
    "/v1/subscriptions",
    roles=OWNERS,
    summary="Your organization's subscriptions",
    query=Page,
    answers={200: Listing[Subscription]},
)
async def subscriptions_of(call: Call[None, Context, Page]) -> Reply:
    start = call.query.start()
    async with _own(call) as connection:
        rows = await connection.fetch(
            f"""SELECT {COLUMNS} FROM subscription
                WHERE organization = $1 AND (at, id) > ($2, $3) AND state <> 'deleted' ORDER BY at, id LIMIT $4""",  # noqa: S608
            call.client.organization,
            start.at,
            start.id,
            call.query.fetch,
        )
    return listing(call, rows, _shown)


@api.route(
    "GET",
    "/v1/subscriptions/{id}",
    roles=OWNERS,
    summary="One subscription",
    answers={200: Subscription},
)
async def subscription_of(call: Call[None, Context]) -> Reply:
    row = await _row(call)
    return Reply(200, _shown(row), etag=row["n"])


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
    wanted, row = _wanted(call), await _row(call)
    check_match(call, row["n"])
    await _submit(call, subscriptions.restate(row["id"], row["n"], wanted))
    changed = await _row(call)
    return Reply(200, _shown(changed), etag=changed["n"])


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
    row = await _row(call)
    check_match(call, row["n"])
    await _submit(call, subscriptions.delete(row["id"], row["n"]))
    return Reply(204)


@api.route(
    "POST",
    "/v1/subscriptions/{id}:verify",
    roles=OWNERS,
    summary="Challenge the endpoint, and enable it",
    answers={200: Subscription},
    refusals=("challenge-failed",),
)
async def verify(call: Call[None, Context]) -> Reply:
    """Sends a signed challenge that the endpoint must echo as `{"challenge": "…"}`."""
    context, row = call.service, await _row(call)
    check_match(call, row["n"])
    sealed = await context.pool.fetchval("SELECT secret FROM subscription WHERE id = $1", row["id"])
    if row["url"] is None or not sealed:
        raise Refused("challenge-failed", "This subscription has no url.", fix="Give it one with PUT.")
    secret = context.sealer.open("system", row["id"], SEALED_PART, sealed)["secret"]
    async with Sender(Allow.parse(context.settings.webhook_allow), context.clock) as sender:
        challenged = await challenge(sender, row["url"], secret, secrets.token_urlsafe(24))
    if not challenged.passed:
        raise Refused("challenge-failed", challenged.sentence, fix="Mend the endpoint and verify again.")
    await _submit(call, subscriptions.verify(row["id"], row["n"]))
    changed = await _row(call)
    return Reply(200, _shown(changed), etag=changed["n"])


@api.route(
    "POST",
    "/v1/subscriptions/{id}:test",
    roles=OWNERS,
    summary="Send yourself a test event",
    answers={200: Tested},
)
async def send_test(call: Call[None, Context]) -> Reply:
    """A test event enters the feed like any other, and is sent once the subscription is enabled."""
    row, now = await _row(call), call.service.clock.now()
    webhook = f"evt_{call.claim.hex}"

    async def steps(connection: Connection) -> int:
        standing = [s for s in await feed.locked(connection, [row["organization"]]) if s.id == row["id"]]
        if not standing:
            raise not_found()
        known = await connection.fetchval(
            "SELECT sequence FROM feed WHERE subscription = $1 AND id = $2", row["id"], webhook
        )
        if known is not None:
            return int(known)
        news = News(
            row["organization"], webhook, TEST_TYPE, "", now, {"event": str(call.claim)}, call.traceparent
        )
        rows = feed.rows_of(standing, [news], now)
        await feed.write(connection, rows)
        return rows.ends[row["id"]]

    sequence = await call.service.store.transact(steps)
    return Reply(200, Tested(webhook_id=webhook, sequence=sequence))


@api.route(
    "GET",
    "/v1/subscriptions/{id}/attempts",
    roles=OWNERS,
    summary="What came of each attempt to deliver",
    query=Page,
    answers={200: Listing[AttemptShown]},
)
async def attempts_of(call: Call[None, Context, Page]) -> Reply:
    row, start = await _row(call), call.query.start()
    async with _own(call) as connection:
        rows = await connection.fetch(
            """SELECT * FROM attempt WHERE subscription = $1 AND organization = $2 AND (at, id) > ($3, $4)
               ORDER BY at, id LIMIT $5""",
            row["id"],
            call.client.organization,
            start.at,
            start.id,
            call.query.fetch,
        )
    return listing(call, rows, _attempt_shown)


@asynccontextmanager
async def _own(call: Call[Any, Context, Any]) -> AsyncGenerator[Connection]:
    """A reading connection that sees the caller's own organization's subscriptions and attempts, and no others."""
    async with reading(call.service.readers, call.client) as connection:
        await connection.execute("SELECT set_config('app.organization', $1, true)", call.client.organization)
        yield connection


async def _row(call: Call[Any, Context, Any]) -> Mapping[str, Any]:
    async with _own(call) as connection:
        row = await connection.fetchrow(
            f"SELECT {COLUMNS} FROM subscription WHERE id = $1 AND organization = $2 AND state <> 'deleted'",  # noqa: S608
            call.path["id"],
            call.client.organization,
        )
    if row is None:
        raise not_found()
    return dict(row)


async def _submit(call: Call[Any, Context, Any], reference: Reference) -> Any:
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


def _shown(row: Mapping[str, Any]) -> Subscription:
    return Subscription(
        id=row["id"],
        url=row["url"],
        description=row["description"],
        state=row["state"],
        sequence=row["sequence"],
        created_at=row["created_at"],
        updated_at=row["at"],
    )


def _attempt_shown(row: Mapping[str, Any]) -> AttemptShown:
    fields = {name: row[name] for name in AttemptShown.model_fields if name != "webhook_id"}
    return AttemptShown(webhook_id=row["webhook"], **fields)
