"""The log in PostgreSQL: one table in a database of its own, read by one member of each group at a time.

Appends are serialized by an advisory lock held for one autocommit statement, so offsets rise in commit order and a
reader that has seen offset n will never find a smaller one later. A group is a session advisory lock on the one
connection that also reads, listens and acknowledges: no lock, no session, no acknowledgement. A holder that falls
silent is ended by whoever waits.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

import orjson

from loopkeeper.bus import POLL_LIMIT, BusUnavailable, Received, StoredOffsets
from loopkeeper.database import PASSING, Connection, connect
from loopkeeper.message import BadEnvelope, Message, parse

CHANNEL = "loopkeeper_log"
# Advisory locks: the topic's appends, and making the tables.
TOPIC, TABLES = 0x6C6F6770, 0x6C6F6774
# A member's session says something this often, so that silence means it hangs (protocols.md §6).
TICK = 0.5
SILENT = 3.0
# How long a poll relies on the notification before it looks by itself.
SWEEP = 1.0
# What one statement appends at most: beyond it the rate no longer rises (58–74 k/s by 100–500).
LARGEST_APPEND = 500

DDL = (
    "CREATE SEQUENCE IF NOT EXISTS log_offset MINVALUE 0 START 0 CACHE 1",
    """CREATE TABLE IF NOT EXISTS log ("offset" bigint PRIMARY KEY, key text NOT NULL, type text NOT NULL,
       headers bytea NOT NULL, payload bytea NOT NULL, at timestamptz NOT NULL)""",
    """CREATE TABLE IF NOT EXISTS position (grp text PRIMARY KEY, next_offset bigint NOT NULL)""",
    """CREATE TABLE IF NOT EXISTS heartbeat (grp text PRIMARY KEY, pid integer NOT NULL, beat bigint NOT NULL)""",
)

# The lock is taken before any offset is: the sub-select is materialized first. It ends with the statement.
APPEND = """
WITH locked AS MATERIALIZED (SELECT pg_advisory_xact_lock($1)),
fresh AS (
    INSERT INTO log ("offset", key, type, headers, payload, at)
    SELECT nextval('log_offset'), key, type, headers, payload, at FROM (
        SELECT t.* FROM locked, unnest($2::text[], $3::text[], $4::bytea[], $5::bytea[], $6::timestamptz[])
        WITH ORDINALITY AS t (key, type, headers, payload, at, ord) ORDER BY ord) AS ordered
    RETURNING "offset")
