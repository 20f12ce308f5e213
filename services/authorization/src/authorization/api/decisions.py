"""The routes of what a named person decides: a request, a grant, a term."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from fastapi import APIRouter
from pydantic import ConfigDict, Field

from authorization.api.requests import row_of, shown, state_of
from authorization.api.views import ShownAuthorization
from authorization.domain import commands
from loopkeeper.contract.blanks import BlankIsMissing
from loopkeeper.contract.calendar import la_date
from loopkeeper.contract.decider import Command
from loopkeeper.contract.events import Unmet
from loopkeeper.contract.field_types import Code, DecisionDay, TermDay, YesNo
from loopkeeper.http.call import allowed
from loopkeeper.http.person import Person
from loopkeeper.http.route import Id, Operation, example, refused
from loopkeeper.runtime.service import Call
from loopkeeper.security.organizations import Role
from loopkeeper.security.sealing import AuditRow

router = APIRouter(tags=["authorization"], route_class=Operation)
ACTED = {"acted_by": {"person": "maria-chen", "title": "UM nurse"}}


class DecidingPerson(Person):
    """The named person who decides, as the organization states it."""

    # May be empty: that nobody is named is for the rules to refuse, as `person-required`.
    person: str = Field(description="The organization's own staff id")
    licence: str = Field(default="", description="Needed for a denial that judges criteria")


class Decided(BlankIsMissing):
    """What a named person does. `dry_run`: the answer shows the state the request would have, its dates and rights,
    and nothing is kept."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True, str_max_length=500)

    acted_by: DecidingPerson
    dry_run: bool = False


class ApproveBody(Decided):
    """`populations`: those of the referral that are approved; none for all that are met (or, where none is, claimed).
    Of a reauthorization that waits, the yes to it. `enrolled_on`: after a release, from when the member is the plan's."""

    populations: tuple[str, ...] = Field((), max_length=9)
    external_number: str = Field(default="", max_length=120)
    enrolled_on: TermDay | None = None


class UnmetCriterion(BlankIsMissing):
    """What of one population is not met. `criterion`: one of `criteria` of that population, at the request; empty where it
    has none. `why`: in words that the member reads too; they name nobody."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)

    population: str = Field(max_length=60)
    criterion: str = Field(default="", max_length=60)
    why: str = Field(default="", max_length=500)


OF_CRITERIA = "Of criteria_not_met: for each population that is denied, which criterion is not met, and why"


class ModifyBody(Decided):
    """`populations` are approved, the others asked for are denied for this reason."""

    populations: tuple[str, ...] = Field(min_length=1, max_length=9)
    reason: str = Field(max_length=60)
    unmet: tuple[UnmetCriterion, ...] = Field((), max_length=9, description=OF_CRITERIA)
    citation: str = ""
    external_number: str = Field(default="", max_length=120)


class DenyBody(Decided):
    """A denial's reason is one of the list; there is no `other`. `provider_told`: the plan has told the provider that
    serves under a grant by its own means; otherwise the grant ends when our notice has reached it."""

    reason: str = Field(max_length=60)
    unmet: tuple[UnmetCriterion, ...] = Field((), max_length=9, description=OF_CRITERIA)
    citation: str = ""
    external_number: str = Field(default="", max_length=120)
    provider_told: YesNo = False


class PendBody(Decided):
    """`asks`: ids of the form's questions, such as `birth-date` or `answer-complex_need`."""

    asks: tuple[str, ...] = Field(min_length=1, max_length=20)


class OverturnBody(Decided):
    """`on`: the day of the appeal's or the hearing's decision; today if none is given."""

    on: DecisionDay | None = None


class AppealBody(Decided):
    """`on`: the day on which the member appealed; today if none is given."""

    on: DecisionDay | None = None


class EndTermBody(Decided):
    """`code`: why, 1 to 15. `on`: the last day of the term; none for the first that the notice allows. `without_notice`:
    why the notice may be sent by that very day (42 CFR 431.213): the death is confirmed, the member wished it in
    writing and signed, an institution makes ineligible, or mail came back and nobody knows where the member is."""

    code: Code
    without_notice: Literal["", "death_confirmed", "signed_wish", "institution", "mail_returned"] = ""
    on: DecisionDay | None = None
    external_number: str = Field(default="", max_length=120)


class ReauthorizeBody(Decided):
    """`urgency`: expedited where the wait could seriously harm the member; sent again, it makes urgent what waits."""

    urgency: Literal["routine", "expedited"] = "routine"


# ── the request ───────────────────────────────────────────────────────────────────────────────────────────


