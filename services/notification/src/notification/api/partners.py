"""`/v1/partners`: what a plan granted a partner, and what the partner would see of one referral, and why."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from loopkeeper.contract.calendar import la_date
from loopkeeper.contract.events import by_type
from loopkeeper.contract.field_types import PolicyDay
from loopkeeper.http.call import allowed
from loopkeeper.http.route import Id, Operation
from loopkeeper.kernel.errors import not_found
from loopkeeper.runtime.service import Call, RunningService
from loopkeeper.security.organizations import Role
from loopkeeper.store.row_access import OWN, visible_row
from notification.api.views import state_of
from notification.domain.notices import notice_policy
from notification.domain.notices.visibility import Grant, fields_shown, granting, why_not
from notification.domain.outreach.state import Outreach

router = APIRouter(tags=["notification"], route_class=Operation)


class SightQuery(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    referral: str | None = Field(None, max_length=100, description="A referral of your members")
    on: PolicyDay | None = Field(None, description="On this day; today where it is missing")


class GrantShown(BaseModel):
    """One row of the plan's policy; without a county it holds for all."""

    model_config = ConfigDict(frozen=True)

    row: str
    plan: str
    population: str
    county: str | None


class ReferralShown(BaseModel):
    """`because`: the rows that let it be seen, or in words why none does. `events`: what the feed has of each event."""

    model_config = ConfigDict(frozen=True)

    referral: str
    seen: bool
    because: tuple[str, ...]
    events: Mapping[str, tuple[str, ...]]


class Explained(BaseModel):
    model_config = ConfigDict(frozen=True)

    partner: str
    on: date
    grants: tuple[GrantShown, ...]
    referral: ReferralShown | None = None


@router.get("/v1/partners/{id:key}/explanation", summary="Preview of what a partner sees, and why")
async def explanation(
    id: Id, asked: Annotated[SightQuery, Query()], call: Annotated[Call, allowed(Role.PLAN, Role.PARTNER)]
) -> Explained:
    """A plan asks about its own grants, and about a referral of its members; a partner about its own grants only."""
    context, client = call.service, call.client
    on = asked.on or la_date(context.clock.now())
    asks_itself = Role.PLAN not in client.roles
    if asks_itself and (id != client.organization or asked.referral is not None):
        raise not_found()
    plans = _plans(context) if asks_itself else [client.organization]
    shown = tuple(
        GrantShown(row=each.ref, plan=plan, population=each.population, county=each.county or None)
        for plan in plans
        for each in notice_policy.grants(context.policy, plan, on)
        if each.partner == id
    )
    referral = None
    if asked.referral is not None:
        granted = notice_policy.grants(context.policy, client.organization, on)
        referral = _explained(asked.referral, await _state(call, asked.referral), granted, id)
    return Explained(partner=id, on=on, grants=shown, referral=referral)


def _plans(context: RunningService) -> list[str]:
    rows = context.policy.all_rows
    return sorted({row.plan for row in rows if row.table == "partner_grants" and row.plan})


def _explained(referral: str, state: Outreach, grants: tuple[Grant, ...], partner: str) -> ReferralShown:
    found = granting(grants, partner, state.populations, state.county)
    if not found:
        why = why_not(grants, partner, state.populations, state.county)
        return ReferralShown(referral=referral, seen=False, because=why, events={})
    shown = {name: fields for name, kind in by_type().items() if (fields := fields_shown(kind))}
    return ReferralShown(
        referral=referral, seen=True, because=tuple(each.ref for each in found), events=shown
    )


async def _state(call: Call, referral: str) -> Outreach:
    """The referral's state, for the plan of its member."""
    row = await visible_row(
        call.service.readers,
        call.client,
        f"SELECT state FROM referral WHERE id = $1 AND plan_id = $2 AND {OWN}",  # noqa: S608 own fragments
        referral,
        call.client.organization,
        keys=("plan_id",),
    )
    return state_of(row)
