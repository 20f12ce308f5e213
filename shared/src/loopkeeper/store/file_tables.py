"""The tables of files that organizations send: the file, its sealed bytes, and what becomes of each row."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from loopkeeper.store.row_access import row_security
from loopkeeper.store.schema import TEXT_KEYS, moment

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


def file_tables(metadata: sa.MetaData) -> None:
    """The same tables for the metadata of a service that takes files."""
    waiting = sa.text("state IN ('received', 'acting')")
    sa.Table(
        "file",
        metadata,
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("organization", sa.Text, nullable=False),
        sa.Column("client", sa.Text, nullable=False),
        sa.Column("roles", sa.Text, nullable=False),
        # Who may see it: the sender, and the plan whose file it is.
        *(sa.Column(key, sa.Text, nullable=False, server_default="") for key in TEXT_KEYS),
        sa.Column("plan", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        # receiving, received, acting, done, refused, held or taken_back
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("dry_run", sa.Boolean, nullable=False),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("bytes", sa.Integer, nullable=False),
        # Under whose key its bytes, its name and its facts are sealed.
        sa.Column("sealed_with", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("format", sa.Text, nullable=False),
        # Why it was refused whole, or is held.
        sa.Column("code", sa.Text, nullable=False),
        sa.Column("sentence", sa.Text, nullable=False),
        sa.Column("fix", sa.Text, nullable=False),
        sa.Column("column", sa.Text, nullable=False),
        sa.Column("period_from", sa.Date),
        sa.Column("period_through", sa.Date),
        sa.Column("counts", JSONB, nullable=False),
        sa.Column("rows", sa.Integer, nullable=False),
        sa.Column("done", sa.Integer, nullable=False),
        sa.Column("note", JSONB, nullable=False),
        moment("received_at", nullable=False),
        moment("done_at"),
        moment("forgotten_at"),
        moment("at", nullable=False),
        sa.Index("file_at", "at", "id"),
        sa.Index("file_open", "received_at", "id", postgresql_where=waiting),
        sa.Index("file_kept", "received_at", postgresql_where=sa.text("forgotten_at IS NULL")),
        sa.Index("file_month", "plan_id", "kind", sa.text(f"({FILE_DAY})")),
    )
    sa.Table(
        "file_part",
        metadata,
        sa.Column("file", sa.Text, primary_key=True),
        sa.Column("n", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("sealed", sa.Text, nullable=False),
    )
    sa.Table(
        "file_row",
        metadata,
        sa.Column("file", sa.Text, primary_key=True),
        sa.Column("row", sa.Integer, primary_key=True, autoincrement=False),
        # In which order the rows act: those of one member by the dates they bear.
        sa.Column("place", sa.Integer, nullable=False),
        sa.Column("stream", sa.Text, nullable=False),
        # open, waiting or done
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("result", sa.Text, nullable=False),
        sa.Column("code", sa.Text, nullable=False),
        sa.Column("field", sa.Text, nullable=False),
        sa.Column("fix", sa.Text, nullable=False),
        sa.Column("warnings", JSONB, nullable=False),
        # What the row says, sealed until it has acted; then empty.
        sa.Column("facts", sa.Text, nullable=False),
        sa.Column("done", sa.Integer, nullable=False),
        sa.Column("receipt", JSONB, nullable=False),
        sa.Index("file_row_open", "file", "place", postgresql_where=sa.text("state <> 'done'")),
        sa.Index("file_row_stream", "stream", postgresql_where=sa.text("stream <> ''")),
    )
