"""One replica of a service as the chassis wires it, but for HTTP and supervisor: store, relay, reader and timers on
real databases, each of them moved by the test alone."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import orjson

from assignment.persistence.directory import ProviderBody, recording
from loopkeeper.contract import ids
from loopkeeper.contract.envelope import Message
from loopkeeper.contract.events import Event, publisher
from loopkeeper.event_log.port import EventLog, GroupMember
from loopkeeper.flow.consumer import Consumer
from loopkeeper.flow.parked import ParkedFacts
from loopkeeper.flow.reactions import Reactions
from loopkeeper.flow.relay import Relay
from loopkeeper.flow.timers import TimerSweep
from loopkeeper.kernel.clock import ManualClock
from loopkeeper.kernel.metrics import Metrics
from loopkeeper.kernel.settings import Settings
from loopkeeper.kernel.supervisor import Heartbeat
from loopkeeper.observability.telemetry import Telemetry
from loopkeeper.policy import Policy
from loopkeeper.policy.reading import installed, load
from loopkeeper.postgres.connections import Connection, Pool, connect
from loopkeeper.postgres.embedded import Server
from loopkeeper.runtime.run import make_event_log
from loopkeeper.runtime.service import Resources, Service
from loopkeeper.security.keyring import Keyring
from loopkeeper.security.organizations import Client, Directory, Role
from loopkeeper.security.sealing import Sealer
from loopkeeper.store.definition import Submission
from loopkeeper.store.store import Store
from loopkeeper.store.transient import transient
from tests.builders.assignment import RECEIVED
from tests.builders.organizations import HARBOR
from tests.kafka import PARTITIONS
from tests.shared.stores import Bench, message, opened

# Longer than anything here takes on a busy machine; only a test that fails waits so long.
SOON = 90.0
OPERATIONS = Client("cli_1", "operations", "operations", frozenset({Role.OPERATIONS}))


@dataclass
class Replica:
    """The parts of one replica. `read` does what the consumer's task does, up to the end of the log and no further."""

    bench: Bench
    event_log: EventLog
    consumer: Consumer
    parked: ParkedFacts
    sweep: TimerSweep
    relay: Relay
    member: GroupMember
    url: str

    @property
    def store(self) -> Store[Any]:
        return self.bench.store

    @property
    def pool(self) -> Pool:
        return self.bench.pool

    async def tell(self, stream: str, *events: Event) -> list[Message]:
        """Other services publish these; nobody here has read them yet."""
        told = [message(stream, event, f"/{publisher(type(event))}") for event in events]
        assert await self.event_log.publish(told) == len(told)
        return told

    async def read(self) -> None:
        """Poll, apply, acknowledge, until what was in the log when this began is read."""
        ends = await self.event_log.ends()
        async with asyncio.timeout(SOON):
            while await self._unread(ends):
                received = await self.member.poll(timeout=0.1)
                if received:
                    await self.member.acknowledge(await self.consumer.apply(received))

    async def _unread(self, ends: Mapping[int, int]) -> bool:
        stored = await self.consumer.stored_offsets()
        return any(stored.get(partition, 0) < end for partition, end in ends.items())

    async def hear(self, stream: str, *events: Event) -> list[Message]:
        told = await self.tell(stream, *events)
        await self.read()
        return told

    async def next_offset(self) -> int:
        return (await self.consumer.stored_offsets()).get(0, 0)

    async def stuck(self, sessions: int = 1) -> None:
        """Until so many sessions of this database wait for a lock."""
        count = "pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"

        async def wait() -> bool:
            return await self.bench.count(count) == sessions

        await until(wait)

    async def types(self, stream: str, *, own: bool = True) -> list[str]:
        """The events of this stream's journal in order, its own or those of others, without `ecm.` and `.v1`."""
        rows = await self.pool.fetch(
            "SELECT type FROM journal WHERE stream = $1 AND own = $2 ORDER BY n", stream, own
        )
        return [row["type"].removeprefix("ecm.").removesuffix(".v1") for row in rows]

    async def spoil(self, stream: str) -> None:
        """This row can no longer be read, as if a newer version had written it: whatever touches it fails."""
        await self.pool.execute(
            """UPDATE referral SET state = state || '{"from_the_future": 1}' WHERE id = $1""", stream
        )

    async def repair(self, stream: str) -> None:
        await self.pool.execute("UPDATE referral SET state = state - 'from_the_future' WHERE id = $1", stream)


