"""A store over a real database for the tests of the chassis: intake's, whose rules are the simplest whole ones."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from loopkeeper.contract import ids
from loopkeeper.contract.envelope import Message
from loopkeeper.contract.events import ActedBy, Event, ReferralReceived
from loopkeeper.event_log.port import Received
from loopkeeper.kernel.clock import Clock, ManualClock
from loopkeeper.kernel.metrics import Metrics
from loopkeeper.policy.reading import load
from loopkeeper.postgres.connections import Pool, writing_pool
from loopkeeper.security.keyring import Keyring
from loopkeeper.security.sealing import Sealer
from loopkeeper.store import offsets
from loopkeeper.store.batch import Batch
from loopkeeper.store.definition import Domain, Submission
from loopkeeper.store.offsets import Progress, Step
from loopkeeper.store.store import Store
from referral_intake.domain.commands import Keys, NoteFact, ReceiveReferral, WithdrawReferral
from referral_intake.domain.rules import DECIDER
from referral_intake.domain.state import Referral
from referral_intake.persistence.context import IntakeLoader
from referral_intake.persistence.projections import IntakeProjection
from referral_intake.persistence.tables import columns

Migrated = Callable[[str], Awaitable[str]]
AT = datetime(2026, 3, 2, 17, 0, tzinfo=UTC)
PLAN, HARBOR = "harbor-health-plan", "harbor-street-medicine"
POLICY = load(["referral_intake"])


def intake(sealer: Sealer) -> Domain[Referral, Any]:
    """Intake without its deadlines."""
    loader, projection = IntakeLoader(POLICY, sealer), IntakeProjection()
    return Domain("intake", DECIDER, columns, loader=loader, projection=projection, notes_all=True)


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
    domain: Callable[[Sealer], Domain[Any, Any]] = intake,
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


def received(member_key: str = "", **changes: Any) -> ReceiveReferral:
    """A reception as the edge hands it to the store."""
    event = ReferralReceived(occurred_at=AT, plan=PLAN, referrer=HARBOR, member="", **changes)
    return ReceiveReferral(received=event, keys=Keys(member=member_key))


def reception(member_key: str = "", *, claim: UUID | None = None, body: bytes = b"") -> Submission:
    return Submission(claim or uuid4(), ids.new("ref"), received(member_key), body_hash=body)


def withdrawal(stream: str, *, claim: UUID | None = None) -> Submission:
    command = WithdrawReferral(by="referrer", acted_by=ActedBy(organization=HARBOR, person="rosa"))
    return Submission(claim or uuid4(), stream, command)


def message(stream: str, event: Event, source: str = "/authorization", id: UUID | None = None) -> Message:
    return Message(id or uuid4(), event.wire_type(), source, stream, AT, event.payload(), sequence=1)


def fact(stream: str, event: Event, offset: int = 1, id: UUID | None = None) -> Submission:
    """Another service's event as the consumer hands it to the store."""
    sent = message(stream, event, id=id)
    place = Received(0, offset, stream, sent)
    return Submission(sent.id, stream, NoteFact(fact=event), causation=str(sent.id), received=place)
