"""The routes of a plan's decisions: its work queue, why each stands as it does, and what a named person decides."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from authorization import commands
from authorization.bodies import (
    ApproveBody,
    Decided,
    DenyBody,
    EndBody,
    LookedUp,
    LookUpBody,
    ModifyBody,
    OpenedMember,
    OverturnBody,
    PendBody,
    Person,
)
from authorization.explanation import Explanation, explain
from authorization.lookup import ask, contracted, open_authorization
from authorization.models import READ_COLUMNS
from authorization.request import Authorization
from authorization.views import ShownAuthorization, show
from loopkeeper.auth import own_key, reading
from loopkeeper.calendar import la_date
from loopkeeper.clients import Role
from loopkeeper.decider import Command
from loopkeeper.domain import Submission
from loopkeeper.errors import Problem
from loopkeeper.events import ActedBy
from loopkeeper.routes import Api, Call, Reply, check_match
from loopkeeper.sealing import AuditRow, Opening, open_identity
from loopkeeper.service import Context
from loopkeeper.web import Listing, Page, listing, not_found

api = Api("authorization")
READERS = (Role.PLAN, Role.PROVIDER, Role.OPERATIONS)
OWN = ("plan_id", "provider_id")
# What a decision is made about; opening it is written down (loop.md 1.7).
MEMBER_FIELDS = ("cin", "first_name", "last_name", "birth_date", "approximate_age", "plan_member_id")
ACTED = {"acted_by": {"person": "maria-chen", "title": "UM nurse"}}


class AuthorizationQuery(Page):
    status: Literal["started", "pending", "approved", "denied", "closed"] | None = Field(
        None, description="`pending` is the work queue: earliest due first"
    )
    waits_for: Literal["decision", "reauthorization", "discontinuation"] | None = Field(
        None, description="Only what waits for a person in this way, earliest due first"
    )
    due: Literal["on_track", "at_risk", "breached"] | None = Field(
        None, description="Only what waits and stands so, earliest due first"
    )


# ── read ──────────────────────────────────────────────────────────────────────────────────────────────────


@api.route(
    "GET",
    "/v1/authorizations",
    roles=READERS,
    summary="Authorizations; pending ones are the plan's work queue",
    query=AuthorizationQuery,
    answers={200: Listing[ShownAuthorization]},
)
async def authorizations(call: Call[None, Context, AuthorizationQuery]) -> Reply:
    """The plan's requests: what waits earliest due first, others by their last change. A provider sees what it holds."""
    asked, client = call.query, call.client
    start = asked.start()
    queue = asked.status == "pending" or asked.waits_for is not None or asked.due is not None
    key = "due_at" if queue else "at"
    own, mine = own_key(client, 8, OWN)
    async with reading(call.service.readers, client) as connection:
        rows = await connection.fetch(
            f"""SELECT {READ_COLUMNS} FROM referral
                WHERE ("{key}", authorization_id) > ($1, $2) AND ($3::text IS NULL OR status = $3)
                  AND authorization_id <> '' AND ($4::text IS NULL OR waits_for = $4)
                  AND ($5::text IS NULL OR waits_for <> '' AND {STANDING} = $5) AND {own}
                ORDER BY "{key}", authorization_id LIMIT $7""",  # noqa: S608 own fragments
            start.at,
            start.id,
            asked.status,
            asked.waits_for,
            asked.due,
            call.service.clock.now(),
            asked.fetch,
            *mine,
        )
    return listing(call, rows, lambda row: shown(call, row, _state(row)), at=key)


# How a row's clock stands at $6.
STANDING = (
    "CASE WHEN due_at <= $6::timestamptz THEN 'breached' WHEN at_risk_at IS NOT NULL AND at_risk_at <= $6 THEN 'at_risk' "
    "ELSE 'on_track' END"
)


