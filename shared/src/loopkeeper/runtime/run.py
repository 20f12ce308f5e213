"""How services run: all four in one process on one port on a laptop, one of them in a pod; the same code."""

from __future__ import annotations

import asyncio
import gc
import signal
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import uvicorn

from loopkeeper import policy
from loopkeeper.event_log.port import Bus
from loopkeeper.flow.consumer import Consumer, Reactions, TooManyParked
from loopkeeper.flow.parked import ParkedFacts
from loopkeeper.flow.recovery import CatchUp, DeadBranch
from loopkeeper.flow.relay import Relay
from loopkeeper.flow.set_back import LogLook
from loopkeeper.flow.timers import TimerSweep
from loopkeeper.http.app import Part, build_app
from loopkeeper.kernel.clock import Clock, FileClock, SystemClock
from loopkeeper.kernel.errors import StartError
from loopkeeper.kernel.logs import configure, get
from loopkeeper.kernel.metrics import Metrics
from loopkeeper.kernel.server import Server
from loopkeeper.kernel.settings import Settings
from loopkeeper.kernel.supervisor import Factory, Heart, Supervisor
from loopkeeper.observability.telemetry import Telemetry, observe
from loopkeeper.policy.reading import installed, load
from loopkeeper.postgres import migrations
from loopkeeper.postgres.connections import lost
from loopkeeper.postgres.incarnation import Database
from loopkeeper.runtime import startup
from loopkeeper.runtime.backlog import keep_measuring
from loopkeeper.runtime.operations import with_operations
from loopkeeper.runtime.readiness import Probe
from loopkeeper.runtime.service import Context, Equipment, Service
from loopkeeper.security.keyring import Keyring
from loopkeeper.security.organizations import Directory
from loopkeeper.security.sealing import Sealer
from loopkeeper.store.gate import AT_START, Gate
from loopkeeper.store.store import Store

log = get("run")

# A consumer with unread messages and no progress for this long is restarted (architecture.md §6.7).
STALL = timedelta(seconds=30)
# What is under way gets this long to finish when the process is asked to stop.
GRACE = timedelta(seconds=10)
# Claims older than 30 days are pruned this often.
PRUNE_EVERY = 3600.0

Say = Callable[[str], None]


def silent(_: str) -> None:
    """Start without telling anybody."""


class Addresses:
    """Where each service's database and the log are: the URLs given, or the embedded PostgreSQL's."""

    def __init__(self, databases: Mapping[str, str], bus: str, *, embedded: bool = False) -> None:
        self.databases = databases
        self.bus = bus
        self.embedded = embedded


async def find_addresses(settings: Settings, services: Mapping[str, Service], say: Say = silent) -> Addresses:
    """Use what the settings name; start (or adopt) the embedded PostgreSQL for the rest."""
    given = {name: service.settings().database_url() for name, service in services.items()}
    bus = settings.bus_url()
    missing = [name for name, url in given.items() if url is None] + ([] if bus else ["log"])
    if missing:
        from loopkeeper.postgres import embedded

        say("PostgreSQL: starting the embedded one")
        server = await asyncio.to_thread(
            embedded.start, postgres_folder(settings), missing, binaries=settings.postgres_binaries
        )
        given |= {name: server.url(name) for name in missing if name != "log"}
        bus = bus or server.url("log")
    assert bus is not None  # noqa: S101 given or embedded
    found = {name: url for name, url in given.items() if url is not None}
    return Addresses(found, bus, embedded=bool(missing))


@asynccontextmanager
async def at_addresses(
    settings: Settings, services: Mapping[str, Service], say: Say = silent
) -> AsyncGenerator[Addresses]:
    """The same for a while; behind it an embedded PostgreSQL that nobody else uses is shut down."""
    addresses = await find_addresses(settings, services, say)
    try:
        yield addresses
    finally:
        if addresses.embedded:
            from loopkeeper.postgres import embedded

            await asyncio.to_thread(embedded.leave, postgres_folder(settings))


def needs_of(
    addresses: Addresses, services: Mapping[str, Service], *, tables: bool
) -> Mapping[str, startup.Need]:
    """What must be there before these services start: their databases, and their tables where others make them."""
    return {
        name: startup.Need(
            addresses.databases[name],
            f"{service.settings.model_config.get('env_prefix')}DATABASE",
            service.package if tables else "",
        )
        for name, service in services.items()
    }


def postgres_folder(settings: Settings) -> Path:
    """Where the embedded PostgreSQL of this home stands."""
    return settings.home / "postgres"


def make_bus(url: str, settings: Settings) -> Bus:
    """The adapter the URL names."""
    scheme = url.partition("://")[0]
    if scheme in ("postgresql", "postgres"):
        from loopkeeper.event_log.postgres import PostgresBus

        return PostgresBus(url)
    if scheme == "kafka":
        from loopkeeper.event_log.kafka import KafkaBus
        from loopkeeper.event_log.kafka_line import line_of

        return KafkaBus(line_of(url, settings), replica=settings.replica, session=settings.kafka_session)
    raise StartError(
        f"LOOPKEEPER_BUS has an unknown scheme {scheme!r}.",
        "Use postgresql://… or kafka://host:port/topic.",
    )


