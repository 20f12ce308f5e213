"""Four services in memory: what the store, the relay, the consumer and the timers do, each step whole or not at all.

A transaction is one call of `Cell.execute`: rows, journal, outbox, claims and offsets move together. What may be lost
between two of them is lost here too: a relay that published and did not delete, an answer that never came, a position
that stepped back. So everything a real process repeats after a crash is repeated here, in every order the log allows.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID, uuid5

from loopkeeper.contract.decider import EventOn, Plain, Refused
from loopkeeper.contract.envelope import Message
from loopkeeper.contract.events import Event, NoticeDelivered, NoticeOverdue, NoticeTakenBack, publisher
from loopkeeper.event_log.port import Received
from loopkeeper.flow.timers import NAMESPACE
from loopkeeper.runtime.service import Service
from loopkeeper.store.definition import Change, Domain, Loaded, Submission
from loopkeeper.store.journal import Entry
from notification.domain.notices.telling import Happened, tellings
from notification.domain.notices.wording import Names
from notification.domain.outreach.state import dead
from notification.persistence.notice_proof import TIMER, kind_of
from referral_intake.domain.commands import Keys
from tests.simulate.loading import LOADS, Beside, Known, Noticed

PARTITIONS = 3


@dataclass(slots=True)
class Row:
    """A stream's row, and its journal: what was written, own or noted, in order."""

    state: Any = None
    at: datetime | None = None
    sequence: int = 0
    entries: list[tuple[Entry, Event]] = field(default_factory=list[tuple[Entry, Event]])


@dataclass(frozen=True, slots=True)
class Record:
    """One record of the log."""

    message: Message
    event: Event


@dataclass
class Log:
    """Ordered within each partition, and in nothing else."""

    partitions: list[list[Record]] = field(default_factory=lambda: [[] for _ in range(PARTITIONS)])

    def append(self, record: Record) -> None:
        self.partitions[partition_of(record.message.subject)].append(record)


def partition_of(stream: str) -> int:
    return zlib.crc32(stream.encode()) % PARTITIONS


