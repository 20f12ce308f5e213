"""What do the databases of a house and its log keep? Every table, read as its owner, past row-level security."""

from __future__ import annotations

import io
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from loopkeeper.postgres.connections import Connection, connect
from loopkeeper.postgres.embedded import Server
from loopkeeper.runtime.run import Addresses

# For every table of a database its name and its columns, those of bytes shown as text where they are text.
TABLES = """
SELECT c.relname AS name, string_agg(
    CASE WHEN a.atttypid = 'bytea'::regtype THEN format('encode(%I, ''escape'')', a.attname)
    ELSE format('%I', a.attname) END, ', ' ORDER BY a.attnum) AS columns
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace GROUP BY c.relname ORDER BY c.relname
"""
# A table's rows in one figure: any change of any value of any row changes it.
FIGURE = (
    "SELECT count(*) || ' ' || md5(coalesce(string_agg(t::text, E'\\n' ORDER BY t::text), '')) FROM \"{}\" t"
)
# Whatever is longer than 2 kB is compressed before it reaches a file; stored like this it is not, and can be found.
UNCOMPRESSED = """
SELECT format('ALTER TABLE %I ALTER COLUMN %I SET STORAGE EXTERNAL', c.relname, a.attname) AS statement
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace AND a.attstorage IN ('x', 'm')
"""


def places(addresses: Addresses) -> Mapping[str, str]:
    """The URLs of the services' databases and of the log's."""
    return {**addresses.databases, "log": addresses.event_log}


async def figures(addresses: Addresses) -> Mapping[str, str]:
    """Every table of every database with its number of rows and a digest of them."""
    found: dict[str, str] = {}
    for place, url in places(addresses).items():
        connection = await connect(url)
        for table in await connection.fetch(TABLES):
            name = table["name"]
            found[f"{place}.{name}"] = await connection.fetchval(FIGURE.format(name))
        await connection.close()
    return found


def differing(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    """The tables whose rows are not what they were."""
    return [table for table in after if before.get(table) != after[table]]


async def as_text(url: str) -> Mapping[str, bytes]:
    """Every table of one database, each row a line of its values."""
    connection: Any = await connect(url)
    found: dict[str, bytes] = {}
    for table in await connection.fetch(TABLES):
        lines = io.BytesIO()
        await connection.copy_from_query(
            f'SELECT {table["columns"]} FROM "{table["name"]}"', output=lines, format="csv"
        )
        found[table["name"]] = lines.getvalue()
    await connection.close()
    return found


async def store_uncompressed(addresses: Addresses) -> None:
    for url in places(addresses).values():
        connection = await connect(url)
        for row in await connection.fetch(UNCOMPRESSED):
            await connection.execute(row["statement"])
        await connection.close()


async def ran(url: str, statements: Sequence[str]) -> None:
    connection: Connection = await connect(url)
    for statement in statements:
        await connection.execute(statement)
    await connection.close()


@asynccontextmanager
async def wal(server: Server) -> AsyncGenerator[str]:
    """Keeps every segment of the write-ahead log that is written meanwhile; the name of the first."""
    admin = await connect(server.admin())
    first = await admin.fetchval("SELECT pg_walfile_name(pg_current_wal_lsn())")
    await admin.execute("SELECT pg_create_physical_replication_slot('kept_wal', true)")
    try:
        yield first
    finally:
        await admin.execute("SELECT pg_drop_replication_slot('kept_wal')")
        await admin.close()


def files_in(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


async def files(server: Server, addresses: Addresses, first: str) -> list[tuple[str, Path]]:
    """The server's files, written out, each with the kind of place it is: those of these databases, the segments of
    the write-ahead log from the first on, and the rest, without other databases'."""
    admin = await connect(server.admin())
    await admin.execute("CHECKPOINT")
    names = [url.partition("@/")[2].partition("?")[0] for url in places(addresses).values()]
    rows = await admin.fetch("SELECT oid::text FROM pg_database WHERE datname = ANY($1::text[])", names)
    await admin.close()
    databases, log = {row["oid"] for row in rows}, server.data / "pg_wal"
    assert len(databases) == len(names)
    found: list[tuple[str, Path]] = []
    for root in {server.folder, server.data}:
        for path in files_in(root):
            if path.is_relative_to(log):
                found += [("the write-ahead log", path)] if path.name >= first else []
            elif path.is_relative_to(server.data / "base"):
                found += [("files of the databases", path)] if path.parent.name in databases else []
            else:
                found.append(("other files of the server", path))
    return found
