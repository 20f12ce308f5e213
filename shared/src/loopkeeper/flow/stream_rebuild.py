"""How does one stream get back the own events that its restored database lost? In the order they had, proved by the chain.

The log has the own events in their order, and the facts of others in theirs; how they were interleaved it does not
say. But each own event carries the chain value of its journal row, and that depends on every row before it: the facts
are put before it one by one until the chain agrees. So the journal becomes what it was, byte for byte. What came
before an own event was decided then and is not decided again; the facts behind the last one are left to be decided.

Nothing is decided here and nothing is published: what is written was published once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid5

from loopkeeper.contract import events
from loopkeeper.contract.decider import Command, InvariantBroken
from loopkeeper.contract.envelope import Message
from loopkeeper.contract.events import Event
from loopkeeper.event_log.port import Received
from loopkeeper.store import journal
from loopkeeper.store.batch import Batch
from loopkeeper.store.definition import Change, Reference, Row, Submission, Work
from loopkeeper.store.journal import VOUCHER, Entry

VOUCHED = UUID("c6ad1d0c-5b44-5f0a-8d53-6d0f2f1b7a31")


@dataclass(frozen=True, slots=True)
class LoggedMessage:
    """A message of the stream, read."""

    received: Received
    message: Message
    event: Event


@dataclass(frozen=True, slots=True)
class Noted:
    """A fact that came before an own event: the state behind it, and its row in the journal, where it has one."""

    fact: LoggedMessage
    state: Any
    entry: Entry | None


@dataclass(slots=True)
class Rebuild:
    """One stream's way back, inside the transaction of `batch`, whose locks on it are held."""

    batch: Batch[Any]
    row: Row[Any]
    known: frozenset[UUID]
    done: list[Received] = field(default_factory=list[Received])
    commands: list[UUID] = field(default_factory=list[UUID])

    def replay(self, found: Sequence[LoggedMessage]) -> None:
        """Every own event up to the last, with the facts that came before it."""
        own = f"/{self.batch.domain.service}"
        waiting: list[LoggedMessage] = []
        for each in found:
            if each.message.id in self.known:
                self.done.append(each.received)
            elif each.message.source != own:
                waiting.append(each)
            else:
                waiting = self._settle(each, waiting)

    def _settle(self, own: LoggedMessage, waiting: list[LoggedMessage]) -> list[LoggedMessage]:
        """The facts that came before this own event, then itself; returns the facts that did not."""
        message = own.message
        if message.sequence != self.row.sequence + 1:
            raise InvariantBroken("the log and the journal have different events under one sequence")
        before, proved = self._before(message, waiting)
        for noted in before:
            self._note(noted)
        written = [] if proved else [(self._vouch(message), own.event)]
        entry = self._own(message)
        self.row.sequence = message.sequence
        self.done.append(own.received)
        after = self.batch.domain.decider.evolve(self.row.state, own.event)
        self._write(own, [*written, (entry, own.event)], after)
        if message.part is not None:
            self.commands.append(message.part.command)
        elif message.causation:
            self.commands += _command_of(message.causation)
        return waiting[len(before) :]

    def _before(self, message: Message, waiting: Sequence[LoggedMessage]) -> tuple[list[Noted], bool]:
        """Which of these facts its chain says came before it; all of them, and no proof, where the journal had something
        that the log never had, so that no number agrees."""
        domain, key = self.batch.domain, self.batch.chain_key
        state, n, head = self.row.state, self.row.n, self.row.head
        causes = [str(fact.message.id) for fact in waiting]
        least = causes.index(message.causation) + 1 if message.causation in causes else 0
        found: list[Noted] = []
        for count in range(len(waiting) + 1):
            if count >= least and journal.link(key, head, journal.published(message, n + 1)) == message.chain:
                return found, True
            if count < len(waiting):
                fact, entry = waiting[count], None
                after = domain.decider.evolve(state, fact.event)
                if after != state or domain.notes_all:
                    noted = journal.noted(fact.message, n + 1, self.row.sequence)
                    entry = journal.chained(key, head, noted)
                    n, head = entry.n, entry.chain
                found.append(Noted(fact, after, entry))
                state = after
        return found, False

    def _note(self, noted: Noted) -> None:
        self.done.append(noted.fact.received)
        if noted.entry is not None:
            self.row.n, self.row.head = noted.entry.n, noted.entry.chain
            self._write(noted.fact, [(noted.entry, noted.fact.event)], noted.state)

    def _own(self, message: Message) -> Entry:
        entry = journal.published(message, self.row.n + 1)
        self.row.n, self.row.head = entry.n, entry.chain
        return entry

    def _vouch(self, message: Message) -> Entry:
        """A row that says, under our key: the next one has the chain value that the log has."""
        following = journal.published(message, self.row.n + 2)
        proof = journal.link(self.batch.chain_key, journal.START, following)
        return self._linked(
            Entry(
                message.subject, self.row.n + 1, uuid5(VOUCHED, message.id.hex), False, self.row.sequence,
                VOUCHER, message.source, message.time, "", "", message.chain, proof.encode(), "",
            )
        )  # fmt: skip

    def _linked(self, entry: Entry) -> Entry:
        entry = journal.chained(self.batch.chain_key, self.row.head, entry)
        self.row.n, self.row.head = entry.n, entry.chain
        return entry

    def _write(self, found: LoggedMessage, written: Sequence[tuple[Entry, Event]], after: Any) -> None:
        batch, row, message = self.batch, self.row, found.message
        batch.entries.extend(entry for entry, _ in written)
        made = batch.domain.restored(found.event, message.subject, row.state)
        if isinstance(made, Reference):
            before = batch.references.get(made.key, batch.reference_origin.get(made.key))
            recorded = made.change(before, message.time)
            kept = {**(before or {}), **(recorded.row if recorded else {}), "id": made.id}
            batch.references[made.key] = kept | {"n": row.n, "sequence": row.sequence, "head": row.head}
            return
        before = row.state
        at = max(message.time, row.at) if row.at else message.time
        row.state = after
        row.at, row.created_at = at, row.created_at or at
        submission = _submission(found, made)
        # The voucher is nobody's event: it has a row in the journal and nothing around it.
        told = [each for each in written if each[0].type != VOUCHER]
        change = Change(message.subject, submission, before, row.state, told, at)
        batch.changes.append(change)
        batch.loaded.observe(change)


