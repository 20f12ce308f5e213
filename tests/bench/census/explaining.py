"""What does one statement look at, as its tables are now? Asked of PostgreSQL itself; nothing it writes is kept."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any

import asyncpg
import orjson

from loopkeeper.postgres.connections import Connection
from loopkeeper.store.row_access import SET_VISIBILITY
from tests.bench.census.recording import Example, Statement

Node = Mapping[str, Any]
NAMES = itertools.count()
ANALYZED = "EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, FORMAT JSON) "


class RolledBack(Exception):
    """What was tried is taken back."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Rows looked at, pages touched, milliseconds; and which tables were read from end to end. `ran` is False for what
    could only be planned: a row that is there cannot be inserted once more."""

    rows: int
    pages: int
    milliseconds: float
    scanned: tuple[str, ...]
    ran: bool = True


async def explained(connection: Connection, statement: Statement, example: Example, tries: int = 1) -> Cost:
    """The dearest thing about it, over so many tries. Tables are read from end to end only where no index would do."""
    try:
        found = [await _once(connection, statement, example, ANALYZED) for _ in range(tries)]
    except asyncpg.PostgresError:
        plan = await _once(connection, statement, example, "EXPLAIN (FORMAT JSON) ")
        return Cost(0, 0, 0.0, _scanned(plan["Plan"]), ran=False)
    whole = found[-1]
    plan = whole["Plan"]
    return Cost(
        rows=sum(_looked_at(node) for node in _nodes(plan)),
        pages=plan["Shared Hit Blocks"] + plan["Shared Read Blocks"],
        milliseconds=median(each["Execution Time"] for each in found),
        scanned=_scanned(plan),
    )


async def _once(connection: Connection, statement: Statement, example: Example, how: str) -> dict[str, Any]:
    answer = ""
    try:
        async with connection.transaction():
            if statement.reader:
                await connection.execute(f'SET LOCAL ROLE "{statement.service}_reader"')
                await connection.fetch(SET_VISIBILITY, *example.sight)
                await connection.execute(
                    "SELECT set_config('app.organization', $1, true)", example.organization
                )
            else:
                await connection.execute(f'SET LOCAL ROLE "{statement.service}"')
            await connection.execute("SET LOCAL enable_seqscan = off")
            if statement.reader:
                answer = await connection.fetchval(how + statement.query, *example.values)
            else:
                answer = await _planned_once(connection, statement, example, how)
            raise RolledBack
    except RolledBack:
        return orjson.loads(answer)[0]


async def _planned_once(connection: Connection, statement: Statement, example: Example, how: str) -> str:
    """The plan that serves all values, as a batch's statements have it (`begin_batch_2`)."""
    name = f"counted_{next(NAMES)}"
    await connection.execute("SET LOCAL plan_cache_mode = force_generic_plan")
    kinds = await _kinds(connection, statement)
    values = [
        await connection.fetchval(f"SELECT quote_nullable($1::{kind}::text)", value)
        for kind, value in zip(kinds, example.values, strict=True)
    ]
    listed = f" ({', '.join(kinds)})" if kinds else ""
    await connection.execute(f"PREPARE {name}{listed} AS {statement.query}")
    handed = f" ({', '.join(values)})" if values else ""
    return await connection.fetchval(f"{how} EXECUTE {name}{handed}")


async def _kinds(connection: Any, statement: Statement) -> list[str]:
    """The types of what it is asked with, as PostgreSQL names them."""
    prepared = await connection.prepare(statement.query)
    return [each.name for each in prepared.get_parameters()]


def _nodes(plan: Node) -> Iterator[Node]:
    yield plan
    for each in plan.get("Plans", ()):
        yield from _nodes(each)


def _looked_at(node: Node) -> int:
    if "Relation Name" not in node or node["Node Type"] == "ModifyTable":
        return 0
    each = (
        node["Actual Rows"]
        + node.get("Rows Removed by Filter", 0)
        + node.get("Rows Removed by Index Recheck", 0)
    )
    return round(each * node["Actual Loops"])


def _scanned(plan: Node) -> tuple[str, ...]:
    return tuple(sorted({node["Relation Name"] for node in _nodes(plan) if node["Node Type"] == "Seq Scan"}))
