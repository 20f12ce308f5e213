"""How services run: all four in one process on one port on a laptop, one of them in a pod; the same code."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from loopkeeper import policy
from loopkeeper.contract.decider import InvariantBroken
from loopkeeper.event_log.port import EventLog
from loopkeeper.flow.consumer import Consumer, TooManyParked
from loopkeeper.flow.parked import ParkedFacts
from loopkeeper.flow.reactions import Reactions
from loopkeeper.flow.recovery import CatchUp, DeadBranch
from loopkeeper.flow.relay import Relay
from loopkeeper.flow.set_back import LogCheck
from loopkeeper.flow.timers import TimerSweep
from loopkeeper.http.app import App, Lifespan
from loopkeeper.http.health import Ready
from loopkeeper.http.openings import openings_of
from loopkeeper.http.serving import AppState
from loopkeeper.kernel import garbage
from loopkeeper.kernel.clock import Clock, FileClock, SystemClock
from loopkeeper.kernel.errors import StartError
from loopkeeper.kernel.logs import get
from loopkeeper.kernel.metrics import Metrics
from loopkeeper.kernel.repeat import repeat, until_done
from loopkeeper.kernel.settings import ServiceSettings, Settings, read
from loopkeeper.kernel.supervisor import Factory, Heartbeat, Supervisor
from loopkeeper.kernel.wake import woken_by
from loopkeeper.observability.exchange import Exchange, Observe
from loopkeeper.observability.telemetry import Telemetry, observe
from loopkeeper.policy.reading import installed, load
from loopkeeper.postgres import migrations
from loopkeeper.postgres.connections import Pool
from loopkeeper.postgres.incarnation import Database
from loopkeeper.postgres.turns import FairPool
from loopkeeper.runtime import startup
from loopkeeper.runtime.backlog import keep_measuring
from loopkeeper.runtime.operations import operations_of
from loopkeeper.runtime.policy_rows import policy_of
from loopkeeper.runtime.readiness import Probe
from loopkeeper.runtime.service import Resources, RunningService, Service
from loopkeeper.security.keyring import open_keyring
from loopkeeper.security.organizations import Directory
from loopkeeper.security.sealing import Sealer
from loopkeeper.store.gate import AT_START, Gate
from loopkeeper.store.store import Store
from loopkeeper.store.transient import transient

log = get("run")

# A consumer with unread messages and no progress for this long is restarted (architecture.md §6.7).
STALL = timedelta(seconds=30)
# What is under way gets this long to finish when the process is asked to stop.
GRACE = timedelta(seconds=10)
# Claims older than 30 days are pruned this often.
PRUNE_EVERY = 3600.0

Say = Callable[[str], None]


class WithDatabase(Protocol):
    """What has a database of its own: a service, and the console."""

    @property
    def package(self) -> str: ...
    @property
    def settings(self) -> type[ServiceSettings]: ...


def silent(_: str) -> None:
    """Start without telling anybody."""


class Addresses:
    """Where each service's database and the log are: the URLs given, or the embedded PostgreSQL's."""

    def __init__(self, databases: Mapping[str, str], event_log: str, *, embedded: bool = False) -> None:
        self.databases = databases
        self.event_log = event_log
        self.embedded = embedded


async def find_addresses(
    settings: Settings, services: Mapping[str, WithDatabase], say: Say = silent, *, log_too: bool = True
) -> Addresses:
    """Use what the settings name; start (or adopt) the embedded PostgreSQL for the rest. `log_too`: whether the log is
    needed as well."""
    given = {name: read(service.settings).database_url() for name, service in services.items()}
    event_log = settings.event_log_url()
    missing = [name for name, url in given.items() if url is None] + (
        ["log"] if log_too and not event_log else []
    )
    if missing:
        from loopkeeper.postgres import embedded

        say("PostgreSQL: starting the embedded one")
        server = await asyncio.to_thread(
            embedded.start, postgres_folder(settings), missing, binaries=settings.postgres_binaries
        )
        given |= {name: server.url(name) for name in missing if name != "log"}
        event_log = event_log or (server.url("log") if log_too else "")
    if event_log is None and log_too:
        raise InvariantBroken("there is no log, neither given nor embedded")
    found = {name: url for name, url in given.items() if url is not None}
    return Addresses(found, event_log or "", embedded=bool(missing))


@asynccontextmanager
async def at_addresses(
    settings: Settings, services: Mapping[str, WithDatabase], say: Say = silent, *, log_too: bool = True
) -> AsyncGenerator[Addresses]:
    """The same for a while; behind it an embedded PostgreSQL that nobody else uses is shut down."""
    addresses = await find_addresses(settings, services, say, log_too=log_too)
    try:
        yield addresses
    finally:
        if addresses.embedded:
            from loopkeeper.postgres import embedded

            await asyncio.to_thread(embedded.leave, postgres_folder(settings))


def requirements_of(
    addresses: Addresses, services: Mapping[str, WithDatabase], *, tables: bool
) -> Mapping[str, startup.Requirement]:
    """What must be there before these services start: their databases, and their tables where others make them."""
    return {
        name: startup.Requirement(
            addresses.databases[name],
            f"{service.settings.model_config.get('env_prefix')}DATABASE",
            service.package if tables else "",
        )
        for name, service in services.items()
    }


def postgres_folder(settings: Settings) -> Path:
    """Where the embedded PostgreSQL of this home is."""
    return settings.home / "postgres"


def make_event_log(url: str, settings: Settings) -> EventLog:
    """The adapter the URL names."""
    scheme = url.partition("://")[0]
    if scheme in ("postgresql", "postgres"):
        from loopkeeper.event_log.postgres import PostgresLog

        return PostgresLog(url)
    if scheme == "kafka":
        from loopkeeper.event_log.kafka import KafkaLog
        from loopkeeper.event_log.kafka_config import kafka_config

        return KafkaLog(kafka_config(url, settings), replica=settings.replica, session=settings.kafka_session)
    raise StartError(
        f"LOOPKEEPER_BUS has an unknown scheme {scheme!r}.",
        "Use postgresql://… or kafka://host:port/topic.",
    )


def make_clock(settings: Settings) -> Clock:
    """The real time, or in demo and tests one that all processes of this home share."""
    return FileClock(settings.home / "clock.json") if settings.clock == "movable" else SystemClock()


async def migrate_all(addresses: Addresses, services: Mapping[str, WithDatabase], say: Say = silent) -> None:
    """Bring every given service's database to its newest revision. Raises `StartError` where one cannot be reached."""
    for lack in (await startup.missing(requirements_of(addresses, services, tables=False))).values():
        raise StartError(lack.sentence, lack.fix)
    await migrate_found(addresses, services, say)


