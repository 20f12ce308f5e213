"""The routes of assignment: the directory, offers and their answers, who was asked and why, whom to look for."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field

from assignment.directory import ProviderBody, check_parts, parts_of, recording
from assignment.explanation import Explanation, explain
from assignment.rules import Accept, AssignByHand, Assignment, Decline
from loopkeeper.auth import own_key, reading
from loopkeeper.clients import OrganizationKind, Role
from loopkeeper.domain import Submission
from loopkeeper.errors import Problem
from loopkeeper.events import ActedBy, Lead, ProviderRecorded
from loopkeeper.routes import Api, Call, Reply, check_match
from loopkeeper.sealing import Opening, open_identity
from loopkeeper.service import Context
from loopkeeper.vocabulary.places import County
from loopkeeper.vocabulary.populations import Population
from loopkeeper.web import Listing, Page, listing, not_found

api = Api("assignment")
OWN = ("plan_id", "provider_id")
SERVING = frozenset({OrganizationKind.PROVIDER, OrganizationKind.HUB, OrganizationKind.COUNTY})
# Whom to look for, where, and how without danger (loop.md 1.7, 6.2).
MEMBER_FIELDS = (
    "first_name", "last_name", "cin", "birth_date", "approximate_age", "address", "county", "no_fixed_address",
    "usual_place", "phone", "email", "best_contact", "best_time", "language_spoken", "language_written", "caregiver",
    "safe_contact",
)  # fmt: skip


class Shown(BaseModel):
    model_config = ConfigDict(frozen=True)


# ── directory ─────────────────────────────────────────────────────────────────────────────────────────────


class ProviderQuery(Page):
    county: County | None = None
    population: Population | None = None
    language: str | None = Field(None, max_length=10)
    plan: str | None = Field(None, max_length=60)


class ShownContract(Shown):
    plan: str
    populations: tuple[str, ...]


class ShownProvider(Shown):
    """One entry of the directory. ECM needs the plan's authorization first; outreach does not."""

    id: str
    name: str
    phone: str
    types: tuple[str, ...]
    populations: tuple[str, ...]
    age_bands: tuple[str, ...]
    counties: tuple[str, ...]
    languages: tuple[str, ...]
    contracts: tuple[ShownContract, ...]
    active: bool
    version: int
    verified_at: datetime | None


@api.route(
    "PUT",
    "/v1/providers/{id}",
    roles=(Role.OPERATIONS, Role.PLAN, Role.PROVIDER),
    summary="Write one's own part of a provider's entry",
    body=ProviderBody,
    answers={200: ShownProvider, 201: ShownProvider},
    refusals={"part-not-yours": 409, "npi-invalid": 422, "stale": 412},
    example={"phone": "555-0120", "languages": ["en", "es"], "capacity": 25},
)
async def put_provider(call: Call[ProviderBody, Context]) -> Reply:
    """Write the fields sent and leave the others. Parts have one owner each, so If-Match is optional; sent, it is
    honoured."""
    slug, context, client = call.path["id"], call.service, call.client
    known = context.directory.organization(slug)
    if known is None or known.kind not in SERVING or not parts_of(client, slug):
        raise not_found()
    check_parts(client, slug, call.body)
    reference = recording(client, slug, call.body, _match(call))
    outcome = await context.store.submit(
        Submission(
            call.claim, slug, reference=reference, body_hash=call.body_hash, traceparent=call.traceparent
        )
    )
    row: Mapping[str, Any] = outcome.state if outcome.state is not None else await _entry(call, slug)
    shown = _shown_provider(row["entry"])
    return Reply(201 if shown.version == 1 else 200, shown, etag=shown.version)


def _match(call: Call[Any, Context]) -> int | None:
    tag = (call.if_match or "").strip().removeprefix("W/").strip('"')
    if not tag or tag == "*":
        return None
    return int(tag) if tag.isascii() and tag.isdigit() and len(tag) < 10 else -1


async def _entry(call: Call[Any, Context], slug: str) -> Mapping[str, Any]:
    async with reading(call.service.readers, call.caller) as connection:
        row = await connection.fetchrow("SELECT entry, version FROM provider WHERE id = $1", slug)
    if row is None:
        raise not_found()
    return {"entry": orjson.loads(row["entry"])}


