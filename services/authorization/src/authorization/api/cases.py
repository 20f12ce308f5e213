"""The routes by which people of a plan share its work queue: claim a case, give it back, see how much waits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from authorization.api.requests import row_of, shown, state_of
from authorization.api.views import ShownAuthorization, ShownClaim
from authorization.persistence import case_claims as claims
from loopkeeper.contract.blanks import BlankIsMissing
from loopkeeper.http.call import allowed
from loopkeeper.http.person import Person
from loopkeeper.http.route import Id, Operation, example, refused
from loopkeeper.kernel.errors import Problem
from loopkeeper.runtime.service import Call
from loopkeeper.security.organizations import Role
from loopkeeper.store.row_access import OWN, visible_rows

router = APIRouter(tags=["authorization"], route_class=Operation)
Plan = Annotated[Call, allowed(Role.PLAN)]
# The state of the clock of what waits, at $1.
CLOCK_STATE = "CASE WHEN due_at <= $1::timestamptz THEN 'breached' WHEN at_risk_at <= $1 THEN 'at_risk' ELSE 'on_track' END"
MARIA = {"acted_by": {"person": "maria-chen"}}


class CaseBody(BlankIsMissing):
    """Who of the plan works on it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    acted_by: Person


class ReleaseAllBody(BlankIsMissing):
    """Whose claims end: somebody's who left, or is away."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)

    person: str = Field(min_length=1, max_length=120)


class Released(BaseModel):
    model_config = ConfigDict(frozen=True)

    released: int


class QueueCounts(BaseModel):
    """How much waits for a person of the plan, by what for and by the state of its clock; `free`: nobody works on it."""

    model_config = ConfigDict(frozen=True)

    now: datetime
    waiting: int
    free: int
    waits_for: Mapping[str, int]
    due: Mapping[str, int]


@router.post(
    "/v1/authorizations/{id:key}:claim",
    summary="Take a case out of the queue for half an hour",
    responses=refused("claimed"),
)
async def claim(id: Id, body: Annotated[CaseBody, example(MARIA)], call: Plan) -> ShownAuthorization:
    """Colleagues see whose it is; it keeps nobody from deciding, and no clock waits. Claimed again it is held as long
    again; refused while it is another's."""
    row = await row_of(call, id, ("plan_id",))
    call.check_match(row["n"])
    person = call.acted_by(body.acted_by).person
    holder, until = await claims.claim(call.service, row["id"], call.client.organization, person)
    if holder != person:
        raise Problem(
            409,
            "claimed",
            "Somebody else works on this case.",
            fix="Take another, or release it first.",
            allowed=("release",),
            members={"claim": {"person": holder, "until": until.isoformat()}},
        )
    return shown(call, row, state_of(row), ShownClaim(person=holder, until=until))


@router.post("/v1/authorizations/{id:key}:release", summary="Give a case back to the queue")
async def release(id: Id, call: Plan) -> ShownAuthorization:
    """Any person of the plan may do it: a colleague's case is given back the same way."""
    row = await row_of(call, id, ("plan_id",))
    call.check_match(row["n"])
    await claims.release(call.service, call.client.organization, id=row["id"])
    return shown(call, row, state_of(row))


@router.post("/v1/authorizations:release-all", summary="Give back every case of one person")
async def release_all(
    body: Annotated[ReleaseAllBody, example({"person": "maria-chen"})], call: Plan
) -> Released:
    """For who left or is away; how many cases are free again."""
    return Released(released=await claims.release(call.service, call.client.organization, person=body.person))


@router.get("/v1/authorizations:count", summary="How much waits for a person of the plan")
async def count(call: Annotated[Call, allowed(Role.PLAN, Role.OPERATIONS)]) -> QueueCounts:
    """Counted by what waits (decision, reauthorization, discontinuation) and by the state of its clock."""
    now = call.service.clock.now()
    rows: Any = await visible_rows(
        call.service.readers,
        call.client,
        f"""SELECT waits_for, {CLOCK_STATE} AS due, {claims.CLAIMED.replace("?", "$1")} AS claimed, count(*) AS many
            FROM referral WHERE waits_for <> '' AND {OWN} GROUP BY 1, 2, 3""",  # noqa: S608 own fragments
        now,
        keys=("plan_id",),
    )
    waits, due = Counter[str](), Counter[str]()
    for row in rows:
        waits[row["waits_for"]] += row["many"]
        due[row["due"]] += row["many"]
    return QueueCounts(
        now=now,
        waiting=waits.total(),
        free=sum(row["many"] for row in rows if not row["claimed"]),
        waits_for=waits,
        due=due,
    )
