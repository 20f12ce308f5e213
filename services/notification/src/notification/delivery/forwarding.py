"""How a plan's systems get its authorizations in Kafka: by an outbox of their own, and one leader that drains it.

A row enters in the transaction that writes the plan's feed, with what the feed says and the envelope the log has: same
id, same order per referral, nothing sealed. The leader publishes the lowest rows of each plan and then deletes them, so a
crash between the two publishes twice and loses nothing. A topic that is missing holds up its own plan only.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import orjson

from loopkeeper.contract.envelope import parse
from loopkeeper.event_log.port import LogUnavailable
from loopkeeper.kernel.logs import get
from loopkeeper.kernel.repeat import repeat
from loopkeeper.kernel.supervisor import Heartbeat
from loopkeeper.kernel.wake import woken_by
from loopkeeper.postgres.connections import TRANSIENT, Connection
from loopkeeper.postgres.leadership import Leadership
from loopkeeper.runtime.service import RunningService
from notification.persistence.forwarded import READ, on_kafka

if TYPE_CHECKING:
    from loopkeeper.event_log.kafka import KafkaLog

log = get("forward")

# The advisory lock of the one who forwards for a database; the relay has another.
LEADER = 0x66777264
ROUND = 500
# A commit of this process wakes the leader; this finds what another replica wrote.
SWEEP = 1.0
# A topic that could not be written is tried again after this; trying takes time that other plans' events wait.
AGAIN_AFTER = 10.0


async def forward(context: RunningService, heartbeat: Heartbeat) -> None:
    """Publish what plans are to have, where the log is in Kafka."""
    url = context.settings.event_log_url() or ""
    if not on_kafka(context.settings):
        # Nothing to do, and nothing anybody must wait for.
        await asyncio.Event().wait()
    from loopkeeper.event_log.kafka import KafkaLog
    from loopkeeper.event_log.kafka_config import kafka_config

    # A producer of its own: what goes wrong in a plan's topic does not hold up the log.
    event_log = KafkaLog(kafka_config(url, context.settings))
    try:
        await Forwarder(context, event_log).run(heartbeat)
    finally:
        await event_log.close()


@dataclass
class Forwarder:
    """Drains the table into the plans' topics. The leader's lock is held by the very connection that reads."""

    context: RunningService
    event_log: KafkaLog
    _not_before: dict[str, float] = field(default_factory=dict[str, float])

    async def run(self, heartbeat: Heartbeat) -> None:
        """Publish after each commit, for as long as this process leads."""
        leadership = Leadership(self.context.database.connect, LEADER, "loopkeeper-notification-forward")

        async def work() -> bool:
            return await self._round(leadership, heartbeat)

        try:
            await repeat(work, woken_by(self.context.store.commits), SWEEP, heartbeat)
        finally:
            leadership.leave()

    async def _round(self, leadership: Leadership, heartbeat: Heartbeat) -> bool:
        """Whether there may be more to publish."""
        try:
            connection = await leadership.session()
            if connection is None:
                heartbeat.waiting("another replica forwards")
                return False
            more = await self.publish_round(connection)
        except TRANSIENT:
            # Whatever state the session is in: the next round begins with a new one.
            leadership.leave()
            raise
        if self._not_before:
            heartbeat.waiting("a plan's topic cannot be written")
        return more

    async def publish_round(self, connection: Connection) -> bool:
        """Publish the lowest rows of each plan and delete them; whether there may be more."""
        full = False
        for row in await connection.fetch("SELECT DISTINCT plan FROM forward ORDER BY plan"):
            plan = row["plan"]
            if asyncio.get_running_loop().time() < self._not_before.get(plan, 0.0):
                continue
            try:
                full |= await self._publish(connection, plan) == ROUND
                self._not_before.pop(plan, None)
            except LogUnavailable as error:
                if plan not in self._not_before:
                    log.warning("events wait for a plan's topic", organization=plan, reason=str(error))
                self._not_before[plan] = asyncio.get_running_loop().time() + AGAIN_AFTER
        return full

    async def _publish(self, connection: Connection, plan: str) -> int:
        from loopkeeper.event_log.kafka_access import topic_of

        rows = await connection.fetch(READ, plan, ROUND)
        messages = [parse(orjson.loads(row["headers"]), row["data"]) for row in rows]
        published = await self.event_log.forward(topic_of(plan), messages)
        done = [row["position"] for row in rows[:published]]
        await connection.execute("DELETE FROM forward WHERE position = ANY($1::bigint[])", done)
        return published