def make_clock(settings: Settings) -> Clock:
    """The real time, or in demo and tests one that all processes of this home share."""
    return FileClock(settings.home / "clock.json") if settings.clock == "movable" else SystemClock()


async def migrate_all(addresses: Addresses, services: Mapping[str, Service], say: Say = silent) -> None:
    """Bring every given service's database to its newest revision. Raises `StartError` where one cannot be reached."""
    for lack in (await startup.lacking(needs_of(addresses, services, tables=False))).values():
        raise StartError(lack.sentence, lack.fix)
    await migrate_found(addresses, services, say)


async def migrate_found(addresses: Addresses, services: Mapping[str, Service], say: Say = silent) -> None:
    """The same for databases that were there a moment ago."""
    for name, service in services.items():
        say(f"{name}: tables")
        found = await migrations.upgrade(addresses.databases[name], service.package)
        if found.newer:
            say(
                f"{name}: they are newer ({found.found}) than this program ({found.needed}), and stay as they are"
            )


class Running:
    """The services of one process, started in order and stopped in the opposite one."""

    def __init__(
        self, settings: Settings, services: Mapping[str, Service], *, clock: Clock | None = None
    ) -> None:
        self.settings = settings
        self.services = services
        self.clock = clock or make_clock(settings)
        self.contexts: dict[str, Context] = {}
        self.supervisor = Supervisor(fatal=(TooManyParked, DeadBranch))
        self.app: Any = None
        self._stack = AsyncExitStack()
        self._probes: dict[str, Probe] = {}

    async def __aenter__(self) -> Running:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self, addresses: Addresses, say: Say = silent) -> None:
        """Open pools, build every service's context and routes, start its tasks."""
        settings = self.settings
        keyring = Keyring.open(settings.config_folder, _secret(settings))
        sealer = Sealer(keyring)
        directory = Directory(settings.config_folder)
        metrics = Metrics()
        rows = load(installed(), settings.policy_folder)
        findings = policy.check(rows)
        if findings:
            raise StartError(f"The policy is not sound: {findings[0]}", "See `loopkeeper policy check`.")
        spans = {name: Telemetry.open(name, settings) for name in self.services}
        for name, service in self.services.items():
            say(f"{name}: starting")
            telemetry = spans[name]
            self._stack.callback(telemetry.close)
            equipment = Equipment(
                settings, service.settings(), self.clock, rows, sealer, directory, telemetry, metrics
            )
            await self._start_service(service, equipment, addresses)
        parts = [
            Part(with_operations(service.api), self.contexts[name], self._probes[name].ready)
            for name, service in self.services.items()
        ]
        self.app = build_app(
            parts,
            directory=directory,
            settings=settings,
            registry=metrics.registry,
            observe=observe(spans, metrics),
        )

    async def _start_service(self, service: Service, equipment: Equipment, addresses: Addresses) -> None:
        name, url = service.name, addresses.databases[service.name]
        domain = service.domain(equipment)
        gate = Gate(name)
        database = Database(url, name, gate.close)
        pool = await database.writer()
        self._stack.push_async_callback(pool.close)
        readers = await database.reader(equipment.settings.pool)
        self._stack.push_async_callback(readers.close)
        bus = make_bus(addresses.bus, equipment.settings)
        self._stack.push_async_callback(bus.close)
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
        reactions = Reactions(service.reactions(equipment))
        consumer = Consumer(
            name, bus, store, reactions, pool, metrics=equipment.metrics, telemetry=equipment.telemetry
        )
        parked = ParkedFacts(store, pool, equipment.sealer, reactions.react)
        # No command before the log was read up to where it ends now: it may have what this database lost.
        gate.close(AT_START)
        consumer.catch_up = CatchUp(
            name,
            bus,
            store,
            pool,
            parked,
            service.on_restored,
            consumer.stored_offsets,
            database.expire,
            lambda: database.known,
        )
        bus.looked_by(LogLook(name, bus, pool, gate))
        context = Context(
            **vars(equipment),
            name=name,
            store=store,
            pool=pool,
            readers=readers,
            bus=bus,
            consumer=consumer,
            parked=parked,
            supervisor=self.supervisor,
            ahead=service.ahead,
            database=database,
        )
        self.contexts[name] = context
        self._probes[name] = Probe(context)
        self._supervise(service, context)

    def _supervise(self, service: Service, context: Context) -> None:
        name, start = service.name, self.supervisor.start
        relay = Relay(
            name,
            context.database.connect,
            context.bus,
            context.store.doorbell,
            metrics=context.metrics,
            telemetry=context.telemetry,
        )
        sweep = TimerSweep(
            context.store,
            context.pool,
            context.bus,
            context.consumer,
            context.parked,
            service.on_timer(context),
            clock=self.clock,
            metrics=context.metrics,
            telemetry=context.telemetry,
        )

        def later(run: Factory) -> Factory:
            return lambda heart: _while_open(context, heart, run)

        start(f"{name}.store", lambda heart: context.store.write_waiting())
        start(f"{name}.relay", later(relay.run))
        start(f"{name}.consumer", context.consumer.run)
        self.supervisor.watch(
            f"{name}.consumer", context.consumer.unread, lambda: context.consumer.progress, STALL
        )
        start(f"{name}.timers", later(sweep.run))
        start(f"{name}.claims", later(lambda heart: _prune(context, heart)))
        start(f"{name}.gauges", lambda heart: keep_measuring(context, heart))
        for worker, run in service.workers.items():
            start(f"{name}.{worker}", later(lambda heart, run=run: run(context, heart)))

    async def stop(self) -> None:
        """Stop tasks, then close pools and the log; what is under way may finish within the grace."""
        await self.supervisor.stop(GRACE)
        for probe in self._probes.values():
            await probe.close()
        await self._stack.aclose()


