"""What operations may ask every service: its state, what is parked, whether its journal proves itself."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated
from uuid import UUID

import orjson
from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from loopkeeper.contract.field_types import YesNo
from loopkeeper.event_log.port import LogUnavailable
from loopkeeper.http.call import allowed
from loopkeeper.http.route import Id, Operation, example, refused
from loopkeeper.kernel.clock import FileClock
from loopkeeper.kernel.errors import Problem, not_found
from loopkeeper.runtime.backlog import waiting
from loopkeeper.runtime.service import Call, RunningService
from loopkeeper.security.organizations import Role
from loopkeeper.store import proof

Operator = Annotated[Call, allowed(Role.OPERATIONS)]


class Shown(BaseModel):
    """Something operations look at: ids, states, times and errors; never identity."""

    model_config = ConfigDict(frozen=True, from_attributes=True)


class LostCommand(Shown):
    """A command that was answered as done and then lost."""

    claim: UUID
    referral: str


class SetBack(Shown):
    """The newest time this service's database turned out to be an earlier one: how much of the log it had not read, how
    many streams were written again, and which answered commands are lost."""

    at: datetime
    finished_at: datetime | None
    why: str
    unread: int
    rebuilt: int
    lost: list[LostCommand]


class ServiceStatus(Shown):
    service: str
    now: datetime
    outbox: int
    # Unknown while the log cannot be reached; the rest is told all the same.
    lag: int | None
    parked: int
    timers_due: int
    next_timer_at: datetime | None
    # What the service itself still has under way, such as deliveries due now.
    working: int = 0
    # Why it takes no commands now; empty while it does.
    closed: str = ""
    set_back: SetBack | None = None
    tasks: dict[str, str]


class ParkedReferral(Shown):
    stream: str
    since: datetime
    tries: int
    next_retry_at: datetime | None
    error: str
    facts: int


class ParkedList(Shown):
    items: list[ParkedReferral]
    next_cursor: str | None = None


class ShownKey(Shown):
    """A key of an organization; the key itself is kept nowhere. `last_used_at`: when this process last let it in, since
    it started."""

    id: str
    roles: tuple[str, ...]
    created_at: datetime
    revoked_at: datetime | None = None
    last_used_at: datetime | None = None


class OrganizationWithKeys(Shown):
    """Who takes part, revoked ones too. `loopkeeper org` and `loopkeeper client` change this list."""

    id: str
    name: str
    kind: str
    phone: str
    revoked: bool
    keys: tuple[ShownKey, ...]


class Organizations(Shown):
    items: list[OrganizationWithKeys]


class ParkedCause(Shown):
    """Parked referrals that fail in the same way: with this error, at a fact of this type."""

    error: str
    type: str
    referrals: int
    facts: int
    since: datetime
    next_retry_at: datetime | None
    # The one that waits longest, to look at first.
    longest: str


class ParkedCauses(Shown):
    items: list[ParkedCause]


class ParkedFact(Shown):
    partition: int
    offset: int
    event_id: UUID
    type: str
    error: str
    # A pointer into the event's data, by names only; empty where no single field is at fault.
    field: str = ""
    at: datetime


class ParkedDetail(Shown):
    stream: ParkedReferral
    facts: list[ParkedFact]


class ReplayBody(BaseModel):
    """`dry_run` first shows what a replay would do; nothing is kept."""

    model_config = ConfigDict(extra="forbid")

    dry_run: YesNo = True


class ReplayResult(Shown):
    stream: str
    applied: int
    left: int
    error: str
    dry_run: bool


class Flaw(Shown):
    stream: str
    n: int
    what: str


class Proof(Shown):
    sound: bool
    flaws: list[Flaw]


class AdvanceBody(BaseModel):
    """How far the clock of a demo or a test moves forward."""

    model_config = ConfigDict(extra="forbid")

    seconds: float = Field(ge=0, le=400 * 86400)


class Now(Shown):
    now: datetime


def operations_of(service: str) -> APIRouter:
    """The same routes for every service, under its name."""
    router = APIRouter(prefix=f"/v1/operations/{service}", tags=[service], route_class=Operation)
    router.get("/status", summary="State of this service")(status)
    router.get("/organizations", summary="Organizations and their keys, as this service knows them")(
        organizations_and_keys
    )
    router.get("/parked", summary="Parked referrals, longest waiting first")(parked)
    router.get("/parked:causes", summary="Parked referrals by what went wrong, most first")(parked_causes)
    router.get("/parked/{id:key}", summary="The parked facts of one referral")(parked_facts)
    router.post(
        "/parked/{id:key}:replay",
        summary="Replay a parked referral in order, or show what that would do",
        responses=refused("still-failing"),
    )(replay_parked)
    router.post("/journal:verify", summary="Check that journal, rows and log prove each other")(
        verify_journal
    )
    router.post(
        "/clock:advance", summary="Move the clock of a demo forward", responses=refused("clock-fixed")
    )(advance_clock)
    return router


async def status(call: Operator) -> ServiceStatus:
    """What waits: outbox, unread log (null while the log is unavailable), due and next timers, parked streams, what the service itself counts."""
    context = call.service
    now = context.clock.now()
    found = await waiting(context, now)
    try:
        lag = await context.lag()
    except LogUnavailable:
        lag = None
    working, next_at = await context.work_ahead()
    times = [at for at in (found.next_timer_at, next_at) if at is not None]
    return ServiceStatus(
        service=context.name,
        now=now,
        lag=lag,
        outbox=found.outbox,
        parked=found.parked,
        timers_due=found.timers_due,
        next_timer_at=min(times, default=None),
        # A caller that waits for calm must not take a log that is away for one that is read.
        working=working + (lag is None),
        closed="" if context.store.ready.is_set() else context.store.gate.reason,
        set_back=await _set_back(context),
        # Others' tasks may run in this process too, and are listed with them.
        tasks={
            name: health.detail
            for name, health in context.supervisor.health().items()
            if name.startswith(f"{context.name}.")
        },
    )


async def _set_back(context: RunningService) -> SetBack | None:
    row = await context.pool.fetchrow("SELECT * FROM restored ORDER BY at DESC LIMIT 1")
    return SetBack.model_validate({**row, "lost": orjson.loads(row["lost"])}) if row is not None else None


async def organizations_and_keys(call: Operator) -> Organizations:
    """By name, each with its keys, oldest first; read only."""
    directory = call.service.directory
    keys: dict[str, list[ShownKey]] = {}
    for each in directory.known_keys():
        keys.setdefault(each["organization"], []).append(ShownKey.model_validate(each))
    known = sorted(directory.organizations().values(), key=lambda each: (each.name.casefold(), each.id))
    return Organizations(
        items=[
            OrganizationWithKeys(
                id=each.id,
                name=each.name,
                kind=each.kind,
                phone=each.phone,
                revoked=each.revoked,
                keys=tuple(keys.get(each.id, ())),
            )
            for each in known
        ]
    )


async def parked(call: Operator) -> ParkedList:
    """Which referrals wait for a person, since when, and with which error."""
    listed = await call.service.parked.listed()
    return ParkedList(items=[ParkedReferral.model_validate(one) for one in listed])


async def parked_causes(call: Operator) -> ParkedCauses:
    """What went wrong, and for how many referrals: those of one cause are replayed together once it is fixed."""
    found = await call.service.parked.causes()
    return ParkedCauses(items=[ParkedCause.model_validate(one) for one in found])


async def parked_facts(id: Id, call: Operator) -> ParkedDetail:
    """The facts of one referral that wait, in order, each with its error."""
    found = await call.service.parked.listed(id)
    if not found:
        raise not_found()
    facts = [ParkedFact.model_validate(fact) for fact in await call.service.parked.facts(id)]
    return ParkedDetail(stream=ParkedReferral.model_validate(found[0]), facts=facts)


async def replay_parked(
    id: Id, body: Annotated[ReplayBody, example({"dry_run": True})], call: Operator
) -> ReplayResult:
    """Apply the parked facts in order, until one fails again. With `dry_run` nothing is kept."""
    context = call.service
    if not await context.parked.listed(id):
        raise not_found()
    await context.store.read_first()
    replayed = await context.parked.replay(id, dry_run=body.dry_run)
    if replayed.left and not body.dry_run and not replayed.applied:
        raise Problem(
            409,
            "still-failing",
            f"The first parked fact fails again: {replayed.error}.",
            fix="Fix the cause, try with dry_run, then replay.",
        )
    return ReplayResult.model_validate(replayed)


async def verify_journal(call: Operator) -> Proof:
    """Fold the journal, compare it with rows and log, and check every link of every chain."""
    context = call.service
    domain = context.store.domain
    async with context.pool.acquire() as connection:
        flaws = await proof.verify(
            connection,  # pyright: ignore[reportArgumentType] a pool's substitute has every method of a connection
            context.sealer.chain_key(),
            f"/{domain.service}",
            (domain.table, *sorted(domain.reference_streams)),
            context.event_log.history(),
        )
    return Proof(sound=not flaws, flaws=[Flaw.model_validate(flaw) for flaw in flaws])


async def advance_clock(body: Annotated[AdvanceBody, example({"seconds": 86400})], call: Operator) -> Now:
    """Only in a demo or a test, whose clock may be moved."""
    clock = call.service.clock
    if not isinstance(clock, FileClock):
        raise Problem(
            409,
            "clock-fixed",
            "This installation runs on the real time.",
            fix="Only a demo or a test (LOOPKEEPER_CLOCK=movable) may move its clock.",
        )
    return Now(now=clock.advance(timedelta(seconds=body.seconds)))
