"""The routes of a plan's named persons: merge, close by hand, record a release; and the opening of who was referred."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from loopkeeper.contract.decider import Refused
from loopkeeper.contract.field_types import ReleaseDay, ServiceDay
from loopkeeper.http.call import allowed
from loopkeeper.http.person import Person
from loopkeeper.http.route import Id, Operation, example, refused
from loopkeeper.kernel.errors import Problem
from loopkeeper.runtime.service import Call
from loopkeeper.security.organizations import Role
from loopkeeper.security.sealing import Opening, open_identity
from loopkeeper.store.row_access import OWN, visible_row
from referral_intake.api.casework import Body, invalid, read_as
from referral_intake.api.referrals import row_of, submitted
from referral_intake.api.views import ShownReferral
from referral_intake.domain.commands import CloseReferral, MergeReferral, RecordReleaseDate
from referral_intake.domain.form.form import REFERRAL_ID

router = APIRouter(tags=["intake"], route_class=Operation)
MEMBER_FIELDS = (
    "first_name", "middle_name", "last_name", "suffix", "preferred_name", "cin", "plan_member_id", "birth_date", "approximate_age", "address", "county",
    "no_fixed_address", "usual_place", "phone", "email", "best_contact", "best_time", "language_spoken",
    "language_written", "caregiver", "safe_contact",
)  # fmt: skip


class CloseBody(Body):
    """Why a named person of the plan closes the loop; `other` says it in words, which whoever referred and the member
    read as they are written: name no diagnosis. unable_to_reach says how and when."""

    outcome: str = Field(max_length=40)
    text: str = Field(default="", max_length=500)
    on: ServiceDay | None = None
    how: str = Field(default="", max_length=200)
    acted_by: Person


class MergeBody(Body):
    into: str = Field(pattern=REFERRAL_ID, description="The open referral that goes on")
    acted_by: Person


class ReleaseBody(Body):
    release_on: ReleaseDay
    acted_by: Person


class OpenedMember(BaseModel):
    """Who was referred and how they are reached; this opening was written down. `other_factors`: for the plan, what
    the form gives in words and no list of the state has, where a population is met by that alone."""

    model_config = ConfigDict(frozen=True)

    identity: Mapping[str, Any]
    contact: Mapping[str, Any]
    other_factors: Mapping[str, str] = {}


# ── the plan's own acts ───────────────────────────────────────────────────────────────────────────────────


@router.post(
    "/v1/referrals/{id:key}:merge",
    summary="Merge a possible duplicate",
    responses=refused("already-closed", "not-same-plan"),
)
async def merge(
    id: Id,
    body: Annotated[MergeBody, example({"into": f"ref_{'0' * 32}", "acted_by": {"person": "ana-reyes"}})],
    call: Annotated[Call, allowed(Role.PLAN)],
) -> ShownReferral:
    """A named person of the plan finds two referrals to be one member's: this one is closed, the other goes on, and
    whoever sent this one hears the other's notices."""
    row = await row_of(call, id)
    read_as(call, row, "plan")
    call.check_match(row["n"])
    command = MergeReferral(into=body.into, acted_by=call.acted_by(body.acted_by))
    return await submitted(call, row, command, other_streams=(await _own(call, body.into),))


async def _own(call: Call, stream: str) -> str:
    """The other referral's id, if this client may see it; another's looks like none."""
    query = f"SELECT id FROM referral WHERE id = $1 AND status <> '' AND {OWN}"  # noqa: S608 own fragments
    try:
        row = await visible_row(call.service.readers, call.client, query, stream)
    except Problem:
        raise Refused(
            "not-same-plan",
            "There is no such referral of this plan.",
            fix="Name another open one of the plan.",
        ) from None
    return row["id"]


@router.post(
    "/v1/referrals/{id:key}:close",
    summary="Close a loop by hand",
    responses=refused("already-closed", "not-by-hand", "attempts-missing"),
)
async def close(
    id: Id,
    body: Annotated[
        CloseBody, example({"outcome": "provider_declined", "acted_by": {"person": "ana-reyes"}})
    ],
    call: Annotated[Call, allowed(Role.PLAN)],
) -> ShownReferral:
    """A named person of the plan closes the loop, with its reason."""
    row = await row_of(call, id)
    read_as(call, row, "plan")
    call.check_match(row["n"])
    if body.outcome == "other" and not body.text:
        raise invalid("/text", "missing", "Say in words why the loop is closed.")
    if body.outcome in ("unable_to_reach", "declined_by_member") and not (body.on and body.how):
        raise invalid("/on", "missing", "Say when and how the member was tried or declined.")
    command = CloseReferral(
        outcome=body.outcome,
        text=body.text,
        on=body.on,
        how=body.how,
        acted_by=call.acted_by(body.acted_by),
    )
    return await submitted(call, row, command)


@router.post(
    "/v1/referrals/{id:key}:record-release-date",
    summary="Record the day of release",
    responses=refused("already-closed"),
)
async def record_release_date(
    id: Id,
    body: Annotated[ReleaseBody, example({"release_on": "2026-04-01", "acted_by": {"person": "ana-reyes"}})],
    call: Annotated[Call, allowed(Role.PROVIDER, Role.PLAN)],
) -> ShownReferral:
    """The day a member leaves a correctional facility; it may move, or come early (loop.md 3.7)."""
    row = await row_of(call, id)
    read_as(call, row, "plan", "provider")
    call.check_match(row["n"])
    command = RecordReleaseDate(release_on=body.release_on, acted_by=call.acted_by(body.acted_by))
    return await submitted(call, row, command)


# ── whom it is about ──────────────────────────────────────────────────────────────────────────────────────


@router.get("/v1/referrals/{id:key}/member", summary="Who was referred")
async def member(id: Id, call: Annotated[Call, allowed(Role.REFERRER, Role.PLAN)]) -> OpenedMember:
    """Opens identity and contact for the plan and for who referred; each opening is written down."""
    row, context = await row_of(call, id), call.service
    state, who = read_as(call, row, "plan", "referrer")
    in_words = who == "plan" and any(each.met_by is not None for each in state.populations)
    wanted = ("identity", "contact", *(("form",) if in_words else ()))
    parts = {part: text for part, text in state.sealed.items() if part in wanted}
    (opened,) = await open_identity(
        context.sealer,
        context.store,
        call.client,
        context.clock.now(),
        [Opening(state.plan, row["id"], parts)],
        fields=(*MEMBER_FIELDS, *(("answers",) if in_words else ())),
        why="to know who was referred",
    )
    answers: Mapping[str, Any] = opened.get("form", {}).get("answers", {})
    return OpenedMember(
        identity=opened.get("identity", {}),
        contact=opened.get("contact", {}),
        other_factors={name: said for name, said in answers.items() if isinstance(said, str)},
    )
