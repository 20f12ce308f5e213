"""The routes of referrals: receive, read, follow, withdraw."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from loopkeeper.contract import ids
from loopkeeper.contract.blanks import BlankIsMissing
from loopkeeper.contract.decider import Command
from loopkeeper.contract.events import ProviderRecorded
from loopkeeper.http.call import allowed
from loopkeeper.http.lean import Lean
from loopkeeper.http.paging import Listing, Page, listing, made
from loopkeeper.http.person import Person
from loopkeeper.http.route import Id, Operation, example, refused
from loopkeeper.kernel.errors import FieldError, Problem, field_invalid, not_found
from loopkeeper.runtime.service import Call, RunningService
from loopkeeper.security.organizations import Client, OrganizationKind, Role
from loopkeeper.store.provider_copy import read_text
from loopkeeper.store.row_access import OWN, reading, visible_row
from referral_intake.api.receipt import Receipt, receipt
from referral_intake.api.reception import prepare
from referral_intake.api.views import ShownEvent, ShownReferral, knows_release, reader, show, show_event
from referral_intake.domain.commands import ReceiveReferral, WithdrawReferral
from referral_intake.domain.form.examples import example_adult, example_child
from referral_intake.domain.form.form import ReferralBody
from referral_intake.domain.state import Referral, Status
from referral_intake.persistence.columns import READ_COLUMNS
from referral_intake.persistence.worklists import DueIn, Wanted, by_change, by_due, counts, since

router = APIRouter(tags=["intake"], route_class=Operation)
# The route that a whole day's traffic goes through.
lean = APIRouter(tags=["intake"], route_class=Lean)
READERS = (Role.REFERRER, Role.PROVIDER, Role.PLAN, Role.OPERATIONS)


class ReferralQuery(Page):
    status: Status | None = Field(None, description="Only referrals with this status")
    plan: str | None = Field(None, max_length=60, description="Only this plan's")
    population: str | None = Field(
        None, max_length=40, description="Only with this population met or claimed"
    )
    county: str | None = Field(
        None, max_length=40, description="Only open loops of this county; not for operations"
    )
    open: bool | None = Field(None, description="Only open loops, or only closed ones")
    actor: Literal["plan", "provider", "referrer", "loopkeeper"] | None = Field(
        None, description="Only open loops in which these must act"
    )
    step: str | None = Field(
        None, max_length=40, description="Only open loops with this next step, by its code"
    )
    due: DueIn | None = Field(
        None, description="Only open loops whose next step is late, due within two days, later, or at no time"
    )
    possible_duplicate: bool | None = Field(
        None,
        description="Only open loops that may be another's member, or only others; for plans, who judge it",
    )
    order: Literal["changed", "due"] = Field(
        "changed", description="`due`: open loops only, earliest due first, without a deadline last"
    )

    def wanted(self, client: Client) -> Wanted:
        """The rows that are asked for. Raises 422 where this caller may not ask so."""
        if self.county is not None:
            _not_for_operations(client, "county")
        if self.possible_duplicate is not None and client.roles - {Role.PLAN}:
            fix = "Leave it out: whether two are one member is for the plan to know and to judge."
            raise field_invalid(FieldError(pointer="query/possible_duplicate", rule="plans-only", fix=fix))
        return Wanted(
            status=self.status,
            plan=self.plan,
            population=self.population,
            county=self.county,
            actor=self.actor,
            step=self.step,
            due=self.due,
            possible_duplicate=self.possible_duplicate,
            open=True if self.order == "due" else self.open,
        )


def _not_for_operations(client: Client, name: str) -> None:
    if Role.OPERATIONS in client.roles:
        fix = "Leave it out: operations see states and times."
        raise field_invalid(FieldError(pointer=f"query/{name}", rule="not-for-operations", fix=fix))


class ReferralCounts(BaseModel):
    """How many open loops there are: all, and by each of these. `late`, `soon` (within two days), `on_time` and `none`
    say the state of the next step's deadline."""

    model_config = ConfigDict(frozen=True)

    now: datetime
    open: int
    status: Mapping[str, int]
    actor: Mapping[str, int]
    step: Mapping[str, int]
    due: Mapping[str, int]
    plan: Mapping[str, int] | None = Field(None, description="With by=plan")
    county: Mapping[str, int] | None = Field(None, description="With by=county")


