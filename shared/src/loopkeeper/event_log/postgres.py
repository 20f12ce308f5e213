"""The log in PostgreSQL: one table in a database of its own, read by one member of each group at a time.

Appends are serialized by an advisory lock held for one autocommit statement, so offsets rise in commit order and a
reader that has seen offset n will never find a smaller one later. A group is a session advisory lock on the one
connection that also reads, listens and acknowledges: no lock, no session, no acknowledgement. A holder whose session
falls silent is ended by a member that waits. Nothing here opens a transaction: a process stopped inside one would keep its
locks with it.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any

import orjson

from loopkeeper.contract.envelope import BadEnvelope, Message, parse
from loopkeeper.event_log.commands import cut
from loopkeeper.event_log.port import (
    POLL_LIMIT,
    CheckLog,
    LogSteppedBack,
    LogUnavailable,
    Position,
    Received,
    StoredOffsets,
    id_of,
)
from loopkeeper.event_log.tail import Tail, tail_of
from loopkeeper.kernel import beats
from loopkeeper.postgres.connections import TRANSIENT, Connection, is_transient, reach
from loopkeeper.postgres.incarnation import incarnation
from loopkeeper.postgres.session import LIBRARY_LIMIT, uncancelled

Row = Mapping[Any, Any]

CHANNEL = "loopkeeper_log"
# How the sessions are called in pg_stat_activity; a member's has its group behind it.
SESSION = "loopkeeper-log"
# Advisory locks: the topic's appends, and making the tables.
TOPIC, TABLES = 0x6C6F6770, 0x6C6F6774
# A member's session is never silent for much longer than this, so that silence means its process hangs (protocols.md §6).
SPEAKS_AFTER = 1.2
SILENT = 3.0
# How long a reader relies on the notification before it looks by itself; in a quiet group these looks are all that is said.
SWEEP = 1.0
# How often a waiting member tries for the group: served again within half a second after a kill.
TRY = 0.25
# What one statement appends at most: beyond it the rate hardly rises (58 k/s by 100, 74 k/s by 500).
LARGEST_APPEND = 500
# Longer than the server's own statement_timeout: an answer that takes longer will not come.
ANSWER = 20.0

# One simple query, so one transaction that cannot be left open.
MAKE_TABLES = f"""
SELECT pg_advisory_xact_lock({TABLES});
CREATE SEQUENCE IF NOT EXISTS log_offset MINVALUE 0 START 0 CACHE 1;
CREATE TABLE IF NOT EXISTS log (
    "offset" bigint PRIMARY KEY, key text NOT NULL, type text NOT NULL,
    headers bytea NOT NULL, payload bytea NOT NULL, at timestamptz NOT NULL) WITH (toast_tuple_target = 8160);
CREATE TABLE IF NOT EXISTS position (grp text PRIMARY KEY, next_offset bigint NOT NULL);
"""

# The record before the place where a member begins.
AT = 'SELECT "offset", key, headers, payload FROM log WHERE "offset" = $1'
LAST_AT = 'SELECT at FROM log ORDER BY "offset" DESC LIMIT 1'
SINCE = 'SELECT coalesce(min("offset"), 0) AS first FROM log WHERE at >= $1'
# Anyone who notices first that offsets were lost raises it, before anybody appends: none is ever given twice. A multiple of so
# much that no log lost as many.
RENUMBER = """
WITH locked AS MATERIALIZED (SELECT pg_advisory_xact_lock($1))
SELECT setval('log_offset', ((greatest(s.last_value, $2) >> 40) + 1) << 40, false) FROM locked, log_offset s
WHERE s.last_value < $2
"""
# No row leaves the sorted sub-select before the lock is held, so no offset is taken earlier. It ends with the commit.
APPEND = """
WITH locked AS MATERIALIZED (SELECT pg_advisory_xact_lock($1)),
fresh AS (
    INSERT INTO log ("offset", key, type, headers, payload, at)
    SELECT nextval('log_offset'), key, type, headers, payload, at FROM (
        SELECT t.* FROM locked, unnest($2::text[], $3::text[], $4::bytea[], $5::bytea[], $6::timestamptz[])
        WITH ORDINALITY AS t (key, type, headers, payload, at, ord)
        WHERE pg_postmaster_start_time()::text = $8 ORDER BY ord) AS ordered
    RETURNING "offset")
