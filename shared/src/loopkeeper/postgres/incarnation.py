"""Which server does a service talk to? Every new connection asks once, and no transaction pays for it.

A server's incarnation is when its postmaster started and the number of the database: any role may read both, every physical
step back (a standby promoted, a backup put back, a database made again) changes one of them, and no session outlives it.
A log position or a timeline would prove nothing: a cold copy keeps its timeline.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from loopkeeper.kernel.logs import get
from loopkeeper.postgres.connections import (
    Connection,
    Pool,
    Queryable,
    open_session,
    reach,
    reading_pool,
    writing_pool,
)

log = get("database")

ASK = """
SELECT pg_postmaster_start_time()::text || ' ' || (SELECT oid FROM pg_database WHERE datname = current_database())::text
       AS incarnation, pg_is_in_recovery() AS standby, current_user::text AS role
"""


class Unfit(ConnectionError):
    """A connection that may not be used: the server is another one than before, a standby, or gave another role."""


async def incarnation(session: Queryable) -> str:
    """When this server's postmaster started, and the number of this database."""
    row = await session.fetchrow(ASK)
    assert row is not None  # noqa: S101 it has no FROM
    return row["incarnation"]


@dataclass
class Database:
    """One service's database. `moved` is called with a reason when a connection finds another server than the one before;
    `known` is then the new one, so that what looks next may use it."""

    url: str
    service: str
    moved: Callable[[str], None]
    known: str = ""
    _expire: tuple[Callable[[], Awaitable[None]], ...] = ()

    async def writer(self) -> Pool:
        """The owner's connections: one for the store's transaction, the rest for the chassis's own look-ups."""
        return self._kept(
            await writing_pool(
                self.url, name=f"loopkeeper-{self.service}", greet=self.greet, opening=self._open
            )
        )

    async def reader(self, size: int) -> Pool:
        """Connections of the reader role."""
        role = f"{self.service}_reader"

        async def greet(session: Queryable) -> None:
            await self.greet(session, role)

        name = f"loopkeeper-{self.service}-reader"
        return self._kept(
            await reading_pool(self.url, role=role, size=size, name=name, greet=greet, opening=self._open)
        )

    async def connect(self, name: str) -> Connection:
        """One connection outside any pool, for a holder of a lock that lives as long."""
        connection = await reach(self.url, name=name)
        try:
            await self.greet(connection)
        except BaseException:
            connection.terminate()
            raise
        return connection

    async def greet(self, session: Queryable, role: str = "") -> None:
        """Raises `Unfit` for a connection that may not be used. One to another server closes what trusted the old one."""
        row: Any = await session.fetchrow(ASK)
        if row["standby"]:
            raise Unfit("the server is a standby")
        if role and row["role"] != role:
            # A pooler that drops startup parameters would switch row-level security off.
            log.error("connection refused", service=self.service, reason="the reader's role was not taken")
            raise Unfit("the reader's role was not taken")
        if not self.known:
            self.known = row["incarnation"]
        elif row["incarnation"] != self.known:
            self.known = row["incarnation"]
            self.moved("the database is on another server, or was started again")
            raise Unfit("the server is another one")

    async def _open(self, _: str, **options: Any) -> Any:
        """Where it is now: an address may lead to another server tomorrow."""
        return await open_session(self.url, **options)

    async def expire(self) -> None:
        """No connection that is open now is used for anything new."""
        for each in self._expire:
            await each()

    def _kept(self, pool: Pool) -> Pool:
        self._expire += (pool.expire_connections,)
        return pool
