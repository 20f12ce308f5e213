"""The routes of Community Supports referrals: asked for by the lead care manager, followed until the service is given."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from loopkeeper.contract.blanks import BlankIsMissing
from loopkeeper.contract.calendar import la_date
from loopkeeper.contract.decider import Refused
from loopkeeper.contract.events import ActedBy
from loopkeeper.contract.vocabulary.supports import CommunitySupport
from loopkeeper.http.app import Listing, Page, listing, not_found
from loopkeeper.http.route import Api, Call, Reply, check_match
from loopkeeper.runtime.service import Context
from loopkeeper.security.organizations import Role
from loopkeeper.store.definition import Submission
from loopkeeper.store.row_access import own_key, reading
from referral_intake.api.referrals import Person, row_of, state_of
from referral_intake.api.views import reader
from referral_intake.domain.commands import AskSupport, Move, MoveSupport
from referral_intake.domain.form.form import Slug
from referral_intake.domain.state import Referral
from referral_intake.domain.supports import moves

api = Api("intake")
READERS = (Role.PROVIDER, Role.PLAN, Role.OPERATIONS)
OWN = ("plan_id", "provider_id")


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


@api.route(
    "POST",
    "/v1/referrals/{id}/supports",
    roles=(Role.PROVIDER,),
    summary="Ask for a Community Support",
    body=SupportBody,
    answers={201: ShownSupport},
    refusals=("unknown-service", "illegal-move"),
    example={"code": "medically_tailored_meals", "acted_by": {"person": "luis-ortega"}},
)
async def ask(call: Call[SupportBody, Context]) -> Reply:
    """The lead care manager of an accepted member refers to a Community Support."""
    row = await row_of(call)
    if reader(call.client, state_of(row)) != "provider":
        raise not_found()
    body, context = call.body, call.service
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
        acted_by=_acted_by(call, body.acted_by),
    )
    outcome = await context.store.submit(
        Submission(call.claim, row["id"], command, body_hash=call.body_hash, traceparent=call.traceparent)
    )
    name = _asked(outcome.state, outcome.events)
    shown = _from_state(name, row["id"], outcome.state)
    return Reply(201, shown, {"Location": f"/v1/supports/{name}"}, etag=outcome.n)


def _asked(state: Referral, events: tuple[Any, ...]) -> str:
    """The support this request made; for a repeated one the newest, which it made the first time."""
    return events[0].support if events else max(state.supports)


@api.route(
    "GET",
    "/v1/supports",
    roles=READERS,
    summary="Community Supports referrals",
    query=SupportQuery,
    answers={200: Listing[ShownSupport]},
)
async def supports(call: Call[None, Context, SupportQuery]) -> Reply:
    """Those of the members one serves, or of a plan's, least recently changed first."""
    asked, start = call.query, call.query.start()
    own, mine = own_key(call.client, 6, OWN)
    async with reading(call.service.readers, call.client) as connection:
        rows = await connection.fetch(
            f"""SELECT * FROM support WHERE ("at", id) > ($1, $2) AND ($3::text IS NULL OR status = $3)
                AND ($4::text IS NULL OR referral = $4) AND {own} ORDER BY "at", id LIMIT $5""",  # noqa: S608
            start.at,
            start.id,
            asked.status,
            asked.referral,
            asked.fetch,
            *mine,
        )
    return listing(call, rows, _shown)


@api.route(
    "GET", "/v1/supports/{id}", roles=READERS, summary="One Community Support", answers={200: ShownSupport}
)
async def support(call: Call[None, Context]) -> Reply:
    """How it stands."""
    row = await _row(call)
    return Reply(200, _shown(row), etag=row["n"])


@api.route(
    "POST",
    "/v1/supports/{id}:accept",
    roles=(Role.PROVIDER,),
    summary="The Community Supports provider takes it",
    body=MoveBody,
    answers={200: ShownSupport},
    refusals=("illegal-move",),
)
async def accept(call: Call[MoveBody, Context]) -> Reply:
    """Recorded by the lead care manager, who follows it."""
    return await _move(call, "accepted")


@api.route(
    "POST",
    "/v1/supports/{id}:decline",
    roles=(Role.PROVIDER,),
    summary="It is declined",
    body=MoveBody,
    answers={200: ShownSupport},
    refusals=("illegal-move",),
)
async def decline(call: Call[MoveBody, Context]) -> Reply:
    """Its loop ends; the lead care manager may ask another provider anew."""
    return await _move(call, "declined")


@api.route(
    "POST",
    "/v1/supports/{id}:done",
    roles=(Role.PROVIDER,),
    summary="The service was given",
    body=MoveBody,
    answers={200: ShownSupport},
    refusals=("illegal-move",),
)
async def done(call: Call[MoveBody, Context]) -> Reply:
    """Its loop is closed: the member received the service."""
    return await _move(call, "done")


async def _move(call: Call[MoveBody, Context], to: Move) -> Reply:
    row = await _row(call)
    check_match(call, row["n"])
    command = MoveSupport(support=row["id"], to=to, acted_by=_acted_by(call, call.body.acted_by))
    outcome = await call.service.store.submit(
        Submission(
            call.claim, row["referral"], command, body_hash=call.body_hash, traceparent=call.traceparent
        )
    )
    return Reply(200, _from_state(row["id"], row["referral"], outcome.state), etag=outcome.n)


async def _row(call: Call[Any, Context]) -> Mapping[str, Any]:
    own, mine = own_key(call.client, 2, OWN)
    async with reading(call.service.readers, call.client) as connection:
        row = await connection.fetchrow(
            f"""SELECT *, (SELECT n FROM referral r WHERE r.id = support.referral) AS n
                FROM support WHERE id = $1 AND {own}""",  # noqa: S608 own fragments
            call.path["id"],
            *mine,
        )
    if row is None:
        raise not_found()
    return row


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


def _acted_by(call: Call[Any, Context], person: Person | None) -> ActedBy:
    return ActedBy(organization=call.client.organization, person=person.person if person else "")