SELECT pg_notify($7, ''), count(*) FROM fresh
"""
READ = 'SELECT "offset", key, headers, payload FROM log WHERE "offset" >= $1 ORDER BY "offset" LIMIT $2'
END = 'SELECT coalesce(max("offset") + 1, 0) FROM log'
# Only the holder's own session can write this: whoever lost the lock has lost the session.
ACKNOWLEDGE = """
INSERT INTO position (grp, next_offset) VALUES ($1, $2)
ON CONFLICT (grp) DO UPDATE SET next_offset = greatest(position.next_offset, excluded.next_offset)
"""
BEAT = """
INSERT INTO heartbeat (grp, pid, beat) VALUES ($1, pg_backend_pid(), 1)
ON CONFLICT (grp) DO UPDATE SET pid = excluded.pid, beat = heartbeat.beat + 1
"""


class PostgresBus:
    """The log at this URL. Its tables are made at first use. One partition, number 0."""

    def __init__(self, url: str, *, silent: float = SILENT) -> None:
        self._url = url
        self._silent = silent
        self._shared: Connection | None = None
        self._turn = asyncio.Lock()
        self._members: list[PostgresMember] = []

    async def publish(self, messages: Sequence[Message]) -> int:
        published = 0
        while published < len(messages):
            part = messages[published : published + LARGEST_APPEND]
            try:
                await self._ask(
                    "execute",
                    APPEND,
                    TOPIC,
                    [m.subject for m in part],
                    [m.type for m in part],
                    [orjson.dumps(m.headers()) for m in part],
                    [m.data for m in part],
                    [m.time for m in part],
                    CHANNEL,
                )
            except BusUnavailable:
                if published:
                    return published
                raise
            published += len(part)
        return published

    async def join(self, group: str, offsets: StoredOffsets) -> PostgresMember:
        member = PostgresMember(self._url, group, offsets, silent=self._silent)
        self._members.append(member)
        return member

    async def ends(self) -> Mapping[int, int]:
        return {0: await self._ask("fetchval", END)}

    async def positions(self, group: str) -> Mapping[int, int]:
        found = await self._ask("fetchval", "SELECT next_offset FROM position WHERE grp = $1", group)
        return {} if found is None else {0: found}

    def partition_of(self, key: str) -> int:
        return 0

    async def history(self, after: Mapping[int, int] | None = None) -> AsyncIterator[Received]:
        at, end = (after or {}).get(0, 0), (await self.ends())[0]
        while at < end:
            rows = await self._ask("fetch", READ, at, min(POLL_LIMIT, end - at))
            for row in rows:
                if row["offset"] < end:
                    yield _received(row)
            if not rows:
                return
            at = rows[-1]["offset"] + 1

    async def close(self) -> None:
        for member in self._members:
            await member.close()
        if self._shared is not None:
            self._shared.terminate()
            self._shared = None

    async def _ask(self, how: str, query: str, *args: object) -> Any:
        """One autocommit statement on the connection all callers of this bus share, in turn."""
        async with self._turn:
            try:
                if self._shared is None or self._shared.is_closed():
                    self._shared = await _opened(self._url)
                return await getattr(self._shared, how)(query, *args)
            except PASSING as error:
                if self._shared is not None:
                    self._shared.terminate()
                    self._shared = None
                raise BusUnavailable(type(error).__name__) from error


class PostgresMember:
    """One reader of a group, active while its session holds the group's lock."""

    def __init__(self, url: str, group: str, offsets: StoredOffsets, *, silent: float = SILENT) -> None:
        self._url = url
        self._group = group
        self._lock = int.from_bytes(hashlib.sha256(group.encode()).digest()[:8], "big", signed=True)
        self._offsets = offsets
        self._silent = silent
        self._connection: Connection | None = None
        self._ticking: asyncio.Task[None] | None = None
        self._turn = asyncio.Lock()
        self._news = asyncio.Event()
        self._holds = False
        self._next = 0
        # What was last seen of the holder's heartbeat, and since when it has not changed.
        self._seen: tuple[int, int] = (0, 0)
        self._since = 0.0
        self._closed = False

    def holds(self) -> bool:
        return self._holds

    async def poll(self, limit: int = POLL_LIMIT, timeout: float = SWEEP) -> Sequence[Received]:  # noqa: ASYNC109 a poll's own wait
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        try:
            while True:
                connection = await self._session()
                if await self._hold(connection):
                    # Cleared before reading: what is appended meanwhile rings again.
                    self._news.clear()
                    rows = await self._say(connection, "fetch", READ, self._next, limit)
                    if rows:
                        self._next = rows[-1]["offset"] + 1
                        return [_received(row) for row in rows]
                left = deadline - loop.time()
                if left <= 0:
                    return []
                await self._rest(min(left, SWEEP if self._holds else TICK / 2))
        except PASSING as error:
            self._drop()
            raise BusUnavailable(type(error).__name__) from error

    async def acknowledge(self, offsets: Mapping[int, int]) -> None:
        connection = self._connection
        if connection is None or not self._holds or 0 not in offsets:
            return
        try:
            await self._say(connection, "execute", ACKNOWLEDGE, self._group, offsets[0])
        except PASSING:
            # The copy is for displays; what counts stands in the service's database.
            self._drop()

    async def close(self) -> None:
        self._closed = True
        if self._ticking is not None:
            self._ticking.cancel()
            await asyncio.wait([self._ticking])
        self._drop()

    async def _session(self) -> Connection:
        if self._connection is None or self._connection.is_closed():
            self._drop()
            connection = await _opened(self._url)
            # Listening before the first read: nothing appended in between goes unnoticed.
            await connection.add_listener(CHANNEL, lambda *_: self._news.set())
            self._connection = connection
            if self._ticking is None or self._ticking.done():
                self._ticking = asyncio.create_task(self._tick(), name=f"log heartbeat {self._group}")
        return self._connection

    async def _hold(self, connection: Connection) -> bool:
        """Whether this session holds the group now; takes it where it is free, and starts at the stored offset."""
        if self._holds:
            return True
        if await self._say(connection, "fetchval", "SELECT pg_try_advisory_lock($1)", self._lock):
            stored = await self._offsets([0])
            self._next = stored.get(0, 0)
            await self._say(connection, "execute", BEAT, self._group)
            self._holds = True
            return True
        await self._end_silent(connection)
        return False

    async def _end_silent(self, connection: Connection) -> None:
        """End the session of a holder whose heartbeat has stood still for too long."""
        row = await self._say(
            connection, "fetchrow", "SELECT pid, beat FROM heartbeat WHERE grp = $1", self._group
        )
        seen = (row["pid"], row["beat"]) if row is not None else (0, 0)
        now = asyncio.get_running_loop().time()
        if seen != self._seen:
            self._seen, self._since = seen, now
        elif seen[0] and now - self._since >= self._silent:
            # Only whoever really holds the lock: the pid may have been given to another session since.
            await self._say(
                connection,
                "execute",
                """SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted
                   AND pid = $1 AND ((classid::bigint << 32) | objid::bigint) = $2""",
                seen[0],
                self._lock,
            )
            self._since = now

    async def _tick(self) -> None:
        """Say something every half second, so that silence means this process hangs."""
        while not self._closed:
            await asyncio.sleep(TICK)
            connection = self._connection
            if connection is None or not self._holds:
                continue
            try:
                await self._say(connection, "execute", BEAT, self._group)
            except PASSING:
                self._drop()

    async def _rest(self, seconds: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._news.wait(), seconds)

    async def _say(self, connection: Connection, how: str, query: str, *args: object) -> Any:
        """One statement at a time: heartbeat and reader share the session."""
        async with self._turn:
            return await getattr(connection, how)(query, *args)

    def _drop(self) -> None:
        """The session is gone, and with it the group; the next poll begins from the stored offsets."""
        if self._connection is not None:
            self._connection.terminate()
        self._connection = None
        self._holds = False
        self._news.set()


async def _opened(url: str) -> Connection:
    connection = await connect(url, name="loopkeeper-log")
    try:
        if await connection.fetchval("SELECT to_regclass('heartbeat') IS NULL"):
            await _make_tables(connection)
    except PASSING:
        connection.terminate()
        raise
    return connection


async def _make_tables(connection: Connection) -> None:
    await connection.execute("SELECT pg_advisory_lock($1)", TABLES)
    try:
        for statement in DDL:
            await connection.execute(statement)
    finally:
        await connection.execute("SELECT pg_advisory_unlock($1)", TABLES)


def _received(row: Any) -> Received:
    raw: bytes = row["payload"]
    try:
        message = parse(orjson.loads(row["headers"]), raw)
    except (BadEnvelope, orjson.JSONDecodeError, AttributeError, TypeError) as error:
        problem = str(error) if isinstance(error, BadEnvelope) else "headers are no JSON object"
        return Received(0, row["offset"], row["key"], None, raw, problem)
    return Received(0, row["offset"], row["key"], message)
