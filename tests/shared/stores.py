"""A store over a real database for the tests of the chassis: the example's (`tests/example`), or any other service's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from loopkeeper.contract import ids
from loopkeeper.contract.envelope import Message
from loopkeeper.contract.events import Event
from loopkeeper.event_log.port import Received
from loopkeeper.kernel.clock import Clock, ManualClock
from loopkeeper.kernel.metrics import Metrics
from loopkeeper.postgres.connections import Pool, writing_pool
from loopkeeper.security.keyring import Keyring
from loopkeeper.security.sealing import Sealer
from loopkeeper.store import offsets
from loopkeeper.store.batch import Batch
from loopkeeper.store.definition import Domain, Submission
from loopkeeper.store.offsets import Progress, Step
from loopkeeper.store.store import Store
from loopkeeper.testing.rules import MONDAY
from tests.builders import facts
from tests.builders.organizations import STREET
from tests.example.domain import Note, Receive, Withdraw
from tests.example.service import register

AT = MONDAY


@dataclass
class Bench:
    """One replica's store with its pool and writer."""

    store: Store[Any]
    pool: Pool
    sealer: Sealer

    async def count(self, what: str) -> int:
        return await self.pool.fetchval(f"SELECT count(*) FROM {what}")


@asynccontextmanager
async def opened(
    url: str,
    config: Path,
    *,
    clock: Clock | None = None,
    domain: Callable[[Sealer], Domain[Any, Any]] = register,
    queue: int = 2048,
) -> AsyncGenerator[Bench]:
    """A store as a replica has it, its writer running."""
    sealer = Sealer(Keyring.open(config))
    pool = await writing_pool(url, name="test")
    store: Store[Any] = Store(
        domain(sealer),
        pool,
        clock=clock or ManualClock(AT),
        chain_key=sealer.chain_key(),
        sealer=sealer,
        metrics=Metrics(),
        queue=queue,
    )
    writer = asyncio.create_task(store.write_waiting())
    try:
        yield Bench(store, pool, sealer)
    finally:
        writer.cancel()
        await asyncio.wait([writer])
        pool.terminate()


async def read_to(store: Store[Any], offset: int) -> Progress:
    """A poll that brings partition 0 from where it is to this offset."""

    async def stands(batch: Batch[Any]) -> int:
        await offsets.begin(batch.connection, [0])
        return (await offsets.read(batch.connection, [0]))[0].next

    return Progress({0: Step(await store.with_batch(stands), offset, uuid4())})


def received(key: str = "", **changes: Any) -> Receive:
    """A reception as the edge hands it to the store."""
    return Receive(received=facts.received(referrer=STREET, member="", **changes), key=key)


def reception(key: str = "", *, command_id: UUID | None = None, body: bytes = b"") -> Submission:
    return Submission(command_id or uuid4(), ids.new("ref"), received(key), body_hash=body)


def withdrawal(stream: str, *, command_id: UUID | None = None) -> Submission:
    return Submission(command_id or uuid4(), stream, Withdraw())


def message(stream: str, event: Event, source: str = "/authorization", id: UUID | None = None) -> Message:
    return Message(id or uuid4(), event.wire_type(), source, stream, AT, event.payload(), sequence=1)


def fact(stream: str, event: Event, offset: int = 1, id: UUID | None = None) -> Submission:
    """Another service's event as the consumer hands it to the store."""
    sent = message(stream, event, id=id)
    place = Received(0, offset, stream, sent)
    return Submission(sent.id, stream, Note(fact=event), causation=str(sent.id), received=place)
