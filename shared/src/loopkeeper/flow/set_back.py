"""What does a service do whose log stepped back? It reads the last day of it again, and sends again what the log lacks.

Each service keeps the id of the last record it read of each partition. Where the log has another one at that place, or none,
it is an earlier log than the one that was read: a standby of the log's own server, a broker that lost what it had confirmed.
Nothing of the services' databases is lost then. What others had published and this one had read is in its journal and its
claims; what it had published itself is in its journal, and is queued again where the log has not got it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from loopkeeper.contract.envelope import Message
from loopkeeper.event_log.generations import Generations, Key
from loopkeeper.event_log.port import EventLog, LogSteppedBack, Position, Received, id_of
from loopkeeper.flow.parked import React
from loopkeeper.kernel.logs import get
from loopkeeper.postgres.connections import Connection, Pool
from loopkeeper.store import fence, offsets
from loopkeeper.store.gate import Gate
from loopkeeper.store.store import LARGEST_BATCH, Store

log = get("set-back")

# What was published in this time before the log's last record is compared and read again: nobody sends again what is older.
BACK = timedelta(days=1)
# A UUIDv7 begins with its time in milliseconds.
TIME_BITS = 80

OWN = "SELECT id, stream, n FROM journal WHERE own AND id >= $1 ORDER BY id LIMIT 5000"
OWN_AFTER = "SELECT id, stream, n FROM journal WHERE own AND id > $1 ORDER BY id LIMIT 5000"
# What waits already and what the log lacks, in one order: the later rows of a stream never before its earlier ones.
QUEUE_AGAIN = """
WITH waiting AS (DELETE FROM outbox RETURNING stream, n),
every AS (SELECT stream, n FROM waiting
          UNION SELECT stream, n FROM unnest($1::text[], $2::int[]) AS t (stream, n))
INSERT INTO outbox (stream, n) SELECT stream, n FROM every ORDER BY stream, n
"""
PLACED = """
UPDATE consumed c SET next_offset = t.next, last_id = t.last
FROM unnest($1::int[], $2::bigint[], $3::uuid[]) AS t (partition, next, last) WHERE c.partition = t.partition
"""


@dataclass(frozen=True, slots=True)
class LogCheck:
    """Is the log still the one this service has read? Asked before anything is written to a server of the log that nobody
    has looked at. Raises `LogSteppedBack` and closes the service where it is not."""

    service: str
    event_log: EventLog
    pool: Pool
    gate: Gate

    async def __call__(self) -> None:
        stored = await offsets.read(self.pool)
        if differing := await differs(self.event_log, stored):
            self.gate.close(REASON)
            raise LogSteppedBack(f"{len(differing)} partitions are not as they were read")


REASON = "the log has not what was read of it"


async def differs(event_log: EventLog, stored: Mapping[int, Position]) -> set[int]:
    """The partitions whose last record read is there no more."""
    known = {partition: place for partition, place in stored.items() if place.last is not None}
    found = await event_log.records_at({partition: place.next - 1 for partition, place in known.items()})
    return {
        partition
        for partition, place in known.items()
        if partition not in found or id_of(found[partition]) != place.last
    }


@dataclass(frozen=True, slots=True)
class LogRepair:
    """One service's part in making an earlier log whole again."""

    service: str
    event_log: EventLog
    store: Store[Any]
    pool: Pool
    react: React
    # Raises where a record of ours is of another branch than our database.
    check: Callable[[Message], Awaitable[None]]

    async def repair(
        self, stored: Mapping[int, Position], differing: Collection[int], sign: Callable[[], None]
    ) -> int:
        """Read again what the log has of its last day in the partitions that differ, queue what it lacks of ours in any, and go
        on from the ends of those that differ; how many rows were queued again. The others are read on from where they were: what
        is behind that may be ours and lost, and is not to be passed by. `sign` tells that this lives."""
        log.warning("the log stepped back", service=self.service)
        await self.event_log.renumber({partition: place.next for partition, place in stored.items()})
        ends, back = await self.event_log.ends(), await self.event_log.back(BACK)
        last: dict[int, UUID] = {}
        ours: set[UUID] = set()
        newest = dict[int, UUID]()
        generations = Generations(await fence.known(self.pool))
        batch: list[Received] = []
        async for received in self.event_log.history(back):
            message = received.message
            if received.offset >= ends.get(received.partition, 0):
                continue
            own = message is not None and message.source == f"/{self.service}"
            if message is not None and own:
                await self.check(message)
            last[received.partition] = id_of(received)
            if message is not None:
                newest[received.partition] = message.id
            if generations.void(received):
                continue
            if message is not None and own:
                ours.add(message.id)
            elif received.partition in differing:
                batch.append(received)
            if len(batch) >= LARGEST_BATCH:
                sign()
                await self._read_again(batch)
                batch = []
        await self._read_again(batch)
        lacking = await self._lacking(ours, _since(stored, newest), sign)
        places = {p: (ends.get(p, 0), last.get(p)) for p in differing}
        raised = {key: found for key, found in generations.raised.items() if key[0] in differing}
        await self.store.with_batch(lambda b: self._settle(b.connection, lacking, places, raised))
        log.warning("the log is restored", service=self.service, queued=len(lacking))
        return len(lacking)

    async def _read_again(self, received: Sequence[Received]) -> None:
        """What is known is claimed, and dropped."""
        made = [submission for one in received if (submission := self.react(one)) is not None]
        if made:
            await self.store.execute(made)

    async def _lacking(self, ours: set[UUID], since: UUID, sign: Callable[[], None]) -> list[tuple[str, int]]:
        lacking: list[tuple[str, int]] = []
        rows = await self.pool.fetch(OWN, since)
        while rows:
            sign()
            lacking += [(row["stream"], row["n"]) for row in rows if row["id"] not in ours]
            rows = await self.pool.fetch(OWN_AFTER, rows[-1]["id"])
            await asyncio.sleep(0)
        return lacking

    async def _settle(
        self,
        connection: Connection,
        lacking: Sequence[tuple[str, int]],
        places: Mapping[int, tuple[int, UUID | None]],
        raised: Mapping[Key, int],
    ) -> None:
        # Replicas that find it together queue the same rows once more, one after the other: readers drop what they have.
        await connection.execute("LOCK TABLE outbox IN SHARE ROW EXCLUSIVE MODE")
        await connection.execute(QUEUE_AGAIN, [stream for stream, _ in lacking], [n for _, n in lacking])
        await connection.execute(
            PLACED, list(places), [place for place, _ in places.values()], [id for _, id in places.values()]
        )
        await fence.raised(connection, dict(raised))
        now = self.store.clock.wall()
        await connection.execute(
            "INSERT INTO restored (at, finished_at, why, rebuilt) VALUES ($1, $1, $2, $3) ON CONFLICT DO NOTHING",
            now,
            REASON,
            len(lacking),
        )


def _since(stored: Mapping[int, Position], newest: Mapping[int, UUID]) -> UUID:
    """Own rows with ids from here on are compared: a day before the oldest partition's end; all where one is empty."""
    read = [partition for partition, place in stored.items() if place.last is not None]
    if any(partition not in newest for partition in read) or not read:
        return UUID(int=0)
    milliseconds = min(newest[partition].int >> TIME_BITS for partition in read)
    return UUID(int=max(milliseconds - BACK // timedelta(milliseconds=1), 0) << TIME_BITS)
