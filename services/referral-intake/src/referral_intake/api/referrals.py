"""The routes of referrals: receive, read, follow, withdraw, and the plan's roster."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field

from loopkeeper.contract import ids
from loopkeeper.contract.events import ActedBy, ProviderRecorded
from loopkeeper.http.app import Listing, Page, listing, not_found
from loopkeeper.http.route import Api, Call, Reply, check_match
from loopkeeper.kernel.errors import FieldError, Problem, field_invalid
from loopkeeper.runtime.service import Context
from loopkeeper.security.organizations import Client, OrganizationKind, Role
from loopkeeper.store.definition import Submission
from loopkeeper.store.provider_copy import read_entry
from loopkeeper.store.row_access import own_key, reading
from referral_intake.api.receipt import Receipt, receipt
from referral_intake.api.reception import prepare
from referral_intake.api.views import ShownEvent, ShownReferral, reader, show, show_event
from referral_intake.domain.commands import ReceiveReferral, WithdrawReferral
from referral_intake.domain.form.examples import example_adult, example_child
from referral_intake.domain.form.form import ReferralBody
from referral_intake.domain.state import Referral, Status
from referral_intake.persistence.roster import Import, load_roster, loaded_of
from referral_intake.persistence.tables import READ_COLUMNS

api = Api("intake")
READERS = (Role.REFERRER, Role.PROVIDER, Role.PLAN, Role.OPERATIONS)


class ReferralQuery(Page):
    status: Status | None = Field(None, description="Only referrals that stand here")
    plan: str | None = Field(None, max_length=60, description="Only this plan's")
    population: str | None = Field(
        None, max_length=40, description="Only with this population met or claimed"
    )


class Timeline(BaseModel):
    """What happened, in the order it was learned, as far as the reader may see it."""

    model_config = ConfigDict(frozen=True)

    items: tuple[ShownEvent, ...]
    next_cursor: str | None = None


class Person(BaseModel):
    """Who decided, as the client states it (loop.md 1.4)."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True, str_max_length=120)

    person: str = Field(min_length=1, description="The organization's own staff id")
    title: str = ""


class WithdrawBody(BaseModel):
    """`referrer` withdraws before authorization, `member` at any time."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    by: Literal["referrer", "member"]
    acted_by: Person


class RowError(BaseModel):
    line: int
    pointer: str
    rule: str
    fix: str


class RosterResult(BaseModel):
    """How far the import is, and what came of it. Lines refused are named; the others are kept."""

    state: str = Field(
        description="running, waiting for its next part, held for confirm_removals, broken, or done"
    )
    lines: int = Field(description="Lines of the file that are done; the next part begins after them")
    accepted: int
    refused: int
    removed: int = Field(description="Members not in the file: they have left, or would")
    dry_run: bool
    errors: tuple[RowError, ...]


class RosterQuery(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    dry_run: bool = Field(default=False, description="Check only; keep nothing")
    more: bool = Field(
        default=False, description="Another part of the file follows, with the same Idempotency-Key"
    )
    from_line: int = Field(
        default=1, ge=1, description="The line of the whole file with which this body begins"
    )
    confirm_removals: bool = Field(
        default=False, description="More than a fifth of the roster may leave: it was looked at, and is right"
    )


# ── receive ───────────────────────────────────────────────────────────────────────────────────────────────


@api.route(
    "POST",
    "/v1/referrals",
    roles=(Role.REFERRER, Role.PROVIDER, Role.PLAN),
    summary="Refer a member",
    body=ReferralBody,
    answers={201: Receipt},
    refusals={"not-identifiable": 422, "unknown-plan": 422},
    example=example_adult(),
    examples={"adult": example_adult(), "child": example_child()},
)
async def receive(call: Call[ReferralBody, Context]) -> Reply:
    """Receive a referral under the universal standard. What is missing is asked for, not refused; only a person
    nobody could find is. The same Idempotency-Key and body answer with the same referral."""
    context, form = call.service, call.body
    check_plan(context, call.client, form.plan)
    await _check_family(call)
    stream, now = ids.new("ref"), context.clock.now()
    prepared = prepare(context, form, referrer=call.client.organization, stream=stream, at=now)
    command = ReceiveReferral(received=prepared.received, questions=prepared.questions, keys=prepared.keys)
    outcome = await context.store.submit(
        Submission(call.claim, stream, command, body_hash=call.body_hash, traceparent=call.traceparent)
    )
    provider = await _directory_entry(call) if form.presumptive is not None else None
    body = receipt(outcome.stream, outcome.state, prepared.screening, provider, context.policy)
    return Reply(201, body, {"Location": f"/v1/referrals/{outcome.stream}"}, etag=outcome.n)


async def _check_family(call: Call[ReferralBody, Context]) -> None:
    """Raise `field-invalid` unless the relative's referral is one the caller sent: of others' nothing is learned."""
    relative, sender = call.body.family_of, call.client.organization
    if relative is None:
        return
    async with reading(call.service.readers, call.client) as connection:
        known = await connection.fetchval(
            "SELECT 1 FROM referral WHERE id = $1 AND referrer_id = $2", relative, sender
        )
    if known is None:
        fix = "Name a referral that you sent, or leave it away."
        raise field_invalid(FieldError(pointer="/family_of", rule="not-yours", fix=fix))


async def _directory_entry(call: Call[Any, Context]) -> ProviderRecorded | None:
    """The caller's own entry, as far as the directory is known here."""
    async with reading(call.service.readers, call.client) as connection:
        entry = await connection.fetchval(
            "SELECT entry FROM provider WHERE id = $1", call.client.organization
        )
    return read_entry(orjson.loads(entry)) if entry else None


