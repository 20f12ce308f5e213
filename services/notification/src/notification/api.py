"""`/v1/outreach`: what the provider that accepted a referral did to reach the member, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

import orjson
from pydantic import BaseModel, ConfigDict, Field

from loopkeeper.auth import own_key, reading
from loopkeeper.bodies import Instant
from loopkeeper.clients import Role
from loopkeeper.domain import Submission
from loopkeeper.service import Context
from loopkeeper.vocabulary import ActorKind, AttemptOutcome, Modality
from loopkeeper.web import Api, Call, Listing, Page, Reply, check_match, listing, not_found
from notification import subscription_api
from notification.rules import (
    DeclineForMember,
    Outreach,
    ProviderCommand,
    RecordAttempt,
    ReportUnableToReach,
    StartServices,
    allowed,
    status,
)

api = Api("notification")
PROVIDERS = (Role.PROVIDER,)
READERS = (Role.PROVIDER, Role.PLAN, Role.OPERATIONS)
# A referrer does not see outreach, so its key opens nothing here.
KEYS = ("plan_id", "provider_id")


class Body(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ActedByBody(Body):
    """Who did it: your own id of the person. Without it, the lead care manager."""

    person: str = Field(default="", max_length=100, pattern=r"^[A-Za-z0-9_.-]*$")
    title: str = Field(default="", max_length=100)


class AttemptBody(Body):
    at: Instant = Field(description="When it was tried")
    actor_kind: ActorKind
    modality: Modality
    outcome: AttemptOutcome
    acted_by: ActedByBody = ActedByBody()


class StartBody(Body):
    on: date | None = Field(None, description="Day of the first ECM service")
    acted_by: ActedByBody = ActedByBody()


class DeclineBody(Body):
    on: date | None = Field(None, description="Day on which the member declined")
    how: Modality = Field(description="In which way the member said so")
    acted_by: ActedByBody = ActedByBody()


class UnreachedBody(Body):
    on: date | None = Field(None, description="Day on which you gave up")
    acted_by: ActedByBody = ActedByBody()


class AttemptShown(BaseModel):
    model_config = ConfigDict(frozen=True)

    assignment: str
    number: int
    at: datetime
    actor_kind: str
    modality: str
    outcome: str
    reached: bool


class OutreachShown(BaseModel):
    """`status`: waiting, open, services_started, member_declined, unable_to_reach, closed."""

    model_config = ConfigDict(frozen=True)

    referral: str
    status: str
    assignment: str | None = None
    provider: str | None = None
    attempts: tuple[AttemptShown, ...] = ()
    ended_on: date | None = None
    outcome: str | None = None
    allowed: tuple[str, ...] = ()
    updated_at: datetime | None = None


class OutreachPage(Page):
    status: tuple[str, ...] = Field((), description="Only these statuses")


ATTEMPT = {
    "at": "2026-03-02T17:00:00Z",
    "actor_kind": "street_outreach_worker",
    "modality": "in_person",
    "outcome": "not_there",
}
REFUSALS = ("not-assigned", "already-closed", "in-the-future", "date-required")


@api.route(
    "POST",
    "/v1/outreach/{referral}/attempts",
    roles=PROVIDERS,
    summary="Record an attempt to reach the member",
    body=AttemptBody,
    answers={201: OutreachShown},
    refusals=("not-assigned", "already-closed", "in-the-future"),
    example=ATTEMPT,
)
async def record_attempt(call: Call[AttemptBody, Context]) -> Reply:
    """Every attempt counts, reached or not; it speaks to one member who can answer."""
    body = call.body
    command = RecordAttempt(
        provider=call.client.organization,
        person=body.acted_by.person,
        tried_at=body.at,
        actor_kind=body.actor_kind,
        modality=body.modality,
        outcome=body.outcome,
        reached=body.outcome.reached,
    )
    return await _act(call, command, 201)


@api.route(
    "POST",
    "/v1/outreach/{referral}:start-services",
    roles=PROVIDERS,
    summary="The member receives the first ECM service",
    body=StartBody,
    answers={200: OutreachShown},
    refusals=REFUSALS,
    example={"on": "2026-03-02"},
)
async def start_services(call: Call[StartBody, Context]) -> Reply:
    """Closes the loop as services received; assignment and authorization live on."""
    command = StartServices(
        provider=call.client.organization, person=call.body.acted_by.person, on=call.body.on
    )
    return await _act(call, command)


@api.route(
    "POST",
    "/v1/outreach/{referral}:member-declined",
    roles=PROVIDERS,
    summary="The member declines ECM",
    body=DeclineBody,
    answers={200: OutreachShown},
    refusals=REFUSALS,
    example={"on": "2026-03-02", "how": "in_person", "acted_by": {"person": "maria.lopez"}},
)
async def member_declined(call: Call[DeclineBody, Context]) -> Reply:
    """Closes the loop; the member may come back by a new referral."""
    command = DeclineForMember(
        provider=call.client.organization,
        person=call.body.acted_by.person,
        on=call.body.on,
        how=call.body.how,
    )
    return await _act(call, command)


@api.route(
    "POST",
    "/v1/outreach/{referral}:unable-to-reach",
    roles=PROVIDERS,
    summary="The member could not be reached",
    body=UnreachedBody,
    answers={200: OutreachShown},
    refusals=(*REFUSALS, "attempts-missing"),
    example={"on": "2026-04-15"},
)
async def unable_to_reach(call: Call[UnreachedBody, Context]) -> Reply:
    """Closes the loop where the plan's reach policy is satisfied; else 409 names what is missing."""
    command = ReportUnableToReach(
        provider=call.client.organization, person=call.body.acted_by.person, on=call.body.on
    )
    return await _act(call, command)


