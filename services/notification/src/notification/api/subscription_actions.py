"""What an owner does with a subscription: verify, test, rotate, enable, disable, recover, resend, and read attempts."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from loopkeeper.contract.decider import Refused
from loopkeeper.contract.field_types import Instant, Whole, YesNo
from loopkeeper.http.paging import Listing, Page, listing
from loopkeeper.http.route import Id, Operation, example, refused
from loopkeeper.kernel.errors import not_found
from loopkeeper.postgres.connections import Connection
from loopkeeper.runtime.service import Call
from loopkeeper.security.sealing import Sealer
from loopkeeper.store.pages import Selection, literal, page
from notification.api.subscriptions import (
    LONGEST_GRACE,
    USUAL_GRACE,
    DeliveryAttemptShown,
    NewSubscription,
    Owner,
    Subscription,
    answered,
    own_organization,
    row_of,
)
from notification.api.views import Body
from notification.delivery import lease
from notification.delivery.ssrf_guard import Allow
from notification.delivery.webhook import Sender, challenge, new_secret
from notification.persistence import feed, subscriptions
from notification.persistence.feed import News
from notification.persistence.subscriptions import OWNER, SEALED_ANSWER, SEALED_PART

router = APIRouter(tags=["notification"], route_class=Operation)
TEST_TYPE = "ecm.endpoint.test.v1"


class RotateBody(Body):
    grace_period_seconds: Whole = Field(
        USUAL_GRACE, ge=0, le=LONGEST_GRACE, description="How long the old secret signs with the new one"
    )


class RecoverBody(Body):
    """The default only counts; send `dry_run` false to do it."""

    since: Instant
    until: Instant | None = Field(None, description="Until now, where it is missing")
    dry_run: YesNo = True


class Recovered(BaseModel):
    """`count`: how many deliveries of the range never arrived; they were sent again unless `dry_run`."""

    model_config = ConfigDict(frozen=True)

    count: int
    dry_run: bool


class Resent(BaseModel):
    model_config = ConfigDict(frozen=True)

    delivery: str
    webhook_id: str


class Tested(BaseModel):
    model_config = ConfigDict(frozen=True)

    webhook_id: str
    sequence: int


class AttemptPage(Page):
    status: Literal["delivered", "failed", "exhausted", "gone"] | None = Field(
        None, description="Only this outcome"
    )
    status_class: Literal["2xx", "3xx", "4xx", "5xx", "none"] | None = Field(
        None, description="Only answers of this class; none: no answer came"
    )
    event_type: str | None = Field(None, max_length=100)
    before: Instant | None = None
    after: Instant | None = None


@router.post(
    "/v1/subscriptions/{id:key}:verify",
    summary="Challenge the endpoint, and enable it",
    responses=refused("challenge-failed"),
)
async def verify(id: Id, call: Owner) -> Subscription:
    """Sends a signed challenge that the endpoint must echo as `{"challenge": "…"}`."""
    context, row = call.service, await row_of(call, id)
    call.check_match(row["n"])
    sealed = await context.pool.fetchval("SELECT secret FROM subscription WHERE id = $1", row["id"])
    if row["url"] is None or not sealed:
        raise Refused("challenge-failed", "This subscription has no url.", fix="Give it one with PUT.")
    secret = context.sealer.open("system", row["id"], SEALED_PART, sealed)["secret"]
    async with Sender(Allow.parse(context.settings.webhook_allow), context.clock) as sender:
        challenged = await challenge(sender, row["url"], secret, secrets.token_urlsafe(24))
    if not challenged.passed:
        raise Refused("challenge-failed", challenged.sentence, fix="Fix the endpoint and verify again.")
    await call.record(subscriptions.verify(row["id"], row["n"]))
    return answered(call, await row_of(call, id))


@router.post("/v1/subscriptions/{id:key}:rotate", summary="Get a new secret")
async def rotate(
    id: Id, body: Annotated[RotateBody, example({"grace_period_seconds": USUAL_GRACE})], call: Owner
) -> NewSubscription:
    """Each webhook carries two signatures, by the new and the old secret, until the grace is over."""
    context, row = call.service, await row_of(call, id)
    call.check_match(row["n"])
    sealed = context.sealer.seal("system", row["id"], SEALED_PART, {"secret": new_secret()})
    grace = timedelta(seconds=body.grace_period_seconds)
    await call.record(subscriptions.rotate(row["id"], _asked_version(call, row), sealed, grace))
    # A repeated request finds the secret its first one made.
    kept = await context.pool.fetchval("SELECT secret FROM subscription WHERE id = $1", row["id"])
    secret = context.sealer.open("system", row["id"], SEALED_PART, kept)["secret"]
    changed = answered(call, await row_of(call, id))
    return NewSubscription(**changed.model_dump(), secret=secret)


@router.post(
    "/v1/subscriptions/{id:key}:enable",
    summary="Enable a disabled endpoint",
    responses=refused("not-verified"),
)
async def enable(id: Id, call: Owner) -> Subscription:
    """What arose meanwhile was kept, and is sent now. What failed for good before is sent again by `:recover`."""
    row = await row_of(call, id)
    call.check_match(row["n"])
    await call.record(subscriptions.enable(row["id"], _asked_version(call, row)))
    now = call.service.clock.now()
    await call.service.store.transact(lambda c: lease.hurry(c, row["id"], now))
    return answered(call, await row_of(call, id))


@router.post(
    "/v1/subscriptions/{id:key}:disable",
    summary="Disable an endpoint",
    responses=refused("not-verified"),
)
async def disable(id: Id, call: Owner) -> Subscription:
    """What arises meanwhile is kept in the feed, and sent when it is enabled again."""
    row = await row_of(call, id)
    call.check_match(row["n"])
    await call.record(subscriptions.disable(row["id"], _asked_version(call, row), OWNER))
    return answered(call, await row_of(call, id))


@router.post("/v1/subscriptions/{id:key}:test", summary="Send yourself a test event")
async def send_test(id: Id, call: Owner) -> Tested:
    """A test event enters the feed like any other, and is sent once the subscription is enabled."""
    row, now = await row_of(call, id), call.service.clock.now()
    call.check_match(row["n"])
    webhook = f"evt_{call.command_id.hex}"

    async def steps(connection: Connection) -> int:
        found = [s for s in await feed.locked(connection, [row["organization"]]) if s.id == row["id"]]
        if not found:
            raise not_found()
        known = await connection.fetchval(
            "SELECT sequence FROM feed WHERE subscription = $1 AND id = $2", row["id"], webhook
        )
        if known is not None:
            return int(known)
        said = {"event": str(call.command_id)}
        news = News(row["organization"], webhook, TEST_TYPE, "", now, said, call.traceparent)
        rows = feed.rows_of(found, [news], now)
        await feed.write(connection, rows)
        return rows.ends[row["id"]]

    sequence = await call.service.store.transact(steps)
    return Tested(webhook_id=webhook, sequence=sequence)


@router.post("/v1/subscriptions/{id:key}:recover", summary="Send failed deliveries again")
async def recover(
    id: Id,
    body: Annotated[RecoverBody, example({"since": "2026-03-02T00:00:00Z", "dry_run": True})],
    call: Owner,
) -> Recovered:
    """Sends every entry of the range that failed, waits for another try, or arose while there was no address, each
    under its old id. Without `dry_run` false it is only counted."""
    row, now = await row_of(call, id), call.service.clock.now()
    call.check_match(row["n"])

    async def steps(connection: Connection) -> int:
        found = [s for s in await feed.locked(connection, [row["organization"]]) if s.id == row["id"]]
        if not found:
            raise not_found()
        failed, undelivered = await lease.recoverable(connection, row["id"], body.since, body.until or now)
        # Without an address nothing could be sent; the feed has it all the same.
        missing = undelivered if found[0].url is not None else []
        if not body.dry_run:
            asked = call.command_id.hex
            await lease.again(connection, failed, now, trigger="recovery", asked=asked)
            await lease.begin(connection, row["id"], missing, now, asked)
        return len(failed) + len(missing)

    count = await call.service.store.transact(steps)
    return Recovered(count=count, dry_run=body.dry_run)


@router.post(
    "/v1/deliveries/{id:key}:resend", summary="Send one delivery again", responses=refused("not-kept")
)
async def resend(id: Id, call: Owner) -> Resent:
    """Under its old id, whatever became of it. A delivery has no version of its own: If-Match names its subscription's."""
    now = call.service.clock.now()

    async def steps(connection: Connection) -> Mapping[str, Any]:
        row = await connection.fetchrow(
            """SELECT d.id, f.id AS webhook, s.state, s.n FROM delivery d JOIN subscription s ON s.id = d.subscription
               LEFT JOIN feed f ON f.subscription = d.subscription AND f.sequence = d.sequence
               WHERE d.id = $1 AND s.organization = $2""",
            id,
            call.client.organization,
        )
        if row is None:
            raise not_found()
        call.check_match(row["n"])
        if row["webhook"] is None or row["state"] == "deleted":
            raise Refused("not-kept", "Its subscription has ended, and nothing of it is sent any more.")
        await lease.again(connection, [row["id"]], now, trigger="manual", asked=call.command_id.hex)
        return dict(row)

    row = await call.service.store.transact(steps)
    return Resent(delivery=row["id"], webhook_id=row["webhook"])


