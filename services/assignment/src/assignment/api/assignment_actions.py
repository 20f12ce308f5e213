"""The routes that change assignments: an offer answered, a provider chosen by hand, a turn that ends, another lead."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from fastapi import APIRouter
from pydantic import ConfigDict, Field

from assignment.api.assignments import PARTIES, row_of
from assignment.api.views import ShownAssignment, show
from assignment.domain.commands import (
    Accept,
    AssignByHand,
    ChangeLead,
    Decline,
    End,
    RequestChange,
    Withdraw,
)
from loopkeeper.contract.blanks import BlankIsMissing
from loopkeeper.contract.decider import Command
from loopkeeper.contract.events import Lead
from loopkeeper.http.call import allowed
from loopkeeper.http.person import Person
from loopkeeper.http.route import Id, Operation, example, refused
from loopkeeper.kernel.errors import Problem, not_found
from loopkeeper.runtime.service import Call
from loopkeeper.security.organizations import Role
from loopkeeper.store.row_access import KEYS, reading

router = APIRouter(tags=["assignment"], route_class=Operation)


class LeadBody(BlankIsMissing):
    """The lead care manager: the provider's own id of the person, and the name the member will ask for."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True, str_max_length=120)

    person: str = Field(min_length=1)
    name: str = Field(min_length=1)
    phone: str | None = Field(
        None, max_length=40, description="The number to call; missing, it is the provider's"
    )


class AcceptBody(BlankIsMissing):
    model_config = ConfigDict(frozen=True, extra="forbid")

    lead: LeadBody | None = None


class DeclineOfferBody(BlankIsMissing):
    model_config = ConfigDict(frozen=True, extra="forbid")

    reason: str = Field(default="", max_length=60)


class ByHandBody(BlankIsMissing):
    """A named person of the plan chooses the provider for a referral."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    referral: str = Field(pattern=r"^ref_[0-9a-f]{32}$")
    provider: str = Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=60)
    acted_by: Person
    because: Literal["", "member_wish", "fits_better", "not_practicable"] = Field(
        "", description="Why not the provider that must come first for this member"
    )


class ActedBody(BlankIsMissing):
    """A named person's act."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    acted_by: Person


class LeadChangeBody(BlankIsMissing):
    """The new lead care manager, and who says so; without a name, the new one does."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    lead: LeadBody
    acted_by: Person | None = None


class ChangeBody(BlankIsMissing):
    """The member asks for another provider; `provider` names it, left out any other will do."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    provider: str | None = Field(None, pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=60)
    acted_by: Person


# ── answers ───────────────────────────────────────────────────────────────────────────────────────────────


@router.post(
    "/v1/assignments/{id:key}:accept",
    summary="Accept an offer, naming the lead care manager",
    responses=refused("lead-required", "not-offered", "no-contract"),
)
async def accept(
    id: Id,
    body: Annotated[AcceptBody, example({"lead": {"person": "luis-ortega", "name": "Luis Ortega"}})],
    call: Annotated[Call, allowed(Role.PROVIDER)],
) -> ShownAssignment:
    """The provider takes the member; from now on it sees identity and contact."""
    command = Accept(
        assignment=id,
        provider=call.client.organization,
        lead=_lead(body.lead) if body.lead is not None else None,
        acted_by=call.signed_in,
    )
    return await _answered(call, id, command)


@router.post(
    "/v1/assignments/{id:key}:decline",
    summary="Decline an offer",
    responses=refused("reason-required", "not-offered"),
)
async def decline(
    id: Id,
    body: Annotated[DeclineOfferBody, example({"reason": "no_capacity"})],
    call: Annotated[Call, allowed(Role.PROVIDER)],
) -> ShownAssignment:
    """The loop stays open and goes to the next candidate."""
    command = Decline(
        assignment=id, provider=call.client.organization, reason=body.reason, acted_by=call.signed_in
    )
    return await _answered(call, id, command)


async def _answered(call: Call, id: str, command: Accept | Decline) -> ShownAssignment:
    return await _changed(call, await row_of(call, id, ("provider_id",)), command, ("provider_id",))


def _lead(named: LeadBody) -> Lead:
    return Lead(person=named.person, name=named.name, phone=named.phone)


async def _changed(
    call: Call, row: Mapping[str, Any], command: Command, keys: tuple[str, ...]
) -> ShownAssignment:
    """Apply this to the row's referral; answer with the row as it is after it."""
    call.check_match(row["n"])
    await call.submit(row["referral"], command)
    after = await row_of(call, row["id"], keys)
    call.etag(after["n"])
    return show(call.client, after)


