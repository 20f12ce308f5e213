"""What does a service do first when it is started? It reads the log up to its end, and finds out whether its database
was put back to an earlier day.

Until it has read so far, it takes no command and its workers wait: an own event it has forgotten may stand in the log,
and a command would publish another under the same number. If it finds such an event, or that more had been read than
its database knows, the database was restored: everything up to the end is set aside unjudged, then every stream is
rebuilt (`stream_rebuild.py`), and only then the facts that are left are decided, each stream in order.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from loopkeeper.contract import events
from loopkeeper.event_log.port import Bus, Received
from loopkeeper.flow.parked import ParkedFacts
from loopkeeper.kernel.logs import get
from loopkeeper.kernel.supervisor import Heartbeat
from loopkeeper.postgres.connections import Connection, Pool
from loopkeeper.store.store import Store

log = get("restore")

# How many own events are looked up in the journal by one statement.
LOOK = 500
# Shown while nothing is polled: no watchdog may take that for standing still.
BUSY = "what was lost is written again"

# These own events stand in the log: they need not be sent.
FORGET_SENT = """
DELETE FROM outbox o USING journal j WHERE j.stream = o.stream AND j.n = o.n AND j.id = ANY($1::uuid[])
"""

# What a service must do once when its database turns out to be an older one.
OnRestored = Callable[[Connection], Awaitable[None]]
Offsets = Callable[[], Awaitable[Mapping[int, int]]]


class RestoreFailed(Exception):
    """Some streams cannot be rebuilt; a person must look before the service takes commands again."""


async def nothing_to_renumber(_: Connection) -> None:
    """Most services count nothing that others remember."""


@dataclass(slots=True)
class CatchUp:
    """One service's reading up to the end as of its start. `restoring`: its database was an earlier one."""

    service: str
    bus: Bus
    store: Store[Any]
    pool: Pool
    parked: ParkedFacts
    on_restored: OnRestored
    stored: Offsets
    restoring: bool = False
    end: Mapping[int, int] = field(default_factory=dict[int, int])

    @property
    def source(self) -> str:
        return f"/{self.service}"

    @property
    def own_types(self) -> list[str]:
        own = [kind for kind in events.by_type().values() if events.publisher(kind) == self.service]
        return sorted(name for kind in own for name in events.CATALOG.wire_types(kind))

    async def begin(self) -> None:
        """Find out where the end is and whether this is a restored database."""
        # In this order: what was acknowledged before can never be ahead of what is stored after.
        acknowledged = await self.bus.positions(self.service)
        self.end = await self.bus.ends()
        stored = await self.stored()
        ahead = any(offset > stored.get(partition, 0) for partition, offset in acknowledged.items())
        begun = await self.pool.fetchval("SELECT 1 FROM restored WHERE finished_at IS NULL")
        missing = await self._missing(stored) if self._behind(stored) else False
        if begun or ahead or missing:
            self.restoring = True
            await self.store.with_batch(lambda batch: self._remember(batch.connection))
            log.warning("restored database", service=self.service, lag=self._behind(stored))

    async def _remember(self, connection: Connection) -> None:
        """That this database is an earlier one, and let its service do once what follows from that."""
        # Replicas that start together: one of them begins.
        await connection.execute("LOCK TABLE restored IN SHARE ROW EXCLUSIVE MODE")
        if await connection.fetchval("SELECT 1 FROM restored WHERE finished_at IS NULL"):
            return
        await connection.execute("INSERT INTO restored (at) VALUES ($1)", self.store.clock.wall())
        await self.on_restored(connection)

    async def _missing(self, stored: Mapping[int, int]) -> bool:
        """Whether the log has own events that the journal lacks. What it has of ours need not be sent again."""
        missing, ids = False, list[UUID]()
        async for received in self.bus.history(stored):
            if received.message is not None and received.message.source == self.source:
                ids.append(received.message.id)
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

    async def take(self, received: Sequence[Received], reads: Callable[[Received], bool]) -> None:
        """Set aside what belongs here: what this service reads, and its own events that its journal lacks."""
        own = [r.message.id for r in received if r.message is not None and r.message.source == self.source]
        rows = await self.pool.fetch("SELECT id FROM journal WHERE id = ANY($1::uuid[])", own)
        known = {row["id"] for row in rows}
        await self.parked.set_aside(
            [r for r in received if self._lost(r, known) or reads(r)],
            {r.partition: r.offset + 1 for r in received},
        )

    def _lost(self, received: Received, known: set[UUID]) -> bool:
        message = received.message
        return message is not None and message.source == self.source and message.id not in known

    async def finish(self, heartbeat: Heartbeat | None = None) -> None:
        """Where everything of the start was read: rebuild, decide what is left, and open the service."""
        if self.store.ready.is_set() or await self.unread():
            return
        if self.restoring:
            await self._rebuild_all(heartbeat)
            for stream in await self.parked.waiting():
                if heartbeat is not None:
                    heartbeat.waiting(BUSY)
                await self.parked.replay(stream)
            await self._write(
                "UPDATE restored SET finished_at = $1 WHERE finished_at IS NULL", self.store.clock.wall()
            )
            self.restoring = False
            log.warning("restored from the log", service=self.service)
        self.store.ready.set()

    async def _write(self, statement: str, argument: Any) -> None:
        await self.store.with_batch(lambda batch: batch.connection.execute(statement, argument))

    async def _rebuild_all(self, heartbeat: Heartbeat | None) -> None:
        """Every stream whose own events were lost. One may need another first (a member has one live assignment), so
        those that failed are tried again for as long as others succeed."""
        while streams := await self.parked.with_types(self.own_types):
            done = 0
            for stream in streams:
                if heartbeat is not None:
                    heartbeat.waiting(BUSY)
                done += await self.parked.rebuild(stream)
            if not done:
                log.error("streams cannot be rebuilt", service=self.service, count=len(streams))
                raise RestoreFailed(f"{len(streams)} streams cannot be rebuilt")
