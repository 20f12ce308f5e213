"""The routes of a plan's decisions: its work queue, why each stands as it does, and a named person's yes or no."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from authorization.explanation import Explanation, explain
from authorization.models import READ_COLUMNS
from authorization.rules import Approve, Authorization, Deny, status
from loopkeeper.auth import own_key, reading
from loopkeeper.clients import Role
from loopkeeper.decider import Command
from loopkeeper.domain import Submission
from loopkeeper.events import ActedBy
from loopkeeper.routes import Api, Call, Reply, check_match
from loopkeeper.sealing import AuditRow, Opening, open_identity
from loopkeeper.service import Context
from loopkeeper.web import Listing, Page, listing, not_found

api = Api("authorization")
READERS = (Role.PLAN, Role.OPERATIONS)
OWN = ("plan_id",)
# What a decision is made about; opening it is written down (loop.md 1.7).
MEMBER_FIELDS = ("cin", "first_name", "last_name", "birth_date", "approximate_age", "plan_member_id")


class AuthorizationQuery(Page):
    status: Literal["pending", "approved", "denied", "closed"] | None = Field(
        None, description="`pending` is the work queue: earliest due first"
    )


class Shown(BaseModel):
    model_config = ConfigDict(frozen=True)


class ShownGrant(Shown):
    """A presumptive (since 2026: streamlined) grant. `ended`: expired, approved, denied or closed; empty while live."""

    id: str
    provider: str
    population: str
    from_: date
    through: date
    ended: str


class ShownDecision(Shown):
    kind: Literal["approved", "denied"]
    by: str
    person: str
    at: datetime
    number: str
    external_number: str
    populations: tuple[str, ...]
    from_: date | None
    through: date | None
    reason: str
    citation: str
    appeal_by: date | None


class ShownPopulation(Shown):
    code: str
    result: str
    claimed: bool


class ShownAuthorization(Shown):
    """One request. `needs_person` says why no rule could approve it; operations see ids, states and times only."""

    id: str
    referral: str
    plan: str
    status: str
    due_at: datetime
    cap_at: datetime
    updated_at: datetime
    urgency: str | None = None
    populations: tuple[ShownPopulation, ...] | None = None
    needs_person: tuple[str, ...] | None = None
    eligibility: str | None = None
    grant: ShownGrant | None = None
    decision: ShownDecision | None = None


class OpenedMember(Shown):
    """Whom the decision is about; this opening was written down."""

    cin: str | None = None
    first_name: str | None = None
    last_name: str | None = None
    birth_date: str | None = None
    approximate_age: int | None = None
    plan_member_id: str | None = None


class Person(BaseModel):
    """The named person who decides, as the plan states it."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True, str_max_length=120)

    person: str = Field(description="The plan's own staff id")
    title: str = ""
    licence: str = Field(default="", description="Needed for a denial that judges criteria")


class ApproveBody(BaseModel):
    """`populations`: those of the referral that are approved; none for all that are met (or, where none is, claimed)."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True, str_max_length=120)

    acted_by: Person
    populations: tuple[str, ...] = Field((), max_length=9)
    external_number: str = ""


class DenyBody(BaseModel):
    """A denial's reason is one of the list; there is no `other`."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True, str_max_length=500)

    acted_by: Person
    reason: str = Field(max_length=60)
    citation: str = ""
    external_number: str = Field(default="", max_length=120)


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
    """The plan's requests: pending ones earliest due first, others by their last change."""
    asked, client = call.query, call.client
    start = asked.start()
    key = "due_at" if asked.status == "pending" else "at"
    own, mine = own_key(client, 5, OWN)
    async with reading(call.service.readers, client) as connection:
        rows = await connection.fetch(
            f"""SELECT {READ_COLUMNS} FROM referral
                WHERE ("{key}", authorization_id) > ($1, $2) AND ($3::text IS NULL OR status = $3)
                  AND authorization_id <> '' AND {own}
                ORDER BY "{key}", authorization_id LIMIT $4""",  # noqa: S608 own fragments
            start.at,
            start.id,
            asked.status,
            asked.fetch,
            *mine,
        )
    return listing(call, rows, lambda row: show(call, row, _state(row)), at=key)


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
    return Reply(200, show(call, row, _state(row)), etag=row["n"])


