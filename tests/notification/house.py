"""Notification's store on a real database, with the organizations and the member of these tests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, cast
from uuid import UUID

import httpx
from prometheus_client import CollectorRegistry

from loopkeeper.contract import events, ids
from loopkeeper.contract.envelope import Message
from loopkeeper.contract.events import Event
from loopkeeper.event_log.port import Received
from loopkeeper.flow.reactions import Reactions
from loopkeeper.http.app import App
from loopkeeper.http.serving import AppState
from loopkeeper.kernel.clock import ManualClock
from loopkeeper.kernel.metrics import Metrics
from loopkeeper.kernel.settings import Settings
from loopkeeper.kernel.supervisor import Supervisor
from loopkeeper.observability.telemetry import Telemetry
from loopkeeper.policy.reading import load
from loopkeeper.postgres import migrations
from loopkeeper.postgres.connections import reading_pool, writing_pool
from loopkeeper.postgres.incarnation import Database
from loopkeeper.runtime.service import Resources, RunningService
from loopkeeper.security import organizations
from loopkeeper.security.keyring import Keyring
from loopkeeper.security.sealing import Sealer
from loopkeeper.store.batch import Outcome
from loopkeeper.store.store import Store, answered
from loopkeeper.testing.rules import MONDAY
from notification.consumers import REACTIONS
from notification.service import domain, service
from notification.settings import NotificationSettings
from tests.builders.notification import DAVID
from tests.builders.organizations import HARBOR, OPERATIONS, OTHER, PARTNER, REFERRER, STREET

# Id, name, kind, roles.
Organization = tuple[str, str, str, tuple[str, ...]]
FreshDatabase = Callable[[str], Awaitable[str]]


@dataclass
class House:
    """One running notification service without its log: facts are handed in, workers are called by the test."""

    context: RunningService
    clock: ManualClock
    keys: dict[str, str]
    app: Any
    # What was answered in place of another service, by stream and event.
    played: set[Any] = field(default_factory=set[Any])
    _offset: int = 0
    _reactions: Reactions = field(init=False)

    def __post_init__(self) -> None:
        self._reactions = Reactions(REACTIONS)

    def message(self, event: Event, stream: str = DAVID, event_id: UUID | None = None) -> Received:
        self._offset += 1
        message = Message(
            event_id or ids.uuid(),
            event.wire_type(),
            f"/{events.publisher(type(event))}",
            stream,
            self.clock.now(),
            event.payload(),
            1,
        )
        return Received(0, self._offset, stream, message)

    async def hear(self, *facts: Event, stream: str = DAVID) -> list[Outcome]:
        """These facts in one poll."""
        return await self.take([self.message(fact, stream) for fact in facts])

    async def take(self, messages: Sequence[Received]) -> list[Outcome]:
        submissions = [made for one in messages if (made := self._reactions.react(one)) is not None]
        outcomes = await self.context.store.execute(submissions)
        return [cast("Outcome", answered(outcomes[each.id])) for each in submissions]

    @asynccontextmanager
    async def caller(self, organization: str) -> AsyncIterator[httpx.AsyncClient]:
        headers = {"Authorization": f"Bearer {self.keys[organization]}"}
        transport = httpx.ASGITransport(app=self.app)
        async with httpx.AsyncClient(
            transport=transport, base_url="http://loop.test", headers=headers
        ) as client:
            yield client

    async def rows(self, query: str, *values: Any) -> list[dict[str, Any]]:
        return [dict(row) for row in await self.context.pool.fetch(query, *values)]


@asynccontextmanager
async def house(
    url: str, folder: Path, *, policy_rows: str = "", more: Sequence[Organization] = ()
) -> AsyncIterator[House]:
    """The service over this empty database, with these rows of plans and these further organizations; its writer runs
    while the block does."""
    await migrations.upgrade(url, "notification")
    settings = Settings(home=folder, webhook_allow="127.0.0.1", synthetic_members="on")
    keys = _organizations(settings.config_folder, more)
    clock, metrics = ManualClock(MONDAY), Metrics()
    keyring = Keyring.open(settings.config_folder, None)
    sealer = Sealer(keyring)
    telemetry = Telemetry.open("notification", settings)
    equipment = Resources(
        settings=settings,
        own=NotificationSettings(),
        clock=clock,
        policy=load(["notification"], _policy(folder, policy_rows)),
        sealer=sealer,
        directory=organizations.Directory(settings.config_folder),
        telemetry=telemetry,
        metrics=metrics,
    )
    pool = await writing_pool(url, name="notification")
    readers = await reading_pool(url, role="notification_reader", size=2, name="notification")
    store = Store(
        domain(equipment), pool, clock=clock, chain_key=sealer.chain_key(), sealer=sealer, metrics=metrics
    )
    context = _context(equipment, store, pool, readers, Database(url, "notification", _stays))
    app = App(
        {"notification": service.routers},
        AppState(equipment.directory, settings, {"notification": context}),
        ready={},
        registry=CollectorRegistry(),
    )
    supervisor = context.supervisor
    supervisor.start("writer", lambda _: store.write_waiting())
    try:
        yield House(context, clock, keys, app)
    finally:
        await supervisor.stop(timedelta(seconds=5))
        await readers.close()
        await pool.close()
        telemetry.close()


def _policy(folder: Path, rows: str) -> Path:
    own = folder / "policy"
    own.mkdir()
    (own / "plans.yaml").write_text(rows)
    return own


def _stays(reason: str) -> None:
    raise AssertionError(f"no test of this service moves its database: {reason}")


def _context(equipment: Resources, store: Any, pool: Any, readers: Any, database: Database) -> RunningService:
    nothing = cast("Any", None)
    return RunningService(
        **{name: getattr(equipment, name) for name in Resources.__dataclass_fields__},
        name="notification",
        store=store,
        pool=pool,
        readers=readers,
        event_log=nothing,
        consumer=nothing,
        parked=nothing,
        supervisor=Supervisor(),
        ahead=service.ahead,
        database=database,
    )


def _organizations(folder: Path, more: Sequence[Organization]) -> dict[str, str]:
    told: Sequence[Organization] = (
        (HARBOR, "Harbor Health Plan", "plan", ("plan",)),
        (REFERRER, "Mission Clinic", "referrer", ("referrer",)),
        (STREET, "Harbor Street Medicine", "provider", ("provider", "referrer")),
        (OTHER, "Bayview Outreach", "provider", ("provider",)),
        (OPERATIONS, "Operations", "operations", ("operations",)),
        (PARTNER, "County Health", "partner", ("partner",)),
        *more,
    )
    keys: dict[str, str] = {}
    for slug, name, kind, roles in told:
        organizations.add_organization(folder, slug, name, kind, "415-555-0100")
        keys[slug] = organizations.add_client(folder, slug, roles)[1]
    return keys
