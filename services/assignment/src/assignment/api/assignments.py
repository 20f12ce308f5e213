"""The routes that read assignments: offers and what became of them, who was asked and why, whom to look for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict

from assignment.api.explanation import RankingExplanation, explain, explain_question
from assignment.api.views import ShownAssignment, show
from assignment.domain.state import Assignment
from loopkeeper.contract.vocabulary.openings import OpeningReason
from loopkeeper.http.call import allowed
from loopkeeper.http.openings import OpeningQuery
from loopkeeper.http.paging import Listing, Page, listing
from loopkeeper.http.route import Id, Operation
from loopkeeper.kernel.errors import not_found
from loopkeeper.runtime.service import Call
from loopkeeper.security.organizations import Role
from loopkeeper.security.sealing import Opening, open_identity
from loopkeeper.store.pages import Selection, literal, visible_page
from loopkeeper.store.row_access import OWN, visible_row

router = APIRouter(tags=["assignment"], route_class=Operation)
READERS = (Role.PROVIDER, Role.PLAN, Role.OPERATIONS)
PARTIES = ("plan_id", "provider_id")
REFERRAL = "ref_"
# Whom to look for, where, and how without danger (loop.md 1.7, 6.2).
MEMBER_FIELDS = (
    "first_name", "middle_name", "last_name", "suffix", "preferred_name", "cin", "birth_date", "approximate_age", "address", "county", "no_fixed_address",
    "usual_place", "phone", "email", "best_contact", "best_time", "language_spoken", "language_written", "caregiver",
    "safe_contact",
)  # fmt: skip


class AssignmentQuery(Page):
    status: Literal["offered", "accepted", "declined", "withdrawn", "ended"] | None = None


class AssignedMember(BaseModel):
    """The member's identity and contact. This opening was recorded."""

    model_config = ConfigDict(frozen=True)

    identity: Mapping[str, Any]
    contact: Mapping[str, Any]


# ── read ──────────────────────────────────────────────────────────────────────────────────────────────────


@router.get("/v1/assignments", summary="Offers and assignments")
async def assignments(
    asked: Annotated[AssignmentQuery, Query()], call: Annotated[Call, allowed(*READERS)]
) -> Listing[ShownAssignment]:
    """A provider's own offers and assignments, or a plan's, least recently changed first."""
    client = call.client
    wanted = Selection("*", "assignment", asked.start(), asked.fetch)
    if asked.status is not None:
        wanted.where(f"status = {literal(asked.status)}")
    rows = await visible_page(call.service.readers, client, wanted, PARTIES)
    return await listing(call, asked, rows, lambda row: show(client, row))


@router.get("/v1/assignments/{id:key}", summary="One offer or assignment")
async def assignment(id: Id, call: Annotated[Call, allowed(*READERS)]) -> ShownAssignment:
    """The state of the row."""
    row = await row_of(call, id)
    call.etag(row["n"])
    return show(call.client, row)


@router.get("/v1/assignments/{id:key}/explanation", summary="Ranking of the candidates, with reasons")
async def explanation(
    id: Id, call: Annotated[Call, allowed(Role.PLAN, Role.OPERATIONS)]
) -> RankingExplanation:
    """The ranking of this offer with its reasons, in sentences, and the policy rows it used. With a referral's id: why
    the plan was asked, or else the newest offer."""
    if id.startswith(REFERRAL):
        return await _question(call, id)
    row = await row_of(call, id, ("plan_id",))
    state = await _state(call, row)
    offer = state.offer(row["id"])
    if offer is None:
        raise not_found()
    call.etag(row["n"])
    return explain(offer, call.service.policy)


async def _question(call: Call, referral: str) -> RankingExplanation:
    row = await visible_row(
        call.service.readers,
        call.client,
        f"SELECT state, n FROM referral WHERE id = $1 AND {OWN}",  # noqa: S608 own fragments
        referral,
        keys=("plan_id",),
    )
    state = Assignment.model_validate_json(row["state"])
    newest = state.offers[-1] if state.offers else None
    call.etag(row["n"])
    if newest is not None and not state.asked_skipped:
        return explain(newest, call.service.policy)
    return explain_question(state)


@router.get("/v1/assignments/{id:key}/member", summary="Identity and contact of the member")
async def member(
    id: Id, asked: Annotated[OpeningQuery, Query()], call: Annotated[Call, allowed(Role.PROVIDER, Role.PLAN)]
) -> AssignedMember:
    """Opens identity and contact for the provider that accepted, and for the plan; each opening is written down, with its
    reason."""
    row, context = await row_of(call, id), call.service
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
        why=asked.why(OpeningReason.SERVE),
    )
    return AssignedMember(identity=opened.get("identity", {}), contact=opened.get("contact", {}))


async def row_of(call: Call, id: str, keys: tuple[str, ...] = PARTIES) -> Mapping[str, Any]:
    """The row of this id, or, with a referral's, of its newest turn; 404 where this key may not see it."""
    which = "referral" if id.startswith(REFERRAL) else "id"
    return await visible_row(
        call.service.readers,
        call.client,
        f"SELECT * FROM assignment WHERE {which} = $1 AND {OWN} ORDER BY made_at DESC, n DESC LIMIT 1",  # noqa: S608
        id,
        keys=keys,
    )


async def _state(call: Call, row: Mapping[str, Any]) -> Assignment:
    """The state of the row's referral, which of providers only the one that accepted sees."""
    query = f"SELECT state FROM referral WHERE id = $1 AND {OWN}"  # noqa: S608 own fragments
    found = await visible_row(call.service.readers, call.client, query, row["referral"])
    return Assignment.model_validate_json(found["state"])