@router.get("/v1/subscriptions/{id:key}/attempts", summary="Attempts to deliver, with their outcomes")
async def attempts_of(
    id: Id, asked: Annotated[AttemptPage, Query()], call: Owner
) -> Listing[DeliveryAttemptShown]:
    """Every call of the endpoint, oldest first: what was sent when, and what was answered."""
    row = await row_of(call, id)
    wanted = Selection("*", "attempt", asked.start(), asked.fetch)
    wanted.where("subscription = ?", row["id"])
    wanted.where("organization = ?", call.client.organization)
    if asked.status is not None:
        wanted.where(f"outcome = {literal(asked.status)}")
    if asked.event_type is not None:
        wanted.where("type = ?", asked.event_type)
    if asked.status_class is not None:
        # A success is the usual thing, and what failed has an index of its own.
        hundreds = int(asked.status_class[0]) if asked.status_class != "none" else 0
        wanted.where(f"coalesce(status / 100, 0) = {hundreds}")
        if hundreds != 2:
            wanted.where("outcome <> 'delivered'")
    if asked.before is not None:
        wanted.where("at < ?", asked.before)
    if asked.after is not None:
        wanted.where("at >= ?", asked.after)
    async with own_organization(call, ordered=True) as connection:
        rows = await page(connection, wanted)
    return await listing(call, asked, rows, lambda found: _attempt_shown(call.service.sealer, found))


def _asked_version(call: Call, row: Mapping[str, Any]) -> int | None:
    """The version the caller insists on; without If-Match any."""
    return row["n"] if call.if_match is not None else None


def _attempt_shown(sealer: Sealer, row: Mapping[str, Any]) -> DeliveryAttemptShown:
    fields = {name: row[name] for name in DeliveryAttemptShown.model_fields if name != "webhook_id"}
    if row["response"]:
        opened = sealer.open("system", row["subscription"], SEALED_ANSWER, row["response"])
        fields["response"] = opened["text"]
    return DeliveryAttemptShown(webhook_id=row["webhook"], **fields)