@api.route(
    "GET",
    "/v1/authorizations/{id}/explanation",
    roles=READERS,
    summary="Why it stands as it does",
    answers={200: Explanation},
)
async def explanation(call: Call[None, Context]) -> Reply:
    """The reasons in sentences, with the policy rows that were used."""
    row = await _row(call)
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
    row, context = await _row(call), call.service
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


async def _row(call: Call[Any, Context]) -> Mapping[str, Any]:
    own, mine = own_key(call.client, 2, OWN)
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


def show(call: Call[Any, Context], row: Mapping[str, Any], state: Authorization) -> ShownAuthorization:
    """The request as this reader may see it."""
    review = state.review
    if review is None:
        raise not_found()
    whole = state.plan == call.client.organization
    return ShownAuthorization(
        id=review.authorization,
        referral=row["referral"],
        plan=state.plan,
        status=status(state),
        due_at=review.due_at,
        cap_at=review.cap_at,
        updated_at=row["at"],
        **(_for_plan(state) if whole else {}),
    )


def _for_plan(state: Authorization) -> dict[str, Any]:
    grant, decision = state.grant, state.decision
    return {
        "urgency": state.urgency,
        "populations": tuple(
            ShownPopulation(code=p.code, result=p.result, claimed=p.claimed) for p in state.populations
        ),
        "needs_person": state.review.needs_person if state.review else (),
        "eligibility": state.eligibility.state,
        "grant": ShownGrant(
            id=grant.grant,
            provider=grant.provider,
            population=grant.population,
            from_=grant.from_,
            through=grant.through,
            ended=grant.ended,
        )
        if grant
        else None,
        "decision": ShownDecision(**decision.model_dump(exclude={"policy"})) if decision else None,
    }


# ── decide ────────────────────────────────────────────────────────────────────────────────────────────────


@api.route(
    "POST",
    "/v1/authorizations/{id}:approve",
    roles=(Role.PLAN,),
    summary="Approve, as a named person",
    body=ApproveBody,
    answers={200: ShownAuthorization},
    refusals=("person-required", "already-decided", "illegal-move"),
    example={"acted_by": {"person": "maria-chen", "title": "UM nurse"}},
)
async def approve(call: Call[ApproveBody, Context]) -> Reply:
    """A named person of the plan approves; a decision made in the plan's own system gives `external_number`."""
    body = call.body
    command = Approve(
        acted_by=_acted_by(call, body.acted_by),
        populations=body.populations,
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
    command = Deny(
        acted_by=_acted_by(call, body.acted_by),
        reason=body.reason,
        licensed=bool(body.acted_by.licence),
        citation=body.citation,
        external_number=body.external_number,
    )
    return await _decided(call, command)


def _acted_by(call: Call[Any, Context], person: Person) -> ActedBy:
    return ActedBy(organization=call.client.organization, person=person.person)


async def _decided(call: Call[Any, Context], command: Command) -> Reply:
    row = await _row(call)
    check_match(call, row["n"])
    await _write_down(call, row, command)
    outcome = await call.service.store.submit(
        Submission(
            call.claim, row["referral"], command, body_hash=call.body_hash, traceparent=call.traceparent
        )
    )
    after = {"referral": row["referral"], "at": call.service.clock.now()}
    return Reply(200, show(call, after, outcome.state), etag=outcome.n)


async def _write_down(call: Call[Any, Context], row: Mapping[str, Any], command: Command) -> None:
    """Who decided, with title and licence as the client states them (loop.md 1.4); events carry only the id."""
    person: Person = call.body.acted_by
    stated = ", ".join(
        part for part in (person.title, f"licence {person.licence}" if person.licence else "") if part
    )
    audit = AuditRow(
        call.service.clock.now(),
        call.client.organization,
        call.client.id,
        _state(row).plan,
        row["referral"],
        (),
        (),
        f"{type(command).__name__} by {person.person}{f' ({stated})' if stated else ''}",
    )
    await call.service.store.record([audit])
