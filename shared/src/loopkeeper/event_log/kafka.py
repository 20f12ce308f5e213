"""The log in Kafka: one topic whose partitions are read by as many members of a group as there are replicas.

A key's partition is murmur2 of the key over the configured count, as every Kafka client computes it. The producer is
idempotent, has one batch in flight per partition, and is thrown away on any error: one rejected record would leave
its sequence numbers wedged for that partition forever, and a new producer simply sends what the outbox still holds.
Nothing here uses Kafka's transactions; effects are once because the services claim what they apply.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import timedelta
from typing import Any

from loopkeeper.contract.envelope import Message
from loopkeeper.event_log.commands import REST, carried, cut, segments
from loopkeeper.event_log.kafka_config import (
    ANSWER_MS,
    AWAY,
    AIOKafkaAdminClient,
    AIOKafkaConsumer,
    AIOKafkaProducer,
    Client,
    KafkaConfig,
    TopicPartition,
    errors,
    goodbye,
    murmur2,
)
from loopkeeper.event_log.kafka_member import KafkaMember, check_partitions, received
from loopkeeper.event_log.kafka_refusals import Refusals
from loopkeeper.event_log.port import POLL_LIMIT, CheckLog, Received, StoredOffsets

# So large that a relay's round is one batch per partition. A batch is closed beyond it, but never inside a command, whose
# events are up to 512 KiB together.
LARGEST_BATCH = 256 * 1024
# What one batch may hold at all: below what a topic takes (1 MiB).
ROOM = 960 * 1024
LARGEST_REQUEST = 4 * 1024 * 1024
# A batch the broker did not confirm within this is not confirmed: the library's own tries included.
CONFIRMED_WITHIN = 2 * ANSWER_MS / 1000
# A topic that is there is found in milliseconds; one that is missing must not hold up those that are there.
FOUND_WITHIN = 2.0


def partition_of(key: str, partitions: int) -> int:
    """Where a key is, as the default partitioner of every Kafka client has it."""
    return (murmur2(key.encode()) & 0x7FFFFFFF) % partitions


class KafkaLog:
    """The log on this line. `replica`: a name that survives a restart makes this process's members static, so that
    a restart moves nobody's partitions; without one they leave as they go."""

    def __init__(self, config: KafkaConfig, *, replica: str = "", session: float = 6.0) -> None:
        self._config = config
        self._refusals = Refusals(config)
        self._replica = replica
        self._session = session
        self._producer: Client = None
        self._reader: Client = None
        self._admin: Client = None
        self._publishing = asyncio.Lock()
        self._asking = asyncio.Lock()
        self._members: set[KafkaMember] = set()

    async def publish(self, messages: Sequence[Message]) -> int:
        return await self.forward(self._config.topic, messages)

    async def forward(self, topic: str, messages: Sequence[Message]) -> int:
        """The same for any topic: append in order per key; how many leading messages are durable."""
        if not messages:
            return 0
        async with self._publishing:
            try:
                producer = await self._started_producer()
                count = (
                    self._config.partitions if topic == self._config.topic else await _count(producer, topic)
                )
                done, unsent = await _send_all(producer, topic, messages, count)
            except AWAY as error:
                await self._throw_producer_away()
                raise await self._refusals.named(error) from error
            except BaseException:
                await self._throw_producer_away()
                raise
            if unsent is not None:
                await self._throw_producer_away()
                if not done:
                    raise await self._refusals.named(unsent) from unsent
            return done

    async def announce(self, message: Message) -> None:
        async with self._publishing:
            try:
                producer = await self._started_producer()
                for partition in range(self._config.partitions):
                    batch = producer.create_batch()
                    _append(batch, message)
                    batch.close()
                    async with asyncio.timeout(CONFIRMED_WITHIN):
                        await (await producer.send_batch(batch, self._config.topic, partition=partition))
            except AWAY as error:
                await self._throw_producer_away()
                raise await self._refusals.named(error) from error

    async def join(self, group: str, offsets: StoredOffsets) -> KafkaMember:
        name = self._config.group(group)
        instance = f"{name}-{self._replica}" if self._replica else ""
        member = KafkaMember(
            self._config, name, offsets, instance=instance, session=self._session, refusals=self._refusals
        )
        self._members = {one for one in self._members if not one.closed} | {member}
        return member

    def check_with(self, look: CheckLog) -> None:
        """A broker tells nobody that it is another one: only readers find out."""

    async def records_at(self, places: Mapping[int, int]) -> Mapping[int, Received]:
        ends: Mapping[int, int] = await self.ends() if places else {}
        wanted = {p: offset for p, offset in places.items() if 0 <= offset < ends.get(p, 0)}
        if not wanted:
            return {}
        found: dict[int, Received] = {}
        reader = AIOKafkaConsumer(
            **self._config.client(), enable_auto_commit=False, auto_offset_reset="earliest"
        )
        try:
            async with asyncio.timeout(CONFIRMED_WITHIN):
                await reader.start()
                reader.assign([TopicPartition(self._config.topic, partition) for partition in wanted])
                for partition, offset in wanted.items():
                    reader.seek(TopicPartition(self._config.topic, partition), offset)
                while wanted.keys() - found.keys():
                    for place, records in (await reader.getmany(timeout_ms=1000)).items():
                        # One that begins elsewhere is no longer there.
                        found.setdefault(place.partition, received(records[0]))
        except AWAY as error:
            raise await self._refusals.named(error) from error
        finally:
            await goodbye(reader.stop(), reader)
        return {p: each for p, each in found.items() if each.offset == wanted[p]}

    async def renumber(self, above: Mapping[int, int]) -> None:
        """The broker numbers its records itself."""

    async def back(self, by: timedelta) -> Mapping[int, int]:
        last = await self.records_at({p: end - 1 for p, end in (await self.ends()).items() if end})
        times = {
            TopicPartition(self._config.topic, p): int((each.message.time - by).timestamp() * 1000)
            for p, each in last.items()
            if each.message is not None
        }
        async with self._asking:
            try:
                reader = await self._started_reader()
                async with asyncio.timeout(CONFIRMED_WITHIN):
                    found: dict[Any, Any] = await reader.offsets_for_times(times) if times else {}
            except AWAY as error:
                await self._discard_reader()
                raise await self._refusals.named(error) from error
        return {place.partition: at.offset for place, at in found.items() if at is not None}

    async def ends(self) -> Mapping[int, int]:
        async with self._asking:
            try:
                reader = await self._started_reader()
                async with asyncio.timeout(CONFIRMED_WITHIN):
                    found = await reader.end_offsets(self._everything())
            except AWAY as error:
                await self._discard_reader()
                raise await self._refusals.named(error) from error
            except asyncio.CancelledError:
                await self._discard_reader()
                raise
        return {place.partition: offset for place, offset in found.items()}

    async def positions(self, group: str) -> Mapping[int, int]:
        async with self._asking:
            try:
                admin = await self._started_admin()
                async with asyncio.timeout(CONFIRMED_WITHIN):
                    found = await admin.list_consumer_group_offsets(
                        self._config.group(group), partitions=self._everything()
                    )
            except AWAY as error:
                await self._discard_admin()
                raise await self._refusals.named(error) from error
        return {
            place.partition: kept.offset
            for place, kept in found.items()
            if place.topic == self._config.topic and kept.offset >= 0
        }

    def partition_of(self, key: str) -> int:
        return partition_of(key, self._config.partitions)

    async def history(self, after: Mapping[int, int] | None = None) -> AsyncIterator[Received]:
        ends = await self.ends()
        at = {partition: (after or {}).get(partition, 0) for partition in ends}
        reader = AIOKafkaConsumer(
            **self._config.client(), enable_auto_commit=False, auto_offset_reset="earliest"
        )
        try:
            await reader.start()
            reader.assign(self._everything())
            for partition, offset in at.items():
                reader.seek(TopicPartition(self._config.topic, partition), offset)
            while any(at[partition] < end for partition, end in ends.items()):
                for place, records in (await reader.getmany(timeout_ms=1000, max_records=POLL_LIMIT)).items():
                    for record in records:
                        if record.offset < ends[place.partition]:
                            yield received(record)
                        at[place.partition] = record.offset + 1
        except AWAY as error:
            raise await self._refusals.named(error) from error
        finally:
            await goodbye(reader.stop(), reader)

    async def close(self) -> None:
        for member in self._members:
            await member.close()
        await self._throw_producer_away()
        await self._discard_reader()
        await self._discard_admin()

    def _everything(self) -> list[Any]:
        return [TopicPartition(self._config.topic, number) for number in range(self._config.partitions)]

    # ── clients, made when first needed and made again after an error ──────────────────────────────────────

    async def _started_producer(self) -> Client:
        if self._producer is None:
            self._producer = producer = AIOKafkaProducer(
                **self._config.client(),
                acks="all",
                enable_idempotence=True,
                max_batch_size=ROOM,
                max_request_size=LARGEST_REQUEST,
            )
            async with asyncio.timeout(CONFIRMED_WITHIN):
                await producer.start()
                check_partitions(await producer.partitions_for(self._config.topic), self._config)
        return self._producer

    async def _started_reader(self) -> Client:
        if self._reader is None:
            # It subscribes to nothing: a fetch that waits for news would hold up every question behind it.
            self._reader = reader = AIOKafkaConsumer(**self._config.client(), enable_auto_commit=False)
            async with asyncio.timeout(CONFIRMED_WITHIN):
                await reader.start()
                check_partitions(await reader._client._wait_on_metadata(self._config.topic), self._config)
        return self._reader

    async def _started_admin(self) -> Client:
        if self._admin is None:
            self._admin = AIOKafkaAdminClient(**self._config.client())
            async with asyncio.timeout(CONFIRMED_WITHIN):
                await self._admin.start()
        return self._admin

    async def _throw_producer_away(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            await goodbye(producer.stop(), producer)

    async def _discard_reader(self) -> None:
        reader, self._reader = self._reader, None
        if reader is not None:
            await goodbye(reader.stop(), reader)

    async def _discard_admin(self) -> None:
        admin, self._admin = self._admin, None
        if admin is not None:
            await goodbye(admin.close(), admin)


async def _count(producer: Client, topic: str) -> int:
    async with asyncio.timeout(FOUND_WITHIN):
        return len(await producer.partitions_for(topic))


async def _send_all(
    producer: Client, topic: str, messages: Sequence[Message], partitions: int
) -> tuple[int, Exception | None]:
    """How many leading messages the broker has confirmed, and why not the next. What carries the rest of its command is
    confirmed before any of that rest is sent."""
    done = 0
    for segment in segments(messages, lambda key: partition_of(key, partitions)):
        unsent = await _send(producer, topic, segment, partitions)
        if unsent:
            first = min(unsent)
            return done + first, unsent[first]
        done += len(segment)
    return done, None


async def _send(
    producer: Client, topic: str, messages: Sequence[Message], partitions: int
) -> Mapping[int, Exception]:
    """Which of the messages the broker has not confirmed, and why. A partition's batches go one after the other, and
    the first that is not confirmed ends that partition's round."""
    places: dict[int, list[int]] = defaultdict(list)
    for index, message in enumerate(messages):
        places[partition_of(message.subject, partitions)].append(index)
    unsent: dict[int, Exception] = {}

    async def batch_of(partition: int, indexes: Sequence[int]) -> int:
        """Send what goes into one batch, from the first on; how many that was."""
        batch = producer.create_batch()
        mine = [messages[index] for index in indexes]
        count = 0
        while count < len(mine):
            end = cut(mine, count, 1)
            if count and batch.size() + sum(_size(each) for each in mine[count:end]) > LARGEST_BATCH:
                break
            if not all(_append(batch, each) for each in mine[count:end]):
                raise errors.MessageSizeTooLargeError
            count = end
        batch.close()
        async with asyncio.timeout(CONFIRMED_WITHIN):
            await (await producer.send_batch(batch, topic, partition=partition))
        return count

    async def one(partition: int, indexes: list[int]) -> None:
        at = 0
        try:
            while at < len(indexes):
                at += await batch_of(partition, indexes[at:])
        except AWAY as error:
            for index in indexes[at:]:
                unsent[index] = error

    await asyncio.gather(*(one(*each) for each in places.items()))
    return unsent


def _append(batch: Any, message: Message) -> bool:
    milliseconds = int(message.time.timestamp() * 1000)
    key = message.subject.encode()
    return (
        batch.append(key=key, value=message.data, timestamp=milliseconds, headers=_headers(message))
        is not None
    )


def _headers(message: Message) -> list[tuple[str, bytes]]:
    headers = message.headers()
    if message.rest:
        headers[REST] = carried(message.rest)
    return [(name, value.encode()) for name, value in headers.items()]


def _size(message: Message) -> int:
    """What a record takes at most."""
    headers = sum(len(name) + len(value) + 8 for name, value in _headers(message))
    return len(message.data) + len(message.subject) + headers + 64
