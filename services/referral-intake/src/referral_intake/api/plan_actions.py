"""The routes of a plan's named persons: merge, close by hand, record a release; and the opening of who was referred."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from loopkeeper.contract.decider import Refused
from loopkeeper.http.route import Api, Call, Reply, check_match
from loopkeeper.runtime.service import Context
from loopkeeper.security.organizations import Role
from loopkeeper.security.sealing import Opening, open_identity
from loopkeeper.store.row_access import own_key, reading
from referral_intake.api.casework import Body, allowed, invalid, person_of, submitted
from referral_intake.api.referrals import Person, row_of
from referral_intake.api.views import ShownReferral
from referral_intake.domain.commands import CloseReferral, MergeReferral, RecordReleaseDate
from referral_intake.domain.form.form import REFERRAL_ID

api = Api("intake")
MEMBER_FIELDS = (
    "first_name", "last_name", "cin", "plan_member_id", "birth_date", "approximate_age", "address", "county",
    "no_fixed_address", "usual_place", "phone", "email", "best_contact", "best_time", "language_spoken",
    "language_written", "caregiver", "safe_contact",
)  # fmt: skip


class CloseBody(Body):
    """Why a named person of the plan closes the loop; `other` says it in words, which whoever referred and the member
    read as they are written: name no diagnosis. unable_to_reach says how and when."""

    outcome: str = Field(max_length=40)
    text: str = Field(default="", max_length=500)
    on: date | None = None
    how: str = Field(default="", max_length=200)
    acted_by: Person


class MergeBody(Body):
    into: str = Field(pattern=REFERRAL_ID, description="The open referral that goes on")
    acted_by: Person


class ReleaseBody(Body):
    release_on: date
    acted_by: Person


class OpenedMember(BaseModel):
    """Who was referred and how they are reached; this opening was written down."""

    model_config = ConfigDict(frozen=True)

    identity: Mapping[str, Any]
    contact: Mapping[str, Any]


# ── the plan's own acts ───────────────────────────────────────────────────────────────────────────────────


@api.route(
    "POST",
    "/v1/referrals/{id}:merge",
    roles=(Role.PLAN,),
    summary="Merge a possible duplicate",
    body=MergeBody,
    answers={200: ShownReferral},
    refusals=("already-closed", "not-same-plan"),
    example={"into": f"ref_{'0' * 32}", "acted_by": {"person": "ana-reyes"}},
)
async def merge(call: Call[MergeBody, Context]) -> Reply:
    """A named person of the plan finds two referrals to be one member's: this one is closed, the other goes on, and
    whoever sent this one hears the other's notices."""
    row = await row_of(call)
    allowed(call, row, "plan")
    check_match(call, row["n"])
    command = MergeReferral(into=call.body.into, acted_by=person_of(call, call.body.acted_by))
    return await submitted(call, row, command, beside=(await _own(call, call.body.into),))


async def _own(call: Call[Any, Context], stream: str) -> str:
    """The other referral's id, if this client may see it; another's looks like none."""
    own, mine = own_key(call.client, 2)
    async with reading(call.service.readers, call.client) as connection:
        found = await connection.fetchval(
            f"SELECT id FROM referral WHERE id = $1 AND status <> '' AND {own}",  # noqa: S608 own fragments
            stream,
            *mine,
        )
    if found is None:
        raise Refused(
            "not-same-plan",
            "There is no such referral of this plan.",
            fix="Name another open one of the plan.",
        )
    return found


@api.route(
    "POST",
    "/v1/referrals/{id}:close",
    roles=(Role.PLAN,),
    summary="Close a loop by hand",
    body=CloseBody,
    answers={200: ShownReferral},
    refusals=("already-closed", "not-by-hand", "attempts-missing"),
    example={"outcome": "provider_declined", "acted_by": {"person": "ana-reyes"}},
)
async def close(call: Call[CloseBody, Context]) -> Reply:
    """A named person of the plan closes the loop, with its reason."""
    row, body = await row_of(call), call.body
    allowed(call, row, "plan")
    check_match(call, row["n"])
    if body.outcome == "other" and not body.text:
        raise invalid("/text", "missing", "Say in words why the loop is closed.")
    if body.outcome in ("unable_to_reach", "declined_by_member") and not (body.on and body.how):
        raise invalid("/on", "missing", "Say when and how the member was tried or declined.")
    command = CloseReferral(
        outcome=body.outcome,
        text=body.text,
        on=body.on,
        how=body.how,
        acted_by=person_of(call, body.acted_by),
    )
    return await submitted(call, row, command)


@api.route(
    "POST",
    "/v1/referrals/{id}:record-release-date",
    roles=(Role.PROVIDER, Role.PLAN),
    summary="Record the day of release",
    body=ReleaseBody,
    answers={200: ShownReferral},
    refusals=("already-closed",),
    example={"release_on": "2026-04-01", "acted_by": {"person": "ana-reyes"}},
)
async def record_release_date(call: Call[ReleaseBody, Context]) -> Reply:
    """The day a member leaves a correctional facility; it may move, or come early (loop.md 3.7)."""
    row = await row_of(call)
    allowed(call, row, "plan", "provider")
    check_match(call, row["n"])
    acted_by = person_of(call, call.body.acted_by)
    return await submitted(call, row, RecordReleaseDate(release_on=call.body.release_on, acted_by=acted_by))


# ── whom it is about ──────────────────────────────────────────────────────────────────────────────────────


@api.route(
    "GET",
    "/v1/referrals/{id}/member",
    roles=(Role.REFERRER, Role.PLAN),
    summary="Who was referred",
    answers={200: OpenedMember},
)
async def member(call: Call[None, Context]) -> Reply:
    """Opens identity and contact for the plan and for who referred; each opening is written down."""
    row = await row_of(call)
    state, _ = allowed(call, row, "plan", "referrer")
    context = call.service
    parts = {part: text for part, text in state.sealed.items() if part in ("identity", "contact")}
    (opened,) = await open_identity(
        context.sealer,
        context.store,
        call.client,
        context.clock.now(),
        [Opening(state.plan, row["id"], parts)],
        fields=MEMBER_FIELDS,
        why="to know who was referred",
    )
    return Reply(200, OpenedMember(identity=opened.get("identity", {}), contact=opened.get("contact", {})))