SELECT pg_notify($7, coalesce(max("offset") + 1, 0)::text), count(*) FROM fresh
"""
READ = 'SELECT "offset", key, headers, payload FROM log WHERE "offset" >= $1 ORDER BY "offset" LIMIT $2'
# Not the sequence: after a crash it may have skipped numbers, and no reader would ever reach them.
END = 'SELECT coalesce(max("offset") + 1, 0) FROM log'
POSITION = "SELECT next_offset FROM position WHERE grp = $1"
# May go back: a service whose database was restored reads again, and the display must show that.
ACKNOWLEDGE = """
INSERT INTO position (grp, next_offset) VALUES ($1, $2)
ON CONFLICT (grp) DO UPDATE SET next_offset = excluded.next_offset
"""
STARTED = "SELECT pg_postmaster_start_time()::text"
HOLD = "SELECT pg_try_advisory_lock($1)"
# Every statement begins and ends with a change of state, by the server's clock alone. All members share one login
# role, so each may see and end the others' sessions.
END_SILENT = """
SELECT pg_terminate_backend(a.pid)
FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid AND a.datname = current_database()
WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
  AND ((l.classid::bigint << 32) | l.objid::bigint) = $1
  AND a.state_change < clock_timestamp() - make_interval(secs => $2)
"""


class PostgresLog:
    """The log at this URL. Its tables are made at first use. One partition, number 0.

    All but the members share one connection, in turn: four buses live in one process. `silent`: after how many
    seconds without a statement a group's holder is ended by a member that waits.
    """

    def __init__(self, url: str, *, silent: float = SILENT) -> None:
        self._url = url
        self._silent = silent
        self._shared: Connection | None = None
        self._turn = asyncio.Lock()
        self._look: CheckLog | None = None
        # The server that may be written to, and the one that the shared connection leads to.
        self._looked, self._server, self._started = "", "", ""
        self._members: set[PostgresMember] = set()

    async def publish(self, messages: Sequence[Message]) -> int:
        published = 0
        while published < len(messages):
            part = messages[published : cut(messages, published, LARGEST_APPEND)]
            try:
                await self._append(part)
            except LogUnavailable:
                if published:
                    return published
                raise
            published += len(part)
        return published

    async def announce(self, message: Message) -> None:
        await self.publish([message])

    async def join(self, group: str, offsets: StoredOffsets) -> PostgresMember:
        member = PostgresMember(self._url, group, offsets, silent=self._silent)
        self._members = {one for one in self._members if not one.closed} | {member}
        return member

    def check_with(self, look: CheckLog) -> None:
        self._look = look

    async def records_at(self, places: Mapping[int, int]) -> Mapping[int, Received]:
        if 0 not in places:
            return {}
        found = await self._ask(AT, places[0])
        return {0: _received(found[0])} if found else {}

    async def renumber(self, above: Mapping[int, int]) -> None:
        await self._ask(RENUMBER, TOPIC, above.get(0, 0))

    async def back(self, by: timedelta) -> Mapping[int, int]:
        last = await self._ask(LAST_AT)
        return {0: (await self._ask(SINCE, last[0]["at"] - by))[0]["first"]} if last else {}

    async def ends(self) -> Mapping[int, int]:
        return {0: (await self._ask(END))[0][0]}

    async def positions(self, group: str) -> Mapping[int, int]:
        rows = await self._ask(POSITION, group)
        return {0: rows[0]["next_offset"]} if rows else {}

    def partition_of(self, key: str) -> int:
        return 0

    async def history(self, after: Mapping[int, int] | None = None) -> AsyncIterator[Received]:
        at, end = (after or {}).get(0, 0), (await self.ends())[0]
        while at < end:
            rows = await self._ask(READ, at, POLL_LIMIT)
            for row in rows:
                if row["offset"] >= end:
                    return
                yield _received(row)
            if not rows:
                return
            at = rows[-1]["offset"] + 1

    async def close(self) -> None:
        for member in self._members:
            await member.close()
        self._discard()

    async def _append(self, messages: Sequence[Message]) -> None:
        await self._looked_at()
        (row,) = await self._ask(
            APPEND,
            TOPIC,
            [m.subject for m in messages],
            [m.type for m in messages],
            [orjson.dumps(m.headers()) for m in messages],
            [m.data for m in messages],
            [m.time for m in messages],
            CHANNEL,
            self._started,
            commits=True,
        )
        if row["count"] != len(messages):
            # The line leads to another server than the one it was opened to.
            self._discard()
            raise LogSteppedBack("the log is on another server")

    async def _looked_at(self) -> None:
        """Nobody writes to a server of the log before somebody has looked whether it has what was read."""
        await self._ask("SELECT 1") if self._shared is None or self._shared.is_closed() else None
        if self._looked == self._server:
            return
        server = self._server
        if self._looked and self._look is not None:
            await self._look()
        self._looked = server

    async def _ask(self, query: str, *args: object, commits: bool = False) -> list[Row]:
        """One autocommit statement on the shared connection. A value that cannot be stored is no `LogUnavailable`:
        it would be tried again forever."""
        async with self._turn:
            try:
                if self._shared is None or self._shared.is_closed():
                    self._shared = await _opened(self._url, SESSION)
                    self._server = await incarnation(self._shared)
                    self._started = await self._shared.fetchval(STARTED)
                if not commits:
                    return await self._shared.fetch(query, *args, timeout=ANSWER)
                # Cancelled, it would be there and on no standby.
                answer = self._shared.fetch(query, *args, timeout=LIBRARY_LIMIT)
                return await uncancelled(self._shared, answer, ANSWER)
            except TRANSIENT as error:
                if not is_transient(error):
                    raise
                self._discard()
                raise LogUnavailable(type(error).__name__) from error

    def _discard(self) -> None:
        if self._shared is not None:
            self._shared.terminate()
        self._shared = None


class PostgresMember:
    """One reader of a group, active while its session holds the group's lock."""

    def __init__(self, url: str, group: str, offsets: StoredOffsets, *, silent: float) -> None:
        self._url = url
        self._group = group
        self._lock = int.from_bytes(hashlib.sha256(group.encode()).digest()[:8], "big", signed=True)
        self._offsets = offsets
        self._silent = silent
        self._connection: Connection | None = None
        self._ticking: asyncio.Task[None] | None = None
        # Reader and tick share the session: one statement at a time.
        self._turn = asyncio.Lock()
        self._news = asyncio.Event()
        self._gained = False
        self._next = 0
        # What members of this process have read of this server's log; and up to where the log was said to reach.
        self._tail: Tail | None = None
        self._said_end = 0
        # Until when a reader that was told nothing need not look; and when the session spoke last.
        self._rests_until = 0.0
        self._spoke_at = 0.0
        self.closed = False

    def holds(self) -> bool:
        return self._gained and self._connection is not None and not self._connection.is_closed()

    def partitions(self) -> frozenset[int]:
        return frozenset({0}) if self.holds() else frozenset()

    async def poll(self, limit: int = POLL_LIMIT, timeout: float = SWEEP) -> Sequence[Received]:  # noqa: ASYNC109 a poll's own wait
        loop = asyncio.get_running_loop()
        deadline = beats.after(loop.time(), timeout)
        try:
            while True:
                connection = await self._session()
                if self._gained or await self._gain(connection):
                    found = await self._look(connection, limit)
                    if found:
                        return found
                left = deadline - loop.time()
                if left <= 0:
                    return []
                await self._rest(left)
        except LogUnavailable:
            self._drop()
            raise
        except TRANSIENT as error:
            self._drop()
            raise LogUnavailable(type(error).__name__) from error

    async def _look(self, connection: Connection, limit: int) -> Sequence[Received]:
        """What is there to read: by another member of this process, or else by this one. A read that brought less than it
        might have brought all there was: until the log rings, or the sweep is due, another one would bring nothing."""
        now = asyncio.get_running_loop().time()
        rung = self._news.is_set()
        if not rung and now < self._rests_until:
            return []
        # Cleared before reading: what is appended meanwhile rings again.
        self._news.clear()
        if rung and (found := await self._of_others(limit)) is not None:
            return found
        return await self._read(connection, limit, now)

    async def _of_others(self, limit: int) -> Sequence[Received] | None:
        """What another member has read already, or reads at the moment; None where that is not all the log was said to
        have."""
        tail = self._tail
        if tail is None or not self._said_end:
            return None
        if tail.end < self._said_end:
            await tail.others_read()
        if not self.holds() or not tail.has(self._next):
            return None
        found = tail.since(self._next, limit)
        if tail.end < self._said_end and not found:
            return None
        if found:
            self._next = found[-1].offset + 1
        if self._next < self._said_end:
            # There is more, here or in the log.
            self._ring()
        return found

    async def _read(self, connection: Connection, limit: int, now: float) -> Sequence[Received]:
        tail, begin = self._tail, self._next
        first = tail is not None and tail.begins()
        try:
            rows = await self._say(connection, READ, begin, limit)
            found = [_received(row) for row in rows]
            if tail is not None:
                tail.add(begin, found)
        finally:
            if tail is not None and first:
                tail.ended()
        if found:
            self._next = found[-1].offset + 1
        self._rests_until = beats.after(now, SWEEP) if len(found) < limit else 0.0
        return found

    def place_again(self) -> None:
        self._drop()

    async def acknowledge(self, offsets: Mapping[int, int]) -> None:
        connection = self._connection
        if connection is None or not self.holds() or 0 not in offsets:
            return
        try:
            await self._say(connection, ACKNOWLEDGE, self._group, offsets[0])
        except TRANSIENT:
            # The copy is for displays; what counts is in the service's database.
            self._drop()

    async def close(self) -> None:
        self.closed = True
        ticking = self._ticking
        self._drop()
        if ticking is not None:
            await asyncio.wait([ticking])

    async def _session(self) -> Connection:
        """The session in use, or a new one, which has not gained the group yet."""
        if self._connection is not None and not self._connection.is_closed():
            return self._connection
        self._drop()
        connection = await _opened(self._url, f"{SESSION}-{self._group}")
        if self.closed:
            connection.terminate()
            raise LogUnavailable("this member is closed")
        connection.add_termination_listener(self._ring)
        self._connection = connection
        self._ticking = asyncio.create_task(self._tick(connection), name=f"log session {self._group}")
        return connection

    async def _gain(self, connection: Connection) -> bool:
        """Take the group if it is free. The stored offset is asked under the lock, after the last holder's end, and
        listening begins before the first read: nothing appended in between goes unnoticed."""
        if not (await self._say(connection, HOLD, self._lock))[0][0]:
            await self._say(connection, END_SILENT, self._lock, self._silent)
            return False
        async with self._turn:
            await connection.add_listener(CHANNEL, self._told)
        self._tail, self._said_end = tail_of(self._url, (await self._say(connection, STARTED))[0][0]), 0
        place = (await self._offsets([0])).get(0, Position(0))
        if place.last is not None:
            before = [_received(row) for row in await self._say(connection, AT, place.next - 1)]
            if [id_of(each) for each in before] != [place.last]:
                raise LogSteppedBack("the last record read is not there")
        self._next = place.next
        self._gained = True
        self._rests_until = 0.0
        return True

    async def _tick(self, connection: Connection) -> None:
        """Keep the session from falling silent, and end it when it no longer answers."""
        try:
            with suppress(*TRANSIENT):
                while True:
                    silent = asyncio.get_running_loop().time() - self._spoke_at
                    if silent >= SPEAKS_AFTER:
                        await self._say(connection, "SELECT 1")
                    else:
                        await asyncio.sleep(SPEAKS_AFTER - silent)
        finally:
            connection.terminate()

    async def _rest(self, left: float) -> None:
        """Until the log rings, for a reader; who waits for the group is rung by nobody and only tries again."""
        if not self._gained:
            await asyncio.sleep(min(left, TRY))
            return
        due = self._rests_until - asyncio.get_running_loop().time()
        with suppress(TimeoutError):
            async with asyncio.timeout(max(min(left, due), 0.0)):
                await self._news.wait()

    async def _say(self, connection: Connection, query: str, *args: object) -> list[Row]:
        async with self._turn:
            rows = await connection.fetch(query, *args, timeout=ANSWER)
            self._spoke_at = asyncio.get_running_loop().time()
            return rows

    def _told(self, connection: object, pid: int, channel: str, end: str) -> None:
        """Something was appended; an older program does not say up to where the log reaches now."""
        self._said_end = max(self._said_end, int(end)) if end.isdecimal() else 0
        self._ring()

    def _ring(self, *_: object) -> None:
        self._news.set()

    def _drop(self) -> None:
        """End the session, and with it the hold; the next poll begins from the stored offsets."""
        if self._connection is not None:
            self._connection.terminate()
        if self._ticking is not None:
            self._ticking.cancel()
        self._connection = self._ticking = self._tail = None
        self._gained = False


async def _opened(url: str, name: str) -> Connection:
    connection = await reach(url, name=name)
    try:
        if await connection.fetchval("SELECT to_regclass('position') IS NULL"):
            await connection.execute(MAKE_TABLES)
    except BaseException:
        connection.terminate()
        raise
    return connection


def _received(row: Row) -> Received:
    raw: bytes = row["payload"]
    try:
        message = parse(orjson.loads(row["headers"]), raw)
    except (BadEnvelope, orjson.JSONDecodeError, AttributeError, TypeError) as error:
        problem = str(error) if isinstance(error, BadEnvelope) else "headers are no JSON object of texts"
        return Received(0, row["offset"], row["key"], None, raw, problem)
    return Received(0, row["offset"], row["key"], message)