@api.route(
    "GET",
    "/v1/providers",
    public=True,
    summary="The public directory of ECM providers",
    query=ProviderQuery,
    answers={200: Listing[ShownProvider]},
)
async def providers(call: Call[None, Context, ProviderQuery]) -> Reply:
    """Who serves whom, where: nothing about any member."""
    asked = call.query
    start = asked.start()
    async with reading(call.service.readers, None) as connection:
        rows = await connection.fetch(
            """SELECT id, entry, "at" FROM provider WHERE ("at", id) > ($1, $2) AND active
               AND ($3::text IS NULL OR entry -> 'counties' ? $3) AND ($4::text IS NULL OR entry -> 'populations' ? $4)
               AND ($5::text IS NULL OR entry -> 'languages' ? $5)
               AND ($6::text IS NULL OR entry -> 'contracts' @> jsonb_build_array(jsonb_build_object('plan', $6::text)))
               ORDER BY "at", id LIMIT $7""",
            start.at,
            start.id,
            asked.county,
            asked.population,
            asked.language,
            asked.plan,
            asked.fetch,
        )
    return listing(call, rows, lambda row: _shown_provider(orjson.loads(row["entry"])))


@api.route("GET", "/v1/providers/{id}", public=True, summary="One provider", answers={200: ShownProvider})
async def provider(call: Call[None, Context]) -> Reply:
    """One entry of the directory."""
    row = await _entry(call, call.path["id"])
    shown = _shown_provider(row["entry"])
    return Reply(200, shown, etag=shown.version)


def _shown_provider(entry: Mapping[str, Any]) -> ShownProvider:
    event = ProviderRecorded.model_validate(entry)
    return ShownProvider(
        id=event.provider,
        name=event.name,
        phone=event.phone,
        types=event.types,
        populations=event.populations,
        age_bands=event.age_bands,
        counties=event.counties,
        languages=event.languages,
        contracts=tuple(ShownContract(plan=c.plan, populations=c.populations) for c in event.contracts),
        active=event.active,
        version=event.version,
        verified_at=event.verified_at,
    )


# ── assignments ───────────────────────────────────────────────────────────────────────────────────────────


class AssignmentQuery(Page):
    status: Literal["offered", "accepted", "declined", "withdrawn", "ended"] | None = None


class ShownAssignment(Shown):
    """One provider's turn. Of an offer a provider sees what it needs to answer: age, area, language, needs."""

    id: str
    status: str
    answer_due_at: datetime
    updated_at: datetime
    plan: str | None = None
    kind: str | None = None
    age_band: str | None = None
    county: str | None = None
    language: str | None = None
    needs: tuple[str, ...] | None = None
    referral: str | None = None
    provider: str | None = None
    basis: str | None = None
    lead: str | None = None
    accepted_at: datetime | None = None
    reason: str | None = None


class LeadBody(BaseModel):
    """The lead care manager: the provider's own id of the person, and the name the member will ask for."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True, str_max_length=120)

    person: str = Field(min_length=1)
    name: str = Field(min_length=1)


class AcceptBody(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    lead: LeadBody | None = None


class DeclineBody(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    reason: str = Field(default="", max_length=60)


class Person(BaseModel):
    """The named person who decides, as the client states it."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True, str_max_length=120)

    person: str = Field(min_length=1)
    title: str = ""