async def migrate_found(
    addresses: Addresses, services: Mapping[str, WithDatabase], say: Say = silent
) -> None:
    """The same for databases that were there a moment ago."""
    for name, service in services.items():
        say(f"{name}: tables")
        found = await migrations.upgrade(addresses.databases[name], service.package)
        if found.newer:
            say(
                f"{name}: they are newer ({found.found}) than this program ({found.needed}), and stay as they are"
            )


@dataclass(frozen=True, slots=True)
class Opened:
    """One service's database with its pools, and the gate that another server closes."""

    gate: Gate
    database: Database
    pool: Pool
    readers: Pool


class Running:
    """The services of one process, started in order and stopped in the opposite one. Its app answers from the first
    moment: what has not started yet asks every request to come back."""

    def __init__(
        self,
        settings: Settings,
        services: Mapping[str, Service],
        *,
        clock: Clock | None = None,
        lifespan: Lifespan | None = None,
    ) -> None:
        self.settings = settings
        self.services = services
        self.clock = clock or make_clock(settings)
        self.contexts: dict[str, RunningService] = {}
        self.supervisor = Supervisor(fatal=(TooManyParked, DeadBranch), transient=transient)
        # Why a start that had to wait failed in the end.
        self.failure: StartError | None = None
        self._metrics = Metrics()
        self._directory = Directory(settings.config_folder)
        self._serving = AppState(self._directory, settings)
        self._ready: dict[str, Ready] = dict.fromkeys(services, startup.begins)
        self._observe: Observe | None = None
        self._stack = AsyncExitStack()
        self._probes: dict[str, Probe] = {}
        self.app = App(
            {
                name: (*service.routers, operations_of(name), openings_of(name), policy_of(name))
                for name, service in services.items()
            },
            self._serving,
            ready=self._ready,
            registry=self._metrics.registry,
            observe=self._observed,
            lifespan=lifespan,
        )

    async def __aenter__(self) -> Running:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def begin(self, addresses: Addresses, say: Say = silent) -> None:
        """Make the tables, where that is this program's to do, and start. Raises `WentAway` where a database was there
        at the last look and is not any more: then nothing has begun."""
        try:
            if self.settings.migrate == "start":
                await migrate_found(addresses, self.services, say)
            await self.start(addresses, say)
        except Exception as error:
            if migrations.went_away(error):
                raise startup.WentAway(type(error).__name__) from error
            raise
        garbage.settle()

    async def begin_later(
        self,
        needs: Mapping[str, startup.Requirement],
        missing: Mapping[str, startup.Missing],
        addresses: Addresses,
    ) -> None:
        """The same as soon as what is missing is there, and again where it goes away meanwhile; until then every probe
        names it."""
        wait = startup.Wait(needs, missing)
        self._ready.update({name: wait.ready(name) for name in self.services})
        try:
            while True:
                await wait.over()
                try:
                    await self.begin(addresses)
                    return
                except startup.WentAway as away:
                    log.warning("the start begins again", reason=str(away))
                    await wait.look_again()
        except StartError as error:
            log.error("cannot start", reason=error.sentence)
            self.failure = error
            self.supervisor.failed.set()

    async def start(self, addresses: Addresses, say: Say = silent) -> None:
        """Open pools, build every service's context and start its tasks."""
        settings = self.settings
        sealer = Sealer(open_keyring(settings))
        rows = load(installed(), settings.policy_folder)
        findings = policy.check(rows)
        if findings:
            raise StartError(f"The policy is not sound: {findings[0]}", "See `loopkeeper policy check`.")
        opened = await self._open(addresses, say)
        spans = {name: Telemetry.open(name, settings, metrics=self._metrics) for name in self.services}
        for name, service in self.services.items():
            self._metrics.expect_service(name)
            telemetry = spans[name]
            self._stack.callback(telemetry.close)
            equipment = Resources(
                settings,
                read(service.settings),
                self.clock,
                rows,
                sealer,
                self._directory,
                telemetry,
                self._metrics,
            )
            self._start_service(service, equipment, opened[name], addresses.event_log)
        if isinstance(clock := self.clock, FileClock):
            # One task looks for all who sleep: another process may move the time.
            self.supervisor.start("clock", partial(repeat, clock.look, woken_by(), clock.LOOK_EVERY))
        for method, path in self.app.templates():
            self._metrics.expect_requests(method, path)
        self._observe = observe(spans, self._metrics)
        self._ready.update({name: probe.ready for name, probe in self._probes.items()})
        self._serving.services.update(self.contexts)

    def _observed(self, exchange: Exchange) -> None:
        if self._observe is not None:
            self._observe(exchange)

    async def _open(self, addresses: Addresses, say: Say) -> Mapping[str, Opened]:
        """The pools of all services, before any of them starts: where one cannot be had, none stays open."""
        found: dict[str, Opened] = {}
        async with AsyncExitStack() as opening:
            for name in self.services:
                say(f"{name}: starting")
                gate = Gate(name)
                database = Database(addresses.databases[name], name, gate.close)
                pool = await database.writer()
                opening.push_async_callback(pool.close)
                readers = FairPool(await database.reader(self.settings.pool), self.settings.pool)
                opening.push_async_callback(readers.close)
                found[name] = Opened(gate, database, pool, readers)
            self._stack.push_async_callback(opening.pop_all().aclose)
        return found

    def _start_service(
        self, service: Service, equipment: Resources, opened: Opened, event_log_url: str
    ) -> None:
        name, gate, database, pool = service.name, opened.gate, opened.database, opened.pool
        domain = service.domain(equipment)
        event_log = make_event_log(event_log_url, equipment.settings)
        self._stack.push_async_callback(event_log.close)
        store: Store[Any] = Store(
            domain,
            pool,
            clock=self.clock,
            chain_key=equipment.sealer.chain_key(),
            sealer=equipment.sealer,
            metrics=equipment.metrics,
            queue=equipment.settings.queue,
            gate=gate,
        )
        reactions = Reactions(service.reactions)
        consumer = Consumer(
            name, event_log, store, reactions, pool, metrics=equipment.metrics, telemetry=equipment.telemetry
        )
        parked = ParkedFacts(store, pool, equipment.sealer, reactions.react)
        # No command before the log was read up to where it ends now: it may have what this database lost.
        gate.close(AT_START)
        consumer.catch_up = CatchUp(
            name,
            event_log,
            store,
            pool,
            parked,
            service.on_restored,
            consumer.stored_offsets,
            database.expire,
            lambda: database.known,
        )
        event_log.check_with(LogCheck(name, event_log, pool, gate))
        context = RunningService(
            **vars(equipment),
            name=name,
            store=store,
            pool=pool,
            readers=opened.readers,
            event_log=event_log,
            consumer=consumer,
            parked=parked,
            supervisor=self.supervisor,
            ahead=service.ahead,
            goes_on=service.goes_on,
            database=database,
        )
        self.contexts[name] = context
        self._probes[name] = Probe(context)
        self._supervise(service, context)

    def _supervise(self, service: Service, context: RunningService) -> None:
        name, start = service.name, self.supervisor.start
        relay = Relay(
            name,
            context.database.connect,
            context.event_log,
            context.store.unsent,
            metrics=context.metrics,
            telemetry=context.telemetry,
        )
        sweep = TimerSweep(
            context.store,
            context.pool,
            context.event_log,
            context.consumer,
            context.parked,
            service.on_timer(context),
            clock=self.clock,
            metrics=context.metrics,
            telemetry=context.telemetry,
            goes_on=service.goes_on,
        )

        def later(run: Factory) -> Factory:
            return lambda heartbeat: _while_open(context, heartbeat, run)

        start(f"{name}.store", lambda heartbeat: context.store.write_waiting())
        start(f"{name}.relay", later(relay.run))
        start(f"{name}.consumer", context.consumer.run)
        self.supervisor.watch(
            f"{name}.consumer",
            context.consumer.unread,
            # A poll that is taken apart is progress.
            lambda: context.consumer.progress + context.store.halved,
            STALL,
        )
        start(f"{name}.timers", later(sweep.run))
        start(f"{name}.claims", later(lambda heartbeat: _prune(context, heartbeat)))
        start(f"{name}.gauges", lambda heartbeat: keep_measuring(context, heartbeat))
        for worker, run in service.workers.items():
            start(f"{name}.{worker}", later(lambda heartbeat, run=run: run(context, heartbeat)))

    async def stop(self) -> None:
        """Stop tasks, then close pools and the log; what is under way may finish within the grace."""
        await self.supervisor.stop(GRACE)
        for probe in self._probes.values():
            await probe.close()
        await self._stack.aclose()


async def _while_open(context: RunningService, heartbeat: Heartbeat, run: Factory) -> None:
    """What writes or sends works while the service is open, and begins again each time it opens."""
    gate = context.store.gate

    async def work() -> bool:
        if not gate.ready.is_set():
            heartbeat.waiting("the log is read up to its end first")
            await gate.ready.wait()
            # Who finds nothing to do gives no sign of its own, and waits for this no longer.
            heartbeat.beat()
        return await gate.while_open(lambda: run(heartbeat))

    # A database that is away is waited for, however long; it is no failure of this task.
    while not await until_done(work, heartbeat):
        pass


async def _prune(context: RunningService, heartbeat: Heartbeat) -> None:
    async def work() -> bool:
        return await context.store.forget_commands() > 0

    await repeat(work, woken_by(context.clock.jumps), PRUNE_EVERY, heartbeat)


def folders(settings: Settings) -> Mapping[str, Path]:
    """Where things are, for people."""
    return {
        "data": settings.home,
        "config": settings.config_folder,
        "policy": settings.policy_folder,
        "spans": settings.home / "spans",
    }
