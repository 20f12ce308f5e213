"""What happened to a stream, row by row, chained so that a changed, missing or added row shows.

`n` numbers all rows of a stream from 1, own and noted; `sequence` only its own published ones. A row's chain
value is an HMAC over the previous one and the row; the last value and count are on the stream's locked row
(a truncated journal shows), and each event carries its own (log and journal anchor each other).
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from loopkeeper.contract.envelope import CommandPart, Message
from loopkeeper.event_log.generations import GENERATION, Generations
from loopkeeper.event_log.port import Received
from loopkeeper.postgres.connections import Connection
from loopkeeper.store.gathered import Writes

START = ""
# The type of a row that marks what a restored database lost for good (`flow/stream_rebuild.py`): the next row has the chain
# value the log has.
VOUCHER = "restored"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(slots=True)
class Entry:
    """One journal row. For a noted one `source` and `origin_chain` are the publisher's.

    Not frozen, because each is made without its chain value, and a copy would cost more than all else that is done with it;
    once it has one (`chained`, `numbered`) nobody changes it.
    """

    stream: str
    n: int
    id: UUID
    own: bool
    sequence: int
    type: str
    source: str
    at: datetime
    causation: str
    traceparent: str
    origin_chain: str
    payload: bytes
    chain: str
    # Outside the chain: where its command published several events, its id, and which of how many this is.
    command_id: UUID | None = None
    part: int | None = None
    parts: int | None = None

    def message(self, generation: int = 0) -> Message:
        """The event as it is published: byte for byte what the journal keeps."""
        return Message(
            id=self.id,
            type=self.type,
            source=self.source,
            subject=self.stream,
            time=self.at,
            data=self.payload,
            sequence=self.sequence,
            chain=self.chain,
            causation=self.causation,
            traceparent=self.traceparent,
            generation=generation,
            part=self._part(),
        )

    def _part(self) -> CommandPart | None:
        if self.command_id is None or self.part is None or self.parts is None:
            return None
        return CommandPart(self.command_id, self.part, self.parts)


def numbered(entries: Sequence[Entry], command: UUID) -> list[Entry]:
    """The rows one command wrote, with its published events counted where there are several."""
    own = [entry for entry in entries if entry.own]
    if len(own) > 1:
        for number, entry in enumerate(own, start=1):
            entry.command_id, entry.part, entry.parts = command, number, len(own)
    return list(entries)


def noted(message: Message, n: int, sequence: int) -> Entry:
    """The row of another service's fact, without its chain value."""
    m = message
    return Entry(
        m.subject, n, m.id, False, sequence, m.type, m.source, m.time, m.causation, m.traceparent, m.chain, m.data, ""
    )  # fmt: skip


def published(message: Message, n: int) -> Entry:
    """The row of an own event as the log has it, with the chain value it had."""
    m = message
    part = (m.part.command, m.part.number, m.part.of) if m.part is not None else (None, None, None)
    return Entry(
        m.subject, n, m.id, True, m.sequence, m.type, m.source, m.time, m.causation, m.traceparent, "", m.data, m.chain,
        *part,
    )  # fmt: skip


def link(key: bytes, previous: str, entry: Entry) -> str:
    """The chain value of this row after `previous`; every column but the chain itself goes in."""
    microseconds = (entry.at - EPOCH) // (entry.at.resolution)
    fields = (
        previous,
        entry.stream,
        str(entry.n),
        entry.id.hex,
        str(int(entry.own)),
        str(entry.sequence),
        entry.type,
        entry.source,
        str(microseconds),
        entry.causation,
        entry.traceparent,
        entry.origin_chain,
        hashlib.sha256(entry.payload).hexdigest(),
    )
    return hmac.new(key, "\x1f".join(fields).encode(), hashlib.sha256).hexdigest()[:32]


def chained(key: bytes, previous: str, entry: Entry) -> Entry:
    """The row, now with its chain value."""
    entry.chain = link(key, previous, entry)
    return entry


INSERT = """
INSERT INTO journal (stream, n, id, own, sequence, type, source, at, causation, traceparent, origin_chain, payload, chain,
  command_id, part, parts)
SELECT * FROM unnest($1::text[], $2::int[], $3::uuid[], $4::bool[], $5::int[], $6::text[], $7::text[],
  $8::timestamptz[], $9::text[], $10::text[], $11::text[], $12::bytea[], $13::text[],
  $14::uuid[], $15::int[], $16::int[])
"""
ENQUEUE = """
INSERT INTO outbox (stream, n)
SELECT stream, n FROM unnest($1::text[], $2::int[]) WITH ORDINALITY AS t (stream, n, ord) ORDER BY ord
"""