@router.post(
    "/v1/authorizations/{id:key}:approve",
    summary="Approve, as a named person",
    responses=refused("person-required", "already-decided", "illegal-move"),
)
async def approve(
    id: Id, body: Annotated[ApproveBody, example(ACTED)], call: Annotated[Call, allowed(Role.PLAN)]
) -> ShownAuthorization:
    """A named person of the plan approves; a decision made in the plan's own system gives `external_number`."""
    command = commands.Approve(
        acted_by=call.acted_by(body.acted_by),
        populations=body.populations,
        external_number=body.external_number,
        enrolled_on=body.enrolled_on,
    )
    return await _decided(call, id, body, command)


@router.post(
    "/v1/authorizations/{id:key}:modify",
    summary="Approve some populations and deny the others, as a named person",
    responses=refused(
        "person-required",
        "reason-unknown",
        "reason-forbidden",
        "criterion-required",
        "already-decided",
        "illegal-move",
    ),
)
async def modify(
    id: Id,
    body: Annotated[
        ModifyBody,
        example(
            {
                **ACTED,
                "populations": ["homelessness"],
                "reason": "criteria_not_met",
                "unmet": [
                    {
                        "population": "avoidable_utilization",
                        "criterion": "avoidable_stays_6m",
                        "why": "Your hospital stays of this year were planned ones.",
                    }
                ],
            }
        ),
    ],
    call: Annotated[Call, allowed(Role.PLAN)],
) -> ShownAuthorization:
    """Adverse in part: the denied part has its reason, citation, rights and notice, as a denial has, and says which
    criterion is not met where that is the reason."""
    command = commands.Modify(
        acted_by=call.acted_by(body.acted_by),
        populations=body.populations,
        reason=body.reason,
        licensed=bool(body.acted_by.licence),
        unmet=_unmet(body.unmet),
        citation=body.citation,
        external_number=body.external_number,
    )
    return await _decided(call, id, body, command)


@router.post(
    "/v1/authorizations/{id:key}:deny",
    summary="Deny, as a named person",
    responses=refused(
        "person-required",
        "reason-unknown",
        "reason-forbidden",
        "criterion-required",
        "already-decided",
        "illegal-move",
    ),
)
async def deny(
    id: Id,
    body: Annotated[
        DenyBody,
        example(
            {
                "acted_by": {"person": "maria-chen", "title": "Medical director", "licence": "A12345"},
                "reason": "criteria_not_met",
                "unmet": [
                    {
                        "population": "homelessness",
                        "criterion": "losing_housing_30d",
                        "why": "You told us that you have a lease for the next year.",
                    }
                ],
            }
        ),
    ],
    call: Annotated[Call, allowed(Role.PLAN)],
) -> ShownAuthorization:
    """A named person of the plan denies, for a reason of the list; some reasons need a licensed person. One for
    `criteria_not_met` says of each population which criterion of its own is not met, and why."""
    command = commands.Deny(
        acted_by=call.acted_by(body.acted_by),
        reason=body.reason,
        licensed=bool(body.acted_by.licence),
        unmet=_unmet(body.unmet),
        citation=body.citation,
        external_number=body.external_number,
        provider_told=body.provider_told,
    )
    return await _decided(call, id, body, command)


@router.post(
    "/v1/authorizations/{id:key}:pend",
    summary="Ask for data elements of the standard, as a named person; the clock is paused, the cap is not",
    responses=refused("person-required", "reason-forbidden", "already-decided", "illegal-move"),
)
async def pend(
    id: Id,
    body: Annotated[PendBody, example({**ACTED, "asks": ["birth-date"]})],
    call: Annotated[Call, allowed(Role.PLAN)],
) -> ShownAuthorization:
    """Only what the referral standard has may be asked: no ICD-10 code, no TAR, no proof of homelessness."""
    return await _decided(
        call, id, body, commands.Pend(acted_by=call.acted_by(body.acted_by), asks=body.asks)
    )


@router.post(
    "/v1/authorizations/{id:key}:resume",
    summary="Restart the clock, as a named person",
    responses=refused("person-required", "already-decided", "illegal-move"),
)
async def resume(
    id: Id, body: Annotated[Decided, example(ACTED)], call: Annotated[Call, allowed(Role.PLAN)]
) -> ShownAuthorization:
    """The clock runs on from where it was paused. It also does when the answers come, or the time for them is over."""
    return await _decided(call, id, body, commands.Resume(acted_by=call.acted_by(body.acted_by)))


@router.post(
    "/v1/authorizations/{id:key}:revoke-grant",
    summary="End a presumptive grant, as a named person",
    responses=refused("person-required", "no-live-grant"),
)
async def revoke_grant(
    id: Id, body: Annotated[Decided, example(ACTED)], call: Annotated[Call, allowed(Role.PLAN)]
) -> ShownAuthorization:
    """The grant ends today; the request itself stays open for a decision."""
    return await _decided(call, id, body, commands.RevokeGrant(acted_by=call.acted_by(body.acted_by)))


