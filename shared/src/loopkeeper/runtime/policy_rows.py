"""The policy rows a service decides by, as anybody may read them: what a decision named, and what a plan has chosen."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from loopkeeper.contract.calendar import la_date
from loopkeeper.contract.field_types import PolicyDay
from loopkeeper.http.call import allowed
from loopkeeper.http.paging import Listing
from loopkeeper.http.route import Operation
from loopkeeper.policy import Policy, Row, conditions
from loopkeeper.runtime.service import Call
from loopkeeper.security.organizations import Client, Role

READERS = (Role.PLAN, Role.OPERATIONS)


class PolicyQuery(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    ref: tuple[Annotated[str, Field(max_length=200)], ...] = Field(
        (), max_length=50, description="Rows by the name that decisions keep: table/id@from"
    )
    table: str | None = Field(None, max_length=60, description="Only of this table")
    on: PolicyDay | None = Field(None, description="Rows that hold on this day; today where it is missing")


class ShownRow(BaseModel):
    """One dated row: `values` by column, a condition in words; `source` and `confidence` (C confirmed, c2 by a secondary
    source, B in the project's brief, M recalled, ours chosen here). `plan`: the plan's own choice."""

    model_config = ConfigDict(frozen=True)

    ref: str
    table: str
    about: str
    plan: str | None
    effective_from: date
    effective_to: date | None
    source: str
    confidence: str
    note: str
    values: Mapping[str, Any]


def policy_of(service: str) -> APIRouter:
    """The same route for every service, under its name."""
    router = APIRouter(prefix=f"/v1/policy/{service}", tags=[service], route_class=Operation)
    router.get("", summary="The policy rows this service decides by")(rows)
    return router


async def rows(
    asked: Annotated[PolicyQuery, Query()], call: Annotated[Call, allowed(*READERS)]
) -> Listing[ShownRow]:
    """Rows by their names as decisions keep them, also past ones; without names all that hold on a day, for the caller's
    plan. Another plan's own rows are shown to operations only. A name that is not there is left out."""
    context = call.service
    policy = context.policy
    if asked.ref:
        found = [row for ref in dict.fromkeys(asked.ref) if (row := policy.by_ref(ref)) is not None]
    else:
        plan = call.client.organization if Role.PLAN in call.client.roles else None
        day = asked.on or la_date(context.clock.now())
        wanted = [asked.table] if asked.table is not None else sorted(policy.tables)
        found = [
            row for table in wanted if table in policy.tables for row in policy.rows(table, on=day, plan=plan)
        ]
    items = tuple(
        _shown(policy, row)
        for row in found
        if _may_see(call.client, row) and asked.table in (None, row.table)
    )
    return Listing[ShownRow](items=items)


def _may_see(client: Client, row: Row) -> bool:
    return row.plan is None or Role.OPERATIONS in client.roles or row.plan == client.organization


def _shown(policy: Policy, row: Row) -> ShownRow:
    columns = policy.tables[row.table].columns
    return ShownRow(
        ref=row.ref,
        table=row.table,
        about=policy.tables[row.table].about,
        plan=row.plan,
        effective_from=row.effective_from,
        effective_to=row.effective_to,
        source=row.source,
        confidence=row.confidence,
        note=row.note,
        values={
            name: conditions.said(value) if columns[name].type == "condition" else value
            for name, value in row.values.items()
            if value is not None
        },
    )