async def _while_open(context: Context, heart: Heart, run: Factory) -> None:
    """What writes or sends works while the service is open, and begins again each time it opens."""
    gate = context.store.gate
    while True:
        if not gate.ready.is_set():
            heart.waiting("the log is read up to its end first")
            await gate.ready.wait()
            # Who finds nothing to do gives no sign of its own, and waits for this no longer.
            heart.beat()
        try:
            if await gate.while_open(lambda: run(heart)):
                return
        except Exception as error:
            # A database that is away is waited for, however long; it is no failure of this task.
            if not lost(error):
                raise
            heart.waiting("the database cannot be reached")
            await asyncio.sleep(startup.LOOK_EVERY)


async def _prune(context: Context, heart: Heart) -> None:
    while True:
        heart.beat()
        while await context.store.forget_claims():
            heart.beat()
        await asyncio.sleep(PRUNE_EVERY)


async def serve(settings: Settings, services: Mapping[str, Service], say: Say = silent) -> int:
    """`loopkeeper up`: run until asked to stop; returns the exit code (1 if a task failed for good). A database, tables or
    a log that are not there are waited for, at whatever moment of the start they go away."""
    configure("+".join(services), settings.log_level)
    async with at_addresses(settings, services, say) as addresses:
        needs = needs_of(addresses, services, tables=settings.migrate == "never")
        while True:
            if missing := await startup.lacking(needs):
                first = next(iter(missing.values()))
                say(f"waiting: {first.sentence}")
                say(first.fix)
                if not await startup.until_there(settings, needs, missing):
                    return 0
            try:
                return await _serve_at(addresses, settings, services, say)
            except startup.WentAway as away:
                log.warning("the start begins again", reason=str(away))
                await asyncio.sleep(startup.LOOK_EVERY)


async def _started(
    running: Running, addresses: Addresses, settings: Settings, services: Mapping[str, Service], say: Say
) -> None:
    """Tables, pools and tasks. Raises `WentAway` where a database was there at the first look and is not any more."""
    try:
        if settings.migrate == "start":
            await migrate_found(addresses, services, say)
        await running.start(addresses, say)
    except Exception as error:
        if migrations.went_away(error):
            raise startup.WentAway(type(error).__name__) from error
        raise


async def _serve_at(
    addresses: Addresses, settings: Settings, services: Mapping[str, Service], say: Say
) -> int:
    async with Running(settings, services) as running:
        await _started(running, addresses, settings, services, say)
        # What stands now lives as long as the process: the collector need not look at it again and again.
        gc.collect()
        gc.freeze()
        server = Server(
            uvicorn.Config(
                running.app,
                host=settings.host,
                port=settings.port,
                log_config=None,
                access_log=False,
                ws="none",
                timeout_graceful_shutdown=int(GRACE.total_seconds()),
            )
        )

        def leave() -> None:
            running.supervisor.stopping.set()
            server.leave()

        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, leave)
        asyncio.get_running_loop().add_signal_handler(signal.SIGINT, leave)
        serving = asyncio.create_task(server.serve())
        log.info("started", port=settings.port)
        failing = asyncio.create_task(running.supervisor.failed.wait())
        await asyncio.wait({serving, failing}, return_when=asyncio.FIRST_COMPLETED)
        failed = failing.done()
        leave()
        failing.cancel()
        await serving
        return 1 if failed else 0


def _secret(settings: Settings) -> str | None:
    return settings.master_key.get_secret_value() if settings.master_key else None


def folders(settings: Settings) -> Mapping[str, Path]:
    """Where things stand, for people."""
    return {
        "data": settings.home,
        "config": settings.config_folder,
        "policy": settings.policy_folder,
        "spans": settings.home / "spans",
    }