@dataclass
class Cell:
    """One service. `unsent` is its outbox in commit order; `read` how far its database says that it has read."""

    service: Service
    domain: Domain[Any, Any]
    known: Known
    on_timer: Any
    rows: dict[str, Row] = field(default_factory=dict[str, Row])
    claims: set[UUID] = field(default_factory=set[UUID])
    unsent: list[Record] = field(default_factory=list[Record])
    read: list[int] = field(default_factory=lambda: [0] * PARTITIONS)
    beside: Beside = field(default_factory=Beside)

    @property
    def name(self) -> str:
        return self.domain.service

    @property
    def states(self) -> Mapping[str, Any]:
        return {name: row.state for name, row in self.rows.items() if row.state is not None}

    def state(self, stream: str) -> Any:
        row = self.rows.get(stream)
        return row.state if row is not None else None

    # ── one transaction ───────────────────────────────────────────────────────────────────────────────────

    def execute(self, batch: Sequence[Submission], now: datetime) -> Mapping[UUID, Refused | None]:
        """Apply each command once, or refuse it without a trace. A claim that is known has been answered before."""
        fresh = [each for each in batch if each.id not in self.claims]
        outcomes: dict[UUID, Refused | None] = {each.id: None for each in batch}
        if not fresh:
            return outcomes
        loaded = LOADS[self.name](self.known, self.beside, self.states, fresh)
        for submission in fresh:
            if submission.id in self.claims:
                continue
            try:
                self._decide(submission, loaded, now)
            except Refused as refused:
                if submission.is_fact:
                    raise
                outcomes[submission.id] = refused
                continue
            self.claims.add(submission.id)
        minted: Mapping[str, str] = getattr(loaded, "minted", {})
        self.beside.members |= minted
        return outcomes

    def _decide(self, submission: Submission, loaded: Loaded[Any, Any], now: datetime) -> None:
        stream, command, domain = submission.stream, submission.command, self.domain
        assert command is not None
        row = self.rows.get(stream) or Row()
        at = max(now, row.at) if row.at else now
        before = state = row.state
        written: list[tuple[Event, bool]] = []
        if command.fact is not None:
            state = domain.decider.evolve(state, command.fact)
            if state != before or domain.notes_all:
                written.append((command.fact, False))
        asked = loaded.with_context(stream, state, command, Plain(at=at, seed=submission.id))
        made = domain.decider.decide(state, asked)
        others = [each for each in made if isinstance(each, EventOn)]
        for event in made:
            if isinstance(event, Event):
                state = domain.decider.evolve(state, event)
                written.append((event, True))
        for other in others:
            theirs = self.rows.get(other.stream) or Row()
            assert (theirs.state is None) == other.opens, (
                "a decision writes to a stream that it may not write to"
            )
            when = max(now, theirs.at) if theirs.at else now
            after = domain.decider.evolve(theirs.state, other.event)
            self._change(other.stream, theirs, submission, after, [(other.event, True)], when, loaded)
        if written:
            self._change(stream, row, submission, state, written, at, loaded)

    def _change(
        self,
        stream: str,
        row: Row,
        submission: Submission,
        after: Any,
        written: Sequence[tuple[Event, bool]],
        at: datetime,
        loaded: Loaded[Any, Any],
    ) -> None:
        before = row.state
        entries = [self._entry(stream, row, submission, event, own, at) for event, own in written]
        row.state, row.at = after, at
        self.rows[stream] = row
        change = Change(stream, submission, before, after, entries, at)
        loaded.observe(change)
        keys = getattr(submission.command, "keys", None)
        if stream == submission.stream and isinstance(keys, Keys) and (keys.cin or keys.person):
            self.beside.keys[stream] = keys
        if self.name == "notification":
            self._tell(change)

    def _entry(
        self, stream: str, row: Row, submission: Submission, event: Event, own: bool, at: datetime
    ) -> tuple[Entry, Event]:
        n = len(row.entries) + 1
        if own:
            assert publisher(type(event)) == self.name, f"{self.name} does not own {event.wire}"
            row.sequence += event.published
            id, source = uuid5(submission.id, f"{self.name} {stream} {n}"), f"/{self.name}"
        else:
            message = submission.received.message if submission.received is not None else None
            assert message is not None
            id, source = message.id, message.source
        entry = Entry(
            stream, n, id, own and event.published, row.sequence, event.wire_type(), source, at, str(submission.id),
            "", "", b"", "",
        )  # fmt: skip
        if entry.own:
            self.unsent.append(Record(entry.message(), event))
        row.entries.append((entry, event))
        return entry, event

    def _tell(self, change: Change[Any]) -> None:
        """The notices of these events, as `TellingProjection` writes them."""
        before = change.before
        for entry, event in change.written:
            after = self.domain.decider.evolve(before, event)
            assert after is not None
            happened = Happened(entry.id, entry.stream, entry.at, event, b"", before, after)
            for telling in tellings(self.known.policy, Names(), happened, change.at):
                notice, duty = telling.notice, telling.duty
                name = notice.id(entry.id)
                assert name not in self.beside.notices, f"{name} is told of one event twice"
                self.beside.notices[name] = Noticed(
                    name, notice.stream or entry.stream, notice.code, notice.recipient_kind,
                    duty.published or notice.closing, duty.due_at,
                )  # fmt: skip
            match event:
                case NoticeDelivered():
                    self.beside.notices[event.notice].told = True
                case NoticeTakenBack():
                    self.beside.notices[event.notice].told = False
                case NoticeOverdue():
                    self.beside.notices[event.notice].late = True
                case _:
                    pass
            before = after

    # ── what moves events ─────────────────────────────────────────────────────────────────────────────────

    def relay(self, log: Log, count: int, *, dies: bool) -> int:
        """Publish the first of the outbox. `dies`: before they are deleted, so that they are published again."""
        sent = self.unsent[:count]
        for record in sent:
            log.append(record)
        if not dies:
            del self.unsent[: len(sent)]
        return len(sent)

    def consume(self, log: Log, partition: int, count: int, now: datetime) -> int:
        """A poll of one partition, applied with its offset."""
        start = self.read[partition]
        polled = log.partitions[partition][start : start + count]
        if not polled:
            return 0
        batch = [
            made for n, record in enumerate(polled) if (made := self._react(record, partition, start + n))
        ]
        self.execute(batch, now)
        self.read[partition] = start + len(polled)
        return len(polled)

    def _react(self, record: Record, partition: int, offset: int) -> Submission | None:
        handler = self.service.reactions.get(type(record.event))
        message = record.message
        if handler is None or message.source == f"/{self.name}":
            return None
        command: Any = handler(record.event, message)
        place = Received(partition, offset, message.subject, message)
        return Submission(message.id, message.subject, command, causation=str(message.id), received=place)

    def due(self) -> list[tuple[datetime, str, str]]:
        """Every deadline that lives, the earliest first."""
        found = [
            (at, stream, kind)
            for stream, state in self.states.items()
            for kind, at in self.domain.timers(state).items()
        ]
        found += [
            (n.due_at, n.referral, kind_of(n.id))
            for n in self.beside.notices.values()
            if n.waits and not self._is_silent(n)
        ]
        return sorted(found)

    def _is_silent(self, notice: Noticed) -> bool:
        """Nobody writes to the dead, so nothing is due (loop.md 7.7), as `notice_proof.fall_silent` has it."""
        state = self.state(notice.referral)
        return notice.recipient_kind == "member" and state is not None and dead(state)

    def may_fire(self, stream: str, log: Log) -> bool:
        partition = partition_of(stream)
        return self.read[partition] >= len(log.partitions[partition])

    def fire(self, stream: str, kind: str, due_at: datetime, now: datetime) -> None:
        claim = uuid5(NAMESPACE, f"{stream}|{kind}|{due_at.isoformat()}")
        submission = Submission(claim, stream, self.on_timer(kind, due_at), timer=(kind, due_at))
        outcome = self.execute([submission], now)[claim]
        assert outcome is None, (
            f"{self.name}: the deadline {_plain(kind)} is refused: {outcome.slug if outcome else ''}"
        )


def _plain(kind: str) -> str:
    return TIMER.strip() if kind.startswith(TIMER) else kind