@api.route(
    "GET",
    "/v1/authorizations/{id}",
    roles=READERS,
    summary="One authorization",
    answers={200: ShownAuthorization},
)
async def authorization(call: Call[None, Context]) -> Reply:
    """How the request stands."""
    row = await _row(call)
    return Reply(200, shown(call, row, _state(row)), etag=row["n"])


@api.route(
    "GET",
    "/v1/authorizations/{id}/explanation",
    roles=(Role.PLAN, Role.OPERATIONS),
    summary="Why it stands as it does",
    answers={200: Explanation},
)
async def explanation(call: Call[None, Context]) -> Reply:
    """The reasons in sentences, with the policy rows that were used."""
    row = await _row(call, ("plan_id",))
    return Reply(200, explain(_state(row)), etag=row["n"])


@api.route(
    "GET",
    "/v1/authorizations/{id}/member",
    roles=(Role.PLAN,),
    summary="Whom the decision is about",
    answers={200: OpenedMember},
)
async def member(call: Call[None, Context]) -> Reply:
    """Opens the member's identity for the plan that must decide; each opening is written down."""
    row, context = await _row(call, ("plan_id",)), call.service
    state = _state(row)
    opening = Opening(state.plan, row["referral"], state.sealed)
    (opened,) = await open_identity(
        context.sealer,
        context.store,
        call.client,
        context.clock.now(),
        [opening],
        fields=MEMBER_FIELDS,
        why="to decide the authorization",
    )
    return Reply(200, OpenedMember(**opened.get("identity", {})))


async def _row(call: Call[Any, Context], keys: tuple[str, ...] = OWN) -> Mapping[str, Any]:
    own, mine = own_key(call.client, 2, keys)
    async with reading(call.service.readers, call.client) as connection:
        row = await connection.fetchrow(
            f"SELECT {READ_COLUMNS} FROM referral WHERE authorization_id = $1 AND {own}",  # noqa: S608
            call.path["id"],
            *mine,
        )
    if row is None:
        raise not_found()
    return row


def _state(row: Mapping[str, Any]) -> Authorization:
    return Authorization.model_validate_json(row["state"])


def shown(call: Call[Any, Context], row: Mapping[str, Any], state: Authorization) -> ShownAuthorization:
    """The request as this caller may see it."""
    return show(
        row["referral"],
        state,
        reader=call.client.organization,
        policy=call.service.policy,
        now=call.service.clock.now(),
        updated_at=row["at"],
    )


# ── decide ────────────────────────────────────────────────────────────────────────────────────────────────


@api.route(
    "POST",
    "/v1/authorizations/{id}:approve",
    roles=(Role.PLAN,),
    summary="Approve, as a named person",
    body=ApproveBody,
    answers={200: ShownAuthorization},
    refusals=("person-required", "already-decided", "illegal-move"),
    example=ACTED,
)
async def approve(call: Call[ApproveBody, Context]) -> Reply:
    """A named person of the plan approves; a decision made in the plan's own system gives `external_number`."""
    body = call.body
    command = commands.Approve(
        acted_by=_acted_by(call),
        populations=body.populations,
        external_number=body.external_number,
        enrolled_on=body.enrolled_on,
    )
    return await _decided(call, command)


@api.route(
    "POST",
    "/v1/authorizations/{id}:modify",
    roles=(Role.PLAN,),
    summary="Approve some populations and deny the others, as a named person",
    body=ModifyBody,
    answers={200: ShownAuthorization},
    refusals=("person-required", "reason-unknown", "reason-forbidden", "already-decided", "illegal-move"),
    example={**ACTED, "populations": ["homelessness"], "reason": "criteria_not_met"},
)
async def modify(call: Call[ModifyBody, Context]) -> Reply:
    """Adverse in part: the denied part has its reason, citation, rights and notice, as a denial has."""
    body = call.body
    command = commands.Modify(
        acted_by=_acted_by(call),
        populations=body.populations,
        reason=body.reason,
        licensed=bool(body.acted_by.licence),
        citation=body.citation,
        external_number=body.external_number,
    )
    return await _decided(call, command)


