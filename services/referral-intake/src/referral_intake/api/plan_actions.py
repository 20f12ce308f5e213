"""The routes of a plan's named persons: merge, close by hand, record a release; and of who knows of a death."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from fastapi import APIRouter
from pydantic import Field

from loopkeeper.contract.calendar import la_date
from loopkeeper.contract.decider import Refused
from loopkeeper.contract.field_types import ReleaseDay, ServiceDay
from loopkeeper.http.call import allowed
from loopkeeper.http.person import Person
from loopkeeper.http.route import Id, Operation, example, refused
from loopkeeper.kernel.errors import Problem, not_found
from loopkeeper.runtime.service import Call
from loopkeeper.security.organizations import Role
from loopkeeper.store.row_access import OWN, visible_row
from referral_intake.api.casework import Body, invalid, read_as
from referral_intake.api.referrals import row_of, submitted
from referral_intake.api.views import Reader, ShownReferral, knows_release
from referral_intake.domain.commands import (
    CloseReferral,
    ConfirmDeath,
    MergeReferral,
    RecordCustody,
    RecordReleaseDate,
    TakeBackDeath,
    TellDeath,
)
from referral_intake.domain.form.form import REFERRAL_ID

router = APIRouter(tags=["intake"], route_class=Operation)


class CloseBody(Body):
    """Why a named person of the plan closes the loop; `other` says it in words, which the referrer and the member
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


class DeathBody(Body):
    """`on`: the day of the death, where it is known."""

    on: ServiceDay | None = None
    acted_by: Person


class CustodyBody(Body):
    """`on`: since which day; today if none is given."""

    on: ServiceDay | None = None
    acted_by: Person


class PlanPersonBody(Body):
    acted_by: Person


# ── a death ───────────────────────────────────────────────────────────────────────────────────────────────


@router.post("/v1/referrals/{id:key}:tell-death", summary="Tell that the member has died")
async def tell_death(
    id: Id,
    body: Annotated[DeathBody, example({"acted_by": {"person": "luis-ortega"}})],
    call: Annotated[Call, allowed(Role.REFERRER, Role.PROVIDER, Role.PLAN)],
) -> ShownReferral:
    """Who referred, who serves and the plan may tell it, also of a closed loop. All contact with the member stops at once;
    a named person of the plan confirms it or takes it back."""
    row = await row_of(call, id)
    _, who = read_as(call, row, "referrer", "provider", "plan")
    call.check_match(row["n"])
    command = TellDeath(by=teller(who), on=body.on, acted_by=call.acted_by(body.acted_by))
    return await submitted(call, row, command)


def teller(who: Reader) -> Literal["referrer", "provider", "plan"]:
    """As whom somebody concerned speaks."""
    return "referrer" if who == "operations" else who


@router.post("/v1/referrals/{id:key}:confirm-death", summary="Confirm that the member has died")
async def confirm_death(
    id: Id,
    body: Annotated[DeathBody, example({"acted_by": {"person": "ana-reyes"}})],
    call: Annotated[Call, allowed(Role.PLAN)],
) -> ShownReferral:
    """A named person of the plan confirms what was told, or tells it: an open loop closes as no_longer_eligible with the
    word. A term that runs is ended by its own decision."""
    row = await row_of(call, id)
    read_as(call, row, "plan")
    call.check_match(row["n"])
    return await submitted(call, row, ConfirmDeath(on=body.on, acted_by=call.acted_by(body.acted_by)))


@router.post(
    "/v1/referrals/{id:key}:take-back-death",
    summary="Take back that the member has died",
    responses=refused("nothing-to-take-back"),
)
async def take_back_death(
    id: Id,
    body: Annotated[PlanPersonBody, example({"acted_by": {"person": "ana-reyes"}})],
    call: Annotated[Call, allowed(Role.PLAN)],
) -> ShownReferral:
    """A named person of the plan finds that it is not so: contact goes on as before. A loop that closed for it stays
    closed, and is contested."""
    row = await row_of(call, id)
    read_as(call, row, "plan")
    call.check_match(row["n"])
    return await submitted(call, row, TakeBackDeath(acted_by=call.acted_by(body.acted_by)))


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
    the sender of this one hears the other's notices."""
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
        raise invalid(
            "/how" if body.on else "/on", "missing", "Say when and how the member was tried or declined."
        )
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
    responses=refused("already-closed", "not-pre-release"),
)
async def record_release_date(
    id: Id,
    body: Annotated[ReleaseBody, example({"release_on": "2026-04-01", "acted_by": {"person": "ana-reyes"}})],
    call: Annotated[Call, allowed(Role.REFERRER, Role.PROVIDER, Role.PLAN)],
) -> ShownReferral:
    """The day a member leaves a correctional facility; it may move, or come early (loop.md 3.7). The plan, who serves after
    the release, and who told a day before may tell it; but for the plan, only with attested pre-release services."""
    row = await row_of(call, id)
    must_know_release(call, row)
    call.check_match(row["n"])
    command = RecordReleaseDate(release_on=body.release_on, acted_by=call.acted_by(body.acted_by))
    return await submitted(call, row, command)


@router.post(
    "/v1/referrals/{id:key}:record-custody",
    summary="Record that the member is in custody again",
    responses=refused("in-the-future"),
)
async def record_custody(
    id: Id,
    body: Annotated[CustodyBody, example({"on": "2026-03-02", "acted_by": {"person": "ana-reyes"}})],
    call: Annotated[Call, allowed(Role.REFERRER, Role.PROVIDER, Role.PLAN)],
) -> ShownReferral:
    """The start is taken back, outreach waits, and the plan judges how it goes on; a new day of release takes it up again.
    The plan, who serves, and who told a day of release may record it."""
    row = await row_of(call, id)
    must_know_release(call, row)
    call.check_match(row["n"])
    on = body.on or la_date(call.service.clock.now())
    return await submitted(call, row, RecordCustody(on=on, acted_by=call.acted_by(body.acted_by)))


def must_know_release(call: Call, row: Mapping[str, Any]) -> None:
    """For everybody who may not know of custody there is nothing here."""
    state, who = read_as(call, row, "plan", "provider", "referrer")
    if not knows_release(call.client, who, state):
        raise not_found()
