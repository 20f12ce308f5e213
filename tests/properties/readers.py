"""A service reading the log into a database of its own, poll by poll, and what it then knows about a referral."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from assignment.persistence.directory import ProviderBody, recording
from loopkeeper.contract.envelope import Message
from loopkeeper.contract.events import Event, publisher
from loopkeeper.event_log.port import Received
from loopkeeper.flow.parked import ParkedFacts
from loopkeeper.flow.reactions import Reactions
from loopkeeper.kernel.clock import ManualClock
from loopkeeper.kernel.metrics import Metrics
from loopkeeper.kernel.settings import Settings
from loopkeeper.observability.telemetry import Telemetry
from loopkeeper.policy.reading import installed, load
from loopkeeper.postgres.connections import Pool, writing_pool
from loopkeeper.runtime.service import Resources, Service
from loopkeeper.security.keyring import Keyring
from loopkeeper.security.organizations import Client, Directory, Role
from loopkeeper.security.sealing import Sealer
from loopkeeper.store.definition import Submission
from loopkeeper.store.store import Store, answered
from tests.shared.stores import read_to

POLICY = Path(__file__).parents[2] / "demo" / "policy"
OPERATIONS = Client("key-of-operations", "operations", "operations", frozenset({Role.OPERATIONS}))
# What hangs on a referral: the table, its column that names the referral, its order.
HANGING = (
    ("referral", "id", "id"),
    ("journal", "stream", "n"),
    ("timer", "stream", "kind"),
    ("claim", "stream", "id"),
    ("outbox", "stream", "n"),
    ("parked", "stream", "offset"),
    ("assignment", "referral", "id"),
    ("notice", "referral", "id"),
)
# Own events get random ids, so other chains; outbox positions are numbered over all referrals.
DRAWN = {"journal": {"id", "chain"}, "referral": {"head"}, "outbox": {"position"}}


def message(stream: str, event: Event, id: UUID, at: datetime) -> Message:
    source = f"/{publisher(type(event))}"
    return Message(id, event.wire_type(), source, stream, at, event.payload(), sequence=1)


@dataclass
class Reader:
    """One replica's store and reactions."""

    store: Store[Any]
    pool: Pool
    reactions: Reactions
    parked: ParkedFacts
    offset: int = 0

    async def poll(self, messages: Sequence[Message]) -> None:
        """These messages in one poll, of which none may be parked."""
        places = [Received(0, self.offset + n, each.subject, each) for n, each in enumerate(messages)]
        self.offset += len(messages)
        submissions = [made for place in places if (made := self.reactions.react(place)) is not None]
        outcomes = await self.store.execute(submissions, await read_to(self.store, self.offset))
        assert not any(answered(outcome).parked for outcome in outcomes.values())

    async def rows_of(self, stream: str) -> Mapping[str, list[Mapping[str, Any]]]:
        """Everything that hangs on a referral, less what no two replicas draw alike."""
        found: dict[str, list[Mapping[str, Any]]] = {}
        for table, key, order in HANGING:
            if await self.pool.fetchval("SELECT to_regclass($1)", table) is None:
                continue
            rows = await self.pool.fetch(
                f'SELECT * FROM "{table}" WHERE "{key}" = $1 ORDER BY "{order}"', stream
            )
            left_out = DRAWN.get(table, set[str]())
            found[table] = [{name: row[name] for name in set(row.keys()) - left_out} for row in rows]
        return found


@asynccontextmanager
async def reading(
    service: Service, url: str, home: Path, at: datetime, directory: Mapping[str, Mapping[str, Any]]
) -> AsyncIterator[Reader]:
    """This service over a migrated database, knowing these providers."""
    chosen = Settings(home=home, policy=POLICY, log_level="WARNING")
    equipment = Resources(
        settings=chosen,
        own=service.settings(),
        clock=ManualClock(at),
        policy=load(installed(), POLICY),
        sealer=Sealer(Keyring.open(chosen.config_folder)),
        directory=Directory(chosen.config_folder),
        telemetry=Telemetry.open(service.name, chosen),
        metrics=Metrics(),
    )
    pool = await writing_pool(url, name="test")
    store: Store[Any] = Store(
        service.domain(equipment),
        pool,
        clock=equipment.clock,
        chain_key=equipment.sealer.chain_key(),
        sealer=equipment.sealer,
        metrics=equipment.metrics,
    )
    reactions = Reactions(service.reactions)
    reader = Reader(store, pool, reactions, ParkedFacts(store, pool, equipment.sealer, reactions.react))
    try:
        for provider, entry in directory.items():
            await _learn(reader, service, provider, entry, at)
        yield reader
    finally:
        await pool.close()
        equipment.telemetry.close()


async def _learn(
    reader: Reader, service: Service, provider: str, entry: Mapping[str, Any], at: datetime
) -> None:
    """Assignment owns the directory; the others hear of it."""
    recorded = recording(OPERATIONS, provider, ProviderBody.model_validate(entry), None)
    change = recorded.change(None, at)
    assert change is not None
    assert change.event is not None
    if service.name == "assignment":
        await reader.store.execute([Submission(uuid4(), provider, reference=recorded)])
    else:
        await reader.poll([message(provider, change.event, uuid4(), at)])