def check_plan(context: Context, client: Client, slug: str) -> None:
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


@api.route(
    "GET",
    "/v1/referrals",
    roles=READERS,
    summary="Referrals",
    query=ReferralQuery,
    answers={200: Listing[ShownReferral]},
)
async def referrals(call: Call[None, Context, ReferralQuery]) -> Reply:
    """The referrals this key may see, least recently changed first."""
    asked, client = call.query, call.client
    start = asked.start()
    own, mine = own_key(client, 7)
    async with reading(call.service.readers, client) as connection:
        rows = await connection.fetch(
            f"""SELECT {READ_COLUMNS} FROM referral
                WHERE (at, id) > ($1, $2) AND ($3::text IS NULL OR status = $3)
                  AND ($4::text IS NULL OR plan_id = $4)
                  AND ($5::text IS NULL OR populations @> ARRAY[$5::text]) AND status <> '' AND {own}
                ORDER BY at, id LIMIT $6""",  # noqa: S608 own fragments
            start.at,
            start.id,
            asked.status,
            asked.plan,
            asked.population,
            asked.fetch,
            *mine,
        )
    return listing(call, rows, lambda row: show(client, row, state_of(row), call.service.clock.now()))


@api.route("GET", "/v1/referrals/{id}", roles=READERS, summary="One referral", answers={200: ShownReferral})
async def referral(call: Call[None, Context]) -> Reply:
    """How the referral stands, and who must act next."""
    row = await row_of(call)
    return Reply(200, show(call.client, row, state_of(row), call.service.clock.now()), etag=row["n"])


@api.route(
    "GET", "/v1/referrals/{id}/timeline", roles=READERS, summary="What happened", answers={200: Timeline}
)
async def timeline(call: Call[None, Context]) -> Reply:
    """The loop's events in the order they were learned, in sentences."""
    row = await row_of(call)
    async with reading(call.service.readers, call.client) as connection:
        entries = await connection.fetch(
            """SELECT id, type, source, at, payload, traceparent FROM journal
               WHERE stream = $1 ORDER BY n LIMIT 1000""",
            call.path["id"],
        )
    who = reader(call.client, state_of(row))
    shown = (show_event(who, call.client, entry) for entry in entries)
    return Reply(200, Timeline(items=tuple(each for each in shown if each is not None)), etag=row["n"])


