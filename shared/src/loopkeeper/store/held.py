"""What one transaction holds: the rows of streams with their parked marks, and shared and reference rows, locked in order.

Locks are always taken in one order: claims, streams by id with their parked marks, shared rows by kind and id.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, TypeVar

import orjson

from loopkeeper.contract.decider import State
from loopkeeper.postgres.connections import Connection
from loopkeeper.security.sealing import Sealer
from loopkeeper.store.definition import Domain, Row
from loopkeeper.store.shared_rows import Key

S = TypeVar("S", bound=State)


@dataclass(slots=True)
class Held(Generic[S]):
    """The rows whose locks this transaction holds, as they are now."""

    connection: Connection
    domain: Domain[S, Any]
    now: datetime
    chain_key: bytes
    sealer: Sealer
    rows: dict[str, Row[S]] = field(default_factory=dict[str, "Row[S]"])
    marks: set[str] = field(default_factory=set[str])
    reference_origin: dict[Key, Mapping[str, Any] | None] = field(
        default_factory=dict["Key", "Mapping[str, Any] | None"]
    )

    async def lock(self, streams: Iterable[str]) -> None:
        rows = await self.connection.fetch(
            f"""SELECT id, state, n, sequence, head, at, created_at FROM "{self.domain.table}"
                WHERE id = ANY($1::text[]) ORDER BY id FOR UPDATE""",  # noqa: S608
            sorted(streams),
        )
        self.know(rows)

    def know(self, rows: Sequence[Mapping[str, Any]]) -> None:
        for row in rows:
            self.rows[row["id"]] = Row(
                row["id"],
                self.parse(row["state"]),
                row["n"],
                row["sequence"],
                row["head"],
                row["at"],
                row["created_at"],
                known=True,
            )

    async def mark(self, streams: Iterable[str]) -> None:
        rows = await self.connection.fetch(
            "SELECT stream FROM parked_stream WHERE stream = ANY($1::text[]) ORDER BY stream FOR UPDATE",
            sorted(streams),
        )
        self.marks = {row["stream"] for row in rows}

    async def hold(self, stream: str) -> bool:
        """Lock one stream's row, unread, and its parked mark, in that order; whether the mark is there."""
        await self.connection.execute(
            f'SELECT FROM "{self.domain.table}" WHERE id = $1 FOR UPDATE',
            stream,
        )
        await self.mark([stream])
        return stream in self.marks

    async def hold_and_read(self, *streams: str) -> None:
        """Lock these streams' rows, unread, and their parked marks, in that order, and know the rows."""
        await self.connection.execute(
            f'SELECT FROM "{self.domain.table}" WHERE id = ANY($1::text[]) ORDER BY id FOR UPDATE',
            sorted(streams),
        )
        await self.mark(streams)
        await self.lock(streams)

    async def load_references(self, keys: set[Key]) -> None:
        for table in sorted({table for table, _ in keys}):
            names = [name for kind, name in keys if kind == table]
            rows = await self.connection.fetch(
                f'SELECT to_jsonb(t) AS row FROM "{table}" t WHERE id = ANY($1::text[])',  # noqa: S608
                names,
            )
            found = {row["id"]: row for row in (orjson.loads(r["row"]) for r in rows)}
            for name in names:
                self.reference_origin[(table, name)] = found.get(name)

    def row(self, stream: str) -> Row[S]:
        row = self.rows.get(stream)
        if row is None:
            row = self.rows[stream] = Row(stream, None)
        return row

    def parse(self, state: str) -> S:
        return self.domain.decider.state.model_validate_json(state)
