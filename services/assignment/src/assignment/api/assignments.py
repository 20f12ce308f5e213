"""The routes of assignments: offers and their answers, what changes, who was asked and why, whom to look for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from assignment.api.explanation import Explanation, explain, explain_question
from assignment.api.views import (
    AcceptBody,
    ActedBody,
    AssignmentQuery,
    ByHandBody,
    ChangeBody,
    DeclineBody,
    LeadChangeBody,
    OpenedMember,
    Person,
    ShownAssignment,
    show,
)
from assignment.domain.commands import (
    Accept,
    AssignByHand,
    ChangeLead,
    Decline,
    End,
    RequestChange,
    Withdraw,
)
from assignment.domain.state import Assignment
from loopkeeper.contract.decider import Command
from loopkeeper.contract.events import ActedBy, Lead
from loopkeeper.http.old import Api, Call, Listing, Reply, check_match, listing, not_found
from loopkeeper.kernel.errors import Problem
from loopkeeper.runtime.service import Context
from loopkeeper.security.organizations import Role
from loopkeeper.security.sealing import Opening, open_identity
from loopkeeper.store.definition import Submission
from loopkeeper.store.row_access import KEYS, own_key, reading

api = Api("assignment")
OWN = ("plan_id", "provider_id")
REFERRAL = "ref_"
# Whom to look for, where, and how without danger (loop.md 1.7, 6.2).
MEMBER_FIELDS = (
    "first_name", "middle_name", "last_name", "suffix", "preferred_name", "cin", "birth_date", "approximate_age", "address", "county", "no_fixed_address",
    "usual_place", "phone", "email", "best_contact", "best_time", "language_spoken", "language_written", "caregiver",
    "safe_contact",
)  # fmt: skip


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
    """The ranking of this offer with its reasons, in sentences, and the policy rows it used. With a referral's id: why
    the plan was asked, or else the newest offer."""
    if call.path["id"].startswith(REFERRAL):
        return await _question(call)
    row = await _row(call, ("plan_id",))
    state = await _state(call, row)
    offer = state.offer(row["id"])
    if offer is None:
        raise not_found()
    return Reply(200, explain(offer, call.service.policy), etag=row["n"])


async def _question(call: Call[None, Context]) -> Reply:
    own, mine = own_key(call.client, 2, ("plan_id",))
    async with reading(call.service.readers, call.client) as connection:
        row = await connection.fetchrow(
            f"SELECT state, n FROM referral WHERE id = $1 AND {own}",  # noqa: S608 own fragments
            call.path["id"],
            *mine,
        )
    if row is None:
        raise not_found()
    state = Assignment.model_validate_json(row["state"])
    newest = state.offers[-1] if state.offers else None
    if newest is not None and not state.asked_skipped:
        return Reply(200, explain(newest, call.service.policy), etag=row["n"])
    return Reply(200, explain_question(state), etag=row["n"])


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
    return await _find(call, call.path["id"], columns)


async def _find(call: Call[Any, Context], key: str, columns: tuple[str, ...]) -> Mapping[str, Any]:
    """The row of this id, or, with a referral's, of its newest turn; 404 where this key may not see it."""
    own, mine = own_key(call.client, 2, columns)
    which = "referral" if key.startswith(REFERRAL) else "id"
    async with reading(call.service.readers, call.client) as connection:
        row = await connection.fetchrow(
            f"SELECT * FROM assignment WHERE {which} = $1 AND {own} ORDER BY made_at DESC, n DESC LIMIT 1",  # noqa: S608
            key,
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
    named = Lead(person=lead.person, name=lead.name, phone=lead.phone) if lead else None
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
    return await _acted(call, await _row(call, ("provider_id",)), command, ("provider_id",))


async def _acted(
    call: Call[Any, Context], row: Mapping[str, Any], command: Command, columns: tuple[str, ...]
) -> Reply:
    """Apply this to the row's referral; answer with the row as it is after it."""
    check_match(call, row["n"])
    await call.service.store.submit(
        Submission(
            call.claim, row["referral"], command, body_hash=call.body_hash, traceparent=call.traceparent
        )
    )
    after = await _find(call, row["id"], columns)
    return Reply(200, show(call, after), etag=after["n"])


@api.route(
    "POST",
    "/v1/assignments",
    roles=(Role.PLAN,),
    summary="Choose the provider by hand",
    body=ByHandBody,
    answers={201: ShownAssignment},
    refusals={
        "not-found": 404,
        "no-capacity": 409,
        "not-eligible": 409,
        "member-already-assigned": 409,
        "reason-required": 409,
    },
    example={
        "referral": "ref_00000000000000000000000000000000",
        "provider": "harbor-street-medicine",
        "acted_by": {"person": "maria-chen", "title": "Care coordinator"},
    },
)
async def by_hand(call: Call[ByHandBody, Context]) -> Reply:
    """A named person of the plan offers the referral to a provider; an unanswered offer is withdrawn first, and where
    the member asked for a change, the assignment ends. Whom the plan must choose yields only to a recorded reason."""
    body, context, client = call.body, call.service, call.client
    async with reading(context.readers, client) as connection:
        visible = await connection.fetchval(
            "SELECT 1 FROM referral WHERE id = $1 AND plan_id = $2", body.referral, client.organization
        )
    if not visible:
        raise not_found()
    command = AssignByHand(
        provider=body.provider,
        acted_by=_acted_by(call, body.acted_by),
        because=body.because,
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


# ── what changes ──────────────────────────────────────────────────────────────────────────────────────────


def _acted_by(call: Call[Any, Context], person: Person) -> ActedBy:
    return ActedBy(organization=call.client.organization, person=person.person)


@api.route(
    "POST",
    "/v1/assignments/{id}:withdraw",
    roles=(Role.PLAN,),
    summary="Take an offer back",
    body=ActedBody,
    answers={200: ShownAssignment},
    refusals=("not-live", "not-offered"),
    example={"acted_by": {"person": "maria-chen"}},
)
async def withdraw(call: Call[ActedBody, Context]) -> Reply:
    """A named person of the plan withdraws an unanswered offer; the next candidate is asked, or the plan itself."""
    row = await _row(call, ("plan_id",))
    command = Withdraw(assignment=row["id"], acted_by=_acted_by(call, call.body.acted_by))
    return await _acted(call, row, command, ("plan_id",))


@api.route(
    "POST",
    "/v1/assignments/{id}:end",
    roles=(Role.PROVIDER, Role.PLAN),
    summary="End an assignment",
    body=ActedBody,
    answers={200: ShownAssignment},
    refusals=("not-live",),
    example={"acted_by": {"person": "luis-ortega"}},
)
async def end(call: Call[ActedBody, Context]) -> Reply:
    """The provider can serve the member no longer, or the plan ends it; the authorization stands, and the next candidate
    is asked, or the plan. To end the service itself, the provider reports that and the plan decides."""
    row = await _row(call)
    by_provider = row["provider_id"] == call.client.organization
    command = End(assignment=row["id"], acted_by=_acted_by(call, call.body.acted_by), by_provider=by_provider)
    return await _acted(call, row, command, OWN)


@api.route(
    "POST",
    "/v1/assignments/{id}:change-lead",
    roles=(Role.PROVIDER,),
    summary="Name another lead care manager",
    body=LeadChangeBody,
    answers={200: ShownAssignment},
    refusals=("not-live",),
    example={"lead": {"person": "ana-reyes", "name": "Ana Reyes"}, "acted_by": {"person": "luis-ortega"}},
)
async def change_lead(call: Call[LeadChangeBody, Context]) -> Reply:
    """A member has one lead care manager, whom the plan's record names (loop.md 5.4)."""
    row, body = await _row(call, ("provider_id",)), call.body
    person = body.acted_by.person if body.acted_by is not None else body.lead.person
    command = ChangeLead(
        assignment=row["id"],
        provider=call.client.organization,
        lead=Lead(person=body.lead.person, name=body.lead.name, phone=body.lead.phone),
        acted_by=ActedBy(organization=call.client.organization, person=person),
    )
    return await _acted(call, row, command, ("provider_id",))


@api.route(
    "POST",
    "/v1/assignments/{id}:request-change",
    roles=(Role.REFERRER, Role.PROVIDER, Role.PLAN),
    summary="The member asks for another provider",
    body=ChangeBody,
    answers={200: ShownAssignment},
    refusals=("not-live", "not-eligible"),
    example={"provider": "bay-housing-navigators", "acted_by": {"person": "rosa-diaz"}},
)
async def request_change(call: Call[ChangeBody, Context]) -> Reply:
    """Whoever hears the member's wish passes it on, with the assignment's id or the referral's. An open offer goes to
    the one asked for at once; who is served keeps the provider until the plan has another, within 30 days."""
    row = await _row(call, KEYS)
    command = RequestChange(
        assignment=row["id"],
        wished=call.body.provider or "",
        acted_by=_acted_by(call, call.body.acted_by),
    )
    return await _acted(call, row, command, KEYS)
