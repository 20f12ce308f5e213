"""Who waits for news of a feed in this process, and how they hear of it: one look for all of them after each commit.

A look each would cost as many queries as there are listeners; what another replica wrote is found by the sweep.
"""

from __future__ import annotations

import asyncio
from typing import Any
from weakref import WeakKeyDictionary

from loopkeeper.kernel.repeat import repeat
from loopkeeper.kernel.supervisor import Heartbeat
from loopkeeper.kernel.wake import woken_by
from loopkeeper.postgres.connections import Pool
from loopkeeper.runtime.service import RunningService
from loopkeeper.store.store import Store

# What other replicas wrote is heard within this.
SWEEP = 1.0
# Under load the feeds are looked at no more often than this.
APART = 0.03


class Following:
    """The waiting of one process: by subscription the number seen, and whom to wake beyond it."""

    def __init__(self) -> None:
        self._waiting: dict[str, set[tuple[int, asyncio.Event]]] = {}
        self.wake = asyncio.Event()

    async def news(self, subscription: str, seen: int, seconds: float, stopping: asyncio.Event) -> bool:
        """Whether its feed went beyond `seen` within these seconds; at once False when the process is to stop."""
        heard = asyncio.Event()
        entry = (seen, heard)
        self._waiting.setdefault(subscription, set()).add(entry)
        # Something may have come since the feed was read and before this wait began.
        self.wake.set()
        tasks = {asyncio.ensure_future(heard.wait()), asyncio.ensure_future(stopping.wait())}
        try:
            await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            waiting = self._waiting[subscription]
            waiting.discard(entry)
            if not waiting:
                del self._waiting[subscription]
        return heard.is_set()

    async def look(self, pool: Pool) -> None:
        """Wake everybody whose feed went on or whose subscription ended."""
        if not self._waiting:
            return
        rows = await pool.fetch(
            "SELECT id, sequence, state FROM subscription WHERE id = ANY($1::text[])", list(self._waiting)
        )
        for row in rows:
            for seen, heard in self._waiting.get(row["id"], ()):
                if row["sequence"] > seen or row["state"] == "deleted":
                    heard.set()


# One for each running service; gone with its store.
_followings: WeakKeyDictionary[Store[Any], Following] = WeakKeyDictionary()


def following_of(context: RunningService) -> Following:
    return _followings.setdefault(context.store, Following())


async def follow(context: RunningService, heartbeat: Heartbeat) -> None:
    """Look after each commit, and when somebody begins to listen."""
    following = following_of(context)
    following.wake = woken_by(context.store.commits)

    async def work() -> bool:
        await following.look(context.pool)
        return False

    await repeat(work, following.wake, SWEEP, heartbeat, apart=APART)
