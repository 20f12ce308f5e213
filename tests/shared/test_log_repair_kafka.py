"""Partitions of Kafka step back apart: what a repair of one passes by in another would be lost for good (ADR 54)."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path
from uuid import UUID, uuid4

import pytest_asyncio

from loopkeeper.contract import ids
from loopkeeper.contract.envelope import Message
from loopkeeper.event_log.kafka import KafkaLog
from loopkeeper.event_log.kafka_config import KafkaConfig
from loopkeeper.event_log.port import Position
from loopkeeper.flow.set_back import LogRepair, differs
from loopkeeper.store import offsets
from loopkeeper.store.journal import read_entry
from tests.databases import Migrated
from tests.kafka import PARTITIONS, Kafka
from tests.shared.stores import Bench, opened, reception


@pytest_asyncio.fixture
async def event_log(kafka: Kafka) -> AsyncGenerator[KafkaLog]:
    found = KafkaLog(KafkaConfig(kafka.servers, await kafka.topic(), PARTITIONS))
    yield found
    await found.close()


async def decided(bench: Bench) -> Message:
    """An event of ours, as the log would have it; nobody has published it."""
    outcome = await bench.store.submit(reception())
    row = await bench.pool.fetchrow("SELECT * FROM journal WHERE stream = $1", outcome.stream)
    assert row is not None
    await bench.pool.execute("DELETE FROM outbox WHERE stream = $1", outcome.stream)
    return read_entry(row).message()


async def placed(bench: Bench, places: dict[int, tuple[int, UUID]]) -> None:
    for partition, (following, last) in places.items():
        await bench.pool.execute(
            "INSERT INTO consumed (partition, next_offset, last_id) VALUES ($1, $2, $3)", partition, following, last
        )  # fmt: skip


async def unchecked(_: Message) -> None:
    """No record is of another branch here."""


async def test_own_events_that_the_database_lost_are_still_to_be_read_where_another_partition_stepped_back(
    migrated: Migrated, tmp_path: Path, event_log: KafkaLog
) -> None:
    async with opened(await migrated("example"), tmp_path) as bench:
        read, gone = await decided(bench), await decided(bench)
        while event_log.partition_of(gone.subject) == event_log.partition_of(read.subject):
            gone = await decided(bench)
        whole, back = event_log.partition_of(read.subject), event_log.partition_of(gone.subject)
        # Its database stepped back, too: the log has an event of ours, next in its partition, that the journal lacks.
        lost = Message(uuid4(), read.type, read.source, ids.new("referral"), read.time, read.data, 1)
        while event_log.partition_of(lost.subject) != whole:
            lost = Message(uuid4(), read.type, read.source, ids.new("referral"), read.time, read.data, 1)
        assert await event_log.publish([read, lost]) == 2
        await placed(bench, {whole: (1, read.id), back: (1, gone.id)})
        stored = await offsets.read(bench.pool)

        differing = await differs(event_log, stored)
        assert differing == {back}
        repair = LogRepair("intake", event_log, bench.store, bench.pool, lambda _: None, unchecked)
        queued = await repair.repair(stored, differing, lambda: None)

        assert await offsets.read(bench.pool) == {whole: Position(1, read.id), back: Position(0, None)}
        waiting = await bench.pool.fetch("SELECT stream FROM outbox")
        assert gone.subject in {row["stream"] for row in waiting}
        assert queued == len(waiting)
        assert read.subject not in {row["stream"] for row in waiting}
