"""A value in every column of every table of a service."""

from __future__ import annotations

from loopkeeper.postgres.connections import Connection

TABLES = """
SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace ORDER BY relname
"""
# A value for a column of each type, so that one row fits every table.
VALUES = {"integer": "1", "bigint": "1", "boolean": "true", "jsonb": "'{}'", "ARRAY": "'{}'", "bytea": "'x'"} | {
    "timestamp with time zone": "now()", "date": "current_date", "uuid": "gen_random_uuid()",
}  # fmt: skip


async def tables(connection: Connection) -> list[str]:
    return [row["relname"] for row in await connection.fetch(TABLES)]


async def fill(owner: Connection, key: str) -> None:
    """One row in every table, whose every text is `key`; where the database itself keeps a table, its row is there already."""
    for table in await tables(owner):
        columns = await owner.fetch(
            """SELECT column_name, data_type FROM information_schema.columns
               WHERE table_schema = 'public' AND table_name = $1 AND is_generated = 'NEVER'""",
            table,
        )
        names = ", ".join(f'"{row["column_name"]}"' for row in columns)
        values = ", ".join(VALUES.get(row["data_type"], f"'{key}'") for row in columns)
        await owner.execute(f'INSERT INTO "{table}" ({names}) VALUES ({values}) ON CONFLICT DO NOTHING')
