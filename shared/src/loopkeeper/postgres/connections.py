"""How a service reaches its PostgreSQL: a writing pool for the store alone, a reading pool under row-level security."""

from __future__ import annotations

import ssl as _ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from math import inf
from typing import Any, Protocol, cast

import asyncpg  # pyright: ignore[reportMissingTypeStubs] it brings types, only not all

from loopkeeper.postgres.session import Session

# A paused replica must stall nobody for long (architecture.md §6.3); milliseconds, and seconds for keepalives.
TIMEOUTS: dict[str, str] = {
    # Longer than any honest batch (≈20 ms for 256 rows), shorter than a caller's patience.
    "lock_timeout": "4000",
    "statement_timeout": "15000",
    # A process stopped inside a transaction loses it, and with it its locks, after this.
    "idle_in_transaction_session_timeout": "5000",
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
    "timezone": "UTC",
}

# What a service asks for itself it looks up by keys. A table that nobody has analyzed yet looks small to PostgreSQL, and a plan
# that reads it from end to end is kept for as long as the session lives. And it is planned once: by keys all values are alike.
BY_KEYS = {"enable_seqscan": "off", "plan_cache_mode": "force_generic_plan"}


class Queryable(Protocol):
    """What a connection and a pool both do. asyncpg says less about its types than we want to know."""

    async def fetch(self, query: str, *args: object, timeout: float | None = None) -> list[Any]: ...  # noqa: ASYNC109 asyncpg's own
    async def fetchrow(self, query: str, *args: object) -> Any | None: ...
    async def fetchval(self, query: str, *args: object) -> Any: ...
    async def execute(self, query: str, *args: object) -> str: ...
    async def executemany(self, command: str, args: Iterable[Sequence[object]]) -> None: ...


class Connection(Queryable, Protocol):
    """One session with the database."""

    def transaction(
        self, *, isolation: str | None = None, readonly: bool = False
    ) -> AbstractAsyncContextManager[None]: ...
    def cursor(self, query: str, *args: object, prefetch: int | None = None) -> AsyncIterator[Any]: ...
    async def add_listener(self, channel: str, callback: Callable[..., None]) -> None: ...
    def add_termination_listener(self, callback: Callable[..., None]) -> None: ...
    def is_closed(self) -> bool: ...
    def terminate(self) -> None: ...
    async def close(self) -> None: ...


class Pool(Queryable, Protocol):
    """Sessions to borrow."""

    def acquire(self, *, timeout: float | None = None) -> AbstractAsyncContextManager[Connection]: ...
    async def close(self) -> None: ...
    def terminate(self) -> None: ...
    async def expire_connections(self) -> None: ...


# What a new connection is asked before anything else; raises where it may not be used.
Greet = Callable[[Queryable], Awaitable[None]]


# How a pool gets a session: `open_session`, or one that decides at each call where.
Opening = Callable[..., Awaitable[Any]]


async def unasked(_: Queryable) -> None:
    """For a command that connects, works and leaves."""


# The same batch again is right for these: nothing of it was kept, or its claims make the repetition harmless.
TRANSIENT = (
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    # What asyncpg says when the server ended a session between two statements.
    asyncpg.InternalClientError,
    asyncpg.DeadlockDetectedError,
    asyncpg.LockNotAvailableError,
    asyncpg.SerializationError,
    asyncpg.QueryCanceledError,
    asyncpg.InsufficientResourcesError,
    asyncpg.OperatorInterventionError,
    # A standby that is not promoted yet takes no writes.
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    ConnectionError,
    TimeoutError,
    _ssl.SSLError,
    OSError,
)

# Why no session can be had, or nothing asked in one: a wrong password among them.
AWAY = (asyncpg.PostgresError, *TRANSIENT)


def is_transient(error: Exception) -> bool:
    """Whether the same batch may succeed when given again; anything else names a guilty command. asyncpg's own
    complaint about a value it cannot encode is an InterfaceError too, and a ValueError: that one never passes."""
    return isinstance(error, TRANSIENT) and not isinstance(error, ValueError)


def too_slow(error: BaseException) -> bool:
    """Whether the server ended a statement that took too long (`statement_timeout`): the same batch would again."""
    return isinstance(error, asyncpg.QueryCanceledError)


