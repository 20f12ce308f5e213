"""What is counted while services work: statements by database, what PostgreSQL wrote to its WAL, and processor time.

Counts do not depend on what else the machine does; only the processor's figures do.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections import Counter
from collections.abc import AsyncGenerator, Generator, Mapping
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from time import process_time
from typing import Any

import asyncpg

from loopkeeper.postgres.connections import Connection, connect
from loopkeeper.postgres.embedded import Server
from loopkeeper.postgres.embedded import place as places

# The counter itself sets this: what it asks is not the services' doing.
looking: ContextVar[bool] = ContextVar("looking", default=False)


@contextmanager
def as_onlooker() -> Generator[None]:
    """What is asked within, in this task, is not counted."""
    token = looking.set(True)
    try:
        yield
    finally:
        looking.reset(token)


@dataclass
class Statements:
    """Statements sent since the last `taken`, by database and by their text."""

    _sent: Counter[tuple[str, str]] = field(default_factory=Counter[tuple[str, str]])

    def note(self, connection: Any, query: str) -> None:
        if not looking.get():
            self._sent[connection._params.database, query] += 1

    def taken(self) -> Counter[tuple[str, str]]:
        sent, self._sent = self._sent, Counter[tuple[str, str]]()
        found: Counter[tuple[str, str]] = Counter()
        for (database, query), n in sent.items():
            found[database.partition("_")[0], " ".join(query.split())] += n
        return found


@contextmanager
def counted() -> Generator[Statements]:
    """Every statement of any session of this process, the library's own questions among them. Each is one round trip, and
    one more where it is prepared for the first time."""
    found, library = Statements(), asyncpg.Connection
    one: Any = library._Connection__execute  # pyright: ignore[reportAttributeAccessIssue]
    many: Any = library._executemany  # pyright: ignore[reportPrivateUsage]
    plain: Any = library.execute

    async def _one(self: Any, query: str, *args: Any, **options: Any) -> Any:
        found.note(self, query)
        return await one(self, query, *args, **options)

    async def _many(self: Any, query: str, *args: Any, **options: Any) -> Any:
        found.note(self, query)
        return await many(self, query, *args, **options)

    async def _plain(self: Any, query: str, *args: Any, **options: Any) -> Any:
        if not args:
            found.note(self, query)
        return await plain(self, query, *args, **options)

    library._Connection__execute = _one  # pyright: ignore[reportAttributeAccessIssue]
    library._executemany = _many  # pyright: ignore[reportAttributeAccessIssue]
    library.execute = _plain  # pyright: ignore[reportAttributeAccessIssue]
    try:
        yield found
    finally:
        library._Connection__execute = one  # pyright: ignore[reportAttributeAccessIssue]
        library._executemany = many  # pyright: ignore[reportAttributeAccessIssue]
        library.execute = plain


# A record as pg_waldump shows it; its length without images of whole pages, which come with checkpoints and not with work.
RECORD = re.compile(r"rmgr: (\S+)\s+len \(rec/tot\):\s*(\d+)/\s*\d+.*?desc: (\S+)(.*)")
TABLE = re.compile(r"rel \d+/(\d+)/(\d+)")
ROWS = frozenset(
    {
        "INSERT",
        "INSERT+INIT",
        "UPDATE",
        "UPDATE+INIT",
        "HOT_UPDATE",
        "DELETE",
        "MULTI_INSERT",
        "MULTI_INSERT+INIT",
    }
)
SEVERAL = re.compile(r"ntuples: (\d+)")


@dataclass
class Written:
    """What went into the WAL: rows by table, rows locked, commits, and bytes."""

    rows: Counter[tuple[str, str]] = field(default_factory=Counter[tuple[str, str]])
    locked: int = 0
    commits: int = 0
    bytes: int = 0

    def of_services(self) -> Mapping[str, int]:
        found: Counter[str] = Counter()
        for (service, _), n in self.rows.items():
            found[service] += n
        return found


class Wal:
    """The WAL of this server, read with its own pg_waldump."""

    def __init__(self, server: Server, admin: Connection) -> None:
        self._admin = admin
        self._server = server
        self._program = places.programs(places.server_folders(server.folder), None) / "pg_waldump"
        self._databases: dict[str, str] = {}
        self._tables: dict[tuple[str, str], str] = {}

    async def place(self) -> str:
        return await self._admin.fetchval("SELECT pg_current_wal_flush_lsn()::text")

    async def written(self, begin: str, end: str) -> Written:
        """What was written from one place to another."""
        found = Written()
        if begin == end:
            return found
        words = [self._program, "-p", self._server.data / "pg_wal", "-s", begin, "-e", end]
        done = subprocess.run(words, check=True, capture_output=True, text=True)  # noqa: ASYNC221 a bench waits
        for line in done.stdout.splitlines():
            await self._record(found, line)
        return found

    async def _record(self, found: Written, line: str) -> None:
        record = RECORD.match(line)
        if record is None:
            return
        manager, length, what, rest = record.groups()
        found.bytes += int(length)
        if manager == "Transaction":
            found.commits += what == "COMMIT"
        elif manager.startswith("Heap") and (table := TABLE.search(rest)):
            if what in ROWS:
                several = SEVERAL.search(rest)
                found.rows[await self._named(*table.groups())] += int(several[1]) if several else 1
            found.locked += what == "LOCK"

    async def _named(self, database: str, file: str) -> tuple[str, str]:
        """The service of a database, and its table."""
        if (database, file) not in self._tables:
            if not self._databases:
                rows = await self._admin.fetch("SELECT oid::text, datname FROM pg_database")
                self._databases = {row["oid"]: row["datname"] for row in rows}
            inside = await connect(self._server.admin(self._databases[database]))
            try:
                for row in await inside.fetch(
                    "SELECT pg_relation_filenode(oid)::text AS file, relname FROM pg_class"
                ):
                    self._tables[database, row["file"]] = row["relname"]
            finally:
                await inside.close()
        service = self._databases[database].partition("_")[0]
        return service, self._tables.get((database, file), "another")


@asynccontextmanager
async def wal_of(server: Server) -> AsyncGenerator[Wal]:
    """Its WAL, by a session of its own."""
    admin = await connect(server.admin(), name="bench")
    try:
        yield Wal(server, admin)
    finally:
        await admin.close()


class Processor:
    """Processor seconds so far: this process's, and those of a server with all its sessions."""

    def __init__(self, server: Server) -> None:
        self._server = server.pid

    def spent(self) -> tuple[float, float]:
        return process_time(), spent_of_server(self._server)


def spent_of_process(pid: int) -> float:
    """Processor seconds of another process so far, with all its threads that live."""
    return sum(_ran(int(thread.name)) for thread in Path(f"/proc/{pid}/task").iterdir())


def spent_of_server(postmaster: int) -> float:
    """Processor seconds of a PostgreSQL server so far, with all its sessions."""
    living = sum(_ran(pid) for pid in (postmaster, *_children(postmaster)))
    return living + _ended(postmaster)


def _children(pid: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _ended(pid: int) -> float:
    """How long its children ran that have ended."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")


def _ran(pid: int) -> float:
    """How long a process ran, to the nanosecond; one that has just ended is among those that have."""
    try:
        return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
