"""`/v1/outreach`: what the provider that accepted a referral did to reach the member, and what came of it."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from loopkeeper.contract.field_types import HappenedAt, ServiceDay, Whole
from loopkeeper.contract.vocabulary import ActorKind, AttemptOutcome, Modality
from loopkeeper.http.old import Api, Call, Listing, Page, Reply, check_match, listing
from loopkeeper.runtime.service import Context
from loopkeeper.security.organizations import Role
from loopkeeper.store.definition import Submission
from loopkeeper.store.row_access import own_key, reading
from notification.api.views import KEYS, ActedByBody, Body, OutreachShown, row_of, shown, state_of
from notification.domain.outreach.commands import (
    DeclineForMember,
    EndService,
    ProviderCommand,
    RecordAttempt,
    ReportUnableToReach,
    StartServices,
)
from notification.domain.outreach.state import Outreach

api = Api("notification")
PROVIDERS = (Role.PROVIDER,)
READERS = (Role.PROVIDER, Role.PLAN, Role.OPERATIONS)


class AttemptBody(Body):
    at: HappenedAt = Field(description="When it was tried")
    actor_kind: ActorKind
    modality: Modality
    outcome: AttemptOutcome
    minutes: Whole | None = Field(None, ge=0, le=24 * 60, description="How long it took")
    acted_by: ActedByBody = ActedByBody()


class StartBody(Body):
    on: ServiceDay | None = Field(None, description="Day of the first ECM service")
    acted_by: ActedByBody = ActedByBody()


class DeclineBody(Body):
    on: ServiceDay | None = Field(None, description="Day on which the member declined")
    how: Modality = Field(description="In which way the member said so")
    acted_by: ActedByBody = ActedByBody()


class UnreachedBody(Body):
    on: ServiceDay | None = Field(None, description="Day on which you gave up")
    acted_by: ActedByBody = ActedByBody()


class EndBody(Body):
    code: Whole = Field(description="The state's discontinuation code, 1 to 15")
    on: ServiceDay | None = Field(None, description="Last day of service")
    acted_by: ActedByBody = ActedByBody()


class OutreachPage(Page):
    status: tuple[str, ...] = Field((), description="Only these statuses")


ATTEMPT = {
    "at": "2026-03-02T17:00:00Z",
    "actor_kind": "street_outreach_worker",
    "modality": "in_person",
    "outcome": "not_there",
    "minutes": 20,
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
        minutes=body.minutes,
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
    "POST",
    "/v1/outreach/{referral}:end-service",
    roles=PROVIDERS,
    summary="Services under a term end",
    body=EndBody,
    answers={200: OutreachShown},
    refusals=(*REFUSALS, "code-unknown", "not-started"),
    example={"code": 1, "on": "2026-12-01", "acted_by": {"person": "maria.lopez"}},
)
async def end_service(call: Call[EndBody, Context]) -> Reply:
    """The plan decides about the term, and gives the member notice first."""
    command = EndService(
        provider=call.client.organization,
        person=call.body.acted_by.person,
        code=call.body.code,
        on=call.body.on,
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
    return listing(call, rows, lambda row: shown(row["id"], state_of(row), row["at"]))


@api.route(
    "GET", "/v1/outreach/{referral}", roles=READERS, summary="One outreach", answers={200: OutreachShown}
)
async def outreach(call: Call[None, Context]) -> Reply:
    row = await row_of(call)
    return Reply(200, shown(row["id"], state_of(row), row["at"]), etag=row["n"])


async def _act(call: Call[Any, Context, Any], command: ProviderCommand, code: Whole = 200) -> Reply:
    referral = call.path["referral"]
    if call.if_match is not None:
        check_match(call, (await row_of(call))["n"])
    outcome = await call.service.store.submit(
        Submission(
            call.claim, referral, command=command, body_hash=call.body_hash, traceparent=call.traceparent
        )
    )
    return Reply(code, shown(referral, outcome.state or Outreach(), None), etag=outcome.n)
