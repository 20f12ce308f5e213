"""The tables of files that organizations send: the file, its sealed bytes, and what becomes of each row."""

from __future__ import annotations

from loopkeeper.store.row_access import row_security

# Revised never: each service's migration runs these once.
FIRST = (
    """
    CREATE TABLE file (
        id text PRIMARY KEY, organization text NOT NULL, client text NOT NULL, roles text NOT NULL,
        plan_id text NOT NULL DEFAULT '', referrer_id text NOT NULL DEFAULT '', provider_id text NOT NULL DEFAULT '',
        plan text NOT NULL, kind text NOT NULL, state text NOT NULL, dry_run boolean NOT NULL,
        digest text NOT NULL, bytes integer NOT NULL, sealed_with text NOT NULL, name text NOT NULL,
        format text NOT NULL, code text NOT NULL, sentence text NOT NULL, fix text NOT NULL, "column" text NOT NULL,
        period_from date, period_through date, counts jsonb NOT NULL, rows integer NOT NULL, done integer NOT NULL,
        note jsonb NOT NULL, received_at timestamptz NOT NULL, done_at timestamptz, forgotten_at timestamptz,
        at timestamptz NOT NULL
    )
    """,
    "CREATE INDEX file_at ON file (at, id)",
    "CREATE INDEX file_open ON file (received_at, id) WHERE state IN ('received', 'acting')",
    "CREATE INDEX file_kept ON file (received_at) WHERE forgotten_at IS NULL",
    "CREATE TABLE file_part (file text NOT NULL, n integer NOT NULL, sealed text NOT NULL, PRIMARY KEY (file, n))",
    """
    CREATE TABLE file_row (
        file text NOT NULL, row integer NOT NULL, place integer NOT NULL, stream text NOT NULL, state text NOT NULL,
        result text NOT NULL, code text NOT NULL, field text NOT NULL, fix text NOT NULL, warnings jsonb NOT NULL,
        facts text NOT NULL, done integer NOT NULL, receipt jsonb NOT NULL, PRIMARY KEY (file, row)
    )
    """,
    "CREATE INDEX file_row_open ON file_row (file, place) WHERE state <> 'done'",
    "CREATE INDEX file_row_stream ON file_row (stream) WHERE stream <> ''",
)

# The day a file speaks of: the last of its period; of one that says none the day it came in.
FILE_DAY = "coalesce(period_through, (received_at AT TIME ZONE 'America/Los_Angeles')::date)"
# A plan's files by the month they speak of, for a later migration of each service that takes files.
FILE_MONTH = f"file_month ON file (plan_id, kind, ({FILE_DAY}))"


def file_statements(service: str) -> tuple[str, ...]:
    """The statements, for a migration of a service that takes files: its reader role sees own files and their rows."""
    reader = f"{service}_reader"
    seen = "using (exists (select 1 from file f where f.id = file))"
    guarded = [
        statement
        for table in ("file_part", "file_row")
        for statement in (
            f"alter table {table} enable row level security",
            f"alter table {table} force row level security",
            f"create policy {table}_written on {table} for all to current_user using (true) with check (true)",
            f"create policy {table}_seen on {table} for select to {reader} {seen}",
            f"grant select on {table} to {reader}",
        )
    ]
    return (*FIRST, *row_security("file", service), *guarded)
