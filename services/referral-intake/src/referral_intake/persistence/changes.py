"""Which referrals change, for those who watch a page: one look for all of them after each commit.

A look for each watcher would cost as many queries as there are pages open; what another replica wrote is found by the
sweep. A referral's `at` is taken before its transaction commits, so each look begins a little before the last one's
end and leaves out what it has told.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from weakref import WeakKeyDictionary, WeakSet

from loopkeeper.http.paging import FIRST
from loopkeeper.kernel.repeat import repeat
from loopkeeper.kernel.supervisor import Heartbeat
from loopkeeper.kernel.wake import woken_by
from loopkeeper.postgres.connections import Pool
from loopkeeper.runtime.service import RunningService
from loopkeeper.security.organizations import Client
from loopkeeper.store.row_access import visibility_of
from loopkeeper.store.store import Store

# What other replicas wrote is seen within this; many commits in quick succession are looked at together.
SWEEP, APART = 1.0, 0.2
# Longer than a transaction takes from its time to its commit.
OVERLAP = timedelta(seconds=5)
# A watcher behind whom more waits than this is told that much changed.
MOST_WAITING = 500
LOOK = """
SELECT id, n, at, plan_id, referrer_id, provider_id FROM referral
WHERE at >= $1 AND status <> '' ORDER BY at, id LIMIT 5000
"""


class Watcher:
    """One open page: what changed since it was last told, by referral and version. `many`: more than is kept."""

    def __init__(self, client: Client) -> None:
        self._visible = visibility_of(client)
        self.changed: dict[str, int] = {}
        self.many = False
        self.heard = asyncio.Event()

    def tell(self, row: Mapping[str, Any]) -> None:
        seen = self._visible
        mine = (
            seen.operations
            or (seen.plan and row["plan_id"] == seen.plan)
            or (seen.referrer and row["referrer_id"] == seen.referrer)
            or (seen.provider and row["provider_id"] == seen.provider)
        )
        if not mine:
            return
        if len(self.changed) < MOST_WAITING:
            self.changed[row["id"]] = row["n"]
        else:
            self.many = True
        self.heard.set()

    def taken(self) -> tuple[dict[str, int], bool]:
        """What changed since this was asked last."""
        changed, many = self.changed, self.many
        self.changed, self.many = {}, False
        self.heard.clear()
        return changed, many


class Watching:
    """All open pages of one process."""

    def __init__(self) -> None:
        self.watchers: WeakSet[Watcher] = WeakSet()
        self.wake = asyncio.Event()
        self._since: datetime | None = None
        self._told: dict[str, int] = {}

    async def add(self, watcher: Watcher, pool: Pool) -> None:
        """From now on this page hears of what changes."""
        if self._since is None:
            self._since = await pool.fetchval("SELECT max(at) FROM referral") or FIRST
        self.watchers.add(watcher)

    async def look(self, pool: Pool) -> None:
        """Tell every page what changed since the last look."""
        if not self.watchers:
            self._since, self._told = None, {}
            return
        if self._since is None:
            return
        rows = await pool.fetch(LOOK, self._since - OVERLAP)
        for row in rows:
            if self._told.get(row["id"]) == row["n"]:
                continue
            for watcher in self.watchers:
                watcher.tell(row)
        if rows:
            self._since = rows[-1]["at"]
        # Only what a next look may read again needs to be remembered.
        self._told = {row["id"]: row["n"] for row in rows}


# One for each running service; gone with its store.
_watchings: WeakKeyDictionary[Store[Any], Watching] = WeakKeyDictionary()


def watching_of(context: RunningService) -> Watching:
    return _watchings.setdefault(context.store, Watching())


async def watch(context: RunningService, heartbeat: Heartbeat) -> None:
    """Look after each commit, while anybody watches."""
    watching = watching_of(context)
    watching.wake = woken_by(context.store.commits)

    async def work() -> bool:
        await watching.look(context.pool)
        return False

    await repeat(work, watching.wake, SWEEP, heartbeat, apart=APART)
