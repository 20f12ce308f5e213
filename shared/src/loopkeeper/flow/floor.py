"""From which position on is the outbox read? Beyond what was sent, as soon as nobody can still commit anything below.

A deleted row stays in the index for as long as any old snapshot lives, a backup for an hour; who began at the lowest position
each time would pass all of them. Positions are taken in order and committed in any: so the floor rises only when every
transaction that may have taken a lower one has ended, and after one more look from the old floor.
"""

from __future__ import annotations

from dataclasses import dataclass

from loopkeeper.postgres.connections import Connection

# Deletes what was sent, and names the transaction that did: anyone who took a position before the highest of these was read had
# a number by then, and so a lower one. (A snapshot's own upper end will not do: a transaction that runs may be beyond it.)
SENT = """
WITH gone AS (DELETE FROM outbox WHERE position = ANY($1::bigint[]) RETURNING position)
SELECT pg_current_xact_id()::text AS deleted_by, max(position) AS highest FROM gone
"""
OLDEST = "SELECT pg_snapshot_xmin(pg_current_snapshot())::text"


@dataclass
class Floor:
    """What one leader knows. `position` is the highest of which nothing below is missing."""

    position: int = 0
    # What may become the floor next, and what was sent last: position, and the transaction that deleted it.
    _next: tuple[int, int] | None = None
    _last: tuple[int, int] | None = None

    async def sent(self, connection: Connection, positions: list[int]) -> None:
        """These were published: delete them, and remember the highest until it may become the floor."""
        row = await connection.fetchrow(SENT, positions)
        if row is not None and row["highest"] is not None:
            self._last = (row["highest"], int(row["deleted_by"]))
            self._next = self._next or self._last

    async def ripe(self, connection: Connection) -> bool:
        """Whether the next look from here sees everything up to what was remembered."""
        return self._next is not None and int(await connection.fetchval(OLDEST)) >= self._next[1]

    def rise(self) -> None:
        """That look was made, and what it found is published."""
        if self._next is not None:
            self.position = max(self.position, self._next[0])
        later = self._last is not None and self._last[0] > self.position
        self._next = self._last if later else None
