"""Can an index be made on a large table while everybody writes to it, and does a build that was cut off leave nothing?"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from time import perf_counter

import pytest
import pytest_asyncio
from sqlalchemy.ext.asyncio import create_async_engine

from loopkeeper.kernel.errors import StartError
from loopkeeper.postgres import indexes
from loopkeeper.postgres.connections import Connection, connect
from loopkeeper.postgres.migrating import sqlalchemy_url
from tests.databases import Fresh

ROWS = 200_000
INDEX = "thing_at ON thing (at, id)"
VALID = "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass('thing_at')"
# Longer than any write waits behind another's commit, far shorter than a build.
UNNOTICED = 0.1


@pytest_asyncio.fixture
async def url(fresh_database: Fresh, monkeypatch: pytest.MonkeyPatch) -> str:
    """A table of two hundred thousand rows."""
    monkeypatch.setattr(indexes, "LOCK_TIMEOUT", "100ms")
    monkeypatch.setattr(indexes, "PAUSE", 0.05)
    made = await fresh_database("intake")
    owner = await connect(made)
    await owner.execute("CREATE TABLE thing (id bigint PRIMARY KEY, at timestamptz NOT NULL)")
    await owner.execute(
        f"INSERT INTO thing SELECT n, now() - n * interval '1 second' FROM generate_series(1, {ROWS}) n"
    )
    await owner.close()
    return made


@pytest_asyncio.fixture
async def owner(url: str) -> AsyncGenerator[Connection]:
    connection = await connect(url)
    yield connection
    await connection.close()


async def build(url: str, tries: int = indexes.TRIES) -> None:
    engine = create_async_engine(sqlalchemy_url(url), isolation_level="AUTOCOMMIT")
    try:
        async with engine.connect() as connection:
            await connection.run_sync(indexes.make, INDEX, tries)
    finally:
        await engine.dispose()


async def writes_until(owner: Connection, done: Callable[[], bool]) -> list[float]:
    """How long each of many small writes took meanwhile."""
    taken, number = list[float](), ROWS
    while not done():
        number, begun = number + 1, perf_counter()
        await owner.execute("INSERT INTO thing VALUES ($1, now())", number)
        taken.append(perf_counter() - begun)
        await asyncio.sleep(0.001)
    return taken


async def building(url: str) -> asyncio.Task[None]:
    """In a thread of its own, as a migration is a process of its own."""
    return asyncio.create_task(asyncio.to_thread(lambda: asyncio.run(build(url))))


async def test_writes_go_on_while_an_index_of_a_large_table_is_made(url: str, owner: Connection) -> None:
    work = await building(url)
    taken = await writes_until(owner, work.done)
    await work
    assert await owner.fetchval(VALID) is True
    assert len(taken) > 5
    # The median says it: a build that locks out writers holds up every one of them.
    assert sorted(taken)[len(taken) // 2] < UNNOTICED


async def test_while_an_old_transaction_lives_writes_go_on_and_the_index_comes_after_it(
    url: str, owner: Connection
) -> None:
    old = await connect(url)
    await old.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
    await old.fetchval("SELECT count(*) FROM thing")
    work = await building(url)
    tried = asyncio.create_task(tried_in_vain(owner))
    writer = await connect(url)
    taken = await writes_until(writer, tried.done)
    await writer.close()
    await tried
    assert sorted(taken)[len(taken) // 2] < UNNOTICED
    await old.execute("COMMIT")
    await old.close()
    await work
    assert await owner.fetchval(VALID) is True


async def tried_in_vain(owner: Connection) -> None:
    async with asyncio.timeout(20):
        while await owner.fetchval(VALID) is not False:  # noqa: ASYNC110 another session's statement sets no event
            await asyncio.sleep(0.01)


async def test_a_build_that_was_cut_off_is_removed_and_made_again(url: str, owner: Connection) -> None:
    old = await connect(url)
    await old.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
    await old.fetchval("SELECT count(*) FROM thing")
    with pytest.raises(StartError, match="thing_at cannot be made: a transaction that is older"):
        await build(url, tries=2)
    assert await owner.fetchval(VALID) is False
    await old.execute("COMMIT")
    await old.close()
    await build(url)
    assert await owner.fetchval(VALID) is True
