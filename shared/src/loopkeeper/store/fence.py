"""Under which generation does a service write? Its own database says so, and counts up with every other server it is on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from loopkeeper.event_log.generations import Key
from loopkeeper.postgres.connections import Queryable

READ = "SELECT generation, announced FROM fence"
# The first replica that meets another server moves it; later ones find it moved.
ENTER = """
INSERT INTO fence (generation, announced, incarnation) VALUES (1, 1, $1)
ON CONFLICT (id) DO UPDATE SET generation = fence.generation + 1, incarnation = excluded.incarnation
    WHERE fence.incarnation <> excluded.incarnation
"""
RISE = "UPDATE fence SET generation = $1 + 1 WHERE generation <= $1 AND announced < generation"
ANNOUNCED = "UPDATE fence SET announced = $1 WHERE announced < $1"
KNOWN = "SELECT partition, source, generation FROM publisher WHERE $1::int[] IS NULL OR partition = ANY($1)"
RAISE = """
INSERT INTO publisher (partition, source, generation)
SELECT * FROM unnest($1::int[], $2::text[], $3::int[]) AS t (partition, source, generation) ORDER BY partition, source
ON CONFLICT (partition, source) DO UPDATE SET generation = GREATEST(publisher.generation, excluded.generation)
"""


@dataclass(frozen=True, slots=True)
class Fence:
    """The generation of this database, and the highest that was announced in the log."""

    generation: int = 0
    announced: int = 0


async def read(session: Queryable) -> Fence:
    """The fence of the database behind this session."""
    row: Any = await session.fetchrow(READ)
    return Fence(row["generation"], row["announced"]) if row is not None else Fence()


async def enter(session: Queryable, incarnation: str) -> Fence:
    """The fence, moved where this is another server than the one it was moved for."""
    await session.execute(ENTER, incarnation)
    return await read(session)


async def rise(session: Queryable, highest: int) -> Fence:
    """The fence, above this generation where it has announced none of its own yet."""
    await session.execute(RISE, highest)
    return await read(session)


async def announced(session: Queryable, generation: int) -> None:
    """The log has it."""
    await session.execute(ANNOUNCED, generation)


async def known(session: Queryable, partitions: list[int] | None = None) -> dict[Key, int]:
    """The highest generation of each publisher that was read in these partitions."""
    rows = await session.fetch(KNOWN, partitions)
    return {(row["partition"], row["source"]): row["generation"] for row in rows}


async def raised(session: Queryable, found: dict[Key, int]) -> None:
    """Keep these, with the offsets that were read up to them."""
    keys = list(found)
    await session.execute(RAISE, [p for p, _ in keys], [s for _, s in keys], list(found.values()))
