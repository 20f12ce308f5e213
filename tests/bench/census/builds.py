"""For how long does a writer wait while a large table gets an index, as a migration makes it?

Each service's largest indexes are dropped and made again by `loopkeeper.postgres.indexes`, the way every migration does, while
somebody changes rows of that table one after the other.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import asyncpg
from asyncpg.prepared_stmt import PreparedStatement
from sqlalchemy.ext.asyncio import create_async_engine

from loopkeeper.postgres import indexes
from loopkeeper.postgres.connections import Connection

# So many indexes of each service, and so many rows that are changed in turn.
INDEXES, ROWS = 3, 5_000
PAUSE = 0.002
LARGEST = """
SELECT i.indexrelid::regclass::text AS name, pg_get_indexdef(i.indexrelid) AS made, c.relname AS table,
  c.reltuples::bigint AS rows, k.key
FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname = 'public'
CROSS JOIN LATERAL (
  SELECT array_agg(a.attname::text ORDER BY a.attnum) AS key FROM pg_index p
  JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = ANY(p.indkey) WHERE p.indrelid = c.oid AND p.indisprimary) k
WHERE NOT i.indisunique ORDER BY pg_relation_size(i.indexrelid) DESC LIMIT $1
"""


@dataclass
class Built:
    """One index: how long it took, and how long each change of a row took meanwhile, in seconds."""

    service: str
    table: str
    rows: int
    index: str
    seconds: float = 0.0
    waits: list[float] = field(default_factory=list[float])

    @property
    def longest(self) -> float:
        """Milliseconds."""
        return max(self.waits, default=0.0) * 1000


async def builds(connections: Mapping[str, Connection], urls: Mapping[str, str]) -> Sequence[Built]:
    """In turn; as their owner would, with the superuser's connections."""
    found: list[Built] = []
    for service, connection in connections.items():
        for index in await connection.fetch(LARGEST, INDEXES):
            built = Built(service, index["table"], index["rows"], index["name"])
            await connection.execute(f"DROP INDEX {index['name']}")
            await _build(built, urls[service], index["made"], index["key"])
            found.append(built)
    return found


async def _build(built: Built, url: str, made: str, key: Sequence[str]) -> None:
    definition = f"{built.index} ON {made.partition(' ON ')[2].removeprefix('public.')}"
    writer = await asyncpg.connect(url)
    engine = create_async_engine(
        "postgresql+asyncpg://", async_creator=lambda: asyncpg.connect(url), isolation_level="AUTOCOMMIT"
    )
    try:
        rows = await writer.fetch(
            f"SELECT {', '.join(key)} FROM {built.table} TABLESAMPLE BERNOULLI (20) LIMIT {ROWS}"
        )
        where = " AND ".join(f"{name} = ${n}" for n, name in enumerate(key, 1))
        change = await writer.prepare(f"UPDATE {built.table} SET {key[0]} = {key[0]} WHERE {where}")
        writing = asyncio.create_task(_write(built, change, [tuple(row.values()) for row in rows]))
        begun = time.monotonic()
        async with engine.connect() as bind:
            await bind.run_sync(indexes.make, definition)
        built.seconds = time.monotonic() - begun
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)
    finally:
        await writer.close()
        await engine.dispose()


async def _write(built: Built, change: PreparedStatement, keys: Sequence[tuple[object, ...]]) -> None:
    chance = random.Random(7)
    while True:
        begun = time.perf_counter()
        await change.fetch(*chance.choice(keys))
        built.waits.append(time.perf_counter() - begun)
        await asyncio.sleep(PAUSE)
