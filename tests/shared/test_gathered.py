"""Statements that are sent together: each does its own, none sees another's rows, and what one returned may be asked."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest_asyncio

from loopkeeper.postgres.connections import Connection, connect
from loopkeeper.store.gathered import Gathered
from tests.databases import Fresh


@pytest_asyncio.fixture
async def connection(fresh_database: Fresh) -> AsyncGenerator[Connection]:
    made = await connect(await fresh_database("intake"))
    await made.execute("CREATE TABLE one (a int); CREATE TABLE two (a int, b text)")
    yield made
    await made.close()


async def test_each_statement_gets_its_own_values_and_what_was_asked_is_answered(
    connection: Connection,
) -> None:
    writes = Gathered()
    await writes.execute("INSERT INTO one SELECT unnest($1::int[])", [1, 2])
    writes.add(
        "made", "INSERT INTO two SELECT a, $2::text FROM unnest($1::int[]) AS t (a) RETURNING a", [3, 4], "x"
    )
    writes.ask("made", "(SELECT array_agg(a) FROM made)")
    assert (await writes.send(connection))["made"] == [3, 4] == writes.answers["made"]
    assert await connection.fetchval("SELECT sum(a) FROM one") == 3
    assert await connection.fetchval("SELECT count(*) FROM two WHERE b = 'x'") == 2


async def test_none_of_them_sees_what_the_others_write_and_each_is_sent_once(connection: Connection) -> None:
    writes = Gathered()
    await writes.execute("INSERT INTO one VALUES ($1::int)", 1)
    await writes.execute("INSERT INTO two SELECT a FROM one")
    await writes.send(connection)
    assert await writes.send(connection) == writes.answers
    assert await connection.fetchval("SELECT count(*) FROM one") == 1
    assert await connection.fetchval("SELECT count(*) FROM two") == 0
