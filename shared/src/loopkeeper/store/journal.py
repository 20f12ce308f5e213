"""What happened to a stream, row by row, chained so that a changed, missing or added row shows.

`n` numbers all rows of a stream from 1, own and noted; `sequence` only its own published ones. A row's chain
value is an HMAC over the previous one and the row; the last value and count are on the stream's locked row
(a truncated journal shows), and each event carries its own (log and journal anchor each other).
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from loopkeeper.contract.envelope import CommandPart, Message
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
