"""What a service is to the chassis: a name, its rules, its routes, what it reacts to, and its workers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from importlib.metadata import EntryPoint, entry_points
from typing import Any, TypeAlias

from fastapi import APIRouter

from loopkeeper.contract.decider import Command
from loopkeeper.contract.events import Event
from loopkeeper.event_log.port import EventLog
from loopkeeper.flow.consumer import Consumer
from loopkeeper.flow.parked import ParkedFacts
from loopkeeper.flow.reactions import Reaction
from loopkeeper.flow.recovery import OnRestored, nothing_to_renumber
from loopkeeper.http import call
from loopkeeper.kernel.clock import Clock
from loopkeeper.kernel.errors import StartError
from loopkeeper.kernel.metrics import Metrics
from loopkeeper.kernel.settings import ServiceSettings, Settings
from loopkeeper.kernel.supervisor import Heartbeat, Supervisor
from loopkeeper.observability.telemetry import Telemetry
from loopkeeper.policy import Policy
from loopkeeper.postgres.connections import Pool
from loopkeeper.postgres.incarnation import Database
from loopkeeper.security.organizations import Directory
from loopkeeper.security.sealing import Sealer
from loopkeeper.store.definition import Domain
from loopkeeper.store.must_hold import KnownLoop, MustHold
from loopkeeper.store.store import Store

GROUP = "loopkeeper.services"
Ahead = Callable[[Any], Awaitable[tuple[int, datetime | None]]]


@dataclass(frozen=True)
class Resources:
    """What a service's rules and reactions may be built from, before it has a store."""

    settings: Settings
    own: ServiceSettings
    clock: Clock
    policy: Policy
    sealer: Sealer
    directory: Directory
    telemetry: Telemetry
    metrics: Metrics


@dataclass(frozen=True)
class RunningService(Resources):
    """One service while it runs: what its routes and workers are handed.

    A `Service` is a description (rules, routes, reactions, deadlines, tables) that exists before anything is open. The start
    opens what it needs (`Resources`: settings, clock, policy, keys, organizations), then databases, store, consumer and log,
    and hands them all on as this one value. A process has one for each service it runs; they share nothing but the log.
    """

    name: str
    store: Store[Any]
    # Owner's connections, for the chassis's own tables and for workers' look-ups; never written through.
    pool: Pool
    # Reader role under row-level security: what routes read with (`store/row_access.reading`).
    readers: Pool
    event_log: EventLog
    consumer: Consumer
    parked: ParkedFacts
    supervisor: Supervisor
    ahead: Ahead
    # For a worker that holds a lock of its own as long as it lives: `database.connect`.
    database: Database = field(repr=False)
    goes_on: Sequence[str] = ()

    async def work_ahead(self) -> tuple[int, datetime | None]:
        """How much the service's own workers have to do now, and when next, apart from its timers; one thing more for one
        that has not caught up since its start."""
        now, following = await self.ahead(self)
        return now + (not self.store.ready.is_set()), following

    async def lag(self) -> int:
        """Messages of the log this service has not read yet."""
        return sum(end - read for end, read in (await self.positions()).values())

    async def positions(self) -> Mapping[int, tuple[int, int]]:
        """Of each partition: where it ends, and up to where this service has read it."""
        ends, read = await self.event_log.ends(), await self.consumer.read_offsets()
        return {partition: (end, read.get(partition, 0)) for partition, end in ends.items()}


# What a route of a service is handed: `call: Annotated[Call, allowed(Role.PLAN)]`.
Call: TypeAlias = call.Call[RunningService]
Worker = Callable[[RunningService, Heartbeat], Awaitable[None]]


async def nothing_ahead(_: Any) -> tuple[int, datetime | None]:
    return 0, None


def no_timer(kind: str, due_at: datetime) -> Command:
    raise LookupError(f"no deadline of kind {kind} is known here")


@dataclass(frozen=True, slots=True)
class Bound:
    """What an organization may have of something: `query` counts by `organization`, `setting` names the service's own bound."""

    what: str
    query: str
    setting: str


@dataclass(frozen=True)
class Service:
    """One installable service. `package` holds `migrations/` and `policy/`; `reactions`, `on_timer` and `workers`
    are its consumers.py, timers.py and workers.py; `ahead` tells what its workers have still to do, for callers that wait."""

    name: str
    package: str
    settings: type[ServiceSettings]
    domain: Callable[[Resources], Domain[Any, Any]]
    reactions: Mapping[type[Event], Reaction]
    # Those of its `api/`, in the order in which the reference shows them.
    routers: Sequence[APIRouter] = ()
    on_timer: Callable[[Resources], Callable[[str, datetime], Command]] = field(default=lambda _: no_timer)
    # How the kinds of those deadlines begin that tell and decide nothing: they fire while their referral is parked, too.
    goes_on: Sequence[str] = ()
    workers: Mapping[str, Worker] = field(default_factory=dict[str, Worker])
    ahead: Ahead = nothing_ahead
    # What must hold in its own tables, and what it knows of a loop: for `loopkeeper verify`.
    must_hold: Sequence[MustHold] = ()
    known_loop: Callable[[Any], KnownLoop] | None = None
    # Who may soon have as many of something as they may: for `loopkeeper doctor`.
    bounds: Sequence[Bound] = ()
    # Called once when the database turns out to be restored, in the transaction that remembers it.
    on_restored: OnRestored = nothing_to_renumber


def installed() -> dict[str, Service]:
    """The services found by entry point, in the order a referral meets them. Raises `StartError` for none."""
    return {name: point.load() for name, point in _points().items()}


def chosen(names: list[str]) -> dict[str, Service]:
    """The named services, or all; no other is loaded. Raises `StartError` naming what is installed."""
    points = _points()
    unknown = [name for name in names if name not in points]
    if unknown:
        raise StartError(f"There is no service {unknown[0]!r}.", f"Installed are: {', '.join(points)}.")
    return {name: points[name].load() for name in names or points}


def _points() -> Mapping[str, EntryPoint]:
    order = ("intake", "authorization", "assignment", "notification")
    found = {point.name: point for point in entry_points(group=GROUP)}
    if not found:
        raise StartError(
            "No service is installed.", "Install one, e.g. `pip install ./services/referral-intake`."
        )
    return dict(
        sorted(found.items(), key=lambda item: (order.index(item[0]) if item[0] in order else 99, item[0]))
    )
