"""How facts come in: poll, react, execute with the offsets in the same transaction, acknowledge."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from uuid import UUID

from loopkeeper.contract.envelope import Message
from loopkeeper.event_log.generations import Generations
from loopkeeper.event_log.port import (
    EventLog,
    GroupMember,
    LogSteppedBack,
    LogUnavailable,
    Position,
    Received,
)
from loopkeeper.flow.pace import pause
from loopkeeper.flow.reactions import Reactions
from loopkeeper.flow.recovery import CatchUp, own_events
from loopkeeper.flow.set_back import REASON
from loopkeeper.kernel.logs import get
from loopkeeper.kernel.metrics import Metrics
from loopkeeper.kernel.repeat import until_done
from loopkeeper.kernel.supervisor import Heartbeat
from loopkeeper.observability.telemetry import Telemetry
from loopkeeper.postgres.connections import TRANSIENT, Pool
from loopkeeper.store import fence, offsets
from loopkeeper.store.batch import Outcome
from loopkeeper.store.definition import Submission
from loopkeeper.store.offsets import Overtaken, Progress, SteppedBack
from loopkeeper.store.store import Store, StoreUnavailable

log = get("consumer")

# So many facts parked in a row, each for a fault of its own, mean that the code is wrong, not the data
# (architecture.md §6.5).
TOO_MANY = 20

# Polls that bring a service nothing move its offsets together, at most this many seconds later; and the log is told no more
# often how far a service is.
STORED_APART = 1.0
# A member that waits closes the gate when the group was further than its database for so many seconds: between two
# assignments it waits for a moment too.
AHEAD_FOR = 2.0


@dataclass
class Passed:
    """What was read beyond the stored offsets and brought nothing: the last record of each partition, which of the records
    were events of our own, and since when it waits to be stored."""

    last: dict[int, Received] = field(default_factory=dict[int, Received])
    own: list[UUID] = field(default_factory=list[UUID])
    since: float = 0.0

    @property
    def offsets(self) -> Mapping[int, int]:
        return {partition: each.offset + 1 for partition, each in self.last.items()}

    def add(self, received: Sequence[Received], own: Sequence[UUID]) -> None:
        """These too; `own` are all of ours that wait."""
        self.since = self.since if self.last else asyncio.get_running_loop().time()
        self.last |= {each.partition: each for each in received}
        self.own = list(own)

    def is_due(self) -> bool:
        """Whether it has waited long enough."""
        return bool(self.last) and asyncio.get_running_loop().time() - self.since >= STORED_APART


class OffsetsUnavailable(LogUnavailable):
    """Where to read from cannot be asked now: the service's own database is away."""

    sentence = "the database cannot be reached"


class TooManyParked(Exception):
    """The consumer stopped itself; a person must look."""


