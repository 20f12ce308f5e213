"""The routes that read: a plan's work queue, why each request stands as it does, whether a member has one open."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from authorization.api.bodies import LookedUp, LookUpBody, OpenedMember
from authorization.api.explanation import Explanation, explain
from authorization.api.views import ShownAuthorization, show
from authorization.domain.state import Authorization
from authorization.persistence.open_authorizations import ask, contracted, open_authorization
from authorization.persistence.tables import READ_COLUMNS
from loopkeeper.contract.calendar import la_date
from loopkeeper.http.old import Api, Call, Listing, Page, Reply, listing, not_found
from loopkeeper.kernel.errors import Problem
from loopkeeper.runtime.service import Context
from loopkeeper.security.organizations import Role
from loopkeeper.security.sealing import Opening, open_identity
from loopkeeper.store.row_access import own_key, reading

api = Api("authorization")
READERS = (Role.PLAN, Role.PROVIDER, Role.OPERATIONS)
OWN = ("plan_id", "provider_id")
# What a decision is made about; opening it is written down (loop.md 1.7).
MEMBER_FIELDS = (
    "cin",
    "first_name",
    "middle_name",
    "last_name",
    "suffix",
    "preferred_name",
    "birth_date",
    "approximate_age",
    "plan_member_id",
)
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
    return listing(call, rows, lambda row: shown(call, row, state_of(row)), at=key)


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
    row = await row_of(call)
    return Reply(200, shown(call, row, state_of(row)), etag=row["n"])


@api.route(
    "GET",
    "/v1/authorizations/{id}/explanation",
    roles=(Role.PLAN, Role.OPERATIONS),
    summary="Why it stands as it does",
    answers={200: Explanation},
)
async def explanation(call: Call[None, Context]) -> Reply:
    """The reasons in sentences, with the policy rows that were used."""
    row = await row_of(call, ("plan_id",))
    return Reply(200, explain(state_of(row)), etag=row["n"])


@api.route(
    "GET",
    "/v1/authorizations/{id}/member",
    roles=(Role.PLAN,),
    summary="Whom the decision is about",
    answers={200: OpenedMember},
)
async def member(call: Call[None, Context]) -> Reply:
    """Opens the member's identity for the plan that must decide; each opening is written down."""
    row, context = await row_of(call, ("plan_id",)), call.service
    state = state_of(row)
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


async def row_of(call: Call[Any, Context], keys: tuple[str, ...] = OWN) -> Mapping[str, Any]:
    """The authorization that the path names, where one of these keys is the caller's. Raises 404 otherwise."""
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


def state_of(row: Mapping[str, Any]) -> Authorization:
    """The request's state in this row."""
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
