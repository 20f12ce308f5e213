"""How own journal rows reach the log: one leader per database reads from the lowest unsent position, publishes,
deletes. A crash between publish and delete publishes twice; first occurrences stay in order."""

from __future__ import annotations

import asyncio
from typing import Any

from loopkeeper.event_log.commands import unfinished
from loopkeeper.event_log.port import EventLog
from loopkeeper.flow.floor import Floor
from loopkeeper.kernel.logs import get
from loopkeeper.kernel.metrics import Metrics
from loopkeeper.kernel.repeat import repeat
from loopkeeper.kernel.supervisor import Heartbeat
from loopkeeper.kernel.wake import Waker, woken_by
from loopkeeper.observability.telemetry import Telemetry
from loopkeeper.postgres.connections import TRANSIENT, Connection
from loopkeeper.postgres.leadership import Connect, Leadership
from loopkeeper.store import fence
from loopkeeper.store.journal import read_entry

log = get("outbox")

# Enough that a backlog drains at the log's full rate (58–74 k/s by 100–500 where it was measured).
ROUND = 500
# A commit of this process wakes the relay; this finds what another replica wrote, and whether its leader is gone.
SWEEP = 1.0
# The advisory lock of the one relay of a database.
LEADER = 0x6C6F6F70

# Each row of the journal is looked up by its key. (OFFSET keeps PostgreSQL from reading the journal from end to end, which it
# would take for small before it was analyzed.)
READ = """
SELECT o.position, j.* FROM (SELECT * FROM outbox WHERE position > $2 ORDER BY position LIMIT $1) o
CROSS JOIN LATERAL (SELECT * FROM journal j WHERE j.stream = o.stream AND j.n = o.n OFFSET 0) j ORDER BY o.position
"""
# Tells the leader of another replica that something was committed. One autocommit statement, after the commit: within a
# transaction it would make all commits wait for each other.
CHANNEL = "loopkeeper_outbox"
TELL = "SELECT pg_notify($1, '')"
# How often a leader asks whether its floor may rise, at most.
RISES_APART = 1.0


class Relay:
    """What brings a service's own events from its database into the log.

    An event is committed in the journal together with the state it changed; its position goes to the outbox in the same
    transaction. The relay publishes outside of it: it reads the lowest positions, appends their events to the log in that
    order, and deletes what was acknowledged. Where it dies in between, it publishes the same events again, and readers drop
    them by their ids. So nothing is lost, and the order of a referral is kept.

        run               wakes after each commit (`unsent`), and each second for what another replica wrote
          _round          one replica leads; the leader's lock is held by the very connection that reads
            publish_round read the lowest rows, publish, delete
              _whole      never a part of the events of one command
    """

    def __init__(
        self,
        service: str,
        connect: Connect,
        event_log: EventLog,
        unsent: Waker,
        *,
        metrics: Metrics,
        telemetry: Telemetry,
    ) -> None:
        self._service = service
        self._leadership = Leadership(connect, LEADER, f"loopkeeper-{service}-relay")
        # The session whose generation was asked for.
        self._led: Connection | None = None
        self._event_log = event_log
        self._unsent = unsent
        # What wakes a round; and whether a commit of this process did.
        self._wake = woken_by(unsent)
        self._written = woken_by(unsent)
        self._floor = Floor()
        self._asked_at = 0.0
        self._metrics = metrics
        self._telemetry = telemetry
        self._generation = 0
        # Whether the last round left rows behind.
        self._more = False

    @property
    def floor(self) -> int:
        """The position up to which nothing is read any more."""
        return self._floor.position

    async def run(self, heartbeat: Heartbeat) -> None:
        """Publish what commits leave unsent, for as long as the process lives."""
        try:
            await repeat(lambda: self._round(heartbeat), self._wake, SWEEP, heartbeat)
        finally:
            self._leadership.leave()

    async def _round(self, heartbeat: Heartbeat) -> bool:
        """Whether there may be more to publish."""
        try:
            connection = await self._leadership.session()
            if connection is None:
                heartbeat.waiting("another replica publishes")
                await self._tell_leader()
                return False
            if connection is not self._led:
                # As the database says that this leader's lock is in.
                self._generation = (await fence.read(connection)).generation
                await connection.add_listener(CHANNEL, self._told)
                self._floor, self._led = Floor(), connection
            return await self.publish_round(connection) > 0 and self._more
        except TRANSIENT:
            # Whatever state the session is in: the next round begins with a new one.
            self._leadership.leave()
            raise

    async def _tell_leader(self) -> None:
        """Who leads finds out at once what this process committed, not by its sweep. Commits that come meanwhile are told
        together."""
        if self._written.is_set():
            self._written.clear()
            await self._leadership.tell(TELL, CHANNEL)

    def _told(self, *_: object) -> None:
        self._wake.set()

    async def publish_round(self, connection: Connection) -> int:
        """Publish the lowest unsent rows and delete them; returns how many were published."""
        ripe = await self._may_rise(connection)
        rows = await self._whole(connection)
        if not rows:
            if ripe:
                self._floor.rise()
            return 0
        messages = [read_entry(row).message(self._generation) for row in rows]
        published = await self._event_log.publish(messages)
        if ripe and published == len(rows) and not self._more:
            self._floor.rise()
        await self._floor.sent(connection, [r["position"] for r in rows[:published]])
        self._metrics.published.labels(self._service).inc(published)
        return published

    async def _may_rise(self, connection: Connection) -> bool:
        """Asked before the rows are read, and not each time."""
        now = asyncio.get_running_loop().time()
        if now - self._asked_at < RISES_APART:
            return False
        self._asked_at = now
        return await self._floor.ripe(connection)

    async def _whole(self, connection: Connection) -> list[Any]:
        """The lowest unsent rows. Of a full round the rows of commands that are not whole in it are left for the next: a
        command holds its streams' locks from before its first position, so no later row of those streams is passed over."""
        limit = ROUND
        while True:
            rows = await connection.fetch(READ, limit, self._floor.position)
            self._more = len(rows) == limit
            if not self._more:
                return rows
            split = unfinished([read_entry(row).message() for row in rows])
            if whole := [row for row in rows if row["command_id"] not in split]:
                return whole
            limit *= 2
