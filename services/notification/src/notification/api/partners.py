"""`/v1/partners`: what a plan granted a partner, and what the partner would see of one referral, and why."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

import orjson
from pydantic import BaseModel, ConfigDict, Field

from loopkeeper.contract.calendar import la_date
from loopkeeper.contract.events import by_type
from loopkeeper.contract.field_types import PolicyDay
from loopkeeper.http.old import Api, Call, Reply, not_found
from loopkeeper.runtime.service import Context
from loopkeeper.security.organizations import Role
from loopkeeper.store.row_access import reading
from notification.domain.notices import notice_policy
from notification.domain.notices.visibility import Grant, fields_shown, granting, why_not
from notification.domain.outreach.state import Outreach

api = Api("notification")


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


@api.route(
    "GET",
    "/v1/partners/{id}/explanation",
    roles=(Role.PLAN, Role.PARTNER),
    summary="What would this partner see, and why",
    query=SightQuery,
    answers={200: Explained},
)
async def explanation(call: Call[None, Context, SightQuery]) -> Reply:
    """A plan asks about its own grants, and about a referral of its members; a partner about its own grants only."""
    context, partner, client = call.service, call.path["id"], call.client
    on = call.query.on or la_date(context.clock.now())
    asks_itself = Role.PLAN not in client.roles
    if asks_itself and (partner != client.organization or call.query.referral is not None):
        raise not_found()
    plans = _plans(context) if asks_itself else [client.organization]
    shown = tuple(
        GrantShown(row=each.ref, plan=plan, population=each.population, county=each.county or None)
        for plan in plans
        for each in notice_policy.grants(context.policy, plan, on)
        if each.partner == partner
    )
    referral = None
    if call.query.referral is not None:
        mine = notice_policy.grants(context.policy, client.organization, on)
        referral = _explained(call.query.referral, await _state(call), mine, partner)
    return Reply(200, Explained(partner=partner, on=on, grants=shown, referral=referral))


def _plans(context: Context) -> list[str]:
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


async def _state(call: Call[Any, Context, SightQuery]) -> Outreach:
    async with reading(call.service.readers, call.client) as connection:
        row = await connection.fetchrow(
            "SELECT state FROM referral WHERE id = $1 AND plan_id = $2",
            call.query.referral,
            call.client.organization,
        )
    if row is None:
        raise not_found()
    return Outreach.model_validate(orjson.loads(row["state"]))