@api.route(
    "POST",
    "/v1/authorizations/{id}:deny",
    roles=(Role.PLAN,),
    summary="Deny, as a named person",
    body=DenyBody,
    answers={200: ShownAuthorization},
    refusals=("person-required", "reason-unknown", "reason-forbidden", "already-decided", "illegal-move"),
    example={
        "acted_by": {"person": "maria-chen", "title": "Medical director", "licence": "A12345"},
        "reason": "criteria_not_met",
    },
)
async def deny(call: Call[DenyBody, Context]) -> Reply:
    """A named person of the plan denies, for a reason of the list; some reasons need a licensed person."""
    body = call.body
    command = commands.Deny(
        acted_by=_acted_by(call),
        reason=body.reason,
        licensed=bool(body.acted_by.licence),
        citation=body.citation,
        external_number=body.external_number,
        provider_told=body.provider_told,
    )
    return await _decided(call, command)


@api.route(
    "POST",
    "/v1/authorizations/{id}:pend",
    roles=(Role.PLAN,),
    summary="Ask for data elements of the standard, as a named person; the clock stands still, the cap does not",
    body=PendBody,
    answers={200: ShownAuthorization},
    refusals=("person-required", "reason-forbidden", "already-decided", "illegal-move"),
    example={**ACTED, "asks": ["birth-date"]},
)
async def pend(call: Call[PendBody, Context]) -> Reply:
    """Only what the referral standard has may be asked: no ICD-10 code, no TAR, no proof of homelessness."""
    return await _decided(call, commands.Pend(acted_by=_acted_by(call), asks=call.body.asks))


@api.route(
    "POST",
    "/v1/authorizations/{id}:resume",
    roles=(Role.PLAN,),
    summary="Let the clock run on, as a named person",
    body=Decided,
    answers={200: ShownAuthorization},
    refusals=("person-required", "already-decided", "illegal-move"),
    example=ACTED,
)
async def resume(call: Call[Decided, Context]) -> Reply:
    """The clock runs on from where it stood. It also does when the answers come, or the time for them is over."""
    return await _decided(call, commands.Resume(acted_by=_acted_by(call)))


@api.route(
    "POST",
    "/v1/authorizations/{id}:revoke-grant",
    roles=(Role.PLAN,),
    summary="End a presumptive grant, as a named person",
    body=Decided,
    answers={200: ShownAuthorization},
    refusals=("person-required", "no-live-grant"),
    example=ACTED,
)
async def revoke_grant(call: Call[Decided, Context]) -> Reply:
    """The grant ends with today; the request itself stays to be decided."""
    return await _decided(call, commands.RevokeGrant(acted_by=_acted_by(call)))


@api.route(
    "POST",
    "/v1/authorizations/{id}:overturn",
    roles=(Role.PLAN,),
    summary="Record that an appeal or a hearing overturned the denial",
    body=OverturnBody,
    answers={200: ShownAuthorization},
    refusals=("person-required", "not-denied", "already-decided", "illegal-move"),
    example=ACTED,
)
async def overturn(call: Call[OverturnBody, Context]) -> Reply:
    """A linked referral follows, authorized, within one business day."""
    on = call.body.on or la_date(call.service.clock.now())
    return await _decided(call, commands.Overturn(acted_by=_acted_by(call), on=on))


# ── the term ──────────────────────────────────────────────────────────────────────────────────────────────


@api.route(
    "POST",
    "/v1/authorizations/{id}:end",
    roles=(Role.PLAN,),
    summary="End the term, as a named person, by a discontinuation code",
    body=EndBody,
    answers={200: ShownAuthorization},
    refusals=("person-required", "code-unknown", "term-ended", "illegal-move"),
    example={**ACTED, "code": 1},
)
async def end(call: Call[EndBody, Context]) -> Reply:
    """The effect waits until the member's notice is ten calendar days old."""
    body = call.body
    command = commands.End(
        acted_by=_acted_by(call), code=body.code, on=body.on, external_number=body.external_number
    )
    return await _decided(call, command)


