"""The log and the journals: has each what the other says, once, in order, and has each reader taken what it read?

What is kept of a stream is one number a publisher: which of its events comes next. How many there must be is read behind the
log from the snapshot that was taken before it.
"""

from __future__ import annotations

import re
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from loopkeeper.contract.envelope import Message
from loopkeeper.event_log.generations import GENERATION, Generations
from loopkeeper.event_log.port import EventLog, Position, Received, id_of
from loopkeeper.postgres.connections import Connection
from loopkeeper.runtime.verify.finding import Finding
from loopkeeper.store.journal import read_entry

AT_ONCE = 500
# What is only under a seal: a member's number as a value, and the fields that say who somebody is.
NAMED = re.compile(rb'"[0-9]{8}[A-Z]"|"(?:first_name|last_name|cin|birth_date|street|home_phone)" ?:')
# How many of its own events the log must have by now: all but those that wait.
EXPECTED = """
SELECT r.id, r.sequence - coalesce(w.n, 0) AS published FROM "{table}" r
LEFT JOIN (SELECT o.stream, count(*) AS n FROM outbox o GROUP BY o.stream) w ON w.stream = r.id
WHERE r.sequence > coalesce(w.n, 0)
"""
CLAIMED = """
SELECT id FROM claim WHERE id = ANY($1::uuid[]) UNION SELECT id FROM journal WHERE id = ANY($1::uuid[])
UNION SELECT event_id FROM parked WHERE event_id = ANY($1::uuid[])
"""
PARTS = """
SELECT j.command_id, min(j.stream) AS stream FROM journal j WHERE j.command_id = ANY($1::uuid[])
  AND EXISTS (SELECT FROM outbox o WHERE o.stream = j.stream AND o.n = j.n) GROUP BY j.command_id
"""


@dataclass(slots=True)
class Publisher:
    """One service as publisher and reader. `now` sees what is committed (a journal only grows), `snapshot` the moment
    before the log was read."""

    name: str
    now: Connection
    snapshot: Connection
    tables: Sequence[str]
    reads: frozenset[str]
    places: Mapping[int, Position] = field(default_factory=dict[int, Position])
    following: dict[str, int] = field(default_factory=dict[str, int])
    incomplete: dict[UUID, set[int]] = field(default_factory=dict[UUID, set[int]])

    def see(self, message: Message) -> None:
        """One event of a command that published several."""
        part = message.part
        if part is None:
            return
        missing = self.incomplete.setdefault(part.command, set(range(1, part.of + 1)))
        missing.discard(part.number)
        if not missing:
            # Whole; one that comes again is looked at again.
            del self.incomplete[part.command]

    async def lacking(self) -> AsyncIterator[tuple[str, int]]:
        """The streams of which the log has fewer own events than it must, and by how many."""
        for table in self.tables:
            async for row in self.snapshot.cursor(EXPECTED.format(table=table), prefetch=1000):
                missing = row["published"] - self.following.get(row["id"], 1) + 1
                if missing > 0:
                    yield row["id"], missing


async def in_log(event_log: EventLog, publishers: Sequence[Publisher]) -> AsyncIterator[Finding]:
    """One pass over the log, for all services at once."""
    ends = await event_log.ends()
    for each in publishers:
        for partition, place in each.places.items():
            if place.next > ends.get(partition, 0):
                yield Finding(
                    "I8", each.name, f"partition {partition}", "was read further than the log reaches"
                )
    by_source = {f"/{each.name}": each for each in publishers}
    generations, batch = Generations(), list[Received]()
    async for received in event_log.history():
        if generations.void(received):
            continue
        batch.append(received)
        if len(batch) >= AT_ONCE:
            async for finding in _batch(batch, by_source, publishers):
                yield finding
            batch = []
    async for finding in _batch(batch, by_source, publishers):
        yield finding
    for each in publishers:
        async for stream, count in each.lacking():
            yield Finding("I7", each.name, stream, f"has {count} own events that the log lacks")
    # The rest of a command may have come behind the end that was read to.
    async for received in event_log.history(ends):
        message = received.message
        if message is not None and message.source in by_source:
            by_source[message.source].see(message)
    for each in publishers:
        async for finding in _incomplete(each):
            yield finding


