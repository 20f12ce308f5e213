"""Do journal, rows and log prove each other? Read a piece at a time: of each stream one number stays in memory.

Behind `POST /v1/operations/{service}/journal:verify`, in a service that serves others meanwhile: what it may hold must not grow
with what was ever said.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from loopkeeper.event_log.generations import GENERATION, Generations
from loopkeeper.event_log.port import Received
from loopkeeper.postgres.connections import Connection
from loopkeeper.store.journal import Entry, Flaw, chain_flaws, read_entry

# Streams whose rows are looked up by one statement, and events of the log.
AT_ONCE = 500


async def verify(
    connection: Connection,
    key: bytes,
    source: str,
    tables: Sequence[str],
    log: AsyncIterator[Received] | None = None,
) -> list[Flaw]:
    """Every flaw found: rows changed, missing or cut off at the end, and, where the log is given, own events
    that the log does not have (unless still in the outbox), has otherwise, or has without the journal. The service
    may go on working meanwhile."""
    flaws: list[Flaw] = []
    published = Published()
    # Rows, journal and outbox as of one moment: what did not wait to be sent then is in the log when that is read.
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        async for streams in _streams(connection):
            heads = await _heads(connection, tables, [entries[0].stream for entries in streams])
            for entries in streams:
                flaws.extend(chain_flaws(key, entries, heads.get(entries[0].stream)))
                published.must_have(entries)
        for table in tables:
            unproved = f'''SELECT id FROM "{table}" r WHERE n > 0
                AND NOT EXISTS (SELECT FROM journal j WHERE j.stream = r.id)'''  # noqa: S608 own table names
            async for row in connection.cursor(unproved, prefetch=AT_ONCE):
                flaws.append(Flaw(row["id"], 0, "the journal of this row is missing"))
        waiting = await connection.fetch("SELECT j.id FROM outbox o JOIN journal j USING (stream, n)")
    if log is not None:
        flaws.extend(await _otherwise(connection, source, published, log))
        flaws.extend(await _lacking(connection, published, {row["id"] for row in waiting}))
    return flaws


async def _streams(connection: Connection) -> AsyncIterator[list[list[Entry]]]:
    """The journals of some streams at a time."""
    streams: list[list[Entry]] = []
    async for row in connection.cursor("SELECT * FROM journal ORDER BY stream, n", prefetch=1000):
        entry = read_entry(row)
        if streams and streams[-1][0].stream == entry.stream:
            streams[-1].append(entry)
            continue
        if len(streams) >= AT_ONCE:
            yield streams
            streams = []
        streams.append([entry])
    if streams:
        yield streams


async def _heads(
    connection: Connection, tables: Sequence[str], streams: Sequence[str]
) -> dict[str, tuple[int, str]]:
    """What the rows of these streams say of their journals: number and chain value of the last entry."""
    heads: dict[str, tuple[int, str]] = {}
    for table in tables:
        found = await connection.fetch(
            f'SELECT id, n, head FROM "{table}" WHERE id = ANY($1::text[])',  # noqa: S608 own table names
            list(streams),
        )
        heads.update({row["id"]: (row["n"], row["head"]) for row in found})
    return heads


@dataclass
class Published:
    """Of each stream that the log does not have whole yet: how many own events there are, and which comes next. `ahead`:
    those that came before one that is due."""

    last: dict[str, int] = field(default_factory=dict[str, int])
    due: dict[str, int] = field(default_factory=dict[str, int])
    ahead: dict[str, set[int]] = field(default_factory=dict[str, set[int]])

    def must_have(self, entries: Sequence[Entry]) -> None:
        """The log must have what of these is a service's own."""
        if last := max((entry.sequence for entry in entries if entry.own), default=0):
            self.last[entries[0].stream] = last

    def see(self, stream: str, sequence: int) -> None:
        """The log has this one."""
        last = self.last.get(stream)
        if last is None:
            return
        due, ahead = self.due.get(stream, 1), self.ahead.get(stream, set())
        if sequence > due:
            self.ahead.setdefault(stream, ahead).add(sequence)
            return
        due = max(due, sequence + 1)
        while due in ahead:
            ahead.remove(due)
            due += 1
        if due > last:
            for each in (self.last, self.due, self.ahead):
                each.pop(stream, None)
        else:
            self.due[stream] = due

    def missing(self, stream: str) -> list[int]:
        """Which the log has not been seen to have."""
        ahead = self.ahead.get(stream, set())
        return [n for n in range(self.due.get(stream, 1), self.last[stream] + 1) if n not in ahead]


async def _otherwise(
    connection: Connection, source: str, published: Published, log: AsyncIterator[Received]
) -> list[Flaw]:
    """What the log has otherwise than the journal, or without it; `published` learns what it has."""
    flaws, unknown = list[Flaw](), dict[UUID, str]()
    generations, some = Generations(), list[tuple[str, Any]]()

    async def look() -> None:
        ids = [message.id for _, message in some]
        rows = await connection.fetch("SELECT * FROM journal WHERE own AND id = ANY($1::uuid[])", ids)
        entries = {row["id"]: read_entry(row) for row in rows}
        for sent_by, message in some:
            entry = entries.get(message.id)
            if entry is None:
                unknown[message.id] = message.subject
                continue
            published.see(entry.stream, entry.sequence)
            if (sent_by, message) != (entry.stream, entry.message()):
                flaws.append(Flaw(entry.stream, entry.n, "the log has this event otherwise"))
        some.clear()

    async for received in log:
        message = received.message
        void = generations.void(received)
        if message is None or message.source != source or void or message.type == GENERATION:
            continue
        some.append((received.key, message))
        if len(some) >= AT_ONCE:
            await look()
    await look()
    flaws.extend(Flaw(stream, 0, "the log has an event the journal lacks") for stream in unknown.values())
    return flaws


async def _lacking(connection: Connection, published: Published, waiting: set[UUID]) -> list[Flaw]:
    """Own events that the log lacks and that do not wait to be sent."""
    flaws, some = list[Flaw](), list[tuple[str, int]]()

    async def look() -> None:
        rows = await connection.fetch(
            """SELECT j.stream, j.n, j.id FROM unnest($1::text[], $2::int[]) WITH ORDINALITY AS l (stream, sequence, place)
               JOIN journal j ON j.own AND j.stream = l.stream AND j.sequence = l.sequence ORDER BY l.place""",
            [stream for stream, _ in some],
            [sequence for _, sequence in some],
        )
        flaws.extend(
            Flaw(row["stream"], row["n"], "the log lacks this event")
            for row in rows
            if row["id"] not in waiting
        )
        some.clear()

    for stream in published.last:
        some += [(stream, sequence) for sequence in published.missing(stream)]
        if len(some) >= AT_ONCE:
            await look()
    await look()
    return flaws