@api.route(
    "GET",
    "/v1/outreach",
    roles=READERS,
    summary="Outreach of your referrals",
    query=OutreachPage,
    answers={200: Listing[OutreachShown]},
)
async def outreaches(call: Call[None, Context, OutreachPage]) -> Reply:
    start = call.query.start()
    mine, own = own_key(call.client, 5, KEYS)
    async with reading(call.service.readers, call.client) as connection:
        rows = await connection.fetch(
            f"""SELECT id, state, at, n FROM referral
                WHERE (at, id) > ($1, $2) AND ($3::text[] = '{{}}' OR status = ANY($3)) AND {mine}
                ORDER BY at, id LIMIT $4""",  # noqa: S608 own columns
            start.at,
            start.id,
            list(call.query.status),
            call.query.fetch,
            *own,
        )
    return listing(call, rows, lambda row: _shown(row["id"], _state(row), row["at"]))


@api.route(
    "GET", "/v1/outreach/{referral}", roles=READERS, summary="One outreach", answers={200: OutreachShown}
)
async def outreach(call: Call[None, Context]) -> Reply:
    row = await _row(call)
    return Reply(200, _shown(row["id"], _state(row), row["at"]), etag=row["n"])


async def _act(call: Call[Any, Context, Any], command: ProviderCommand, code: int = 200) -> Reply:
    referral = call.path["referral"]
    if call.if_match is not None:
        check_match(call, (await _row(call))["n"])
    outcome = await call.service.store.submit(
        Submission(
            call.claim, referral, command=command, body_hash=call.body_hash, traceparent=call.traceparent
        )
    )
    return Reply(code, _shown(referral, outcome.state or Outreach(), None), etag=outcome.n)


async def _row(call: Call[Any, Context, Any]) -> Mapping[str, Any]:
    mine, own = own_key(call.client, 2, KEYS)
    async with reading(call.service.readers, call.client) as connection:
        row = await connection.fetchrow(
            f"SELECT id, state, at, n FROM referral WHERE id = $1 AND {mine}",  # noqa: S608 own columns
            call.path["referral"],
            *own,
        )
    if row is None:
        raise not_found()
    return dict(row)


def _state(row: Mapping[str, Any]) -> Outreach:
    return Outreach.model_validate(orjson.loads(row["state"]))


def _shown(referral: str, now: Outreach, at: datetime | None) -> OutreachShown:
    held = now.assignment if now.assignment and now.assignment.accepted_at else None
    # Another provider's attempts are not this one's to see; the plan reads them in its feed.
    tried = [each for each in now.attempts if held is not None and each.assignment == held.assignment]
    return OutreachShown(
        referral=referral,
        status=status(now),
        assignment=held.assignment if held else None,
        provider=held.provider if held else None,
        attempts=tuple(AttemptShown.model_validate(each.model_dump()) for each in tried),
        ended_on=now.ending.on if now.ending else None,
        outcome=now.closing.outcome if now.closing else None,
        allowed=allowed(now),
        updated_at=at,
    )


api.routes.extend(subscription_api.api.routes)
