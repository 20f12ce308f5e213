"""The log in Kafka, on a real broker: the port's contract, and what only this adapter can get wrong."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncGenerator, Mapping
from dataclasses import replace

import pytest
import pytest_asyncio
from aiokafka import AIOKafkaProducer

from loopkeeper.contract.decider import InvariantBroken
from loopkeeper.event_log.kafka import LARGEST_BATCH, KafkaLog
from loopkeeper.event_log.kafka_config import KafkaConfig, goodbye
from loopkeeper.event_log.port import LogUnavailable
from loopkeeper.kernel.errors import StartError
from loopkeeper.store.entries import LARGEST_EVENT
from tests.kafka import PARTITIONS, Kafka
from tests.shared.event_log_contract import (
    BusContract,
    MakeBus,
    Offsets,
    PutRaw,
    by_key,
    message,
    read,
    until_holding,
)

# A member that is gone is missed after this, where production waits six seconds.
SOON = 1.5


@pytest_asyncio.fixture
async def line(kafka: Kafka) -> KafkaConfig:
    return KafkaConfig(kafka.servers, await kafka.topic(), PARTITIONS)


@pytest_asyncio.fixture
async def make_event_log(line: KafkaConfig) -> AsyncGenerator[MakeBus]:
    """Each a replica of its own."""
    opened: list[KafkaLog] = []
    numbers = itertools.count()

    async def make() -> KafkaLog:
        opened.append(KafkaLog(line, replica=str(next(numbers)), session=SOON))
        return opened[-1]

    yield make
    for event_log in opened:
        await event_log.close()


@pytest_asyncio.fixture
async def put_raw(line: KafkaConfig) -> PutRaw:
    async def put(key: str, headers: Mapping[str, str], payload: bytes) -> None:
        producer = AIOKafkaProducer(bootstrap_servers=line.servers)
        await producer.start()
        raw = [(name, value.encode()) for name, value in headers.items()]
        await producer.send_and_wait(line.topic, payload, key=key.encode(), headers=raw)
        await goodbye(producer.stop(), producer)

    return put


class TestContract(BusContract):
    """The contract on Kafka."""


# ── a log that is not what it should be ───────────────────────────────────────────────────────────────────


async def test_a_log_that_is_away_is_named_so() -> None:
    event_log = KafkaLog(KafkaConfig("127.0.0.1:1"))
    for asked in (event_log.publish([message("ref_1", 1)]), event_log.ends(), event_log.positions("intake")):
        with pytest.raises(LogUnavailable):
            await asked
    with pytest.raises(LogUnavailable):
        await (await event_log.join("intake", Offsets())).poll()
    await event_log.close()


async def test_a_topic_with_another_count_of_partitions_is_refused_by_everybody(line: KafkaConfig) -> None:
    event_log = KafkaLog(replace(line, partitions=PARTITIONS + 1))
    for asked in (
        event_log.publish([message("ref_1", 1)]),
        event_log.ends(),
        (await event_log.join("intake", Offsets())).poll(),
    ):
        with pytest.raises(StartError, match=f"{PARTITIONS} partitions, configured are {PARTITIONS + 1}"):
            await asked
    await event_log.close()


async def test_a_topic_that_does_not_exist_yet_is_waited_for(kafka: Kafka, line: KafkaConfig) -> None:
    event_log = KafkaLog(replace(line, topic=f"{line.topic}-later"))
    with pytest.raises(LogUnavailable):
        await event_log.ends()
    await kafka.topic(name=f"{line.topic}-later")
    assert sum((await event_log.ends()).values()) == 0
    await event_log.close()


async def test_a_log_that_ends_before_the_stored_offset_is_not_read(make_event_log: MakeBus) -> None:
    """The database belongs to another log: from here on a loss would be silent."""
    event_log, offsets = await make_event_log(), Offsets()
    offsets.stored = dict.fromkeys(range(PARTITIONS), 7)
    member = await event_log.join("intake", offsets)
    with pytest.raises(InvariantBroken):
        await read(member, 1)


# ── publishing ────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_round_of_many_batches_keeps_the_order_of_every_key(make_event_log: MakeBus) -> None:
    event_log = await make_event_log()
    filling = b"x" * (LARGEST_BATCH // 10)
    sent = [replace(message(f"ref_{n % 4}", n), data=filling) for n in range(120)]
    assert await event_log.publish(sent) == len(sent)
    found = [one async for one in event_log.history()]
    assert by_key(found) == {f"ref_{k}": list(range(k, 120, 4)) for k in range(4)}


async def test_the_largest_event_the_store_lets_through_is_taken(make_event_log: MakeBus) -> None:
    event_log = await make_event_log()
    largest = replace(message("ref_1", 1), data=b"x" * LARGEST_EVENT)
    assert await event_log.publish([message("ref_1", 0), largest, message("ref_1", 2)]) == 3
    assert by_key([one async for one in event_log.history()]) == {"ref_1": [0, 1, 2]}


async def test_after_a_rejected_record_the_leading_ones_count_and_the_next_round_goes_through(
    make_event_log: MakeBus,
) -> None:
    """The library's sequence numbers are wedged after a rejection; only a new producer gets on."""
    event_log = await make_event_log()
    too_large = replace(message("ref_1", 2), data=b"x" * (2 * 1024 * 1024))
    assert await event_log.publish([message("ref_1", 1), too_large, message("ref_1", 3)]) == 1
    assert await event_log.publish([message("ref_1", 2), message("ref_1", 3)]) == 2
    assert by_key([one async for one in event_log.history()]) == {"ref_1": [1, 2, 3]}


