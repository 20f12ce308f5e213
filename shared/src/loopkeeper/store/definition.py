"""What the store must know of one service: its rules, what they may know, its row's columns and deadlines, and what is
written of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, TypeVar
from uuid import UUID

from loopkeeper.contract.decider import Command, Decider, Plain, State
from loopkeeper.contract.events import Event
from loopkeeper.event_log.port import Received
from loopkeeper.postgres.connections import Connection
from loopkeeper.security.sealing import AuditRow
from loopkeeper.store.gathered import Gathered
from loopkeeper.store.journal import START, Entry
from loopkeeper.store.shared_rows import Key, Locked, lock_shared

S = TypeVar("S", bound=State)
# What the service's rules are asked: pairs of a command and its context.
A = TypeVar("A")
# The kind under which `Loader.load` is told of the streams whose rows the batch holds.
STREAM = "stream"


@dataclass(frozen=True, slots=True)
class Recorded:
    """What a change of a reference row yields: the new row, and the event that tells the others."""

    row: Mapping[str, Any]
    event: Event | None = None


@dataclass(frozen=True, slots=True)
class Among:
    """A bound on a new row: of its group, counted under the group's lock by `query` (of `group` alone), fewer than `most` may
    exist, else `refused` is raised."""

    kind: str
    group: str
    query: str
    most: int
    refused: Exception

    @property
    def key(self) -> Key:
        return (self.kind, self.group)


@dataclass(frozen=True, slots=True)
class Reference:
    """A change of one reference row (directory, subscription, roster): no decider, but the same transaction.

    `change(row or None, at)` is pure; it answers the new row, None to leave it, or raises `Refused`.
    """

    table: str
    id: str
    change: Callable[[Mapping[str, Any] | None, datetime], Recorded | None]
    # Of how many others a new row may be one.
    among: Among | None = None

    @property
    def key(self) -> Key:
        return (self.table, self.id)


@dataclass(frozen=True, slots=True)
class Submission:
    """One command on its way to the store. `id` is its claim: the event's for a fact, from client and key for a
    keyed request, minted at the edge otherwise."""

    id: UUID
    stream: str
    command: Command | None = None
    reference: Reference | None = None
    body_hash: bytes = b""
    causation: str = ""
    traceparent: str = ""
    received: Received | None = None
    timer: tuple[str, datetime] | None = None
    # The fact as it came, where the command has it as a later correction does: this one is folded and noted.
    noted: Event | None = None
    # A deadline that tells and decides nothing: it fires while the stream is parked, too.
    goes_on: bool = False
    # Other streams whose rows the decision needs locked, because it writes their events too.
    other_streams: tuple[str, ...] = ()
    # Why this fact cannot even be read; it is parked at once.
    poison: str = ""
    # What is recorded with the decision: committed with it, or, refused or repeated, not at all.
    audit: AuditRow | None = None

    @property
    def is_fact(self) -> bool:
        return self.received is not None

    @property
    def label(self) -> str:
        if self.command is not None:
            return type(self.command).__name__
        return f"Record {self.reference.table}" if self.reference else "unreadable"


@dataclass(slots=True)
class Row(Generic[S]):
    """A stream's row while its batch holds the lock."""

    id: str
    state: S | None
    n: int = 0
    sequence: int = 0
    head: str = START
    at: datetime | None = None
    created_at: datetime | None = None
    known: bool = False


@dataclass(frozen=True, slots=True)
class Work(Generic[S]):
    """A submission with its row as locked, before any decision of this batch."""

    submission: Submission
    state: S | None
    keys: frozenset[Key] = frozenset()


@dataclass(frozen=True, slots=True)
class Change(Generic[S]):
    """What one command did to one stream: the journal rows it wrote, with their events."""

    stream: str
    submission: Submission
    before: S | None
    after: S | None
    written: Sequence[tuple[Entry, Event]]
    at: datetime


class TooMuchAtOnce(Exception):
    """A batch would write more rows than one transaction should: nothing is written, and it is halved. Never raised for
    one command alone."""


