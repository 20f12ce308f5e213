"""The routes that read: a plan's work queue, why each request is in its state, whether a member has one open."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from authorization.api.explanation import DecisionExplanation, explain
from authorization.api.views import ShownAuthorization, ShownClaim, show
from authorization.domain.state import Authorization, status
from authorization.persistence import policy_lookup
from authorization.persistence.case_claims import CLAIMED, CLAIMED_BY, claims
from authorization.persistence.columns import READ_COLUMNS
from authorization.persistence.open_authorizations import ask, contracted, open_authorization
from loopkeeper.contract.calendar import la_date
from loopkeeper.contract.field_types import BirthDay
from loopkeeper.contract.vocabulary.openings import OpeningReason
from loopkeeper.http.call import allowed
from loopkeeper.http.openings import OpeningQuery
from loopkeeper.http.paging import Listing, Page, listing
from loopkeeper.http.route import Id, Operation, example, refused
from loopkeeper.kernel.errors import Problem
from loopkeeper.runtime.service import Call
from loopkeeper.security.organizations import Role
from loopkeeper.security.sealing import Opening, open_identity
from loopkeeper.store.pages import Selection, literal, visible_page
from loopkeeper.store.row_access import OWN, visible_row

router = APIRouter(tags=["authorization"], route_class=Operation)
READERS = (Role.PLAN, Role.PROVIDER, Role.OPERATIONS)
KEYS = ("plan_id", "provider_id")
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
# The state of a row's clock at $6.
# The state of the clock of what waits, by when it is due; each `?` is now.
CLOCK_STATES = {
    "breached": "due_at <= ?",
    "at_risk": "due_at > ? AND at_risk_at <= ?",
    "on_track": "due_at > ? AND (at_risk_at IS NULL OR at_risk_at > ?)",
}


class AuthorizationQuery(Page):
    status: Literal["started", "pending", "approved", "denied", "closed"] | None = Field(
        None, description="`pending` is the work queue: earliest due first"
    )
    waits_for: Literal["decision", "reauthorization", "discontinuation"] | None = Field(
        None, description="Only what waits for a person in this way, earliest due first"
    )
    due: Literal["on_track", "at_risk", "breached"] | None = Field(
        None, description="Only waiting requests whose clock is in this state, earliest due first"
    )
    claimed: bool | None = Field(
        None, description="Only what somebody of the plan works on, or what nobody does, earliest due first"
    )
    claimed_by: str | None = Field(
        None, max_length=120, description="Only what this person of the plan works on, earliest due first"
    )

    @property
    def queue(self) -> bool:
        """Whether what waits is asked for, which is shown in the order in which it is due."""
        asked = (self.waits_for, self.due, self.claimed, self.claimed_by)
        return self.status == "pending" or any(each is not None for each in asked)


class MemberToDecide(BaseModel):
    """The member's identity. This opening was recorded."""

    model_config = ConfigDict(frozen=True)

    cin: str | None = None
    first_name: str | None = None
    middle_name: str | None = None
    last_name: str | None = None
    suffix: str | None = None
    preferred_name: str | None = None
    birth_date: str | None = None
    approximate_age: int | None = None
    plan_member_id: str | None = None


class LookUpBody(BaseModel):
    """Of whom: both must be known."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True, str_max_length=60)

    plan: str
    cin: str = Field(max_length=24)
    birth_date: BirthDay


class LookedUp(BaseModel):
    """Whether the member has an open authorization of this plan, and whom to call about it. Nothing else is told."""

    model_config = ConfigDict(frozen=True)

    open: bool
    plan: str
    phone: str


# ── read ──────────────────────────────────────────────────────────────────────────────────────────────────


@router.get("/v1/authorizations", summary="Authorizations; pending ones are the plan's work queue")
async def authorizations(
    asked: Annotated[AuthorizationQuery, Query()], call: Annotated[Call, allowed(*READERS)]
) -> Listing[ShownAuthorization]:
    """The plan's requests: what waits earliest due first, others by their last change. A provider sees what it holds."""
    key, now = "due_at" if asked.queue else "at", call.service.clock.now()
    wanted = Selection(
        READ_COLUMNS, "referral", asked.start(), asked.fetch, at=f'"{key}"', id="authorization_id"
    )
    wanted.where("authorization_id <> ''")
    if asked.status is not None:
        wanted.where(f"status = {literal(asked.status)}")
    if asked.queue:
        wanted.where("waits_for <> ''")
    # What is pending waits for a decision, and nothing else does.
    if (waits_for := "decision" if asked.status == "pending" else asked.waits_for) is not None:
        wanted.where(f"waits_for = {literal(waits_for)}")
    if asked.waits_for is not None and asked.waits_for != waits_for:
        wanted.where(f"waits_for = {literal(asked.waits_for)}")
    if asked.due is not None:
        wanted.where(CLOCK_STATES[asked.due], *[now] * CLOCK_STATES[asked.due].count("?"))
        if asked.due != "breached":
            # What is due later begins there: PostgreSQL would go through all that is breached, from the first cursor on.
            wanted.start = max(wanted.start, (now, ""))
    if asked.claimed is not None:
        wanted.where(CLAIMED if asked.claimed else f"NOT {CLAIMED}", now)
    if asked.claimed_by is not None:
        wanted.where(CLAIMED_BY, now, asked.claimed_by)
    rows = await visible_page(call.service.readers, call.client, wanted, KEYS)
    held = await _claims(call, [row["id"] for row in rows[: asked.limit]])
    return await listing(
        call, asked, rows, lambda row: shown(call, row, state_of(row), held.get(row["id"])), at=key
    )


