"""Which senders are alive. Each holds an advisory lock on a session of its own for as long as it runs, and its leases name
that lock: a sender that can take it knows that the other is gone, and frees what it leased.

A process that is killed leaves its lock at once. One whose machine is gone or cannot reach the database leaves leases
that run out.
"""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta

from loopkeeper.postgres.connections import Connection
from loopkeeper.postgres.leadership import Connect, Leadership
from notification.delivery.statements import FREEING

# The upper half of the locks of senders; the lower is drawn, so that no two senders share one.
SENDERS = 0x73656E64
# A server that ends this sender's session ends others', too: they get this long to take their locks again.
GRACE = timedelta(seconds=2)
# How often the leases of senders that are gone are looked for.
LOOKS_APART = timedelta(seconds=1)


class Presence:
    """That one sender is alive, and what it knows of others. `name` is how its leases begin."""

    def __init__(self, connect: Connect) -> None:
        lock = SENDERS << 32 | secrets.randbits(32)
        self.name = str(lock)
        self._leadership = Leadership(connect, lock, "loopkeeper-notification-deliver")
        self.session: Connection | None = None
        self._judges_from: datetime | None = None

    async def shown(self, now: datetime) -> bool:
        """Whether its lock is held, taken again where its session was lost. Raises what the database's absence does."""
        lost, before = self.session is not None, self.session
        self.session = await self._leadership.session()
        if self.session is not before:
            self._judges_from = now + GRACE if lost else now
        return self.session is not None

    def may_judge(self, now: datetime) -> bool:
        """Whether this is a moment to look for senders that are gone."""
        if self.session is None or self._judges_from is None or now < self._judges_from:
            return False
        self._judges_from = now + LOOKS_APART
        return True

    def leave(self) -> None:
        """Nothing is sent any more: what is still leased may be freed."""
        self._leadership.leave()
        self.session = None


async def free(connection: Connection, now: datetime, holder: str) -> int:
    """Take the leases from senders that are gone, this one excepted; how many deliveries are due again."""
    return int((await connection.execute(FREEING, now, holder)).split()[-1])
