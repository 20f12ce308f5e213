"""Has every session the bounds by which a paused replica stalls nobody for long, and is what passes told from what
does not?"""

from __future__ import annotations

import asyncpg
import pytest

from loopkeeper.postgres.connections import connect, is_transient, reading_pool, writing_pool
from tests.databases import Migrated

BOUNDS = {
    "lock_timeout": "4s",
    "statement_timeout": "15s",
    "idle_in_transaction_session_timeout": "5s",
    "TimeZone": "UTC",
}


async def test_every_session_has_its_bounds(migrated: Migrated) -> None:
    url = await migrated("intake")
    writers, single = await writing_pool(url, name="test"), await connect(url)
    readers = await reading_pool(url, role="intake_reader", size=1, name="test")
    for session in (writers, readers, single):
        assert {name: await session.fetchval(f"SHOW {name}") for name in BOUNDS} == BOUNDS
    assert await readers.fetchval("SELECT current_user") == "intake_reader"
    for session in (writers, readers, single):
        await session.close()


PASSES = (
    asyncpg.DeadlockDetectedError,
    asyncpg.LockNotAvailableError,
    asyncpg.AdminShutdownError,
    asyncpg.ConnectionDoesNotExistError,
    asyncpg.CannotConnectNowError,
    asyncpg.TooManyConnectionsError,
    asyncpg.DiskFullError,
    asyncpg.QueryCanceledError,
    asyncpg.SerializationError,
    asyncpg.ReadOnlySQLTransactionError,
    ConnectionRefusedError,
    TimeoutError,
)
STAYS = (
    asyncpg.UniqueViolationError,
    asyncpg.NotNullViolationError,
    asyncpg.UntranslatableCharacterError,
    asyncpg.InsufficientPrivilegeError,
    asyncpg.UndefinedTableError,
    KeyError,
    ValueError,
)


@pytest.mark.parametrize("error", PASSES)
def test_what_is_the_lines_or_the_servers_may_pass(error: type[Exception]) -> None:
    assert is_transient(error("no words"))


@pytest.mark.parametrize("error", STAYS)
def test_what_is_the_commands_own_does_not_pass(error: type[Exception]) -> None:
    assert not is_transient(error("no words"))


async def test_a_value_that_cannot_even_be_sent_is_the_commands_own(migrated: Migrated) -> None:
    connection = await connect(await migrated("intake"))
    for query, value in (("SELECT $1::int", "seven"), ("SELECT $1::int[]", 7), ("SELECT $1::int", 2**40)):
        with pytest.raises(asyncpg.DataError) as told:
            await connection.fetch(query, value)
        assert not is_transient(told.value)
    await connection.close()


async def test_a_session_that_knows_its_statements_is_kept_however_much_it_is_asked(
    migrated: Migrated,
) -> None:
    """The library's own limit is 50,000 statements."""
    pool = await writing_pool(await migrated("example"), name="test")
    try:
        async with pool.acquire() as session:
            first = await session.fetchval("SELECT pg_backend_pid()")
            for _ in range(50_001):
                await session.execute("SELECT")
        async with pool.acquire() as session:
            assert await session.fetchval("SELECT pg_backend_pid()") == first
    finally:
        await pool.close()