async def rebuild(
    batch: Batch[Any],
    logged: Mapping[str, Sequence[Received]],
    unsent: frozenset[UUID] = frozenset(),
) -> dict[str, list[Received]]:
    """Write what the log has of these streams' own events and the database lacks, under their locks; returns what of `logged`
    is done with. `unsent`: what no log has is published. A stream of a reference row is rebuilt alone: of several it is left
    out. Raises `InvariantBroken` where the database has gone on since with other events."""
    ids = [r.message.id for received in logged.values() for r in received if r.message is not None]
    rows = await batch.connection.fetch(
        "SELECT id FROM journal WHERE stream = ANY($1::text[]) AND id = ANY($2::uuid[])", list(logged), ids
    )
    known = frozenset(row["id"] for row in rows)
    found = {
        stream: [each for r in received if (each := _read(r)) is not None]
        for stream, received in logged.items()
    }
    ways = await _alone(batch, found, known) or await _together(batch, found, known)
    for way, own in ways:
        way.replay(own)
    await batch.write(publish=False)
    await journal.enqueue(batch.connection, [each for each in batch.entries if each.id in unsent])
    # Who sends the same request again finds that it was done, though no longer with which body.
    commands = [(command, way.row.id) for way, _ in ways for command in way.commands]
    await batch.connection.execute(
        """INSERT INTO claim (id, stream, body_hash, at) SELECT id, stream, '', $3
           FROM unnest($1::uuid[], $2::text[]) AS t (id, stream) ORDER BY id ON CONFLICT DO NOTHING""",
        [command for command, _ in commands],
        [stream for _, stream in commands],
        batch.now,
    )
    return {way.row.id: way.done for way, _ in ways}


Ways = list[tuple[Rebuild, list[LoggedMessage]]]


async def _alone(batch: Batch[Any], found: Mapping[str, list[LoggedMessage]], known: frozenset[UUID]) -> Ways:
    """The way of one stream that is a reference row's; none for others."""
    if len(found) > 1:
        return []
    ((stream, own),) = found.items()
    reference = _reference_of(batch, own)
    if reference is None:
        return []
    await batch.lock_and_load([], {reference})
    kept: Mapping[str, Any] = batch.reference_origin.get(reference) or {}
    row = Row[Any](stream, None, kept.get("n", 0), kept.get("sequence", 0), kept.get("head", journal.START))
    return [(Rebuild(batch, row, known), own)]


async def _together(
    batch: Batch[Any], found: Mapping[str, list[LoggedMessage]], known: frozenset[UUID]
) -> Ways:
    """The ways of all streams that are no reference row's."""
    ways: Ways = []
    work: list[Work[Any]] = []
    for stream, own in found.items():
        if _reference_of(batch, own) is not None:
            continue
        row: Row[Any] = batch.rows.setdefault(stream, Row(stream, None))
        work += [Work(_submission(each, Command(fact=each.event)), row.state) for each in own]
        ways.append((Rebuild(batch, row, known), own))
    await batch.lock_and_load(work)
    return ways


def _reference_of(batch: Batch[Any], found: Sequence[LoggedMessage]) -> tuple[str, str] | None:
    """The reference row that this stream's own events record; none where they are another stream's."""
    own = next((each for each in found if each.message.source == f"/{batch.domain.service}"), None)
    made = batch.domain.restored(own.event, own.message.subject, None) if own is not None else None
    return made.key if isinstance(made, Reference) else None


def _read(received: Received) -> LoggedMessage | None:
    message = received.message
    if message is None:
        return None
    try:
        event = events.read(message.type, message.data)
    except ValueError:
        # What could not be read then was parked, and is.
        return None
    return LoggedMessage(received, message, event) if event is not None else None


def _submission(found: LoggedMessage, command: Command) -> Submission:
    message = found.message
    return Submission(
        message.id, message.subject, command=command, causation=message.causation,
        traceparent=message.traceparent, received=found.received,
    )  # fmt: skip


def _command_of(causation: str) -> list[UUID]:
    try:
        return [UUID(causation)]
    except ValueError:
        return []