class NeedsMore(Exception):
    """The rule turned out to need shared rows, or other streams, that are not locked: the command goes to the next
    batch with them."""

    def __init__(self, keys: Iterable[Key] = (), streams: Iterable[str] = ()) -> None:
        super().__init__("shared rows or streams")
        self.keys = frozenset(keys)
        self.streams = frozenset(streams)


class Loaded(Generic[S, A], ABC):
    """What the rules of one batch may know beyond their own rows.

    A rule is pure and reads nothing. So the service's `Loader` reads for the whole batch in few statements, under all locks,
    what any of its commands may need: members, providers, counts, policy of the day. The result is this object. It lives
    for one batch. For each command, `with_context` makes the frozen context the rule gets; after each command, `observe`
    keeps the object current: the second referral of one member finds the first.
    """

    @abstractmethod
    def with_context(self, stream: str, state: S | None, command: Command, plain: Plain) -> A:
        """The command with its context. `state` has the command's fact folded in; `plain` has time and seed. May raise
        `NeedsMore`."""

    def observe(self, change: Change[S]) -> None:
        """A command of this batch was decided: what it takes or frees counts for the next."""
        return


class Loader(Generic[S, A], ABC):
    """How a service finds what the rules of a batch may know: first which shared rows to lock (an unlocked guess will
    do, since `NeedsMore` asks for what it missed), then, under all locks, what is there."""

    async def locks(self, connection: Connection, work: Sequence[Work[S]]) -> set[Key]:
        """The shared rows that these commands need locked."""
        return set()

    async def lock(self, connection: Connection, work: Sequence[Work[S]], keys: Collection[Key]) -> Locked:
        """Lock `keys` and what these commands need. A service whose own call locks and reads at once has that here."""
        needed = frozenset(keys) | await self.locks(connection, work)
        if needed:
            await lock_shared(connection, needed)
        return Locked(needed)

    @abstractmethod
    async def load(self, connection: Connection, work: Sequence[Work[S]], locked: Locked) -> Loaded[S, A]:
        """What these commands' rules may know, once `locked` are held: shared rows, and streams (of kind `STREAM`)."""


def nothing() -> None:
    """What most have to do once a batch is committed."""


@dataclass(frozen=True, slots=True)
class Wrote:
    """When the deadlines come that a projection wrote itself, and what it does once all of the batch is committed."""

    deadlines: Sequence[datetime] = ()
    committed: Callable[[], None] = nothing


class Projection(Generic[S]):
    """Writes the rows that hang on a service's streams, in bulk and in the transaction of the changes themselves: from
    the changes, and from what the batch's `Loaded` knows that is in no event. The default writes nothing."""

    async def write(
        self, connection: Connection, writes: Gathered, changes: Sequence[Change[S]], loaded: Any
    ) -> Wrote:
        """Write the child rows of these changes; `loaded` is what this service's own `Loader` made. What nothing else of the
        batch has to see goes to `writes`, which are sent together behind this."""
        return Wrote()


def as_fact(event: Event, stream: str, state: Any) -> Command | Reference:
    """An own event read again from the log is a fact like any other."""
    return Command(fact=event)


def no_timers(_: Any) -> Mapping[str, datetime]:
    return {}


@dataclass(frozen=True)
class Domain(Generic[S, A]):
    """One service as the store sees it: its rules, what they may know, what is written of them. `columns` and `timers`
    are pure functions of the state: what can be searched, and which deadlines live."""

    service: str
    decider: Decider[S, A]
    columns: Callable[[S], Mapping[str, Any]]
    timers: Callable[[S], Mapping[str, datetime]] = no_timers
    loader: Loader[S, A] = field(kw_only=True)
    projection: Projection[S] = field(default_factory=lambda: Projection[S](), kw_only=True)
    # Intake's journal is the loop's timeline: it notes every fact, with effect or not.
    notes_all: bool = False
    table: str = "referral"
    # Reference tables whose rows are streams of their own (the directory): they carry n, sequence and head.
    reference_streams: frozenset[str] = frozenset()
    # What the child rows of an own event are rebuilt from when its database was restored: a command that carries what
    # the edge once knew (never decided), or the change of a reference row.
    restored: Callable[[Event, str, Any], Command | Reference] = as_fact