# ── members ───────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_static_member_that_comes_back_is_served_before_it_would_have_been_missed(
    line: KafkaConfig,
) -> None:
    first = KafkaLog(line, replica="0", session=30.0)
    offsets = Offsets()
    await first.publish([message("ref_1", n) for n in range(3)])
    offsets.keep(await read(await first.join("intake", offsets), 3))
    await first.close()
    again = KafkaLog(line, replica="0", session=30.0)
    await again.publish([message("ref_1", 3)])
    began = asyncio.get_running_loop().time()
    assert by_key(await read(await again.join("intake", offsets), 1)) == {"ref_1": [3]}
    assert asyncio.get_running_loop().time() - began < 5.0
    await again.close()


async def test_a_member_without_a_name_leaves_as_it_goes_and_the_other_takes_over_at_once(
    line: KafkaConfig,
) -> None:
    one, two = (KafkaLog(line, session=30.0) for _ in range(2))
    offsets = Offsets()
    leaving, staying = await one.join("intake", offsets), await two.join("intake", offsets)
    await until_holding(leaving)
    await two.publish([message("ref_1", 1)])
    await one.close()
    assert by_key(await read(staying, 1)) == {"ref_1": [1]}
    await two.close()


async def test_two_members_share_the_partitions_and_each_says_which_it_reads(make_event_log: MakeBus) -> None:
    one, two = await make_event_log(), await make_event_log()
    members = [await one.join("intake", Offsets()), await two.join("intake", Offsets())]
    async with asyncio.timeout(20):
        while {len(m.partitions()) for m in members} != {1, 2}:
            await asyncio.gather(*(member.poll(timeout=0.2) for member in members))
    assert members[0].partitions() | members[1].partitions() == set(range(PARTITIONS))


async def test_a_rebalance_waits_for_the_batch_in_hand_and_the_other_begins_behind_it(
    make_event_log: MakeBus,
) -> None:
    one, two, offsets = await make_event_log(), await make_event_log(), Offsets()
    await one.publish([message(f"ref_{n}", n) for n in range(30)])
    first = await one.join("intake", offsets)
    in_hand = await read(first, 1)
    second = await two.join("intake", offsets)
    joining = asyncio.create_task(second.poll(timeout=1.0))
    assert await joining == []
    await first.acknowledge(offsets.keep(in_hand))
    rest = await asyncio.gather(read(first, 30, 2.0), read(second, 30, 2.0))
    places = [(r.partition, r.offset) for r in (*in_hand, *rest[0], *rest[1])]
    assert sorted(places) == sorted(set(places))
    assert len(places) == 30


async def test_the_ends_are_told_at_once_while_nothing_is_published(make_event_log: MakeBus) -> None:
    """Every due deadline asks for them: behind a fetch that waits for news each would take half a second."""
    event_log = await make_event_log()
    await event_log.ends()
    began = asyncio.get_running_loop().time()
    for _ in range(10):
        await event_log.ends()
    assert asyncio.get_running_loop().time() - began < 2.0
