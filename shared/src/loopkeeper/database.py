"""How a service reaches its PostgreSQL: a writing pool for the store alone, a reading pool under row-level security."""

from __future__ import annotations

import ssl as _ssl
from typing import TYPE_CHECKING, Any

import asyncpg

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

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]
    Pool = asyncpg.Pool[asyncpg.Record]
else:
    Connection, Pool = asyncpg.Connection, asyncpg.Pool

# The same batch again is right for these: nothing of it was kept, or its claims make the repetition harmless.
PASSING = (
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.DeadlockDetectedError,
    asyncpg.LockNotAvailableError,
    asyncpg.SerializationError,
    asyncpg.QueryCanceledError,
    asyncpg.InsufficientResourcesError,
    asyncpg.OperatorInterventionError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    ConnectionError,
    TimeoutError,
    _ssl.SSLError,
    OSError,
)


def passes(error: Exception) -> bool:
    """Whether the same batch may succeed when given again; anything else names a guilty command. asyncpg's own
    complaint about a value it cannot encode is an InterfaceError too, and a ValueError: that one never passes."""
    return isinstance(error, PASSING) and not isinstance(error, ValueError)


async def connect(url: str, *, role: str | None = None, name: str = "loopkeeper") -> Connection:
    """One connection outside any pool, with the timeouts every connection has."""
    return await asyncpg.connect(url, server_settings=_settings(role, name), timeout=5)


async def writing_pool(url: str, *, name: str) -> Pool:
    """The owner's connections: one for the store's transaction, the rest for the chassis's own look-ups."""
    return await _pool(url, size=4, role=None, name=name)


async def reading_pool(url: str, *, role: str, size: int, name: str) -> Pool:
    """Connections of the reader role: they see what row-level security lets through, and can write nothing."""
    return await _pool(url, size=size, role=role, name=name)


async def _pool(url: str, *, size: int, role: str | None, name: str) -> Pool:
    return await asyncpg.create_pool(
        url, min_size=1, max_size=size, server_settings=_settings(role, name), timeout=5, command_timeout=20
    )


def _settings(role: str | None, name: str) -> dict[str, Any]:
    settings = {**TIMEOUTS, "application_name": name}
    if role is not None:
        settings["role"] = role
    return settings
