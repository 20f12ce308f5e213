"""How does one replica read its share of the topic? As a member of its service's group, from the service's offsets.

The library rebalances eagerly: everybody gives up all partitions and is given new ones. So on a revocation the batch
in hand is finished first, and after every assignment each partition is set to what the service's database has; what
was fetched in between is thrown away. A member that acts after it lost its partitions is harmless: claims are in
the same transaction as the effect.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any
from uuid import UUID

from loopkeeper.contract.decider import InvariantBroken
from loopkeeper.contract.envelope import BadEnvelope, parse
from loopkeeper.event_log.commands import REST, unpacked
from loopkeeper.event_log.kafka_config import (
    ANSWER_MS,
    AWAY,
    AIOKafkaConsumer,
    Client,
    KafkaConfig,
    Listener,
    TopicPartition,
    goodbye,
)
from loopkeeper.event_log.kafka_refusals import Refusals
from loopkeeper.event_log.port import POLL_LIMIT, LogSteppedBack, Position, Received, StoredOffsets, id_of
from loopkeeper.kernel.errors import StartError
from loopkeeper.kernel.logs import get

log = get("kafka")

# A member is given up after a silence of this length, and speaks four times as often.
BEATS = 4
# A rebalance waits this long for the batch in hand; a commit takes milliseconds, and a database that is away is not
# waited for by the whole group.
BATCH_IN_HAND = 4.0
JOINS_WITHIN = 2 * ANSWER_MS / 1000
# How soon a poll that waits for messages looks whether the group gave it other partitions.
LOOK = 0.25


class KafkaMember:
    """One reader of a group, for the partitions the group gave it."""

    def __init__(
        self,
        config: KafkaConfig,
        group: str,
        offsets: StoredOffsets,
        *,
        instance: str,
        session: float,
        refusals: Refusals,
    ) -> None:
        self._config = config
        self._group = group
        self._offsets = offsets
        self._instance = instance
        self._session = session
        self._refusals = refusals
        self._consumer: Client = None
        # Changes with every assignment: what was asked for under another one is void.
        self._turn = 0
        self._held: frozenset[int] = frozenset()
        self._placed = False
        self._next: dict[int, int] = {}
        # The record before the place where a partition is read from: it comes first, and is compared and dropped.
        self._expected: dict[int, UUID] = {}
        self._news = asyncio.Event()
        self._free = asyncio.Event()
        self._free.set()
        self.closed = False

    def holds(self) -> bool:
        return bool(self._held) and self._consumer is not None

    def partitions(self) -> frozenset[int]:
        return self._held if self.holds() else frozenset()

    async def poll(self, limit: int = POLL_LIMIT, timeout: float = 1.0) -> Sequence[Received]:  # noqa: ASYNC109 a poll's own wait
        self._free.set()
        loop = asyncio.get_running_loop()
        try:
            consumer = await self._joined()
            deadline = loop.time() + timeout
            while True:
                turn = self._turn
                if self._held and not self._placed:
                    await self._place(consumer)
                left = min(max(deadline - loop.time(), 0.0), LOOK)
                if not self._held:
                    await self._given(left)
                    left = 0.0
                # Asked in any case: here the library tells what went wrong in its own tasks.
                found = await consumer.getmany(timeout_ms=int(left * 1000), max_records=limit)
                # From here to the return nothing is awaited: a revocation that comes now waits for this batch.
                current = self._placed and turn == self._turn
                if records := [record for each in found.values() for record in each if current]:
                    self._check_order(records)
                    if fresh := self._behind_expected([received(record) for record in records]):
                        self._free.clear()
                        return fresh
                if loop.time() >= deadline:
                    return []
        except AWAY as error:
            await self._leave()
            raise await self._refusals.named(error) from error
        except BaseException:
            await self._leave()
            raise

    def place_again(self) -> None:
        self._turn += 1
        self._placed = False

    async def acknowledge(self, offsets: Mapping[int, int]) -> None:
        consumer = self._consumer
        mine = {
            TopicPartition(self._config.topic, partition): offset
            for partition, offset in offsets.items()
            if partition in self._held
        }
        try:
            if consumer is not None and mine:
                async with asyncio.timeout(JOINS_WITHIN):
                    await consumer.commit(mine)
        except AWAY:
            # The copy is for displays; what counts is in the service's database. A commit that failed because
            # the group moved on means the partitions are gone, and the next poll finds new ones.
            log.info("offsets not shown", reason="the group moved on or the broker is away")
        finally:
            self._free.set()

    async def close(self) -> None:
        self.closed = True
        await self._leave()

    async def _given(self, left: float) -> None:
        """Until the group gives this member partitions, or for this long."""
        self._news.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(left):
                await self._news.wait()

    async def _joined(self) -> Client:
        if self.closed:
            raise TimeoutError("this member is closed")
        if self._consumer is not None:
            return self._consumer
        consumer = AIOKafkaConsumer(
            **self._config.client(),
            group_id=self._group,
            group_instance_id=self._instance or None,
            enable_auto_commit=False,
            # Never relied upon: every partition is placed by hand before anything of it is taken.
            auto_offset_reset="earliest",
            session_timeout_ms=int(self._session * 1000),
            heartbeat_interval_ms=int(self._session * 1000 / BEATS),
            rebalance_timeout_ms=int((self._session + BATCH_IN_HAND) * 1000),
        )
        self._consumer = consumer
        async with asyncio.timeout(JOINS_WITHIN):
            await consumer.start()
            found = await consumer._client._wait_on_metadata(self._config.topic)
        check_partitions(found, self._config)
        consumer.subscribe([self._config.topic], listener=_Moves(self))
        return consumer

    async def _place(self, consumer: Client) -> None:
        """Set every partition given to us to the service's own offset. An offset the log does not have means that
        the log is another one than the database belongs to: reading on would lose or repeat without a word."""
        turn, mine = self._turn, sorted(self._held)
        stored = await self._offsets(mine)
        places = [TopicPartition(self._config.topic, partition) for partition in mine]
        async with asyncio.timeout(JOINS_WITHIN):
            first, last = await consumer.beginning_offsets(places), await consumer.end_offsets(places)
        if turn != self._turn:
            return
        self._expected = {}
        for place in places:
            kept = stored.get(place.partition, Position(0))
            offset = kept.next
            if kept.last is not None and first[place] <= offset - 1:
                offset -= 1
                self._expected[place.partition] = kept.last
            if not first[place] <= offset or kept.next > last[place]:
                if kept.last is not None:
                    raise LogSteppedBack(f"partition {place.partition} ends before what was read of it")
                raise InvariantBroken(
                    f"partition {place.partition} holds {first[place]} to {last[place]}, not {offset}"
                )
            consumer.seek(place, offset)
            self._next[place.partition] = offset
        self._placed = True

    def _behind_expected(self, records: Sequence[Received]) -> list[Received]:
        """Without the records that were read before; each must be the one that was read."""
        fresh: list[Received] = []
        for each in records:
            expected = self._expected.pop(each.partition, None)
            if expected is None:
                fresh.append(each)
            elif id_of(each) != expected:
                raise LogSteppedBack(f"partition {each.partition} has another record than was read")
        return fresh

    def _check_order(self, records: Sequence[Any]) -> None:
        for record in records:
            if record.offset < self._next[record.partition]:
                # The library found nothing at our place and began elsewhere.
                raise LogSteppedBack(f"partition {record.partition} went back to {record.offset}")
            self._next[record.partition] = record.offset + 1

    async def _leave(self) -> None:
        consumer, self._consumer = self._consumer, None
        self.lost()
        self._free.set()
        if consumer is not None:
            await goodbye(consumer.stop(), consumer)

    # ── what the group tells ──────────────────────────────────────────────────────────────────────────────

    def lost(self) -> None:
        self._turn += 1
        self._held, self._placed = frozenset(), False

    def gained(self, partitions: Iterable[int]) -> None:
        self._turn += 1
        self._held, self._placed = frozenset(partitions), False
        self._news.set()

    async def finished(self) -> None:
        """Until the batch in hand is committed and acknowledged, or a rebalance can wait no longer."""
        with suppress(TimeoutError):
            async with asyncio.timeout(BATCH_IN_HAND):
                await self._free.wait()


class _Moves(Listener):
    """Tells a member of its partitions; called by the library in its own task."""

    def __init__(self, member: KafkaMember) -> None:
        self._member = member

    async def on_partitions_revoked(self, revoked: Any) -> None:
        await self._member.finished()
        self._member.lost()

    async def on_partitions_assigned(self, assigned: Any) -> None:
        self._member.gained(place.partition for place in assigned)


def check_partitions(found: Iterable[int] | None, config: KafkaConfig) -> None:
    """The configured count decides where a key is: with another one a referral's events would lose their order.
    Raises `StartError`; a topic that is not there yet is waited for."""
    count = len(list(found or ()))
    if not count:
        raise TimeoutError(f"the topic {config.topic} does not exist")
    if count != config.partitions:
        raise StartError(
            f"The topic {config.topic} has {count} partitions, configured are {config.partitions}.",
            f"Set LOOPKEEPER_KAFKA_PARTITIONS={count}: a count is chosen once, when the topic is made.",
        )


def received(record: Any) -> Received:
    """A record as the port has it; one that is no event comes with its problem."""
    key = _text(record.key or b"")
    raw: bytes = record.value or b""
    try:
        headers = {name: value.decode() for name, value in record.headers}
        message = parse(headers, raw)
        if rest := headers.get(REST):
            message = replace(message, rest=unpacked(rest))
        return Received(record.partition, record.offset, key, message)
    except BadEnvelope as error:
        return Received(record.partition, record.offset, key, None, raw, str(error))
    except (UnicodeDecodeError, AttributeError):
        return Received(record.partition, record.offset, key, None, raw, "headers are no texts")


def _text(key: bytes) -> str:
    return key.decode("utf-8", "replace")
