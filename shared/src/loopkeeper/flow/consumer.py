"""How facts come in: poll, react, execute with the offsets in the same transaction, acknowledge."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from loopkeeper.contract import events
from loopkeeper.contract.decider import Command
from loopkeeper.contract.envelope import Message
from loopkeeper.contract.event import Catalog, Event
from loopkeeper.event_log.port import Bus, Member, Received, unreadable
from loopkeeper.flow.recovery import CatchUp
from loopkeeper.kernel.logs import get
from loopkeeper.kernel.metrics import Metrics
from loopkeeper.kernel.repeat import until_done
from loopkeeper.kernel.supervisor import Heartbeat
from loopkeeper.observability.telemetry import Telemetry
from loopkeeper.postgres.connections import Pool
from loopkeeper.store.batch import Outcome, describe
from loopkeeper.store.definition import Reference, Submission
from loopkeeper.store.store import Store

log = get("consumer")

# So many facts parked in a row, each for a fault of its own, mean that the code is wrong, not the data
# (architecture.md §6.5).
TOO_MANY = 20

# Why an event is parked that is in a newer version than this program reads.
NEWER = "a newer version of this event: upgrade this service"

# What a service makes of an event: a command on its stream, a change of a reference row, or nothing.
Reaction = Callable[[Any, Message], Command | Reference | None]


class Reactions:
    """A service's `on_<event>` functions by event class; events it does not read are skipped unparsed.

    An event comes to its function in its newest version, whatever version was published. One in a version that is not
    known here yet is parked, until this service is upgraded: skipped, it would be lost."""

    def __init__(self, handlers: Mapping[type[Event], Reaction], catalog: Catalog = events.CATALOG) -> None:
        self._catalog = catalog
        self._handlers = {name: on for kind, on in handlers.items() for name in catalog.wire_types(kind)}

    @property
    def types(self) -> frozenset[str]:
        return frozenset(self._handlers)

    def react(self, received: Received) -> Submission | None:
        """The submission of a message, None if this service does not read it. Never raises: a message that
        cannot be read becomes one that is parked."""
        message = received.message
        if message is None:
            return Submission(
                unreadable(received), received.key, received=received, poison=received.problem or "unreadable"
            )
        handler = self._handlers.get(message.type)
        if handler is None:
            newer = self._catalog.newer(message.type)
            if newer is None or newer.wire_type() not in self._handlers:
                return None
            return Submission(message.id, message.subject, received=received, poison=NEWER)
        try:
            event = self._catalog.read(message.type, message.data)
            made = handler(event, message)
        except Exception as error:  # noqa: BLE001 whatever is wrong with it, the fact is kept and shown
            return Submission(message.id, message.subject, received=received, poison=describe(error))
        if made is None:
            return None
        return Submission(
            message.id,
            message.subject,
            command=made if isinstance(made, Command) else None,
            reference=made if isinstance(made, Reference) else None,
            causation=str(message.id),
            traceparent=message.traceparent,
            received=received,
        )


class TooManyParked(Exception):
    """The consumer stopped itself; a person must look."""


class Consumer:
    """One service's reader of the log."""

    def __init__(
        self,
        service: str,
        bus: Bus,
        store: Store[Any],
        reactions: Reactions,
        pool: Pool,
        *,
        metrics: Metrics,
        telemetry: Telemetry,
        catch_up: CatchUp | None = None,
    ) -> None:
        self._service = service
        self._bus = bus
        self._store = store
        self._reactions = reactions
        self._pool = pool
        self._metrics = metrics
        self._telemetry = telemetry
        self._parked_in_a_row = 0
        self._member: Member | None = None
        self.progress = 0
        # What is read before anything else is done; None where a test hands facts in.
        self.catch_up = catch_up

    async def stored_offsets(self, partitions: Sequence[int] | None = None) -> Mapping[int, int]:
        """The next offsets to read, from the service's own database."""
        rows = await self._pool.fetch(
            "SELECT partition, next_offset FROM consumed WHERE $1::int[] IS NULL OR partition = ANY($1)",
            list(partitions) if partitions is not None else None,
        )
        return {row["partition"]: row["next_offset"] for row in rows}

    async def unread(self) -> int:
        """Messages this replica has still to read: what others of its group have is theirs to get on with."""
        mine = self._member.partitions() if self._member is not None else frozenset[int]()
        if not mine:
            return 0
        ends, stored = await self._bus.ends(), await self.stored_offsets(sorted(mine))
        return sum(ends.get(partition, 0) - stored.get(partition, 0) for partition in mine)

    async def run(self, heartbeat: Heartbeat) -> None:
        """Read for ever. Raises `TooManyParked` when facts fail one after the other."""
        if self.catch_up is not None and not self._store.ready.is_set():
            await until_done(self.catch_up.begin, heartbeat)
        self._member = member = await self._bus.join(self._service, self.stored_offsets)
        try:
            while True:
                if self.catch_up is not None and not self._store.ready.is_set():
                    await until_done(partial(self.catch_up.finish, heartbeat), heartbeat)
                received = await until_done(member.poll, heartbeat)
                if received:
                    # The poll stays in hand: nobody gets it again from this member.
                    offsets = await until_done(partial(self.apply, received), heartbeat)
                    await member.acknowledge(offsets)
                elif not member.holds():
                    heartbeat.waiting("another replica reads")
        finally:
            await member.close()

    async def apply(self, received: Sequence[Received]) -> Mapping[int, int]:
        """React to one poll and commit it whole; returns the next offsets. Whole again after an error that passes."""
        offsets = {r.partition: r.offset + 1 for r in received}
        if self.catch_up is not None and self.catch_up.restoring:
            await self.catch_up.take(received, lambda one: self._reactions.react(one) is not None)
            self.progress += len(received)
            return offsets
        submissions, spans = self._submissions(received)
        try:
            outcomes = await self._store.execute(submissions, offsets)
        finally:
            for span in spans:
                span.end()
        self.progress += len(received)
        self._metrics.consumed.labels(self._service).inc(len(received))
        self._watch_parked([outcomes[s.id] for s in submissions])
        return offsets

    def _submissions(self, received: Sequence[Received]) -> tuple[list[Submission], list[Any]]:
        submissions: list[Submission] = []
        spans: list[Any] = []
        for one in received:
            submission = self._reactions.react(one)
            if submission is None:
                continue
            message = one.message
            if message is not None and message.traceparent:
                span = self._telemetry.begin(
                    "process referral-loops",
                    parent=message.traceparent,
                    attributes={
                        "loopkeeper.referral": message.subject,
                        "loopkeeper.event.type": message.type,
                        "messaging.message.id": str(message.id),
                    },
                )
                spans.append(span)
                submission = _with_trace(submission, span.traceparent)
            submissions.append(submission)
        return submissions, spans

    def _watch_parked(self, outcomes: Sequence[Outcome | Exception]) -> None:
        most = 0
        for outcome in outcomes:
            if not isinstance(outcome, Outcome) or not outcome.parked:
                self._parked_in_a_row = 0
            elif not outcome.behind:
                self._parked_in_a_row += 1
                most = max(most, self._parked_in_a_row)
        if most >= TOO_MANY:
            raise TooManyParked(f"{most} facts parked in a row")


def _with_trace(submission: Submission, traceparent: str) -> Submission:
    return Submission(
        submission.id,
        submission.stream,
        command=submission.command,
        reference=submission.reference,
        causation=submission.causation,
        traceparent=traceparent,
        received=submission.received,
        poison=submission.poison,
    )