async def row_of(call: Call[Any, Context]) -> Mapping[str, Any]:
    own, mine = own_key(call.client, 2)
    async with reading(call.service.readers, call.client) as connection:
        row = await connection.fetchrow(
            f"SELECT {READ_COLUMNS} FROM referral WHERE id = $1 AND status <> '' AND {own}",  # noqa: S608
            call.path["id"],
            *mine,
        )
    if row is None:
        raise not_found()
    return row


def state_of(row: Mapping[str, Any]) -> Referral:
    return Referral.model_validate_json(row["state"])


# ── withdraw ──────────────────────────────────────────────────────────────────────────────────────────────


@api.route(
    "POST",
    "/v1/referrals/{id}:withdraw",
    roles=(Role.REFERRER, Role.PLAN),
    summary="Withdraw a referral",
    body=WithdrawBody,
    answers={200: ShownReferral},
    refusals=("already-closed", "already-authorized"),
)
async def withdraw(call: Call[WithdrawBody, Context]) -> Reply:
    """Take the referral back: the referrer before authorization, the member at any time."""
    row = await row_of(call)
    who = reader(call.client, state_of(row))
    if who not in ("referrer", "plan"):
        raise not_found()
    if call.body.by == "referrer" and who != "referrer":
        raise Problem(
            422,
            "field-invalid",
            "Only the referrer can withdraw as the referrer.",
            errors=[
                {"pointer": "/by", "rule": "not-the-referrer", "fix": "Send `member` if the member withdrew."}
            ],
        )
    check_match(call, row["n"])
    command = WithdrawReferral(
        by=call.body.by,
        acted_by=ActedBy(organization=call.client.organization, person=call.body.acted_by.person),
    )
    outcome = await call.service.store.submit(
        Submission(call.claim, row["id"], command, body_hash=call.body_hash, traceparent=call.traceparent)
    )
    after = {"id": row["id"], "created_at": row["created_at"], "at": call.service.clock.now()}
    return Reply(200, show(call.client, after, outcome.state, after["at"]), etag=outcome.n)


# ── roster ────────────────────────────────────────────────────────────────────────────────────────────────


@api.route(
    "PUT",
    "/v1/roster",
    roles=(Role.PLAN,),
    summary="Replace the plan's roster",
    query=RosterQuery,
    media=("application/x-ndjson", "text/csv"),
    stream=True,
    largest=lambda settings: settings.max_roster,
    answers={200: RosterResult, 202: RosterResult},
    refusals={"row-invalid": 422, "import-running": 409, "removals-unconfirmed": 409},
)
async def put_roster(call: Call[None, Context, RosterQuery]) -> Reply:
    """Who is covered, one member a line: cin, birth_date, county, covered_from, covered_through, pcp, programs.
    CSV, NDJSON or a workbook. Good lines replace the roster kept before; bad ones are named; who is not named has left,
    and where that would be more than a fifth, nobody leaves without `confirm_removals`. A dry run tells how many. The Idempotency-Key is the import's id: broken off,
    or sent in parts (`more`), it goes on by the same key from the line GET /v1/roster names."""
    context, asked = call.service, call.query
    upload = Import(
        plan=call.client.organization,
        id=str(call.claim),
        as_csv=call.media == "text/csv",
        synthetic=context.settings.synthetic_members == "on",
        dry_run=asked.dry_run,
        from_line=asked.from_line,
        more=asked.more,
        confirm_removals=asked.confirm_removals,
    )
    loaded = await load_roster(context.store, context.sealer, context.clock, upload, call.stream())
    status = 202 if loaded.state == "waiting" and not asked.dry_run else 200
    return Reply(status, RosterResult.model_validate(loaded, from_attributes=True))


@api.route(
    "GET",
    "/v1/roster",
    roles=(Role.PLAN,),
    summary="How far the roster's import is",
    answers={200: RosterResult},
)
async def roster(call: Call[None, Context]) -> Reply:
    """The newest import of the plan's roster: its state, the lines done, and the rows refused."""
    async with reading(call.service.readers, call.client) as connection:
        row = await connection.fetchrow(
            "SELECT * FROM roster_import WHERE plan_id = $1", call.client.organization
        )
    if row is None:
        raise not_found()
    return Reply(200, RosterResult.model_validate(loaded_of(row), from_attributes=True))
