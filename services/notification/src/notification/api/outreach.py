"""`/v1/outreach`: what the provider that accepted a referral did to reach the member, and what came of it."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import Field

from loopkeeper.contract.field_types import Code, HappenedAt, NotAYes, ServiceDay
from loopkeeper.contract.vocabulary import ActorKind, AttemptOutcome, Modality
from loopkeeper.http.call import allowed
from loopkeeper.http.paging import Listing, Page, listing
from loopkeeper.http.route import Id, Operation, example, refused
from loopkeeper.runtime.service import Call
from loopkeeper.security.organizations import Role
from loopkeeper.store.pages import Selection, literal, visible_page
from notification.api.views import KEYS, Actor, Body, OutreachShown, recorded, row_of, shown, state_of
from notification.domain.outreach.commands import (
    Because,
    DeclineForMember,
    EndService,
    Fact,
    ProviderCommand,
    RecordAttempt,
    ReportUnableToReach,
    StartServices,
    TakeBack,
)
from notification.domain.outreach.state import STATUSES, Outreach, seen_by

router = APIRouter(tags=["notification"], route_class=Operation)
Provider = Annotated[Call, allowed(Role.PROVIDER)]
Reader = Annotated[Call, allowed(Role.PROVIDER, Role.PLAN, Role.OPERATIONS)]


class AttemptBody(Body):
    at: HappenedAt = Field(description="When it was tried")
    actor_kind: ActorKind
    modality: Modality
    outcome: AttemptOutcome
    minutes: Annotated[int, Field(ge=0, le=24 * 60), NotAYes] | None = Field(
        None, description="How long it took"
    )
    acted_by: Actor = None


class StartBody(Body):
    on: ServiceDay | None = Field(None, description="Day of the first ECM service")
    acted_by: Actor = None


class MemberDeclinedBody(Body):
    on: ServiceDay | None = Field(None, description="Day on which the member declined")
    how: Modality = Field(description="In which way the member said so")
    acted_by: Actor = None


class UnreachedBody(Body):
    on: ServiceDay | None = Field(None, description="Day on which you gave up")
    acted_by: Actor = None


class EndServiceBody(Body):
    code: Code = Field(description="The state's discontinuation code, 1 to 15")
    on: ServiceDay | None = Field(None, description="Last day of service")
    acted_by: Actor = None


class TakeBackBody(Body):
    """`number`: of the attempt. `because`: why it is an error."""

    what: Fact
    number: Annotated[int, Field(ge=1, le=10_000), NotAYes] | None = None
    because: Because
    acted_by: Actor = None


class OutreachPage(Page):
    status: tuple[str, ...] = Field((), description="Only these statuses")


ATTEMPT = {
    "at": "2026-03-02T17:00:00Z",
    "actor_kind": "street_outreach_worker",
    "modality": "in_person",
    "outcome": "not_there",
    "minutes": 20,
}
MARIA = {"acted_by": {"person": "maria.lopez"}}


# ── record ────────────────────────────────────────────────────────────────────────────────────────────────


@router.post(
    "/v1/outreach/{referral:key}/attempts",
    status_code=201,
    summary="Record an attempt to reach the member",
    responses=refused("not-assigned", "already-accepted", "already-closed", "in-the-future"),
)
async def record_attempt(
    referral: Id,
    body: Annotated[AttemptBody, example(ATTEMPT)],
    call: Annotated[Call, allowed(Role.PROVIDER, Role.REFERRER, Role.PLAN)],
) -> OutreachShown:
    """Every attempt counts, reached or not; it speaks to one member who can answer. Before a provider has accepted, who
    referred, the plan, and the provider that was offered the referral may record their own: such an attempt changes no
    status, counts toward no unable_to_reach, and shows the outreach to nobody."""
    by = call.acted_by(body.acted_by)
    command = RecordAttempt(
        provider=by.organization,
        person=by.person,
        proved=by.proved,
        tried_at=body.at,
        actor_kind=body.actor_kind,
        modality=body.modality,
        outcome=body.outcome,
        reached=body.outcome.reached,
        minutes=body.minutes,
    )
    return await _act(call, referral, command)


@router.post(
    "/v1/outreach/{referral:key}:start-services",
    summary="The member receives the first ECM service",
    responses=refused("not-assigned", "already-closed", "in-the-future", "date-required"),
)
async def start_services(
    referral: Id, body: Annotated[StartBody, example({"on": "2026-03-02"})], call: Provider
) -> OutreachShown:
    """Closes the loop as services received; assignment and authorization live on."""
    by = call.acted_by(body.acted_by)
    return await _act(
        call,
        referral,
        StartServices(provider=by.organization, person=by.person, proved=by.proved, on=body.on),
    )


@router.post(
    "/v1/outreach/{referral:key}:member-declined",
    summary="The member declines ECM",
    responses=refused("not-assigned", "already-closed", "in-the-future", "date-required"),
)
async def member_declined(
    referral: Id,
    body: Annotated[MemberDeclinedBody, example({"on": "2026-03-02", "how": "in_person", **MARIA})],
    call: Provider,
) -> OutreachShown:
    """Closes the loop; the member may come back by a new referral."""
    by = call.acted_by(body.acted_by)
    command = DeclineForMember(
        provider=by.organization, person=by.person, proved=by.proved, on=body.on, how=body.how
    )
    return await _act(call, referral, command)


@router.post(
    "/v1/outreach/{referral:key}:unable-to-reach",
    summary="The member could not be reached",
    responses=refused("not-assigned", "already-closed", "in-the-future", "date-required", "attempts-missing"),
)
async def unable_to_reach(
    referral: Id, body: Annotated[UnreachedBody, example({"on": "2026-04-15"})], call: Provider
) -> OutreachShown:
    """Closes the loop where the plan's reach policy is satisfied; else 409 names what is missing."""
    by = call.acted_by(body.acted_by)
    return await _act(
        call,
        referral,
        ReportUnableToReach(provider=by.organization, person=by.person, proved=by.proved, on=body.on),
    )