@api.route(
    "POST",
    "/v1/authorizations/{id}:continue",
    roles=(Role.PLAN,),
    summary="Judge that the term goes on, as a named person",
    body=Decided,
    answers={200: ShownAuthorization},
    refusals=("person-required", "term-ended", "illegal-move"),
    example=ACTED,
)
async def go_on(call: Call[Decided, Context]) -> Reply:
    """What might have ended the term does not; a notice that it would end is taken back."""
    return await _decided(call, commands.Continue(acted_by=_acted_by(call)))


@api.route(
    "POST",
    "/v1/authorizations/{id}:request-reauthorization",
    roles=(Role.PROVIDER,),
    summary="Ask for another term, as the provider that serves",
    body=Decided,
    answers={200: ShownAuthorization},
    refusals=("person-required", "term-ended", "already-requested"),
    example={"acted_by": {"person": "luis-ortega", "title": "Lead care manager"}},
)
async def request_reauthorization(call: Call[Decided, Context]) -> Reply:
    """Asked for before the end, it keeps the term alive until the plan has decided."""
    command = commands.RequestReauthorization(acted_by=_acted_by(call), provider=call.client.organization)
    return await _decided(call, command, ("provider_id",))


# ── look up ───────────────────────────────────────────────────────────────────────────────────────────────


@api.route(
    "POST",
    "/v1/authorizations:look-up",
    roles=(Role.PROVIDER,),
    summary="Whether a member has an open authorization",
    body=LookUpBody,
    answers={200: LookedUp},
    refusals={"not-contracted": 403, "rate-limited": 429},
    example={"plan": "harbor-health-plan", "cin": "90000001S", "birth_date": "1964-05-17"},
)
async def look_up(call: Call[LookUpBody, Context]) -> Reply:
    """For the plan's contracted ECM providers, before they start under a grant: yes or no, and the plan's number. Each
    question is written down, and there are only so many an hour (loop.md 1.10)."""
    context, body = call.service, call.body
    now = context.clock.now()
    plan = context.directory.organization(body.plan)
    if plan is None or not await contracted(context.pool, call.client.organization, body.plan, la_date(now)):
        raise Problem(
            403,
            "not-contracted",
            "Only a contracted ECM provider of the plan may look this up.",
            fix="Send the id of a plan that contracts you for ECM.",
        )
    wanted = await ask(context, call.client, body.plan, body.cin, body.birth_date)
    found = bool(wanted) and await open_authorization(context.pool, body.plan, wanted, la_date(now))
    return Reply(200, LookedUp(open=found, plan=body.plan, phone=plan.phone))


def _acted_by(call: Call[Any, Context]) -> ActedBy:
    return ActedBy(organization=call.client.organization, person=call.body.acted_by.person)


async def _decided(call: Call[Any, Context], command: Command, keys: tuple[str, ...] = ("plan_id",)) -> Reply:
    row = await _row(call, keys)
    check_match(call, row["n"])
    outcome = await call.service.store.submit(
        Submission(
            call.claim,
            row["referral"],
            command,
            body_hash=call.body_hash,
            traceparent=call.traceparent,
            audit=_stated(call, row, command),
        )
    )
    after = {"referral": row["referral"], "at": call.service.clock.now()}
    return Reply(200, shown(call, after, outcome.state), etag=outcome.n)


def _stated(call: Call[Any, Context], row: Mapping[str, Any], command: Command) -> AuditRow:
    """Who decided, with title and licence as the client states them (loop.md 1.4); events carry only the id."""
    person: Person = call.body.acted_by
    stated = ", ".join(
        part for part in (person.title, f"licence {person.licence}" if person.licence else "") if part
    )
    return AuditRow(
        call.service.clock.now(),
        call.client.organization,
        call.client.id,
        _state(row).plan,
        row["referral"],
        (),
        (),
        f"{type(command).__name__} by {person.person}{f' ({stated})' if stated else ''}",
    )