async def _claims(call: Call, ids: Sequence[str]) -> Mapping[str, ShownClaim]:
    """Who of the caller's plan works on which of these."""
    if Role.PLAN not in call.client.roles:
        return {}
    found = await claims(call.service.pool, ids, call.service.clock.now())
    return {id: ShownClaim(person=person, until=until) for id, (person, until) in found.items()}


@router.get("/v1/authorizations/{id:key}", summary="One authorization")
async def authorization(id: Id, call: Annotated[Call, allowed(*READERS)]) -> ShownAuthorization:
    """The state of the request."""
    row = await row_of(call, id)
    call.etag(row["n"])
    held = await _claims(call, [row["id"]])
    state, now = state_of(row), call.service.clock.now()
    waits = status(state) == "pending"
    criteria = policy_lookup.criteria(call.service.policy, state, now) if waits else None
    return shown(call, row, state, held.get(row["id"]), criteria)


@router.get("/v1/authorizations/{id:key}/explanation", summary="Why the request is in its state")
async def explanation(
    id: Id, call: Annotated[Call, allowed(Role.PLAN, Role.OPERATIONS)]
) -> DecisionExplanation:
    """The reasons in sentences, with the policy rows that were used."""
    row = await row_of(call, id, ("plan_id",))
    call.etag(row["n"])
    return explain(state_of(row))


@router.get("/v1/authorizations/{id:key}/member", summary="Identity of the member")
async def member(
    id: Id, asked: Annotated[OpeningQuery, Query()], call: Annotated[Call, allowed(Role.PLAN)]
) -> MemberToDecide:
    """Opens the member's identity for the plan that must decide; each opening is written down, with its reason."""
    row, context = await row_of(call, id, ("plan_id",)), call.service
    state = state_of(row)
    opening = Opening(state.plan, row["referral"], state.sealed)
    (opened,) = await open_identity(
        context.sealer,
        context.store,
        call.client,
        context.clock.now(),
        [opening],
        fields=MEMBER_FIELDS,
        why=asked.why(OpeningReason.DECIDE),
    )
    return MemberToDecide(**opened.get("identity", {}))


async def row_of(call: Call, id: str, keys: tuple[str, ...] = KEYS) -> Mapping[str, Any]:
    """The authorization of this id, where one of these keys is the caller's. Raises 404 otherwise."""
    return await visible_row(
        call.service.readers,
        call.client,
        f"SELECT {READ_COLUMNS} FROM referral WHERE authorization_id = $1 AND {OWN}",  # noqa: S608 own fragments
        id,
        keys=keys,
    )


def state_of(row: Mapping[str, Any]) -> Authorization:
    """The request's state in this row."""
    return Authorization.model_validate_json(row["state"])


def shown(
    call: Call,
    row: Mapping[str, Any],
    state: Authorization,
    claim: ShownClaim | None = None,
    criteria: Mapping[str, tuple[str, ...]] | None = None,
) -> ShownAuthorization:
    """The request as this caller may see it."""
    return show(
        row["referral"],
        state,
        reader=call.client.organization,
        policy=call.service.policy,
        now=call.service.clock.now(),
        updated_at=row["at"],
        claim=claim,
        criteria=criteria,
    )


# ── look up ───────────────────────────────────────────────────────────────────────────────────────────────


@router.post(
    "/v1/authorizations:look-up",
    summary="Whether a member has an open authorization",
    responses=refused("not-contracted", status=403) | refused("rate-limited", status=429),
)
async def look_up(
    body: Annotated[
        LookUpBody, example({"plan": "harbor-health-plan", "cin": "90000001S", "birth_date": "1964-05-17"})
    ],
    call: Annotated[Call, allowed(Role.PROVIDER)],
) -> LookedUp:
    """For the plan's contracted ECM providers, before they start under a grant: yes or no, and the plan's number. Each
    question is recorded, and their number an hour is limited (loop.md 1.10)."""
    context = call.service
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
    return LookedUp(open=found, plan=body.plan, phone=plan.phone)
