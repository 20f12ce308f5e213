"""What does a service do that is closed? It reads the log up to its end, and finds out whether its database was put back to
an earlier day.

It is closed at its start, and at every sign that its database stepped back while it ran (`store/gate.py`). Until it has read
so far, it takes no command and its workers wait: an own event it has forgotten may be in the log, and a command would
publish another under the same number. If it finds such an event, or that more had been read than its database knows, the
database was set back: everything up to the end is set aside unjudged, then every stream is rebuilt (`stream_rebuild.py`), and
only then the facts that are left are decided, each stream in order.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

import orjson

from loopkeeper.contract import events
from loopkeeper.contract.decider import InvariantBroken
from loopkeeper.contract.envelope import Message
from loopkeeper.event_log.generations import GENERATION, Generations, announcement
from loopkeeper.event_log.port import EventLog, Position, Received
from loopkeeper.flow.parked import ParkedFacts
from loopkeeper.flow.set_back import BACK, LogRepair, differs
from loopkeeper.flow.whole_commands import WholeCommands
from loopkeeper.kernel.logs import get
from loopkeeper.kernel.supervisor import Heartbeat
from loopkeeper.postgres.connections import Connection, Pool
from loopkeeper.store import fence, offsets
from loopkeeper.store.fence import Fence
from loopkeeper.store.offsets import Progress
from loopkeeper.store.store import COMMANDS_KEPT, Answered, Store

log = get("restore")

# How many own events are looked up in the journal by one statement.
LOOK = 500
# Shown while nothing is polled: no watchdog may take that for being stuck.
BUSY = "what was lost is written again"

# These own events are in the log: they need not be sent.
FORGET_SENT = """
DELETE FROM outbox o USING journal j WHERE j.stream = o.stream AND j.n = o.n AND j.id = ANY($1::uuid[])
"""

# What a service must do once when its database turns out to be an older one.
OnRestored = Callable[[Connection], Awaitable[None]]
Offsets = Callable[[], Awaitable[Mapping[int, int]]]


# What was answered and is gone: so many are kept by name, all are logged.
NAMED = 1000
# Streams that are rebuilt in one transaction; while the database writes those of one, the next are read and proved.
REBUILT_AT_ONCE, REBUILT_TOGETHER = 50, 2
# A claim this close to its end may be pruned at any moment, and proves nothing.
SURE = COMMANDS_KEPT - timedelta(days=1)


class RestoreFailed(Exception):
    """Some streams cannot be rebuilt; a person must look before the service takes commands again."""


class DeadBranch(Exception):
    """The log has records of this service under a higher generation than its database's: another primary has taken over,
    and what this one decides is void. It stops for good."""


async def nothing_to_renumber(_: Connection) -> None:
    """Most services count nothing that others remember."""


async def nothing_to_expire() -> None:
    """Where nobody keeps connections: a test."""


def nowhere() -> str:
    """Where nobody knows which server this is: no generation is taken."""
    return ""


def is_own(received: Received, source: str) -> bool:
    """Whether this is an event of this publisher, and no mere sign."""
    message = received.message
    return message is not None and message.source == source and message.type != GENERATION


def own_events(received: Sequence[Received], source: str) -> list[UUID]:
    """Which of these are events of this publisher."""
    return [r.message.id for r in received if r.message is not None and is_own(r, source)]


@dataclass(slots=True)
class CatchUp:
    """One service's reading up to the end as of a look. `restoring`: its database was an earlier one."""

    service: str
    event_log: EventLog
    store: Store[Any]
    pool: Pool
    parked: ParkedFacts
    on_restored: OnRestored
    stored: Offsets
    expire: Callable[[], Awaitable[None]] = nothing_to_expire
    incarnation: Callable[[], str] = nowhere
    restoring: bool = False
    generation: int = 0
    end: Mapping[int, int] = field(default_factory=dict[int, int])
    closures: int = 0

    @property
    def source(self) -> str:
        return f"/{self.service}"

    @property
    def own_types(self) -> list[str]:
        own = [kind for kind in events.by_type().values() if events.publisher(kind) == self.service]
        return sorted(name for kind in own for name in events.CATALOG.wire_types(kind))

    async def begin(self, heartbeat: Heartbeat | None = None) -> int:
        """Find out where the end is and whether this is an earlier database. How often the gate
        had been closed when this was found: another sign closes it again."""
        while True:
            closures = self.closures = self.store.gate.closures
            # What was open before may lead to the server that is no longer meant.
            await self.expire()
            await self._look(heartbeat)
            if closures == self.store.gate.closures:
                return closures

    async def _look(self, heartbeat: Heartbeat | None) -> None:
        stored = await offsets.read(self.pool)
        differing = await self._log_differs(stored)
        found = await self._enter(differing)
        # Before anything is written to a log that nobody has looked at.
        if differing:
            await LogRepair(
                self.service, self.event_log, self.store, self.pool, self.parked.react, self._check_own
            ).repair(stored, differing, partial(_say_busy, heartbeat))
        await self._announce(found)
        # In this order: what was acknowledged before can never be ahead of what is stored after.
        acknowledged = await self.event_log.positions(self.service)
        self.end = await self.event_log.ends()
        stored = {p: place.next for p, place in (await offsets.read(self.pool)).items()}
        # What was acknowledged of a log that is gone tells nothing of this one.
        shown = {p: min(offset, self.end.get(p, 0)) for p, offset in acknowledged.items()}
        ahead = any(offset > stored.get(partition, 0) for partition, offset in shown.items())
        begun = await self._unfinished()
        missing = await self._missing(stored) if self._behind(stored) else False
        self.restoring = bool(begun or ahead or missing)
        if self.restoring:
            unread = self._behind(stored)
            await self.store.with_batch(lambda batch: self._remember(batch.connection, unread))
            log.warning("restored database", service=self.service, lag=unread, reason=self.store.gate.reason)

    async def _log_differs(self, stored: Mapping[int, Position]) -> set[int]:
        """The partitions in which the log is another one than was read. One that ends before what was read and has no record
        of ours to compare with belongs to somebody else: raises `InvariantBroken`."""
        ends = await self.event_log.ends()
        differing = await differs(self.event_log, stored)
        unknown = {p for p, place in stored.items() if place.last is None and place.next > ends.get(p, 0)}
        if unknown and not differing:
            raise InvariantBroken(f"partition {min(unknown)} ends before what was read of it")
        return differing | unknown

    async def _enter(self, differing: Collection[int]) -> Fence:
        """Take the generation of the server this is."""
        incarnation = self.incarnation()
        if not incarnation:
            return Fence()
        found = await self.store.with_batch(lambda batch: fence.enter(batch.connection, incarnation))
        if found.announced < found.generation:
            highest = await self._highest(differing)
            found = await self.store.with_batch(lambda batch: fence.rise(batch.connection, highest))
        self.generation = found.generation
        return found

    async def _announce(self, found: Fence) -> None:
        """A new generation is in every partition before the end is asked for: what an old primary publishes until then is
        read, and after it is void."""
        if found.announced >= found.generation:
            return
        log.warning("new generation", service=self.service, generation=found.generation)
        await self.event_log.announce(announcement(self.service, found.generation, self.store.clock.wall()))
        await self.store.with_batch(lambda batch: fence.announced(batch.connection, found.generation))

    async def _highest(self, differing: Collection[int]) -> int:
        """The highest generation under which the log has unread records of ours. A database of an earlier day knows nothing of
        the servers that came after it: entering again, it takes a generation above theirs. The old primary that lives on
        enters nothing, and finds itself on a dead branch."""
        ends = await self.event_log.ends()
        stored = {p: place.next for p, place in (await offsets.read(self.pool)).items()}
        unread = {p: min(stored.get(p, 0), end) for p, end in ends.items()}
        if differing:
            # What is there now was not read, whatever its offset.
            back = await self.event_log.back(BACK)
            unread |= {p: min(back.get(p, 0), unread.get(p, 0)) for p in differing}
        if unread == ends:
            return 0
        return max(
            [
                received.message.generation
                async for received in self.event_log.history(unread)
                if received.message is not None and received.message.source == self.source
            ],
            default=0,
        )

    async def _check_own(self, message: Message) -> None:
        """Raises `DeadBranch` for a record of ours under a higher generation than was taken."""
        if self.incarnation() and message.generation > self.generation:
            await self.check_branch(message)

    async def check_branch(self, message: Message) -> None:
        """Raises `DeadBranch` where the log has a record of ours under a higher generation than our database."""
        found = await fence.read(self.pool)
        self.generation = found.generation
        if message.generation <= found.generation:
            return
        self.store.gate.close("another primary of this database has taken over")
        for each in [one for one in self.store.answered if one.at > message.time]:
            log.error(
                "answered by a dead branch", service=self.service, claim=str(each.id), referral=each.stream
            )
        raise DeadBranch(f"generation {found.generation} where the log has {message.generation}")

    async def _unfinished(self) -> bool:
        return bool(await self.pool.fetchval("SELECT 1 FROM restored WHERE finished_at IS NULL"))

    async def _remember(self, connection: Connection, unread: int) -> None:
        """That this database is an earlier one, and let its service do once what follows from that."""
        # Replicas that find it together: one of them begins.
        await connection.execute("LOCK TABLE restored IN SHARE ROW EXCLUSIVE MODE")
        if await connection.fetchval("SELECT 1 FROM restored WHERE finished_at IS NULL"):
            return
        await connection.execute(
            """INSERT INTO restored (at, why, unread) VALUES ($1, $2, $3)
               ON CONFLICT (at) DO UPDATE SET finished_at = NULL, why = excluded.why, unread = excluded.unread""",
            self.store.clock.wall(),
            self.store.gate.reason,
            unread,
        )
        await self.on_restored(connection)

    async def _missing(self, stored: Mapping[int, int]) -> bool:
        """Whether the log has own events that the journal lacks. What it has of ours need not be sent again."""
        missing, ids = False, list[UUID]()
        generations = Generations(await fence.known(self.pool))
        async for received in self.event_log.history(stored):
            message = received.message
            if message is None or message.source != self.source:
                continue
            await self._check_own(message)
            if not generations.void(received) and is_own(received, self.source):
                ids.append(message.id)
            if len(ids) >= LOOK:
                missing |= await self._lacks(ids)
                ids.clear()
        return missing | await self._lacks(ids)

    async def _lacks(self, ids: Sequence[UUID]) -> bool:
        if not ids:
            return False
        rows = await self.pool.fetch("SELECT id FROM journal WHERE id = ANY($1::uuid[])", list(ids))
        if rows:
            await self._write(FORGET_SENT, [row["id"] for row in rows])
        return len(rows) < len(set(ids))

    def _behind(self, stored: Mapping[int, int]) -> int:
        return sum(max(0, end - stored.get(partition, 0)) for partition, end in self.end.items())

    async def unread(self) -> int:
        """How many messages are left of those that were there at the start."""
        return self._behind(await self.stored())

    async def take(
        self, received: Sequence[Received], read: Progress, reads: Callable[[Received], bool]
    ) -> None:
        """Set aside what belongs here: what this service reads, and its own events that its journal lacks."""
        own = own_events(received, self.source)
        rows = await self.pool.fetch("SELECT id FROM journal WHERE id = ANY($1::uuid[])", own)
        known = {row["id"] for row in rows}
        await self.parked.set_aside(
            [r for r in received if self._lost(r, known) or reads(r)],
            # Here it is no sign that some are lacking.
            Progress(read.steps, raised=read.raised),
        )

    def _lost(self, received: Received, known: set[UUID]) -> bool:
        message = received.message
        return message is not None and is_own(received, self.source) and message.id not in known

    async def finish(self, heartbeat: Heartbeat | None = None) -> None:
        """Where everything of the look was read: rebuild, decide what is left, and open the service."""
        if self.store.ready.is_set() or await self.unread():
            return
        # Another replica may have found it, and may not be done.
        restoring = self.restoring or await self._unfinished()
        rebuilt = await self._restore(heartbeat) if restoring else 0
        lost = await self._name_lost()
        if restoring or lost:
            await self.store.with_batch(lambda b: self._finished(b.connection, restoring, rebuilt, lost))
            self.store.metrics.set_back.labels(self.service).inc()
            log.warning("restored from the log", service=self.service, rebuilt=rebuilt, lost=len(lost))
        self.restoring = False
        if await self._nothing_set_aside() and self.store.gate.open(self.closures):
            log.info("open", service=self.service)

    async def _restore(self, heartbeat: Heartbeat | None) -> int:
        await WholeCommands(self.service, self.store, self.pool, self.parked).complete(self.own_types)
        rebuilt = await self._rebuild_all(heartbeat)
        after = -1
        while True:
            streams, after = await self.parked.waiting(after)
            if not streams:
                return rebuilt
            for stream in streams:
                self.store.gate.check(self.closures)
                _say_busy(heartbeat)
                await self.parked.replay(stream)

    async def _finished(
        self, connection: Connection, restoring: bool, rebuilt: int, lost: Sequence[Answered]
    ) -> None:
        """The newest row tells of this time; several replicas add to it what each has done and misses."""
        if not restoring:
            # Database and log went back to one moment: nothing contradicts, and only what is gone tells of it.
            await connection.execute(
                "INSERT INTO restored (at, why) VALUES ($1, $2) ON CONFLICT DO NOTHING",
                self.store.clock.wall(),
                self.store.gate.reason,
            )
        await connection.execute(
            """UPDATE restored SET finished_at = coalesce(finished_at, $1), rebuilt = rebuilt + $2,
                   lost = lost || $3::jsonb WHERE at = (SELECT max(at) FROM restored)""",
            self.store.clock.wall(),
            rebuilt,
            orjson.dumps(
                [{"claim": str(each.id), "referral": each.stream} for each in lost[:NAMED]]
            ).decode(),
        )

    async def _name_lost(self) -> list[Answered]:
        """The commands this process has answered whose claim no longer exists: nobody published what they did."""
        since = self.store.clock.wall() - SURE
        answered = {each.id: each for each in list(self.store.answered) if each.at > since}
        rows = await self.pool.fetch("SELECT id FROM claim WHERE id = ANY($1::uuid[])", list(answered))
        known = {row["id"] for row in rows}
        lost = [each for id, each in answered.items() if id not in known]
        for each in lost:
            log.error("answered and lost", service=self.service, claim=str(each.id), referral=each.stream)
            self.store.answered.remove(each)
        return lost

    async def _nothing_set_aside(self) -> bool:
        waiting, _ = await self.parked.waiting(at_once=1)
        return not waiting and not await self._unfinished()

    async def _write(self, statement: str, argument: Any) -> None:
        await self.store.with_batch(lambda batch: batch.connection.execute(statement, argument))

    async def _rebuild_all(self, heartbeat: Heartbeat | None) -> int:
        """Every stream whose own events were lost; how many there were. One may need another first (a member has one live
        assignment), so those that failed are tried again for as long as others succeed."""
        rebuilt, after, done, failed = 0, -1, 0, 0
        while True:
            streams, after = await self.parked.with_types(
                self.own_types, after, REBUILT_AT_ONCE * REBUILT_TOGETHER
            )
            if streams:
                self.store.gate.check(self.closures)
                _say_busy(heartbeat)
                now = await self._rebuild(streams)
                done, failed = done + now, failed + len(streams) - now
                continue
            rebuilt += done
            if not failed:
                return rebuilt
            if not done:
                log.error("streams cannot be rebuilt", service=self.service, count=failed)
                raise RestoreFailed(f"{failed} streams cannot be rebuilt")
            after, done, failed = -1, 0, 0

    async def _rebuild(self, streams: Sequence[str]) -> int:
        """How many of these were rebuilt: some in one transaction, and the others next to it. Raises what the first of them
        raises, once all have ended."""
        parts = [streams[n : n + REBUILT_AT_ONCE] for n in range(0, len(streams), REBUILT_AT_ONCE)]
        tasks = [asyncio.create_task(self.parked.rebuild(part)) for part in parts]
        try:
            await asyncio.wait(tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return sum(task.result() for task in tasks)


def _say_busy(heartbeat: Heartbeat | None) -> None:
    if heartbeat is not None:
        heartbeat.waiting(BUSY)
