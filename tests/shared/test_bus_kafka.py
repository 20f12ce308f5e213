"""The log in Kafka, on a real broker: the port's contract, and what only this adapter can get wrong."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncGenerator, Mapping
from dataclasses import replace

import pytest
import pytest_asyncio
from aiokafka import AIOKafkaProducer

from loopkeeper.event_log.kafka import LARGEST_BATCH, KafkaBus
from loopkeeper.event_log.kafka_line import Line, goodbye
from loopkeeper.event_log.port import BusUnavailable
from loopkeeper.kernel.errors import StartError, Unsound
from loopkeeper.store.batch import LARGEST_EVENT
from tests.kafka import PARTITIONS, Kafka
from tests.shared.bus_contract import (
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
async def line(kafka: Kafka) -> Line:
    return Line(kafka.servers, await kafka.topic(), PARTITIONS)


@pytest_asyncio.fixture
async def make_bus(line: Line) -> AsyncGenerator[MakeBus]:
    """Each a replica of its own."""
    opened: list[KafkaBus] = []
    numbers = itertools.count()

    async def make() -> KafkaBus:
        opened.append(KafkaBus(line, replica=str(next(numbers)), session=SOON))
        return opened[-1]

    yield make
    for bus in opened:
        await bus.close()


@pytest_asyncio.fixture
async def put_raw(line: Line) -> PutRaw:
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
    bus = KafkaBus(Line("127.0.0.1:1"))
    for asked in (bus.publish([message("ref_1", 1)]), bus.ends(), bus.positions("intake")):
        with pytest.raises(BusUnavailable):
            await asked
    with pytest.raises(BusUnavailable):
        await (await bus.join("intake", Offsets())).poll()
    await bus.close()


async def test_a_topic_with_another_count_of_partitions_is_refused_by_everybody(line: Line) -> None:
    bus = KafkaBus(replace(line, partitions=PARTITIONS + 1))
    for asked in (
        bus.publish([message("ref_1", 1)]),
        bus.ends(),
        (await bus.join("intake", Offsets())).poll(),
    ):
        with pytest.raises(StartError, match=f"{PARTITIONS} partitions, configured are {PARTITIONS + 1}"):
            await asked
    await bus.close()


async def test_a_topic_that_does_not_exist_yet_is_waited_for(kafka: Kafka, line: Line) -> None:
    bus = KafkaBus(replace(line, topic=f"{line.topic}-later"))
    with pytest.raises(BusUnavailable):
        await bus.ends()
    await kafka.topic(name=f"{line.topic}-later")
    assert sum((await bus.ends()).values()) == 0
    await bus.close()


async def test_a_log_that_ends_before_the_stored_offset_is_not_read(make_bus: MakeBus) -> None:
    """The database belongs to another log: from here on a loss would be silent."""
    bus, offsets = await make_bus(), Offsets()
    offsets.stored = dict.fromkeys(range(PARTITIONS), 7)
    member = await bus.join("intake", offsets)
    with pytest.raises(Unsound):
        await read(member, 1)


# ── publishing ────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_round_of_many_batches_keeps_the_order_of_every_key(make_bus: MakeBus) -> None:
    bus = await make_bus()
    filling = b"x" * (LARGEST_BATCH // 10)
    sent = [replace(message(f"ref_{n % 4}", n), data=filling) for n in range(120)]
    assert await bus.publish(sent) == len(sent)
    found = [one async for one in bus.history()]
    assert by_key(found) == {f"ref_{k}": list(range(k, 120, 4)) for k in range(4)}


async def test_the_largest_event_the_store_lets_through_is_taken(make_bus: MakeBus) -> None:
    bus = await make_bus()
    largest = replace(message("ref_1", 1), data=b"x" * LARGEST_EVENT)
    assert await bus.publish([message("ref_1", 0), largest, message("ref_1", 2)]) == 3
    assert by_key([one async for one in bus.history()]) == {"ref_1": [0, 1, 2]}


async def test_after_a_rejected_record_the_leading_ones_count_and_the_next_round_goes_through(
    make_bus: MakeBus,
) -> None:
    """The library's sequence numbers are wedged after a rejection; only a new producer gets on."""
    bus = await make_bus()
    too_large = replace(message("ref_1", 2), data=b"x" * (2 * 1024 * 1024))
    assert await bus.publish([message("ref_1", 1), too_large, message("ref_1", 3)]) == 1
    assert await bus.publish([message("ref_1", 2), message("ref_1", 3)]) == 2
    assert by_key([one async for one in bus.history()]) == {"ref_1": [1, 2, 3]}


# ── members ───────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_static_member_that_comes_back_is_served_before_it_would_have_been_missed(line: Line) -> None:
    first = KafkaBus(line, replica="0", session=30.0)
    offsets = Offsets()
    await first.publish([message("ref_1", n) for n in range(3)])
    offsets.keep(await read(await first.join("intake", offsets), 3))
    await first.close()
    again = KafkaBus(line, replica="0", session=30.0)
    await again.publish([message("ref_1", 3)])
    began = asyncio.get_running_loop().time()
    assert by_key(await read(await again.join("intake", offsets), 1)) == {"ref_1": [3]}
    assert asyncio.get_running_loop().time() - began < 5.0
    await again.close()


async def test_a_member_without_a_name_leaves_as_it_goes_and_the_other_takes_over_at_once(line: Line) -> None:
    one, two = (KafkaBus(line, session=30.0) for _ in range(2))
    offsets = Offsets()
    leaving, staying = await one.join("intake", offsets), await two.join("intake", offsets)
    await until_holding(leaving)
    await two.publish([message("ref_1", 1)])
    await one.close()
    assert by_key(await read(staying, 1)) == {"ref_1": [1]}
    await two.close()


async def test_two_members_share_the_partitions_and_each_says_which_it_reads(make_bus: MakeBus) -> None:
    one, two = await make_bus(), await make_bus()
    members = [await one.join("intake", Offsets()), await two.join("intake", Offsets())]
    async with asyncio.timeout(20):
        while {len(m.partitions()) for m in members} != {1, 2}:
            await asyncio.gather(*(member.poll(timeout=0.2) for member in members))
    assert members[0].partitions() | members[1].partitions() == set(range(PARTITIONS))


async def test_a_rebalance_waits_for_the_batch_in_hand_and_the_other_begins_behind_it(
    make_bus: MakeBus,
) -> None:
    one, two, offsets = await make_bus(), await make_bus(), Offsets()
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


async def test_the_ends_are_told_at_once_while_nothing_is_published(make_bus: MakeBus) -> None:
    """Every due deadline asks for them: behind a fetch that waits for news each would take half a second."""
    bus = await make_bus()
    await bus.ends()
    began = asyncio.get_running_loop().time()
    for _ in range(10):
        await bus.ends()
    assert asyncio.get_running_loop().time() - began < 2.0