class CountQuery(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    plan: str | None = Field(None, max_length=60, description="Only this plan's")
    county: str | None = Field(None, max_length=40, description="Only of this county; not for operations")
    actor: Literal["plan", "provider", "referrer", "loopkeeper"] | None = None
    step: str | None = Field(None, max_length=40, description="Only with this next step, by its code")
    due: DueIn | None = None
    by: tuple[Literal["plan", "county"], ...] = Field(
        (), max_length=2, description="Count by these too; county not for operations"
    )


class TimelineQuery(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    limit: int = Field(
        1000, ge=1, le=1000, description="Events a page, counting those that are not for the reader"
    )
    cursor: str | None = Field(None, pattern=r"^\d{1,9}$", description="next_cursor of the page before")


class Timeline(BaseModel):
    """What happened, in the order it was learned, as far as the reader may see it. `next_cursor` null: that was all."""

    model_config = ConfigDict(frozen=True)

    items: tuple[ShownEvent, ...]
    next_cursor: str | None = None


class WithdrawBody(BlankIsMissing):
    """`referrer` withdraws before authorization, `member` at any time."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    by: Literal["referrer", "member"]
    acted_by: Person


# ── receive ───────────────────────────────────────────────────────────────────────────────────────────────


@lean.post(
    "/v1/referrals",
    status_code=201,
    summary="Refer a member",
    responses=refused("not-identifiable", "unknown-plan", status=422),
)
async def receive(
    body: Annotated[ReferralBody, example(adult=example_adult(), child=example_child())],
    call: Annotated[Call, allowed(Role.REFERRER, Role.PROVIDER, Role.PLAN)],
) -> Receipt:
    """Receive a referral under the universal standard. What is missing is asked for, not refused; only a person
    nobody could find is. The same Idempotency-Key and body answer with the same referral."""
    context = call.service
    check_plan(context, call.client, body.plan)
    await _check_family(call, body.family_of)
    stream, now = ids.new("ref"), context.clock.now()
    prepared = prepare(context, body, referrer=call.client.organization, stream=stream, at=now)
    received = prepared.received
    if (by := call.signed_in) is not None:
        received = received.model_copy(update={"acted_by": by})
    command = ReceiveReferral(received=received, questions=prepared.questions, keys=prepared.keys)
    outcome = await call.submit(stream, command)
    provider = await _directory_entry(call) if body.presumptive is not None else None
    call.location(f"/v1/referrals/{outcome.stream}")
    call.etag(outcome.n)
    return receipt(outcome.stream, outcome.state, prepared.screening, provider, context.policy)


async def _check_family(call: Call, relative: str | None) -> None:
    """Raise `field-invalid` unless the relative's referral is one the caller sent: of others' nothing is learned."""
    if relative is None:
        return
    async with reading(call.service.readers, call.client) as connection:
        known = await connection.fetchval(
            "SELECT 1 FROM referral WHERE id = $1 AND referrer_id = $2", relative, call.client.organization
        )
    if known is None:
        fix = "Name a referral that you sent, or omit the field."
        raise field_invalid(FieldError(pointer="/family_of", rule="not-yours", fix=fix))


async def _directory_entry(call: Call) -> ProviderRecorded | None:
    """The caller's own entry, as far as the directory is known here."""
    async with reading(call.service.readers, call.client) as connection:
        entry = await connection.fetchval(
            "SELECT entry FROM provider WHERE id = $1", call.client.organization
        )
    return read_text(entry) if entry else None


def check_plan(context: RunningService, client: Client, slug: str) -> None:
    """Raise `unknown-plan` unless this is a plan served here, and, for a plan's own key, that plan."""
    plan = context.directory.organization(slug)
    own = Role.PLAN not in client.roles or client.organization == slug
    if plan is None or plan.kind is not OrganizationKind.PLAN or not own:
        raise Problem(
            422,
            "unknown-plan",
            "The plan named is not served here.",
            fix="Send the id of a plan served here.",
            errors=[
                {"pointer": "/plan", "rule": "unknown-plan", "fix": "Send the id of a plan served here."}
            ],
        )


# ── read ──────────────────────────────────────────────────────────────────────────────────────────────────


@router.get("/v1/referrals", summary="Referrals")
async def referrals(
    asked: Annotated[ReferralQuery, Query()], call: Annotated[Call, allowed(*READERS)]
) -> Listing[ShownReferral]:
    """The referrals this key may see, least recently changed first. Filters by county, actor, step or deadline are about
    open loops, which are shown by what is due next."""
    client, now, context = call.client, call.service.clock.now(), call.service
    wanted = asked.wanted(client)
    if not wanted.of_open:
        start = asked.start()
        rows = await by_change(context.readers, client, wanted, start, asked.fetch)
        key = "at"
    else:
        if asked.updated_since is not None:
            fix = "Open loops by deadline are always as they are now: leave it out."
            raise field_invalid(FieldError(pointer="query/updated_since", rule="not-with-open", fix=fix))
        rows = await by_due(context.readers, client, wanted, asked.start(), asked.fetch, now)
        key = "due_key"
    moved = await since(context.pool, [row["id"] for row in rows[: asked.limit]])
    return await listing(call, asked, rows, lambda row: show(client, row, state_of(row), now, moved), at=key)


@router.get("/v1/referrals:count", summary="How many loops are open")
async def count(
    asked: Annotated[CountQuery, Query()], call: Annotated[Call, allowed(*READERS)]
) -> ReferralCounts:
    """The open loops this key may see, counted by next actor, by step, status and deadline; with filters only those.
    Closed loops are not counted."""
    now = call.service.clock.now()
    if "county" in asked.by:
        _not_for_operations(call.client, "by")
    wanted = ReferralQuery(**asked.model_dump(exclude={"by"})).wanted(call.client)
    by: list[Literal["county", "plan_id"]] = ["plan_id" if each == "plan" else "county" for each in asked.by]
    found = await counts(call.service.readers, call.client, wanted, now, by)
    return ReferralCounts(
        now=now,
        open=sum(found["due"].values()),
        status=found["status"],
        actor=found["next_actor"],
        step=found["next_step"],
        due=found["due"],
        plan=found.get("plan_id"),
        county=found.get("county"),
    )


@router.get("/v1/referrals/{id:key}", summary="One referral")
async def referral(id: Id, call: Annotated[Call, allowed(*READERS)]) -> ShownReferral:
    """The state of the referral, and its next actor."""
    row = await row_of(call, id)
    call.etag(row["n"])
    moved = await since(call.service.pool, [row["id"]])
    return show(call.client, row, state_of(row), call.service.clock.now(), moved)


@router.get("/v1/referrals/{id:key}/timeline", summary="Timeline of a referral")
async def timeline(
    id: Id, asked: Annotated[TimelineQuery, Query()], call: Annotated[Call, allowed(*READERS)]
) -> Timeline:
    """The loop's events in the order they were learned, in sentences and as codes and values."""
    row = await row_of(call, id)
    async with reading(call.service.readers, call.client) as connection:
        entries = await connection.fetch(
            """SELECT n, id, type, source, at, payload, traceparent FROM journal
               WHERE stream = $1 AND n > $2 ORDER BY n LIMIT $3""",
            id,
            int(asked.cursor or 0),
            asked.limit + 1,
        )
    following = str(entries[asked.limit - 1]["n"]) if len(entries) > asked.limit else None
    state = state_of(row)
    who = reader(call.client, state)
    # Where there was never a release there is nothing to hide.
    knows = not state.release_told_by or knows_release(call.client, who, state)
    shown = await made(
        call, entries[: asked.limit], lambda entry: show_event(who, call.client, entry, knows=knows)
    )
    call.etag(row["n"])
    return Timeline(items=tuple(each for each in shown if each is not None), next_cursor=following)


async def row_of(call: Call, id: str) -> Mapping[str, Any]:
    """The referral's row, if this client may see it. Raises 404 otherwise."""
    return await visible_row(
        call.service.readers,
        call.client,
        f"SELECT {READ_COLUMNS} FROM referral WHERE id = $1 AND status <> '' AND {OWN}",  # noqa: S608
        id,
    )


def state_of(row: Mapping[str, Any]) -> Referral:
    """The referral's state in this row."""
    return Referral.model_validate_json(row["state"])


# ── withdraw ──────────────────────────────────────────────────────────────────────────────────────────────


@router.post(
    "/v1/referrals/{id:key}:withdraw",
    summary="Withdraw a referral",
    responses=refused("already-closed", "already-authorized"),
)
async def withdraw(
    id: Id, body: WithdrawBody, call: Annotated[Call, allowed(Role.REFERRER, Role.PLAN)]
) -> ShownReferral:
    """Take the referral back: the referrer before authorization, the member at any time."""
    row = await row_of(call, id)
    who = reader(call.client, state_of(row))
    if who not in ("referrer", "plan"):
        raise not_found()
    if body.by == "referrer" and who != "referrer":
        raise Problem(
            422,
            "field-invalid",
            "Only the referrer can withdraw as the referrer.",
            errors=[
                {"pointer": "/by", "rule": "not-the-referrer", "fix": "Send `member` if the member withdrew."}
            ],
        )
    call.check_match(row["n"])
    return await submitted(call, row, WithdrawReferral(by=body.by, acted_by=call.acted_by(body.acted_by)))


async def submitted(
    call: Call, row: Mapping[str, Any], command: Command, *, other_streams: tuple[str, ...] = ()
) -> ShownReferral:
    """Apply this to the row's referral; answer with its state after it."""
    outcome = await call.submit(row["id"], command, other_streams=other_streams)
    after = {"id": row["id"], "created_at": row["created_at"], "at": call.service.clock.now()}
    call.etag(outcome.n)
    return show(call.client, after, outcome.state, after["at"])
