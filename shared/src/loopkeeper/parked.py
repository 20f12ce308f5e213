"""Facts that failed, and the rest of their stream behind them: shown without identity, replayed in order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from loopkeeper.bus import Received
from loopkeeper.database import Connection, Pool
from loopkeeper.domain import Submission
from loopkeeper.message import parse
from loopkeeper.sealing import Sealer
from loopkeeper.store import Store, next_retry

React = Callable[[Received], Submission | None]


@dataclass(frozen=True, slots=True)
class ParkedStream:
    """One stream that waits: since when, why, how often tried, and when it is tried next by itself."""

    stream: str
    since: datetime
    tries: int
    next_retry_at: datetime | None
    error: str
    facts: int


@dataclass(frozen=True, slots=True)
class Replayed:
    """What a replay did, or, dry, would do."""

    stream: str
    applied: int
    left: int
    error: str
    dry_run: bool


class ParkedFacts:
    """The parked streams of one service."""

    def __init__(self, store: Store[Any], pool: Pool, sealer: Sealer, react: React) -> None:
        self._store = store
        self._pool = pool
        self._sealer = sealer
        self._react = react

    async def listed(self, stream: str | None = None) -> list[ParkedStream]:
        """The parked streams, longest waiting first."""
        rows = await self._pool.fetch(
            """SELECT s.*, (SELECT count(*) FROM parked p WHERE p.stream = s.stream) AS facts
               FROM parked_stream s WHERE $1::text IS NULL OR s.stream = $1 ORDER BY s.since, s.stream""",
            stream,
        )
        return [ParkedStream(**dict(row)) for row in rows]

    async def facts(self, stream: str) -> list[dict[str, Any]]:
        """Its facts in order: type, position, error; never the body."""
        rows = await self._pool.fetch(
            """SELECT partition, "offset", event_id, type, error, at FROM parked
               WHERE stream = $1 ORDER BY partition, "offset" """,
            stream,
        )
        return [dict(row) for row in rows]

    async def due(self, now: datetime) -> list[str]:
        """Streams whose next timed replay has come."""
        rows = await self._pool.fetch(
            "SELECT stream FROM parked_stream WHERE next_retry_at <= $1 ORDER BY next_retry_at LIMIT 50", now
        )
        return [row["stream"] for row in rows]

    async def replay(self, stream: str, *, dry_run: bool = False) -> Replayed:
        """Apply the stream's facts in order up to the first that fails again, in one transaction."""

        async def read(connection: Connection) -> Sequence[Submission]:
            rows = await connection.fetch(
                """SELECT partition, "offset", event_id, type, body FROM parked
                   WHERE stream = $1 ORDER BY partition, "offset" """,
                stream,
            )
            return [self._reopened(stream, row) for row in rows]

        async def forget(connection: Connection, applied: int, left: int, error: str) -> None:
            await connection.execute(
                """DELETE FROM parked p USING (SELECT partition, "offset" FROM parked WHERE stream = $1
                   ORDER BY partition, "offset" LIMIT $2) AS done
                   WHERE p.stream = $1 AND p.partition = done.partition AND p."offset" = done."offset" """,
                stream,
                applied,
            )
            if not left:
                await connection.execute("DELETE FROM parked_stream WHERE stream = $1", stream)
                return
            if applied and not error:
                # Only the first were taken for now; the rest follows at once and is the same try.
                return
            tries = await connection.fetchval(
                "UPDATE parked_stream SET tries = tries + 1, error = $2 WHERE stream = $1 RETURNING tries",
                stream,
                error,
            )
            await connection.execute(
                "UPDATE parked_stream SET next_retry_at = $2 WHERE stream = $1",
                stream,
                next_retry(self._store.clock.now(), tries or 0),
            )

        applied, left, error = await self._store.drain(stream, read, forget, dry_run=dry_run)
        return Replayed(stream, applied, left, error, dry_run)

    def _reopened(self, stream: str, row: Any) -> Submission:
        body = self._sealer.open("system", stream, "parked", row["body"])
        if "headers" in body:
            data = body["data"].encode("utf-8", "surrogateescape")
            message = parse(body["headers"], data)
            received = Received(row["partition"], row["offset"], body["key"], message)
        else:
            raw = body["raw"].encode("latin-1")
            received = Received(row["partition"], row["offset"], body["key"], None, raw, body["problem"])
        submission = self._react(received)
        # A type nobody reads any more applies as nothing: the fact is done.
        return submission or Submission(row["event_id"], stream, received=received)