@router.post(
    "/v1/outreach/{referral:key}:end-service",
    summary="Services under a term end",
    responses=refused(
        "not-assigned", "already-closed", "in-the-future", "date-required", "code-unknown", "not-started"
    ),
)
async def end_service(
    referral: Id,
    body: Annotated[EndServiceBody, example({"code": 1, "on": "2026-12-01", **MARIA})],
    call: Provider,
) -> OutreachShown:
    """The plan decides about the term, and gives the member notice first."""
    by = call.acted_by(body.acted_by)
    command = EndService(
        provider=by.organization, person=by.person, proved=by.proved, code=body.code, on=body.on
    )
    return await _act(call, referral, command)


@router.post(
    "/v1/outreach/{referral:key}:take-back",
    summary="Take back what was recorded in error",
    responses=refused("nothing-to-take-back"),
)
async def take_back(
    referral: Id,
    body: Annotated[
        TakeBackBody, example({"what": "attempted", "number": 1, "because": "another_member", **MARIA})
    ],
    call: Annotated[Call, allowed(Role.PROVIDER, Role.PLAN)],
) -> OutreachShown:
    """The provider that recorded it, or the plan, takes a fact of outreach back. Everybody who was told is told. A loop
    that it closed stays closed: contest that within 30 days (`/v1/referrals/{id}:contest`)."""
    by = call.acted_by(body.acted_by)
    command = TakeBack(
        provider=by.organization,
        person=by.person,
        proved=by.proved,
        what=body.what,
        number=body.number,
        because=body.because,
    )
    return await _act(call, referral, command)


async def _act(call: Call, referral: str, command: ProviderCommand) -> OutreachShown:
    """Apply this to the referral's outreach; answer with how it is then."""
    if call.if_match is not None:
        call.check_match((await row_of(call, referral))["n"])
    outcome = await call.submit(referral, command)
    call.etag(outcome.n)
    outreach = outcome.state or Outreach()
    mine = call.client.organization in (seen_by(outreach), outreach.plan)
    return shown(referral, outreach, None) if mine else recorded(referral, outreach)


# ── read ──────────────────────────────────────────────────────────────────────────────────────────────────


@router.get("/v1/outreach", summary="Outreach of your referrals")
async def outreaches(asked: Annotated[OutreachPage, Query()], call: Reader) -> Listing[OutreachShown]:
    """The outreach this key may see, least recently changed first."""
    wanted = Selection("id, state, at, n", "referral", asked.start(), asked.fetch)
    statuses = [each for each in dict.fromkeys(asked.status) if each in STATUSES]
    if asked.status and not statuses:
        return await listing(call, asked, (), lambda row: shown(row["id"], state_of(row), row["at"]))
    either = [f"status = {literal(each)}" for each in statuses]
    rows = await visible_page(call.service.readers, call.client, wanted, KEYS, either=either)
    return await listing(call, asked, rows, lambda row: shown(row["id"], state_of(row), row["at"]))


@router.get("/v1/outreach/{referral:key}", summary="One outreach")
async def outreach(referral: Id, call: Reader) -> OutreachShown:
    """How the outreach for this referral is, and what may be recorded next."""
    row = await row_of(call, referral)
    call.etag(row["n"])
    return shown(row["id"], state_of(row), row["at"])