class Consumer:
    """What brings the events of other services into a service.

    The place up to which a service has read the log is not the log's to keep: it is a row (an offset by partition) in the
    service's own database, and moves in the transaction of the effect. So a poll is either applied and counted as read, or
    neither. A member of the group reads a partition, the replicas share the partitions, and `acknowledge` only tells the
    group how far the database is.

    A poll without anything for this service is only remembered (`_passed`): its offsets move with the next poll that has
    something, or within a second. Who dies before that reads it again, and again finds nothing.

        run                looks first whether database and log fit (`catch_up`), then joins the group
          _read            poll, apply, acknowledge, until the gate closes
            apply          one poll as one batch: `Reactions.react` makes commands, `Store.execute` commits them
              _react       a fact that fails is parked with the rest of its referral; twenty in a row stop the consumer
    """

    def __init__(
        self,
        service: str,
        event_log: EventLog,
        store: Store[Any],
        reactions: Reactions,
        pool: Pool,
        *,
        metrics: Metrics,
        telemetry: Telemetry,
        catch_up: CatchUp | None = None,
    ) -> None:
        self._service = service
        self._source = f"/{service}"
        self._event_log = event_log
        self._store = store
        self._reactions = reactions
        self._pool = pool
        self._metrics = metrics
        self._telemetry = telemetry
        self._parked_in_a_row = 0
        self._member: GroupMember | None = None
        # Where the batch in hand was read from, as it is stored; and what was read since that brought nothing.
        self._bases: dict[int, int] = {}
        self._passed = Passed()
        # How far the group was not told yet, and when it was told last.
        self._untold: dict[int, int] = {}
        self._told_at = 0.0
        # When the group was last no further than this database.
        self._ahead_since = 0.0
        self._generations = Generations()
        self.progress = 0
        # What is read before anything else is done; None where a test hands facts in.
        self.catch_up = catch_up

    async def stored_offsets(self, partitions: Sequence[int] | None = None) -> Mapping[int, int]:
        """The next offsets to read, from the service's own database."""
        return {p: place.next for p, place in (await offsets.read(self._pool, partitions)).items()}

    async def read_offsets(self, partitions: Sequence[int] | None = None) -> Mapping[int, int]:
        """The next offsets to read: the stored ones, and beyond them what this replica has read and found nothing in."""
        stored = await self.stored_offsets(partitions)
        passed = self._passed.offsets
        return {p: max(offset, passed.get(p, 0)) for p, offset in stored.items()}

    async def place(self, partitions: Sequence[int]) -> Mapping[int, Position]:
        """Where a member begins to read each of these; from now on its batches move the offsets from there."""
        try:
            found = await offsets.read(self._pool, partitions)
            known = await fence.known(self._pool, list(partitions))
            if fresh := sorted(set(partitions) - found.keys()):
                await self._store.with_batch(lambda batch: offsets.begin(batch.connection, fresh))
        except (StoreUnavailable, *TRANSIENT) as error:
            raise OffsetsUnavailable(type(error).__name__) from error
        begin = {p: found.get(p, Position(0)) for p in partitions}
        self._passed = Passed()
        self._bases.update({p: place.next for p, place in begin.items()})
        self._generations.learn(known, partitions)
        return begin

    async def unread(self) -> int:
        """Messages this replica has still to read: what others of its group have is theirs to get on with."""
        mine = self._member.partitions() if self._member is not None else frozenset[int]()
        if not mine:
            return 0
        ends, read = await self._event_log.ends(), await self.read_offsets(sorted(mine))
        return sum(ends.get(partition, 0) - read.get(partition, 0) for partition in mine)

    async def run(self, heartbeat: Heartbeat) -> None:
        """Read forever, and after each closing of the gate look first. Raises `TooManyParked` when facts fail one after
        the other."""
        while True:
            closures = await self._look_first(heartbeat)
            self._member = member = await self._event_log.join(self._service, self.place)
            try:
                await self._read(member, closures, heartbeat)
            finally:
                await self._store_passed(closures)
                await member.close()

    async def _store_passed(self, closures: int) -> None:
        """Who ends in order leaves nothing to be read again; what does not succeed is read again."""
        if self._passed.last and self._store.ready.is_set() and self._store.gate.closures == closures:
            with suppress(TimeoutError, LogUnavailable, StoreUnavailable, *TRANSIENT):
                async with asyncio.timeout(STORED_APART):
                    await self.apply(())

    async def _look_first(self, heartbeat: Heartbeat) -> int:
        """Where the gate is closed, find out why; after how many closures."""
        if self.catch_up is None or self._store.ready.is_set():
            return self._store.gate.closures
        return await until_done(partial(self.catch_up.begin, heartbeat), heartbeat)

    async def _read(self, member: GroupMember, closures: int, heartbeat: Heartbeat) -> None:
        """Until the gate is closed once more."""
        self._untold, time = {}, asyncio.get_running_loop().time
        while self._store.gate.closures == closures:
            if self.catch_up is not None and not self._store.ready.is_set():
                await until_done(partial(self._caught_up, self.catch_up, closures, heartbeat), heartbeat)
            received = await until_done(partial(self._poll, member, closures), heartbeat)
            began = time()
            if received or self._passed.is_due():
                # The poll stays in hand: nobody gets it again from this member.
                self._untold |= await until_done(partial(self._apply_within, closures, received), heartbeat)
            await self._tell(member)
            if received or member.holds():
                self._ahead_since = time()
            else:
                heartbeat.waiting("another replica reads")
                await self._compare()
            if rest := pause(len(received), time() - began):
                await asyncio.sleep(rest)

    async def _tell(self, member: GroupMember) -> None:
        """How far the group is: never further than is stored, and not after every poll."""
        now = asyncio.get_running_loop().time()
        if self._untold and now - self._told_at >= STORED_APART:
            untold, self._untold, self._told_at = self._untold, {}, now
            await member.acknowledge(untold)

    async def _caught_up(self, catch_up: CatchUp, closures: int, heartbeat: Heartbeat) -> None:
        """Whether what was there at the look is read now, by this replica or another."""
        if self._store.gate.closures == closures:
            await catch_up.finish(heartbeat)

    async def _poll(self, member: GroupMember, closures: int) -> Sequence[Received]:
        """Nothing once the gate was closed again; a log that stepped back closes it."""
        if self._store.gate.closures != closures:
            return ()
        try:
            return await member.poll()
        except LogSteppedBack:
            self._store.gate.close(REASON)
            return ()

    async def _compare(self) -> None:
        """Who waits while another reads still finds out if that one has another database."""
        with suppress(LogUnavailable, *TRANSIENT):
            # In this order: only what is stored is acknowledged.
            shown = await self._event_log.positions(self._service)
            stored = await self.stored_offsets()
            now = asyncio.get_running_loop().time()
            if all(offset <= stored.get(partition, 0) for partition, offset in shown.items()):
                self._ahead_since = now
            elif now - self._ahead_since >= AHEAD_FOR:
                self._store.gate.close("another replica has read more than this database knows")

    async def _apply_within(self, closures: int, received: Sequence[Received]) -> Mapping[int, int]:
        """The same as `apply`, but nothing once the gate was closed again; a poll that brings nothing may wait."""
        if self._store.gate.closures != closures:
            return {}
        return await self.apply(received, at_once=not self._store.ready.is_set())

    async def apply(self, received: Sequence[Received], *, at_once: bool = True) -> Mapping[int, int]:
        """React to one poll and commit it whole. Whole again after an error that passes. Returns how far the poll is
        stored: nowhere where another member was faster or the gate was closed, or where it brings nothing and need not be
        stored `at_once`."""
        closures = self._store.gate.closures
        counting = await self._that_count(received)
        own = [*self._passed.own, *own_events(counting, self._source)]
        read = offsets.progress(
            [*self._passed.last.values(), *received], self._bases, own, self._generations.raised
        )
        try:
            if self.catch_up is not None and self.catch_up.restoring:
                await self.catch_up.take(counting, read, self._reads)
            elif not await self._react(counting, read, at_once=at_once):
                self._passed.add(received, own)
                self._metrics.consumed.labels(self._service).inc(len(received))
                self.progress += len(received)
                self._store.deadlines.read_on()
                return {}
        except Overtaken:
            log.info("another member has read this", service=self._service)
            self._passed = Passed()
            if self._member is not None:
                self._member.place_again()
            return {}
        except SteppedBack as sign:
            self._passed = Passed()
            self._store.gate.close(str(sign))
            return {}
        except (StoreUnavailable, *TRANSIENT):
            # Nothing of it was kept, and where the gate was closed meanwhile nothing of it may be.
            if self._store.gate.closures == closures:
                raise
            return {}
        self._bases.update(read.offsets)
        self._passed = Passed()
        self._generations.stored()
        self.progress += len(received)
        self._store.deadlines.read_on()
        return read.offsets

    async def _that_count(self, received: Sequence[Received]) -> list[Received]:
        """Without the records that are void. Raises `DeadBranch` where ours are."""
        counting: list[Received] = []
        for each in received:
            if each.message is not None and each.message.source == self._source and each.message.generation:
                await self._check_branch(each.message)
            if self._generations.void(each):
                self._metrics.void.labels(self._service).inc()
                assert each.message is not None  # noqa: S101 what is unreadable has no generation
                log.warning(
                    "void record",
                    service=self._service,
                    publisher=each.message.source,
                    referral=each.key,
                    claim=each.message.causation,
                )
            else:
                counting.append(each)
        return counting

    async def _check_branch(self, message: Message) -> None:
        """Raises `DeadBranch` for a record of ours under a higher generation than our database has."""
        if self.catch_up is None or message.generation <= self.catch_up.generation:
            return
        await self.catch_up.check_branch(message)

    def _reads(self, one: Received) -> bool:
        return self._reactions.react(one) is not None

    async def _react(self, received: Sequence[Received], read: Progress, *, at_once: bool) -> bool:
        """Whether it is stored. What brings nothing may wait, unless a publisher's generation rose."""
        submissions, spans = self._submissions(received)
        if not submissions and not at_once and not read.raised and not self._passed.is_due():
            return False
        try:
            outcomes = await self._store.execute(submissions, read)
        finally:
            for span in spans:
                span.end()
        self._metrics.consumed.labels(self._service).inc(len(received))
        self._watch_parked([outcomes[s.id] for s in submissions])
        return True

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