@dataclass
class Site:
    """One service's database and the log, on which any number of its replicas may be opened. All share one clock."""

    service: Service
    url: str
    log: str
    folder: Path
    clock: ManualClock
    opened: AsyncExitStack

    async def put_raw(self, key: str, headers: Mapping[str, str], payload: bytes) -> None:
        """What somebody else may have written to the log."""
        connection = await connect(self.log, name="test")
        try:
            await connection.execute(
                "INSERT INTO log SELECT nextval('log_offset'), $1, '', $2, $3, now()",
                key,
                orjson.dumps(headers),
                payload,
            )
        finally:
            await connection.close()

    @property
    def database(self) -> str:
        """The name of the service's database."""
        return urlsplit(self.url).path.removeprefix("/")

    async def left(self) -> None:
        """Until nobody has a session with the service's database any more."""
        looking = await connect(self.url, name="test")

        async def nobody() -> bool:
            count = "SELECT count(*) FROM pg_stat_activity WHERE datname = $1 AND pid <> pg_backend_pid()"
            return not await looking.fetchval(count, self.database)

        try:
            await until(nobody)
        finally:
            await looking.close()

    async def replica(self) -> Replica:
        """Another replica, closed with the site."""
        return await self.opened.enter_async_context(self.visited())

    @asynccontextmanager
    async def visited(self) -> AsyncGenerator[Replica]:
        """A replica for the length of the block: its store's writer runs, nothing else."""
        settings, chosen = Settings(home=self.folder), self.service
        telemetry, metrics = Telemetry.open(chosen.name, settings), Metrics()
        sealer = Sealer(Keyring.open(settings.config_folder))
        equipment = Resources(
            settings, chosen.settings(), self.clock, _rows(), sealer,
            Directory(settings.config_folder), telemetry, metrics,
        )  # fmt: skip
        reactions = Reactions(chosen.reactions)
        event_log = make_event_log(self.log, Settings(kafka_partitions=PARTITIONS))
        domain = chosen.domain(equipment)
        async with opened(
            self.url, settings.config_folder, clock=self.clock, domain=lambda _: domain
        ) as bench:
            store, pool = bench.store, bench.pool
            told = {"metrics": metrics, "telemetry": telemetry}
            consumer = Consumer(chosen.name, event_log, store, reactions, pool, **told)
            parked, on_timer = ParkedFacts(store, pool, sealer, reactions.react), chosen.on_timer(equipment)
            sweep = TimerSweep(
                store,
                pool,
                event_log,
                consumer,
                parked,
                on_timer,
                clock=self.clock,
                **told,
                goes_on=chosen.goes_on,
            )
            relay = Relay(chosen.name, partial(connect_as, self.url), event_log, store.unsent, **told)
            member = await event_log.join(chosen.name, consumer.place)
            try:
                yield Replica(bench, event_log, consumer, parked, sweep, relay, member, self.url)
            finally:
                await event_log.close()
                telemetry.close()


async def connect_as(url: str, name: str) -> Connection:
    return await connect(url, name=name)


@asynccontextmanager
async def site(
    service: Service, url: str, log: str, folder: Path, clock: ManualClock
) -> AsyncGenerator[Site]:
    async with AsyncExitStack() as stack:
        yield Site(service, url, log, folder, clock, stack)


@cache
def _rows() -> Policy:
    return load(installed())


# ── tasks and databases that come and go ──────────────────────────────────────────────────────────────────


@dataclass
class Working:
    heartbeat: Heartbeat
    task: asyncio.Task[None]


@asynccontextmanager
async def working(run: Callable[[Heartbeat], Awaitable[None]]) -> AsyncGenerator[Working]:
    """One of the supervisor's tasks, running for the length of the block; one that ended by itself failed."""
    heartbeat = Heartbeat(time.monotonic, transient)

    async def once() -> None:
        await run(heartbeat)

    task = asyncio.create_task(once())
    try:
        yield Working(heartbeat, task)
        assert not task.done() or task.exception() is None, task.exception()
    finally:
        task.cancel()
        await asyncio.wait([task])


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(SOON):
        while True:
            if await condition():
                return
            await asyncio.sleep(0.005)


@asynccontextmanager
async def away(server: Server, url: str) -> AsyncGenerator[None]:
    """This database ends its sessions and takes no new ones, for the length of the block."""
    name = urlsplit(url).path.removeprefix("/")
    admin = await connect(server.admin())
    try:
        await admin.execute(f'ALTER DATABASE "{name}" CONNECTION LIMIT 0')
        await admin.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = $1", name
        )
        yield
    finally:
        await admin.execute(f'ALTER DATABASE "{name}" CONNECTION LIMIT -1')
        await admin.close()


# ── assignment's world ────────────────────────────────────────────────────────────────────────────────────


def referred(**changes: Any) -> tuple[str, Any]:
    """A new referral of Harbor's, of somebody not seen before, and its reception."""
    stream = ids.new("ref")
    return stream, RECEIVED.model_copy(update={"member": ids.new("mem"), **changes})


def listed(provider: str, capacity: int = 20) -> Submission:
    """Operations write a provider into the directory that could take whom Harbor refers."""
    body = ProviderBody.model_validate(
        {
            "name": provider.replace("-", " ").title(),
            "types": ["community_organization"],
            "populations": ["homelessness"],
            "counties": ["alameda"],
            "languages": ["en"],
            "capacity": capacity,
            "contracts": [{"plan": HARBOR, "populations": ["homelessness"], "from": "2025-01-01"}],
        }
    )
    return Submission(uuid4(), provider, reference=recording(OPERATIONS, provider, body, None))