class ByHandBody(BaseModel):
    """A named person of the plan chooses the provider for a referral."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    referral: str = Field(pattern=r"^ref_[0-9a-f]{32}$")
    provider: str = Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=60)
    acted_by: Person


class OpenedMember(Shown):
    """Whom to look for and how; this opening was written down."""

    identity: Mapping[str, Any]
    contact: Mapping[str, Any]


@api.route(
    "GET",
    "/v1/assignments",
    roles=(Role.PROVIDER, Role.PLAN, Role.OPERATIONS),
    summary="Offers and assignments",
    query=AssignmentQuery,
    answers={200: Listing[ShownAssignment]},
)
async def assignments(call: Call[None, Context, AssignmentQuery]) -> Reply:
    """A provider's own offers and assignments, or a plan's, least recently changed first."""
    asked, client = call.query, call.client
    start = asked.start()
    own, mine = own_key(client, 5, OWN)
    async with reading(call.service.readers, client) as connection:
        rows = await connection.fetch(
            f"""SELECT * FROM assignment WHERE ("at", id) > ($1, $2) AND ($3::text IS NULL OR status = $3) AND {own}
                ORDER BY "at", id LIMIT $4""",  # noqa: S608 own fragments
            start.at,
            start.id,
            asked.status,
            asked.fetch,
            *mine,
        )
    return listing(call, rows, lambda row: show(call, row))


@api.route(
    "GET",
    "/v1/assignments/{id}",
    roles=(Role.PROVIDER, Role.PLAN, Role.OPERATIONS),
    summary="One offer or assignment",
    answers={200: ShownAssignment},
)
async def assignment(call: Call[None, Context]) -> Reply:
    """How it stands."""
    row = await _row(call)
    return Reply(200, show(call, row), etag=row["n"])


@api.route(
    "GET",
    "/v1/assignments/{id}/explanation",
    roles=(Role.PLAN, Role.OPERATIONS),
    summary="Who was ranked, who was passed over, and why",
    answers={200: Explanation},
)
async def explanation(call: Call[None, Context]) -> Reply:
    """The ranking of this offer with its reasons, in sentences, and the policy rows it used."""
    row = await _row(call, ("plan_id",))
    state = await _state(call, row)
    offer = state.offer(row["id"])
    if offer is None:
        raise not_found()
    return Reply(200, explain(offer, call.service.policy), etag=row["n"])


@api.route(
    "GET",
    "/v1/assignments/{id}/member",
    roles=(Role.PROVIDER, Role.PLAN),
    summary="Whom to look for",
    answers={200: OpenedMember},
)
async def member(call: Call[None, Context]) -> Reply:
    """Opens identity and contact for whoever accepted, and for the plan; each opening is written down."""
    row, context = await _row(call), call.service
    holds = row["status"] == "accepted" and row["provider_id"] == call.client.organization
    if not holds and row["plan_id"] != call.client.organization:
        raise not_found()
    state = await _state(call, row)
    (opened,) = await open_identity(
        context.sealer,
        context.store,
        call.client,
        context.clock.now(),
        [Opening(state.plan, row["referral"], state.sealed)],
        fields=MEMBER_FIELDS,
        why="to find and serve the member",
    )
    return Reply(200, OpenedMember(identity=opened.get("identity", {}), contact=opened.get("contact", {})))


async def _row(call: Call[Any, Context], columns: tuple[str, ...] = OWN) -> Mapping[str, Any]:
    own, mine = own_key(call.client, 2, columns)
    async with reading(call.service.readers, call.client) as connection:
        row = await connection.fetchrow(
            f"SELECT * FROM assignment WHERE id = $1 AND {own}",  # noqa: S608 own fragments
            call.path["id"],
            *mine,
        )
    if row is None:
        raise not_found()
    return row


async def _state(call: Call[Any, Context], row: Mapping[str, Any]) -> Assignment:
    async with reading(call.service.readers, call.client) as connection:
        state = await connection.fetchval("SELECT state FROM referral WHERE id = $1", row["referral"])
    if state is None:
        raise not_found()
    return Assignment.model_validate_json(state)


def show(call: Call[Any, Context], row: Mapping[str, Any]) -> ShownAssignment:
    """The row as this reader may see it: operations ids, states and times; a provider all once it accepted."""
    mine = call.client.organization
    as_plan, as_provider = row["plan_id"] == mine, row["provider_id"] == mine
    shown: dict[str, Any] = {
        "id": row["id"],
        "status": row["status"],
        "answer_due_at": row["answer_due_at"],
        "updated_at": row["at"],
    }
    if as_plan or as_provider:
        shown |= {"plan": row["plan_id"], "kind": row["kind"], "reason": row["reason"] or None}
        shown |= {name: row[name] for name in ("age_band", "county", "language", "needs")}
    if as_plan or (as_provider and row["status"] == "accepted"):
        shown |= {"referral": row["referral"], "provider": row["provider_id"], "basis": row["basis"]}
        shown |= {"lead": row["lead"] or None, "accepted_at": row["accepted_at"]}
    if Role.OPERATIONS in call.client.roles:
        shown |= {"referral": row["referral"], "provider": row["provider_id"]}
    return ShownAssignment(**shown)


# ── answers ───────────────────────────────────────────────────────────────────────────────────────────────


@api.route(
    "POST",
    "/v1/assignments/{id}:accept",
    roles=(Role.PROVIDER,),
    summary="Accept an offer, naming the lead care manager",
    body=AcceptBody,
    answers={200: ShownAssignment},
    refusals=("lead-required", "not-offered", "no-contract"),
    example={"lead": {"person": "luis-ortega", "name": "Luis Ortega"}},
)
async def accept(call: Call[AcceptBody, Context]) -> Reply:
    """The provider takes the member; from now on it sees whom to look for."""
    lead = call.body.lead
    named = Lead(person=lead.person, name=lead.name) if lead else None
    mine = call.client.organization
    return await _answered(call, Accept(assignment=call.path["id"], provider=mine, lead=named))


@api.route(
    "POST",
    "/v1/assignments/{id}:decline",
    roles=(Role.PROVIDER,),
    summary="Decline an offer",
    body=DeclineBody,
    answers={200: ShownAssignment},
    refusals=("reason-required", "not-offered"),
    example={"reason": "no_capacity"},
)
async def decline(call: Call[DeclineBody, Context]) -> Reply:
    """The loop stays open and goes to the next candidate."""
    mine = call.client.organization
    return await _answered(call, Decline(assignment=call.path["id"], provider=mine, reason=call.body.reason))


async def _answered(call: Call[Any, Context], command: Accept | Decline) -> Reply:
    row = await _row(call, ("provider_id",))
    check_match(call, row["n"])
    await call.service.store.submit(
        Submission(
            call.claim, row["referral"], command, body_hash=call.body_hash, traceparent=call.traceparent
        )
    )
    after = await _row(call, ("provider_id",))
    return Reply(200, show(call, after), etag=after["n"])


@api.route(
    "POST",
    "/v1/assignments",
    roles=(Role.PLAN,),
    summary="Choose the provider by hand",
    body=ByHandBody,
    answers={201: ShownAssignment},
    refusals={"not-found": 404, "no-capacity": 409, "not-eligible": 409, "member-already-assigned": 409},
    example={
        "referral": "ref_00000000000000000000000000000000",
        "provider": "harbor-street-medicine",
        "acted_by": {"person": "maria-chen", "title": "Care coordinator"},
    },
)
async def by_hand(call: Call[ByHandBody, Context]) -> Reply:
    """A named person of the plan offers the referral to a provider; an unanswered offer is withdrawn first."""
    body, context, client = call.body, call.service, call.client
    async with reading(context.readers, client) as connection:
        visible = await connection.fetchval(
            "SELECT 1 FROM referral WHERE id = $1 AND plan_id = $2", body.referral, client.organization
        )
    if not visible:
        raise not_found()
    command = AssignByHand(
        provider=body.provider,
        acted_by=ActedBy(organization=client.organization, person=body.acted_by.person),
    )
    outcome = await context.store.submit(
        Submission(call.claim, body.referral, command, body_hash=call.body_hash, traceparent=call.traceparent)
    )
    chosen = [offer for offer in outcome.state.offers if offer.provider == body.provider]
    if not chosen:
        raise Problem(409, "not-eligible", "The provider was not assigned.")
    async with reading(context.readers, client) as connection:
        row = await connection.fetchrow(
            "SELECT * FROM assignment WHERE id = $1 AND plan_id = $2",
            chosen[-1].assignment,
            client.organization,
        )
    if row is None:
        raise not_found()
    return Reply(201, show(call, row), {"Location": f"/v1/assignments/{row['id']}"}, etag=row["n"])
