"""The routes of what a named person decides: a request, a grant, a term."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from authorization.api.bodies import (
    ApproveBody,
    Decided,
    DenyBody,
    EndBody,
    ModifyBody,
    OverturnBody,
    PendBody,
    Person,
)
from authorization.api.requests import row_of, shown, state_of
from authorization.api.views import ShownAuthorization
from authorization.domain import commands
from loopkeeper.contract.calendar import la_date
from loopkeeper.contract.decider import Command
from loopkeeper.contract.events import ActedBy
from loopkeeper.http.old import Api, Call, Reply, check_match
from loopkeeper.runtime.service import Context
from loopkeeper.security.organizations import Role
from loopkeeper.security.sealing import AuditRow
from loopkeeper.store.definition import Submission

api = Api("authorization")
ACTED = {"acted_by": {"person": "maria-chen", "title": "UM nurse"}}


def decision(
    action: str,
    body: type[Decided],
    *,
    summary: str,
    refusals: Iterable[str],
    example: Mapping[str, Any],
    roles: Iterable[Role] = (Role.PLAN,),
) -> Callable[[Any], Any]:
    """One more thing that a named person may decide of an authorization; it answers how the request then stands."""
    return api.route(
        "POST",
        f"/v1/authorizations/{{id}}:{action}",
        roles=roles,
        summary=summary,
        body=body,
        answers={200: ShownAuthorization},
        refusals=refusals,
        example=example,
    )


# ── the request ────────────────────────────────────────────────────────────────────────────────────────────────


@decision(
    "approve",
    ApproveBody,
    summary="Approve, as a named person",
    refusals=("person-required", "already-decided", "illegal-move"),
    example=ACTED,
)
async def approve(call: Call[ApproveBody, Context]) -> Reply:
    """A named person of the plan approves; a decision made in the plan's own system gives `external_number`."""
    body = call.body
    command = commands.Approve(
        acted_by=_acted_by(call),
        populations=body.populations,
        external_number=body.external_number,
        enrolled_on=body.enrolled_on,
    )
    return await _decided(call, command)


@decision(
    "modify",
    ModifyBody,
    summary="Approve some populations and deny the others, as a named person",
    refusals=("person-required", "reason-unknown", "reason-forbidden", "already-decided", "illegal-move"),
    example={**ACTED, "populations": ["homelessness"], "reason": "criteria_not_met"},
)
async def modify(call: Call[ModifyBody, Context]) -> Reply:
    """Adverse in part: the denied part has its reason, citation, rights and notice, as a denial has."""
    body = call.body
    command = commands.Modify(
        acted_by=_acted_by(call),
        populations=body.populations,
        reason=body.reason,
        licensed=bool(body.acted_by.licence),
        citation=body.citation,
        external_number=body.external_number,
    )
    return await _decided(call, command)


@decision(
    "deny",
    DenyBody,
    summary="Deny, as a named person",
    refusals=("person-required", "reason-unknown", "reason-forbidden", "already-decided", "illegal-move"),
    example={
        "acted_by": {"person": "maria-chen", "title": "Medical director", "licence": "A12345"},
        "reason": "criteria_not_met",
    },
)
async def deny(call: Call[DenyBody, Context]) -> Reply:
    """A named person of the plan denies, for a reason of the list; some reasons need a licensed person."""
    body = call.body
    command = commands.Deny(
        acted_by=_acted_by(call),
        reason=body.reason,
        licensed=bool(body.acted_by.licence),
        citation=body.citation,
        external_number=body.external_number,
        provider_told=body.provider_told,
    )
    return await _decided(call, command)


@decision(
    "pend",
    PendBody,
    summary="Ask for data elements of the standard, as a named person; the clock stands still, the cap does not",
    refusals=("person-required", "reason-forbidden", "already-decided", "illegal-move"),
    example={**ACTED, "asks": ["birth-date"]},
)
async def pend(call: Call[PendBody, Context]) -> Reply:
    """Only what the referral standard has may be asked: no ICD-10 code, no TAR, no proof of homelessness."""
    return await _decided(call, commands.Pend(acted_by=_acted_by(call), asks=call.body.asks))