async def append(writes: Writes, entries: Sequence[Entry], *, publish: bool = True) -> None:
    """Write rows and queue the own ones for the relay (unless they were published before), inside the caller's
    transaction, in this order."""
    if not entries:
        return
    await writes.execute(
        INSERT,
        [e.stream for e in entries],
        [e.n for e in entries],
        [e.id for e in entries],
        [e.own for e in entries],
        [e.sequence for e in entries],
        [e.type for e in entries],
        [e.source for e in entries],
        [e.at for e in entries],
        [e.causation for e in entries],
        [e.traceparent for e in entries],
        [e.origin_chain for e in entries],
        [e.payload for e in entries],
        [e.chain for e in entries],
        [e.command_id for e in entries],
        [e.part for e in entries],
        [e.parts for e in entries],
    )
    if publish:
        await enqueue(writes, [e for e in entries if e.own])


async def enqueue(writes: Writes, own: Sequence[Entry]) -> None:
    """Queue these for the relay."""
    if own:
        await writes.execute(ENQUEUE, [e.stream for e in own], [e.n for e in own])


def read_entry(row: Mapping[str, object]) -> Entry:
    """A journal row as read from the table."""
    return Entry(**{name: row[name] for name in Entry.__slots__})  # pyright: ignore[reportArgumentType]


@dataclass(frozen=True, slots=True)
class Flaw:
    """A place where journal, row and log do not prove each other."""

    stream: str
    n: int
    what: str


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
    own: dict[UUID, Entry] = {}
    # Rows, journal and outbox as of one moment: what did not wait to be sent then is in the log when that is read.
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        heads: dict[str, tuple[int, str]] = {}
        for table in tables:
            for row in await connection.fetch(f'SELECT id, n, head FROM "{table}"'):  # noqa: S608 own table names
                heads[row["id"]] = (row["n"], row["head"])
        async for entries in _streams(connection):
            flaws.extend(chain_flaws(key, entries, heads.pop(entries[0].stream, None)))
            own.update({e.id: e for e in entries if e.own})
        waiting = await connection.fetch("SELECT j.id FROM outbox o JOIN journal j USING (stream, n)")
    flaws.extend(
        Flaw(stream, 0, "the journal of this row is missing") for stream, (n, _) in heads.items() if n
    )
    if log is not None:
        flaws.extend(await _log_flaws(connection, source, own, {row["id"] for row in waiting}, log))
    return flaws


def chain_flaws(key: bytes, entries: Sequence[Entry], row: tuple[int, str] | None) -> Iterable[Flaw]:
    """Where one stream's journal does not prove itself, or its row (its number and its last chain value)."""
    previous, vouching = START, None
    for expected, entry in enumerate(entries, start=1):
        if entry.n != expected:
            yield Flaw(entry.stream, expected, "a journal row is missing")
            return
        if link(key, previous, entry) != entry.chain and not _vouched(key, vouching, entry):
            yield Flaw(entry.stream, entry.n, "a journal row was changed")
            return
        previous, vouching = entry.chain, entry if entry.type == VOUCHER else None
    last = entries[-1]
    if row is None:
        yield Flaw(last.stream, last.n, "the row of this journal is missing")
    elif row != (last.n, last.chain):
        yield Flaw(last.stream, last.n, "the journal ends elsewhere than its row says")


def _vouched(key: bytes, voucher: Entry | None, entry: Entry) -> bool:
    """Whether the row before says, under our key, that exactly this one follows it with this chain value."""
    proof = link(key, START, entry).encode()
    return voucher is not None and (voucher.origin_chain, voucher.payload) == (entry.chain, proof)


async def _streams(connection: Connection) -> AsyncIterator[list[Entry]]:
    entries: list[Entry] = []
    async for row in connection.cursor("SELECT * FROM journal ORDER BY stream, n", prefetch=1000):
        entry = read_entry(row)
        if entries and entries[0].stream != entry.stream:
            yield entries
            entries = []
        entries.append(entry)
    if entries:
        yield entries


async def _log_flaws(
    connection: Connection,
    source: str,
    own: Mapping[UUID, Entry],
    waiting: Collection[UUID],
    log: AsyncIterator[Received],
) -> list[Flaw]:
    flaws: list[Flaw] = []
    seen: set[UUID] = set()
    unknown: dict[UUID, str] = {}
    generations = Generations()
    async for received in log:
        message = received.message
        void = generations.void(received)
        if message is None or message.source != source or void or message.type == GENERATION:
            continue
        seen.add(message.id)
        entry = own.get(message.id)
        if entry is None:
            unknown[message.id] = message.subject
        elif (received.key, message) != (entry.stream, entry.message()):
            flaws.append(Flaw(entry.stream, entry.n, "the log has this event otherwise"))
    # An event decided since the journal was read is there by now.
    later = await connection.fetch("SELECT id FROM journal WHERE own AND id = ANY($1::uuid[])", list(unknown))
    for known in later:
        del unknown[known["id"]]
    flaws.extend(Flaw(stream, 0, "the log has an event the journal lacks") for stream in unknown.values())
    flaws.extend(
        Flaw(e.stream, e.n, "the log lacks this event")
        for e in own.values()
        if e.id not in seen and e.id not in waiting
    )
    return flaws
