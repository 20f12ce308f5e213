"""Which providers have a contract with a plan, and how many members each of them has: asked by every batch with an offer, of a
directory that hardly changes."""

from __future__ import annotations

from collections.abc import Sequence

import orjson

from loopkeeper.contract.events import ProviderRecorded
from loopkeeper.postgres.connections import Connection

# Who has a contract with one of these plans, under which chain value; and how many members each of them has.
CONTRACTED = """
SELECT p.id, p.head, 0 AS held FROM provider p
WHERE p.entry -> 'contracts' @> ANY (
  SELECT jsonb_build_array(jsonb_build_object('plan', plan)) FROM unnest($1::text[]) AS t (plan))
"""
WITH_COUNTS = CONTRACTED.replace(
    "0 AS held", "coalesce((SELECT sum(taken) FROM places t WHERE t.provider_id = p.id), 0)::int AS held"
)
ENTRIES = "SELECT id, head, entry FROM provider WHERE id = ANY($1::text[])"


class Network:
    """The directory's entries as they were read last. Each is known by the chain value of its stream, which no two versions share,
    a restored database's among them: one that has it still is not read again."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[str, ProviderRecorded]] = {}

    async def of(
        self, connection: Connection, plans: Sequence[str], *, counted: bool
    ) -> tuple[dict[str, ProviderRecorded], dict[str, int]]:
        """The entries of who has a contract with one of these plans, and how many members each of them has, where that
        is `counted`."""
        rows = await connection.fetch(WITH_COUNTS if counted else CONTRACTED, plans)
        known = self._known
        changed = [row["id"] for row in rows if row["id"] not in known or known[row["id"]][0] != row["head"]]
        if changed:
            for row in await connection.fetch(ENTRIES, changed):
                known[row["id"]] = row["head"], ProviderRecorded.model_validate(orjson.loads(row["entry"]))
        return {row["id"]: known[row["id"]][1] for row in rows}, {row["id"]: row["held"] for row in rows}
