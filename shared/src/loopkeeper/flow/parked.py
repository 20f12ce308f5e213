"""Facts that failed, and the rest of their stream behind them: shown without identity, replayed in order."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import asyncpg  # pyright: ignore[reportMissingTypeStubs]

from loopkeeper.contract.decider import InvariantBroken
from loopkeeper.contract.envelope import Message, parse
from loopkeeper.event_log.commands import unpacked
from loopkeeper.event_log.port import Received, id_of
from loopkeeper.flow.stream_rebuild import rebuild
from loopkeeper.kernel.logs import get
from loopkeeper.postgres.connections import Connection, Pool, is_transient
from loopkeeper.security.sealing import Sealer
from loopkeeper.store.batch import Batch, Pending
from loopkeeper.store.blame import as_corrected, field_in
from loopkeeper.store.bulk_writes import RETRIES
from loopkeeper.store.definition import Submission
from loopkeeper.store.offsets import Progress
from loopkeeper.store.store import SET_ASIDE, Store

log = get("parked")

# Why a fact is parked that nobody has looked at yet: the database was restored, and more must be read first.
WAITING = SET_ASIDE

# How the reason begins why a stream is not rebuilt: a person must look at it.
HALF = "of a command"
# Of an own event that the log lacks: written again, it is published too.
UNSENT = "to be published, it is in no log"

# What a stream may have that keeps it from being rebuilt now.
NOT_REBUILT = (InvariantBroken, ValueError, asyncpg.DataError, asyncpg.IntegrityConstraintViolationError)

React = Callable[[Received], Submission | None]


HALF_OF = """
SELECT s.error, (SELECT count(*) FROM parked p WHERE p.stream = s.stream) AS facts FROM parked_stream s
WHERE s.stream = $1 AND starts_with(s.error, $2)
"""

# What is set aside, in its order, a page at a time. PostgreSQL is told how long a page is, cannot guess how few rows fit
# (coalesce), and looks up what it asks of each by itself (OFFSET): else it would read and sort all that is left for each page, of
# a table that filled up a moment ago.
PAGE = """
SELECT p.stream, p.position FROM parked p WHERE p.position > $2 AND {which} AND EXISTS (
  SELECT FROM parked_stream s WHERE s.stream = p.stream AND {error} OFFSET 0)
