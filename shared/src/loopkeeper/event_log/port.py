"""The log between the services, as a port: publish in order, read in order, at least once.

Concepts. A *position* is (partition, offset). A member of a group *polls* messages, the service applies them and
stores the next offsets in its own database in the same transaction, then *acknowledges*: the bus's own copy of
the offsets serves only displays. After a (re)assignment a member starts from the service's stored offsets, never
from the bus's copy. Order is promised per key, and nothing is promised about which partition a key has.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol
from uuid import UUID, uuid5

from loopkeeper.contract.envelope import Message

# Larger polls do not make a request wait: the store takes a consumer's batch in one go (protocols.md §1).
POLL_LIMIT = 256


@dataclass(frozen=True, slots=True)
class Received:
    """A message with the place it was read from. `message` is None where the envelope could not be read:
    then `raw` and `problem` are what is parked."""

    partition: int
    offset: int
    key: str
    message: Message | None
    raw: bytes = b""
    problem: str = ""


UNREADABLE = UUID("6f0a2c5e-6f0b-5c7e-9d55-0d5a9a3f2b10")


def unreadable(received: Received) -> UUID:
    """The claim of a record that has no id of its own to be told by: its place in the log."""
    return uuid5(UNREADABLE, f"{received.partition}:{received.offset}")


def id_of(received: Received) -> UUID:
    """What a record is known by: its event, or its place where it is none."""
    return received.message.id if received.message is not None else unreadable(received)


@dataclass(frozen=True, slots=True)
class Position:
    """Where a partition is read next, and the id of the record before it (None: not known)."""

    next: int
    last: UUID | None = None


# Where each of these partitions is read next; a partition never read starts at 0.
StoredOffsets = Callable[[Sequence[int]], Awaitable[Mapping[int, Position]]]


class LogUnavailable(Exception):
    """The log cannot be reached now; the same call may succeed later. Its text is a reason, never what was sent."""

    sentence = "the log cannot be reached"


class LogSteppedBack(LogUnavailable):
    """The log is an earlier one than what was read of it, or nobody has looked yet whether it is."""

    sentence = "the log stepped back"


class LogRefused(LogUnavailable):
    """The log is there and says no, to who we are or to what we publish: the same call succeeds once a person has
    fixed what the text names."""

    sentence = "the log refuses"


def told(error: LogUnavailable) -> str:
    """What a task that waits for the log says: a refusal with its reason, which nobody would find out otherwise."""
    return f"{error.sentence}: {error}" if isinstance(error, LogRefused) else error.sentence


class GroupMember(Protocol):
    """One active reader of a group."""

    async def poll(self, limit: int = POLL_LIMIT, timeout: float = 1.0) -> Sequence[Received]:  # noqa: ASYNC109 a poll's own wait
        """Messages after the last polled ones, in log order per key; empty after `timeout` seconds without any.
        Raises `LogUnavailable`; afterwards the member re-reads from the stored offsets. Raises `LogSteppedBack` where the
        record before them is not the one that was read."""
        ...

    async def acknowledge(self, offsets: Mapping[int, int]) -> None:
        """Show the group's next offsets. Has no effect for a member that no longer holds the group."""
        ...

    def place_again(self) -> None:
        """Forget where it reads: the next poll begins from the stored offsets."""
        ...

    def holds(self) -> bool:
        """Whether this member currently reads for its group (others wait)."""
        ...

    def partitions(self) -> frozenset[int]:
        """Those it currently reads; none while it does not hold."""
        ...

    async def close(self) -> None: ...


# Asked before the first append to a server of the log that this process has not written to; raises `LogSteppedBack`.
CheckLog = Callable[[], Awaitable[None]]


class EventLog(Protocol):
    async def publish(self, messages: Sequence[Message]) -> int:
        """Append in order; returns how many *leading* messages are durably in the log. Fewer than given, or
        `LogUnavailable`: the caller reads its outbox again from the lowest unsent."""
        ...

    async def announce(self, message: Message) -> None:
        """Append this one record to every partition. Raises `LogUnavailable` where one has not got it."""
        ...

    async def join(self, group: str, offsets: StoredOffsets) -> GroupMember: ...

    def check_with(self, look: CheckLog) -> None:
        """From now on this is asked before anything is written to another server of the log."""
        ...

    async def records_at(self, places: Mapping[int, int]) -> Mapping[int, Received]:
        """The record at this offset of each partition, where there is one."""
        ...

    async def renumber(self, above: Mapping[int, int]) -> None:
        """Give no offset below these again, where the log itself gives them out."""
        ...

    async def back(self, by: timedelta) -> Mapping[int, int]:
        """For each partition an offset from which on is everything that is younger than so long before its last."""
        ...

    async def ends(self) -> Mapping[int, int]:
        """For each partition the offset the next message will get, as of after this call began."""
        ...

    async def positions(self, group: str) -> Mapping[int, int]:
        """The group's acknowledged offsets, for displays."""
        ...

    def partition_of(self, key: str) -> int: ...

    def history(self, after: Mapping[int, int] | None = None) -> AsyncIterator[Received]:
        """Everything in the log from these offsets up to the ends as of the call, in order per key."""
        ...

    async def close(self) -> None: ...