@router.post(
    "/v1/authorizations/{id:key}:overturn",
    summary="Record that an appeal or a hearing overturned the denial",
    responses=refused("person-required", "not-denied", "already-decided", "illegal-move"),
)
async def overturn(
    id: Id, body: Annotated[OverturnBody, example(ACTED)], call: Annotated[Call, allowed(Role.PLAN)]
) -> ShownAuthorization:
    """A linked referral follows, authorized, within one business day."""
    on = body.on or la_date(call.service.clock.now())
    return await _decided(call, id, body, commands.Overturn(acted_by=call.acted_by(body.acted_by), on=on))


# ── the term ──────────────────────────────────────────────────────────────────────────────────────────────


@router.post(
    "/v1/authorizations/{id:key}:end",
    summary="End the term, as a named person, by a discontinuation code",
    responses=refused("person-required", "code-unknown", "term-ended", "illegal-move"),
)
async def end(
    id: Id,
    body: Annotated[EndTermBody, example({**ACTED, "code": 1})],
    call: Annotated[Call, allowed(Role.PLAN)],
) -> ShownAuthorization:
    """The effect waits until the member's notice is ten calendar days old, but for `without_notice`. Asked whether an ending made for lost coverage
    holds now that the member is covered again, this says that it does; `:continue` takes it back."""
    command = commands.End(
        acted_by=call.acted_by(body.acted_by),
        code=body.code,
        on=body.on,
        external_number=body.external_number,
        without_notice=body.without_notice,
    )
    return await _decided(call, id, body, command)


@router.post(
    "/v1/authorizations/{id:key}:appeal",
    summary="Record that the member appealed against the end of the term",
    responses=refused("person-required", "term-ended", "already-requested", "too-late", "illegal-move"),
)
async def appeal(
    id: Id, body: Annotated[AppealBody, example(ACTED)], call: Annotated[Call, allowed(Role.PLAN)]
) -> ShownAuthorization:
    """Made by the day on which the term was to end, the term goes on until the appeal is resolved: by `:continue` for the
    member, by `:end` where the ending is upheld. A hearing against an upheld ending is recorded here too."""
    on = body.on or la_date(call.service.clock.now())
    return await _decided(call, id, body, commands.Appeal(acted_by=call.acted_by(body.acted_by), on=on))


@router.post(
    "/v1/authorizations/{id:key}:continue",
    summary="Judge that the term goes on, as a named person",
    responses=refused("person-required", "term-ended", "illegal-move"),
)
async def go_on(
    id: Id, body: Annotated[Decided, example(ACTED)], call: Annotated[Call, allowed(Role.PLAN)]
) -> ShownAuthorization:
    """The term goes on; a notice that it would end is withdrawn."""
    return await _decided(call, id, body, commands.Continue(acted_by=call.acted_by(body.acted_by)))


@router.post(
    "/v1/authorizations/{id:key}:request-reauthorization",
    summary="Ask for another term, as the provider that serves",
    responses=refused("person-required", "term-ended", "already-requested"),
)
async def request_reauthorization(
    id: Id,
    body: Annotated[
        ReauthorizeBody, example({"acted_by": {"person": "luis-ortega", "title": "Lead care manager"}})
    ],
    call: Annotated[Call, allowed(Role.PROVIDER)],
) -> ShownAuthorization:
    """Asked for before the end, it keeps the term alive until the plan has decided. An urgent one is decided within 72
    hours; what waits as routine is made urgent by asking again."""
    command = commands.RequestReauthorization(
        acted_by=call.acted_by(body.acted_by), provider=call.client.organization, urgency=body.urgency
    )
    return await _decided(call, id, body, command, ("provider_id",))


# ── how ───────────────────────────────────────────────────────────────────────────────────────────────────


async def _decided(
    call: Call, id: str, body: Decided, command: Command, keys: tuple[str, ...] = ("plan_id",)
) -> ShownAuthorization:
    """Apply this to the authorization's referral; answer with the state of the request after it."""
    row = await row_of(call, id, keys)
    call.check_match(row["n"])
    if body.dry_run:
        outcome = await call.consider(row["referral"], command)
    else:
        said = _stated(call, row, body.acted_by, command)
        outcome = await call.submit(row["referral"], command, audit=said)
        call.etag(outcome.n)
    after = {"referral": row["referral"], "at": call.service.clock.now()}
    return shown(call, after, outcome.state)


def _unmet(said: Sequence[UnmetCriterion]) -> tuple[Unmet, ...]:
    return tuple(Unmet(population=each.population, criterion=each.criterion, why=each.why) for each in said)


def _stated(call: Call, row: Mapping[str, Any], person: DecidingPerson, command: Command) -> AuditRow:
    """Who decided, with title and licence as the token proves or the client states them (loop.md 1.4); events carry
    only the id."""
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
        person.person,
        call.client.person is not None,
    )