@router.post(
    "/v1/assignments",
    status_code=201,
    summary="Choose the provider by hand",
    responses=refused("not-found", status=404)
    | refused("no-capacity", "not-eligible", "member-already-assigned", "reason-required"),
)
async def by_hand(
    body: Annotated[
        ByHandBody,
        example(
            {
                "referral": "ref_00000000000000000000000000000000",
                "provider": "harbor-street-medicine",
                "acted_by": {"person": "maria-chen", "title": "Care coordinator"},
            }
        ),
    ],
    call: Annotated[Call, allowed(Role.PLAN)],
) -> ShownAssignment:
    """A named person of the plan offers the referral to a provider; an unanswered offer is withdrawn first, and where
    the member asked for a change, the assignment ends. Where a provider must come first, the plan records a reason to choose another."""
    async with reading(call.service.readers, call.client) as connection:
        visible = await connection.fetchval(
            "SELECT 1 FROM referral WHERE id = $1 AND plan_id = $2", body.referral, call.client.organization
        )
    if not visible:
        raise not_found()
    command = AssignByHand(
        provider=body.provider, acted_by=call.acted_by(body.acted_by), because=body.because
    )
    outcome = await call.submit(body.referral, command)
    chosen = [offer for offer in outcome.state.offers if offer.provider == body.provider]
    if not chosen:
        raise Problem(409, "not-eligible", "The provider was not assigned.")
    row = await row_of(call, chosen[-1].assignment, ("plan_id",))
    call.location(f"/v1/assignments/{row['id']}")
    call.etag(row["n"])
    return show(call.client, row)


# ── what changes ──────────────────────────────────────────────────────────────────────────────────────────


@router.post(
    "/v1/assignments/{id:key}:withdraw",
    summary="Take an offer back",
    responses=refused("not-live", "not-offered"),
)
async def withdraw(
    id: Id,
    body: Annotated[ActedBody, example({"acted_by": {"person": "maria-chen"}})],
    call: Annotated[Call, allowed(Role.PLAN)],
) -> ShownAssignment:
    """A named person of the plan withdraws an unanswered offer; the next candidate is asked, or the plan itself."""
    row = await row_of(call, id, ("plan_id",))
    command = Withdraw(assignment=row["id"], acted_by=call.acted_by(body.acted_by))
    return await _changed(call, row, command, ("plan_id",))


@router.post(
    "/v1/assignments/{id:key}:end",
    summary="End an assignment",
    responses=refused("not-live"),
)
async def end(
    id: Id,
    body: Annotated[ActedBody, example({"acted_by": {"person": "luis-ortega"}})],
    call: Annotated[Call, allowed(Role.PROVIDER, Role.PLAN)],
) -> ShownAssignment:
    """The provider can serve the member no longer, or the plan ends it; the authorization continues, and the next candidate
    is asked, or the plan. To end the service itself, the provider reports that and the plan decides."""
    row = await row_of(call, id)
    by_provider = row["provider_id"] == call.client.organization
    command = End(assignment=row["id"], acted_by=call.acted_by(body.acted_by), by_provider=by_provider)
    return await _changed(call, row, command, PARTIES)


@router.post(
    "/v1/assignments/{id:key}:change-lead",
    summary="Name another lead care manager",
    responses=refused("not-live"),
)
async def change_lead(
    id: Id,
    body: Annotated[
        LeadChangeBody,
        example(
            {"lead": {"person": "ana-reyes", "name": "Ana Reyes"}, "acted_by": {"person": "luis-ortega"}}
        ),
    ],
    call: Annotated[Call, allowed(Role.PROVIDER)],
) -> ShownAssignment:
    """A member has one lead care manager, whom the plan's record names (loop.md 5.4)."""
    row = await row_of(call, id, ("provider_id",))
    by = call.acted_by(body.acted_by or Person(person=body.lead.person))
    command = ChangeLead(
        assignment=row["id"], provider=call.client.organization, lead=_lead(body.lead), acted_by=by
    )
    return await _changed(call, row, command, ("provider_id",))


@router.post(
    "/v1/assignments/{id:key}:request-change",
    summary="The member asks for another provider",
    responses=refused("not-live", "not-eligible"),
)
async def request_change(
    id: Id,
    body: Annotated[
        ChangeBody, example({"provider": "bay-housing-navigators", "acted_by": {"person": "rosa-diaz"}})
    ],
    call: Annotated[Call, allowed(Role.REFERRER, Role.PROVIDER, Role.PLAN)],
) -> ShownAssignment:
    """The party that hears the member's wish passes it on, with the assignment's id or the referral's. An open offer goes to
    the one asked for at once; who is served keeps the provider until the plan has another, within 30 days."""
    row = await row_of(call, id, KEYS)
    command = RequestChange(
        assignment=row["id"], wished=body.provider or "", acted_by=call.acted_by(body.acted_by)
    )
    return await _changed(call, row, command, KEYS)
