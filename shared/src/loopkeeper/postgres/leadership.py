"""One leader per database for work that only one replica may do: an advisory lock on the session that does the work.

Without the session there is no lock, so a leader that lost one never works on while another has taken over.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from loopkeeper.postgres.connections import Connection

# A session of its own, under this name.
Connect = Callable[[str], Awaitable[Connection]]


class Leadership:
    """This process's part in the election for one lock. `name` is how its session is shown in pg_stat_activity."""

    def __init__(self, connect: Connect, lock: int, name: str) -> None:
        self._connect = connect
        self._lock = lock
        self._name = name
        self._connection: Connection | None = None
        self._leads = False

    async def session(self) -> Connection | None:
        """The leader's session; None while another process leads."""
        if self._connection is None or self._connection.is_closed():
            self.leave()
            self._connection = await self._connect(self._name)
        if not self._leads:
            self._leads = await self._connection.fetchval("SELECT pg_try_advisory_lock($1)", self._lock)
        return self._connection if self._leads else None

    async def tell(self, statement: str, *values: object) -> None:
        """From a process that does not lead, over its own session: one statement that commits by itself."""
        if self._connection is not None and not self._leads:
            await self._connection.execute(statement, *values)

    def leave(self) -> None:
        """End the session, and the lead with it."""
        if self._connection is not None:
            self._connection.terminate()
        self._connection, self._leads = None, False