def made_meanwhile(error: BaseException) -> bool:
    """Whether a row that a batch makes was there: another batch has made it since this one looked."""
    return isinstance(error, asyncpg.UniqueViolationError)


def waits_for_locks(error: BaseException) -> bool:
    """Whether a row stayed locked by another transaction for longer than a batch waits (`lock_timeout`)."""
    return isinstance(error, asyncpg.LockNotAvailableError)


def lost(error: BaseException) -> bool:
    """Whether this says that a database is away, and nothing of what was asked: waiting is all there is to do."""
    if not isinstance(error, Exception) or not is_transient(error):
        return False
    return not isinstance(
        error,
        asyncpg.DeadlockDetectedError
        | asyncpg.LockNotAvailableError
        | asyncpg.SerializationError
        | asyncpg.QueryCanceledError,
    )


class NoSession(ConnectionError):
    """The server gives no session: a wrong password, a database that does not exist. It may once a person has acted, and
    nothing that waits for it is at fault. Its text is the kind of the refusal."""


async def connect(url: str, *, role: str | None = None, name: str = "loopkeeper") -> Connection:
    """One connection outside any pool, with the timeouts every connection has. Raises what the library does."""
    made = await _library(url, server_settings=_settings(role, name), timeout=5)
    return cast("Connection", made)


async def reach(url: str, *, name: str) -> Connection:
    """The same for who waits for a database: every refusal of a session passes."""
    made = await open_session(url, server_settings=_settings(None, name), timeout=5)
    return cast("Connection", made)


async def _library(url: str, **options: Any) -> Any:
    return await cast("Any", asyncpg).connect(url, **{**options, "connection_class": Session})


async def open_session(url: str, **options: Any) -> Any:
    """As the library connects; every refusal of a session is a passing one."""
    try:
        return await _library(url, **options)
    except asyncpg.PostgresError as error:
        if is_transient(error):
            raise
        raise NoSession(type(error).__name__) from error


async def session(url: str) -> Any:
    """A session as asyncpg makes it, without our timeouts: a migration may take longer than a batch."""
    return await cast("Any", asyncpg).connect(url, timeout=5)


async def unreachable(url: str) -> str:
    """Why no session can be had at this URL, as the type of the error; empty where one can."""
    try:
        connection = await connect(url)
    except AWAY as error:
        return reason(error)
    await connection.close()
    return ""


def reason(error: Exception) -> str:
    """What to say of an error of AWAY: its kind, never the server's own words."""
    return str(error) if isinstance(error, NoSession) else type(error).__name__


async def writing_pool(
    url: str, *, name: str, greet: Greet = unasked, opening: Opening = open_session
) -> Pool:
    """The owner's connections: one for the store's transaction, the rest for the chassis's own look-ups."""
    return await _pool(url, size=4, role=None, name=name, greet=greet, opening=opening)


async def reading_pool(
    url: str, *, role: str, size: int, name: str, greet: Greet = unasked, opening: Opening = open_session
) -> Pool:
    """Connections of the reader role: they see what row-level security lets through, and can write nothing."""
    return await _pool(url, size=size, role=role, name=name, greet=greet, opening=opening)


async def _pool(url: str, *, size: int, role: str | None, name: str, greet: Greet, opening: Opening) -> Pool:
    made = await cast("Any", asyncpg).create_pool(
        url,
        min_size=1,
        max_size=size,
        server_settings=_settings(role, name) | (BY_KEYS if role is None else {}),
        timeout=5,
        command_timeout=20,
        # One that was used once stays: it knows its statements, and another would have to prepare them again. By itself the library
        # would replace one after 50,000 statements, which a busy service sends in two minutes.
        max_inactive_connection_lifetime=0,
        max_queries=inf,
        connect=opening,
        init=greet,
        reset=_nothing_to_reset,
        connection_class=Session,
    )
    return cast("Pool", made)


async def _nothing_to_reset(connection: object) -> None:
    """What borrowers set is local to their transaction: asyncpg's own reset would be a round trip for nothing."""


def _settings(role: str | None, name: str) -> dict[str, Any]:
    settings = {**TIMEOUTS, "application_name": name}
    if role is not None:
        settings["role"] = role
        # A reader's statement has one process. PostgreSQL would count open loops with two more, which cost more to start, and
        # to sort for, than they save; and who reads is measured by the time that its own session takes.
        settings["max_parallel_workers_per_gather"] = "0"
    return settings