AND NOT EXISTS (SELECT FROM parked q WHERE q.stream = p.stream AND {before} AND q.position < p.position OFFSET 0)
ORDER BY p.position LIMIT {{}}
"""
WITH_TYPES = PAGE.format(
    which="coalesce(p.type = ANY($1::text[]), false)",
    error="NOT starts_with(s.error, $3)",
    before="q.type = ANY($1::text[])",
)
UNJUDGED = PAGE.format(which="true", error="s.error = $1", before="true")
OF_SEVERAL = """
SELECT stream, partition, "offset", body, position FROM parked
WHERE coalesce(of_several AND type = ANY($1::text[]), false) AND position > $2 ORDER BY position LIMIT {}
"""


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


class _DryRun(Exception):
    """Takes the transaction back once it is known what it would do."""

    def __init__(self, replayed: Replayed) -> None:
        super().__init__("dry run")
        self.replayed = replayed


class ParkedFacts:
    """The parked streams of one service."""

    def __init__(self, store: Store[Any], pool: Pool, sealer: Sealer, react: React) -> None:
        self._store = store
        self._pool = pool
        self._sealer = sealer
        self.react = react

    async def listed(self, stream: str | None = None) -> list[ParkedStream]:
        """The parked streams, longest waiting first."""
        rows = await self._pool.fetch(
            """SELECT s.*, (SELECT count(*) FROM parked p WHERE p.stream = s.stream) AS facts
               FROM parked_stream s WHERE $1::text IS NULL OR s.stream = $1 ORDER BY s.since, s.stream""",
            stream,
        )
        return [ParkedStream(**dict(row)) for row in rows]

    async def causes(self) -> list[dict[str, Any]]:
        """The parked streams by the error and type of the fact each fails at, most first."""
        rows = await self._pool.fetch(
            """SELECT s.error, f.type, count(*) AS referrals, sum(f.facts)::bigint AS facts, min(s.since) AS since,
                 min(s.next_retry_at) AS next_retry_at, (array_agg(s.stream ORDER BY s.since, s.stream))[1] AS longest
               FROM parked_stream s CROSS JOIN LATERAL (
                 SELECT (array_agg(p.type ORDER BY p.position))[1] AS type, count(*) AS facts
                 FROM parked p WHERE p.stream = s.stream) f
               GROUP BY s.error, f.type ORDER BY referrals DESC, since"""
        )
        return [dict(row) for row in rows]

    async def facts(self, stream: str) -> list[dict[str, Any]]:
        """Its facts in order: type, position, error, and the field it is about where one is known; never the body."""
        rows = await self._pool.fetch(
            """SELECT partition, "offset", event_id, type, error, at FROM parked
               WHERE stream = $1 ORDER BY position""",
            stream,
        )
        return [{**row, "field": field_in(row["error"])} for row in rows]

    async def due(self, now: datetime) -> list[str]:
        """Streams whose next timed replay has come."""
        rows = await self._pool.fetch(
            "SELECT stream FROM parked_stream WHERE next_retry_at <= $1 ORDER BY next_retry_at LIMIT 50", now
        )
        return [row["stream"] for row in rows]

    async def replay(self, stream: str, *, dry_run: bool = False) -> Replayed:
        """Apply the stream's facts in order up to the first that fails again, in one transaction. A dry run does the
        same and keeps nothing."""

        async def steps(batch: Batch[Any]) -> Replayed:
            if not await batch.hold(stream):
                return Replayed(stream, 0, 0, "", dry_run)
            if half := await batch.connection.fetchrow(HALF_OF, stream, HALF):
                # To apply what is there would be to forget the rest.
                return Replayed(stream, 0, half["facts"], half["error"], dry_run)
            rows = await batch.connection.fetch(
                """SELECT partition, "offset", event_id, type, body FROM parked
                   WHERE stream = $1 ORDER BY position""",
                stream,
            )
            applied, error = await self._apply(batch, stream, rows)
            replayed = Replayed(stream, applied, len(rows) - applied, error, dry_run)
            if dry_run:
                raise _DryRun(replayed)
            await self._done(batch.connection, [stream], rows[:applied])
            if replayed.left:
                await self._tried(batch.connection, stream, error)
            return replayed

        try:
            return await self._store.with_batch(steps)
        except _DryRun as done:
            return done.replayed

    async def _apply(self, batch: Batch[Any], stream: str, rows: Sequence[Any]) -> tuple[int, str]:
        """How many of these facts applied, and why the next did not."""
        submissions = [self._reopened(stream, row) for row in rows]
        for applied, submission in enumerate(submissions):
            error = await self._once(batch, submission)
            if error and not await self._as_corrected(batch, submission, submissions[applied + 1 :]):
                return applied, error
        return len(rows), ""

    async def _once(self, batch: Batch[Any], submission: Submission) -> str:
        """Why the fact does not apply; empty where it has."""
        try:
            return await batch.again(submission)
        except Exception as fault:
            if is_transient(fault):
                raise
            return type(fault).__name__

    async def _as_corrected(
        self, batch: Batch[Any], submission: Submission, behind: Sequence[Submission]
    ) -> bool:
        """Whether the fact applies as a correction behind it has it; the newest comes first. The journal notes the fact
        as it came, and the correction after it."""
        command = submission.command
        if command is None or command.fact is None:
            return False
        for later in reversed(behind):
            correction = later.command.fact if later.command is not None else None
            for fact in as_corrected(command.fact, correction) if correction is not None else ():
                asked = command.model_copy(update={"fact": fact})
                corrected = replace(submission, command=asked, noted=command.fact)
                if not await self._once(batch, corrected):
                    log.info("applied as corrected", referral=submission.stream)
                    return True
        return False

    async def _tried(self, connection: Connection, stream: str, error: str) -> None:
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

    async def _done(self, connection: Connection, streams: Sequence[str], done: Sequence[Any]) -> None:
        """These facts of the streams are parked no longer; with the last of a stream goes its mark."""
        await connection.execute(
            "DELETE FROM parked WHERE stream = ANY($1::text[]) AND event_id = ANY($2::uuid[])",
            list(streams),
            [each["event_id"] for each in done],
        )
        await connection.execute(
            """DELETE FROM parked_stream s WHERE s.stream = ANY($1::text[])
               AND NOT EXISTS (SELECT 1 FROM parked p WHERE p.stream = s.stream)""",
            list(streams),
        )

    # ── set aside until a restored database is rebuilt ───────────────────────────────────────────────────────

    async def with_types(self, types: Sequence[str], after: int, at_once: int) -> tuple[list[str], int]:
        """So many of the streams that have messages of these types, in the order of the first of them, from behind this
        position on; and the position to go on from."""
        rows = await self._pool.fetch(WITH_TYPES.format(at_once), list(types), after, HALF)
        return [row["stream"] for row in rows], max((row["position"] for row in rows), default=after)

    async def waiting(self, after: int = -1, at_once: int = 500) -> tuple[list[str], int]:
        """So many of the streams with facts that were set aside unjudged, as `with_types` has them."""
        rows = await self._pool.fetch(UNJUDGED.format(at_once), WAITING, after)
        return [row["stream"] for row in rows], max((row["position"] for row in rows), default=after)

    async def set_aside(self, received: Sequence[Received], read: Progress) -> None:
        """Park these unjudged, with the offsets in the same transaction."""
        waiting = {id_of(r): r for r in received}
        pending = [
            Pending(Submission(id, r.key, received=r, poison=r.problem or WAITING))
            for id, r in waiting.items()
        ]
        await self._store.with_batch(lambda batch: batch.run(pending, read))

    async def of_several(self, types: Sequence[str], at_once: int) -> AsyncIterator[Received]:
        """What is set aside of these types and of commands that published several events, in order, so many in memory at a
        time."""
        position = -1
        while True:
            rows = await self._pool.fetch(OF_SEVERAL.format(at_once), list(types), position)
            for row in rows:
                yield self._unsealed(row["stream"], row)
            if len(rows) < at_once:
                return
            position = rows[-1]["position"]

    async def set_aside_unsent(self, message: Message, position: Received) -> None:
        """Park an own event that was found with another of its command, and in no log by itself."""
        place = Received(position.partition, position.offset, message.subject, message)
        pending = Pending(Submission(message.id, message.subject, received=place, poison=UNSENT))
        await self._store.with_batch(lambda batch: batch.run([pending], None))

    async def rebuild(self, streams: Sequence[str]) -> int:
        """Write what these streams lost of their own; the facts behind stay set aside. How many were rebuilt: all at once, or
        one by one where one of them cannot be now."""
        try:
            rebuilt = await self._store.with_batch(
                lambda batch: self._rebuild(batch, streams), concurrent=True
            )
        except NOT_REBUILT as error:
            if len(streams) == 1:
                log.error("stream not rebuilt", referral=streams[0], error=type(error).__name__)
                return 0
            rebuilt = frozenset[str]()
        alone = [stream for stream in streams if stream not in rebuilt] if len(streams) > 1 else []
        return len(rebuilt) + sum([await self.rebuild([stream]) for stream in alone])

    async def _rebuild(self, batch: Batch[Any], streams: Sequence[str]) -> frozenset[str]:
        # Another replica may be at it: what is left is read under the lock.
        await batch.hold_and_read(*streams)
        rows = await batch.connection.fetch(
            """SELECT stream, partition, "offset", event_id, error, body FROM parked
               WHERE stream = ANY($1::text[]) ORDER BY position""",
            list(streams),
        )
        logged: dict[str, list[Received]] = {stream: [] for stream in streams}
        for row in rows:
            logged[row["stream"]].append(self._unsealed(row["stream"], row))
        unsent = frozenset(row["event_id"] for row in rows if row["error"] == UNSENT)
        done = await rebuild(batch, logged, unsent)
        pairs = {(stream, id_of(each)) for stream, received in done.items() for each in received}
        found = [row for row in rows if (row["stream"], row["event_id"]) in pairs]
        await self._done(batch.connection, list(done), found)
        return frozenset(done)

    def _unsealed(self, stream: str, row: Any) -> Received:
        body = self._sealer.open("system", stream, "parked", row["body"])
        if "headers" in body:
            data = body["data"].encode("utf-8", "surrogateescape")
            message = parse(body["headers"], data)
            if "rest" in body:
                message = replace(message, rest=unpacked(body["rest"]))
            return Received(row["partition"], row["offset"], body["key"], message)
        raw = body["raw"].encode("latin-1")
        return Received(row["partition"], row["offset"], body["key"], None, raw, body["problem"])

    def _reopened(self, stream: str, row: Any) -> Submission:
        received = self._unsealed(stream, row)
        submission = self.react(received)
        # A type nobody reads any more applies as nothing: the fact is done.
        return submission or Submission(row["event_id"], stream, received=received)


def next_retry(now: datetime, tries: int) -> datetime | None:
    """When a parked stream is replayed by itself after this many tries; None: a person must."""
    return now + RETRIES[tries] if tries < len(RETRIES) else None