async def _batch(
    batch: Sequence[Received], by_source: Mapping[str, Publisher], publishers: Sequence[Publisher]
) -> AsyncIterator[Finding]:
    for received in batch:
        if NAMED.search(received.raw or (received.message.data if received.message is not None else b"")):
            yield Finding("I12", "log", received.key, "has an event in which somebody is named")
        for each in publishers:
            place = each.places.get(received.partition, Position(0))
            if place.last not in (None, id_of(received)) and received.offset == place.next - 1:
                where = f"partition {received.partition}"
                yield Finding("I8", each.name, where, "has another last record than was read")
    for source, publisher in by_source.items():
        mine = [r for r in batch if r.message is not None and r.message.source == source]
        async for finding in _published(publisher, [r for r in mine if not _is_sign(r)]):
            yield finding
    for each in publishers:
        async for finding in _taken(each, batch):
            yield finding


def _is_sign(received: Received) -> bool:
    return received.message is not None and received.message.type == GENERATION


async def _published(publisher: Publisher, mine: Sequence[Received]) -> AsyncIterator[Finding]:
    ids = [r.message.id for r in mine if r.message is not None]
    rows = await publisher.now.fetch("SELECT * FROM journal WHERE own AND id = ANY($1::uuid[])", ids)
    entries = {row["id"]: read_entry(row) for row in rows}
    for received in mine:
        message = received.message
        assert message is not None  # noqa: S101 chosen by its source
        entry = entries.get(message.id)
        if entry is None:
            yield Finding(
                "I7", publisher.name, message.subject, "has an event in the log that the journal lacks"
            )
            continue
        if (received.key, message) != (entry.stream, entry.message()):
            yield Finding(
                "I7", publisher.name, entry.stream, "has an event in the log otherwise than in the journal"
            )
        following = publisher.following.get(message.subject, 1)
        if message.sequence > following:
            yield Finding(
                "I8", publisher.name, message.subject, f"has {message.sequence} where {following} is due"
            )
        if message.sequence >= following:
            publisher.following[sys.intern(message.subject)] = message.sequence + 1
        publisher.see(message)


async def _taken(reader: Publisher, batch: Sequence[Received]) -> AsyncIterator[Finding]:
    """What a service has read must be claimed, journaled or parked."""
    wanted = {
        r.message.id: r.message.subject
        for r in batch
        if r.message is not None
        and r.message.type in reader.reads
        and r.message.source != f"/{reader.name}"
        and r.offset < reader.places.get(r.partition, Position(0)).next
    }
    rows = await reader.now.fetch(CLAIMED, list(wanted))
    taken = {row["id"] for row in rows}
    for id, stream in wanted.items():
        if id not in taken:
            yield Finding("I7", reader.name, stream, "has a fact that was read and left no trace")


async def _incomplete(publisher: Publisher) -> AsyncIterator[Finding]:
    """Commands of which the log has some events and not all, unless the rest waits to be sent."""
    commands = list(publisher.incomplete)
    for start in range(0, len(commands), AT_ONCE):
        some = commands[start : start + AT_ONCE]
        rows = await publisher.now.fetch(PARTS, some)
        waiting = {row["command_id"] for row in rows}
        streams = await publisher.now.fetch(
            "SELECT command_id, min(stream) AS stream FROM journal WHERE command_id = ANY($1::uuid[]) GROUP BY command_id",
            some,
        )
        found: dict[Any, str] = {row["command_id"]: row["stream"] for row in streams}
        for command in some:
            if command not in waiting:
                what = f"is of a command {command} of which the log lacks part {min(publisher.incomplete[command])}"
                yield Finding("I7", publisher.name, found.get(command, ""), what)
