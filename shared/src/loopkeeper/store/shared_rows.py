"""Rows that several streams share and none owns: a member, a provider's places, a subscription. Who changes what hangs on one
holds its row of the table `shared` until its transaction ends."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from loopkeeper.postgres.connections import Connection

# A shared row: what kind of thing, which one. Locks are taken in this order.
Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Locked:
    """The shared rows that a batch holds, and what was read by the very call that locked them."""

    keys: frozenset[Key]
    found: Sequence[Mapping[str, Any]] = ()


async def lock_shared(connection: Connection, keys: Collection[Key]) -> None:
    """Lock these, in their order, whether anybody has locked them before or not."""
    ordered = sorted(keys)
    # A row in conflict is locked before its WHERE is looked at, so nothing is ever rewritten.
    await connection.execute(
        """INSERT INTO shared (kind, id) SELECT * FROM unnest($1::text[], $2::text[]) AS t (kind, id)
           ORDER BY kind, id ON CONFLICT (kind, id) DO UPDATE SET id = excluded.id WHERE false""",
        [kind for kind, _ in ordered],
        [name for _, name in ordered],
    )
