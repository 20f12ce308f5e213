"""The routes of Community Supports referrals: asked for by the lead care manager, followed until the service is given."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from loopkeeper.contract.blanks import BlankIsMissing
from loopkeeper.contract.calendar import la_date
from loopkeeper.contract.decider import Refused
from loopkeeper.contract.vocabulary.supports import CommunitySupport
from loopkeeper.http.call import allowed
from loopkeeper.http.paging import Listing, Page, listing
from loopkeeper.http.person import Person
from loopkeeper.http.route import Id, Operation, example, refused
from loopkeeper.kernel.errors import not_found
from loopkeeper.runtime.service import Call
from loopkeeper.security.organizations import Role
from loopkeeper.store.pages import Selection, visible_page
from loopkeeper.store.row_access import OWN, visible_row
from referral_intake.api.referrals import row_of, state_of
from referral_intake.api.views import reader
from referral_intake.domain.commands import AskSupport, Move, MoveSupport
from referral_intake.domain.form.form import Slug
from referral_intake.domain.state import Referral
from referral_intake.domain.supports import moves

router = APIRouter(tags=["intake"], route_class=Operation)
READERS = (Role.PROVIDER, Role.PLAN, Role.OPERATIONS)
KEYS = ("plan_id", "provider_id")


class SupportQuery(Page):
    status: str | None = Field(None, max_length=20, description="asked, accepted, declined or done")
    referral: str | None = Field(None, max_length=40, description="Only of this referral")


class SupportBody(BlankIsMissing):
    """Which of the fifteen services, and, if known, of which Community Supports provider."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)

    code: str = Field(max_length=60)
    provider: Slug | None = None
    acted_by: Person | None = None


class MoveBody(BlankIsMissing):
    model_config = ConfigDict(frozen=True, extra="forbid")

    acted_by: Person | None = None


class ShownSupport(BaseModel):
    """One Community Supports referral: its own small loop, linked to the member's."""

    model_config = ConfigDict(frozen=True)

    id: str
    referral: str
    code: str
    name: str
    status: str
    allowed: tuple[str, ...]
    updated_at: datetime
    provider: str | None = None


@router.post(
    "/v1/referrals/{id:key}/supports",
    status_code=201,
    summary="Ask for a Community Support",
    responses=refused("unknown-service", "illegal-move"),
)
async def ask_support(
    id: Id,
    body: Annotated[
        SupportBody, example({"code": "medically_tailored_meals", "acted_by": {"person": "luis-ortega"}})
    ],
    call: Annotated[Call, allowed(Role.PROVIDER)],
) -> ShownSupport:
    """The lead care manager of an accepted member refers to a Community Support."""
    row, context = await row_of(call, id), call.service
    if reader(call.client, state_of(row)) != "provider":
        raise not_found()
    rows = {
        r["support"]: r for r in context.policy.rows("community_supports", on=la_date(context.clock.now()))
    }
    if body.code not in rows:
        raise Refused(
            "unknown-service",
            "This is none of the Community Supports.",
            fix="Name one of those allowed.",
            allowed=tuple(rows),
        )
    command = AskSupport(
        code=body.code,
        provider=body.provider or "",
        tracked=rows[body.code]["tracked"],
        acted_by=call.acted_by(body.acted_by),
    )
    outcome = await call.submit(row["id"], command)
    name = _asked(outcome.state, outcome.events)
    call.location(f"/v1/supports/{name}")
    call.etag(outcome.n)
    return _from_state(name, row["id"], outcome.state)


def _asked(state: Referral, events: tuple[Any, ...]) -> str:
    """The support this request made; for a repeated one the newest, which it made the first time."""
    return events[0].support if events else max(state.supports)


@router.get("/v1/supports", summary="Community Supports referrals")
async def supports(
    asked: Annotated[SupportQuery, Query()], call: Annotated[Call, allowed(*READERS)]
) -> Listing[ShownSupport]:
    """A provider sees those of the members it serves, a plan those of its members, least recently changed first."""
    wanted = Selection("*", "support", asked.start(), asked.fetch)
    if asked.status is not None:
        wanted.where("status = ?", asked.status)
    if asked.referral is not None:
        wanted.where("referral = ?", asked.referral)
        # Of one member there are few, found by an index of their own.
        wanted.ordered = False
    rows = await visible_page(call.service.readers, call.client, wanted, KEYS)
    return await listing(call, asked, rows, _shown)


@router.get("/v1/supports/{id:key}", summary="One Community Support")
async def support(id: Id, call: Annotated[Call, allowed(*READERS)]) -> ShownSupport:
    """The state of the row."""
    row = await _row(call, id)
    call.etag(row["n"])
    return _shown(row)


@router.post(
    "/v1/supports/{id:key}:accept",
    summary="Record that the Community Supports provider accepts",
    responses=refused("illegal-move"),
)
async def accept_support(
    id: Id, body: MoveBody, call: Annotated[Call, allowed(Role.PROVIDER)]
) -> ShownSupport:
    """Recorded by the lead care manager, who follows it."""
    return await _moved(call, id, body, "accepted")


@router.post(
    "/v1/supports/{id:key}:decline",
    summary="Record that the Community Supports provider declines",
    responses=refused("illegal-move"),
)
async def decline_support(
    id: Id, body: MoveBody, call: Annotated[Call, allowed(Role.PROVIDER)]
) -> ShownSupport:
    """The request ends; the lead care manager may ask another provider."""
    return await _moved(call, id, body, "declined")


@router.post(
    "/v1/supports/{id:key}:done",
    summary="Record that the member received the service",
    responses=refused("illegal-move"),
)
async def finish_support(
    id: Id, body: MoveBody, call: Annotated[Call, allowed(Role.PROVIDER)]
) -> ShownSupport:
    """Its loop is closed: the member received the service."""
    return await _moved(call, id, body, "done")


async def _moved(call: Call, id: str, body: MoveBody, to: Move) -> ShownSupport:
    row = await _row(call, id)
    call.check_match(row["n"])
    command = MoveSupport(support=row["id"], to=to, acted_by=call.acted_by(body.acted_by))
    outcome = await call.submit(row["referral"], command)
    call.etag(outcome.n)
    return _from_state(row["id"], row["referral"], outcome.state)


async def _row(call: Call, id: str) -> Mapping[str, Any]:
    return await visible_row(
        call.service.readers,
        call.client,
        f"""SELECT *, (SELECT n FROM referral r WHERE r.id = support.referral) AS n
            FROM support WHERE id = $1 AND {OWN}""",  # noqa: S608 own fragments
        id,
        keys=KEYS,
    )


def _shown(row: Mapping[str, Any]) -> ShownSupport:
    return ShownSupport(
        id=row["id"],
        referral=row["referral"],
        code=row["code"],
        name=CommunitySupport.label_of(row["code"]),
        status=row["status"],
        allowed=moves(row["status"]),
        updated_at=row["at"],
        provider=row["serving"] or None,
    )


def _from_state(name: str, referral: str, state: Referral) -> ShownSupport:
    kept = state.supports[name]
    row = {"id": name, "referral": referral, "code": kept.code, "status": kept.status, "at": kept.at}
    return _shown(row | {"serving": kept.provider})