@decision(
    "resume",
    Decided,
    summary="Let the clock run on, as a named person",
    refusals=("person-required", "already-decided", "illegal-move"),
    example=ACTED,
)
async def resume(call: Call[Decided, Context]) -> Reply:
    """The clock runs on from where it stood. It also does when the answers come, or the time for them is over."""
    return await _decided(call, commands.Resume(acted_by=_acted_by(call)))


@decision(
    "revoke-grant",
    Decided,
    summary="End a presumptive grant, as a named person",
    refusals=("person-required", "no-live-grant"),
    example=ACTED,
)
async def revoke_grant(call: Call[Decided, Context]) -> Reply:
    """The grant ends with today; the request itself stays to be decided."""
    return await _decided(call, commands.RevokeGrant(acted_by=_acted_by(call)))


@decision(
    "overturn",
    OverturnBody,
    summary="Record that an appeal or a hearing overturned the denial",
    refusals=("person-required", "not-denied", "already-decided", "illegal-move"),
    example=ACTED,
)
async def overturn(call: Call[OverturnBody, Context]) -> Reply:
    """A linked referral follows, authorized, within one business day."""
    on = call.body.on or la_date(call.service.clock.now())
    return await _decided(call, commands.Overturn(acted_by=_acted_by(call), on=on))


# ── the term ──────────────────────────────────────────────────────────────────────────────────────────────


@decision(
    "end",
    EndBody,
    summary="End the term, as a named person, by a discontinuation code",
    refusals=("person-required", "code-unknown", "term-ended", "illegal-move"),
    example={**ACTED, "code": 1},
)
async def end(call: Call[EndBody, Context]) -> Reply:
    """The effect waits until the member's notice is ten calendar days old."""
    body = call.body
    command = commands.End(
        acted_by=_acted_by(call), code=body.code, on=body.on, external_number=body.external_number
    )
    return await _decided(call, command)


@decision(
    "continue",
    Decided,
    summary="Judge that the term goes on, as a named person",
    refusals=("person-required", "term-ended", "illegal-move"),
    example=ACTED,
)
async def go_on(call: Call[Decided, Context]) -> Reply:
    """What might have ended the term does not; a notice that it would end is taken back."""
    return await _decided(call, commands.Continue(acted_by=_acted_by(call)))


@decision(
    "request-reauthorization",
    Decided,
    summary="Ask for another term, as the provider that serves",
    roles=(Role.PROVIDER,),
    refusals=("person-required", "term-ended", "already-requested"),
    example={"acted_by": {"person": "luis-ortega", "title": "Lead care manager"}},
)
async def request_reauthorization(call: Call[Decided, Context]) -> Reply:
    """Asked for before the end, it keeps the term alive until the plan has decided."""
    command = commands.RequestReauthorization(acted_by=_acted_by(call), provider=call.client.organization)
    return await _decided(call, command, ("provider_id",))


# ── how ───────────────────────────────────────────────────────────────────────────────────────────────────


def _acted_by(call: Call[Any, Context]) -> ActedBy:
    return ActedBy(organization=call.client.organization, person=call.body.acted_by.person)


async def _decided(call: Call[Any, Context], command: Command, keys: tuple[str, ...] = ("plan_id",)) -> Reply:
    row = await row_of(call, keys)
    check_match(call, row["n"])
    outcome = await call.service.store.submit(
        Submission(
            call.claim,
            row["referral"],
            command,
            body_hash=call.body_hash,
            traceparent=call.traceparent,
            audit=_stated(call, row, command),
        )
    )
    after = {"referral": row["referral"], "at": call.service.clock.now()}
    return Reply(200, shown(call, after, outcome.state), etag=outcome.n)


def _stated(call: Call[Any, Context], row: Mapping[str, Any], command: Command) -> AuditRow:
    """Who decided, with title and licence as the client states them (loop.md 1.4); events carry only the id."""
    person: Person = call.body.acted_by
    stated = ", ".join(
        part for part in (person.title, f"licence {person.licence}" if person.licence else "") if part
    )
    return AuditRow(
        call.service.clock.now(),
        call.client.organization,
        call.client.id,
        state_of(row).plan,
        row["referral"],
        (),
        (),
        f"{type(command).__name__} by {person.person}{f' ({stated})' if stated else ''}",
    )
