"""The tables the chassis needs in every service's database, those of files and of the directory's copy, and the shape of a
stream's row: as migrations are compared with, and loaded by nobody at work."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import BYTEA, JSONB, TIMESTAMP, UUID

from loopkeeper.store.file_tables import FILE_DAY

TEXT_KEYS = ("plan_id", "referrer_id", "provider_id")


def moment(name: str, **options: Any) -> sa.Column[Any]:
    """A UTC instant."""
    return sa.Column(name, TIMESTAMP(timezone=True), **options)


def stream_table(metadata: sa.MetaData, name: str, *items: sa.schema.SchemaItem) -> sa.Table:
    """A stream's locked row: the state, the columns derived from it, and where its journal is."""
    return sa.Table(
        name,
        metadata,
        sa.Column("id", sa.Text, primary_key=True),
        *(sa.Column(key, sa.Text, nullable=False, server_default="") for key in TEXT_KEYS),
        *(item for item in items if not isinstance(item, sa.Index)),
        sa.Column("state", JSONB, nullable=False),
        sa.Column("n", sa.Integer, nullable=False),
        sa.Column("sequence", sa.Integer, nullable=False),
        sa.Column("head", sa.Text, nullable=False),
        moment("created_at", nullable=False),
        moment("at", nullable=False),
        # Indexes may name any of the columns above.
        *(item for item in items if isinstance(item, sa.Index)),
    )


def chassis_tables(metadata: sa.MetaData) -> None:
    """Claims, journal, outbox, offsets, fence, timers, shared rows, parked facts and the audit of opened identities."""
    sa.Table(
        "claim",
        metadata,
        sa.Column("id", UUID, primary_key=True),
        sa.Column("stream", sa.Text, nullable=False),
        sa.Column("body_hash", BYTEA, nullable=False),
        moment("at", nullable=False),
        sa.Index("claim_at", "at"),
    )
    sa.Table(
        "journal",
        metadata,
        sa.Column("stream", sa.Text, primary_key=True),
        sa.Column("n", sa.Integer, primary_key=True),
        sa.Column("id", UUID, nullable=False, unique=True),
        sa.Column("own", sa.Boolean, nullable=False),
        sa.Column("sequence", sa.Integer, nullable=False),
        sa.Column("type", sa.Text, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        moment("at", nullable=False),
        sa.Column("causation", sa.Text, nullable=False),
        sa.Column("traceparent", sa.Text, nullable=False),
        sa.Column("origin_chain", sa.Text, nullable=False),
        sa.Column("payload", BYTEA, nullable=False),
        sa.Column("chain", sa.Text, nullable=False),
        # Where a command published several events: its id, and which of how many this is.
        sa.Column("command_id", UUID),
        sa.Column("part", sa.Integer),
        sa.Column("parts", sa.Integer),
        sa.Index("journal_command", "command_id", postgresql_where=sa.text("command_id IS NOT NULL")),
    )
    sa.Table(
        "outbox",
        metadata,
        sa.Column("position", sa.BigInteger, sa.Identity(cache=1), primary_key=True),
        sa.Column("stream", sa.Text, nullable=False),
        sa.Column("n", sa.Integer, nullable=False),
    )
    sa.Table(
        "consumed",
        metadata,
        sa.Column("partition", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("next_offset", sa.BigInteger, nullable=False),
        # The record before it: where it is another one, or gone, the log stepped back.
        sa.Column("last_id", UUID),
    )
    # On which server this database is, as a number that rises with each other one; one row.
    sa.Table(
        "fence",
        metadata,
        sa.Column(
            "id",
            sa.Integer,
            sa.CheckConstraint("id = 1"),
            primary_key=True,
            autoincrement=False,
            server_default="1",
        ),
        sa.Column("generation", sa.Integer, nullable=False),
        sa.Column("announced", sa.Integer, nullable=False),
        sa.Column("incarnation", sa.Text, nullable=False),
    )
    # The highest generation that each publisher was read with.
    sa.Table(
        "publisher",
        metadata,
        sa.Column("partition", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("source", sa.Text, primary_key=True),
        sa.Column("generation", sa.Integer, nullable=False),
    )
    sa.Table(
        "timer",
        metadata,
        sa.Column("stream", sa.Text, primary_key=True),
        sa.Column("kind", sa.Text, primary_key=True),
        moment("due_at", nullable=False),
        sa.Index("timer_due_at", "due_at"),
    )
    sa.Table(
        "shared",
        metadata,
        sa.Column("kind", sa.Text, primary_key=True),
        sa.Column("id", sa.Text, primary_key=True),
    )
    sa.Table(
        "parked_stream",
        metadata,
        sa.Column("stream", sa.Text, primary_key=True),
        moment("since", nullable=False),
        sa.Column("tries", sa.Integer, nullable=False),
        moment("next_retry_at"),
        sa.Column("error", sa.Text, nullable=False),
    )
    sa.Table(
        "parked",
        metadata,
        sa.Column("stream", sa.Text, primary_key=True),
        sa.Column("partition", sa.Integer, nullable=False),
        sa.Column("offset", sa.BigInteger, nullable=False),
        sa.Column("event_id", UUID, primary_key=True),
        sa.Column("type", sa.Text, nullable=False),
        sa.Column("error", sa.Text, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        moment("at", nullable=False),
        # The order of a stream's facts. Their offsets may fall where a log stepped back.
        sa.Column("position", sa.BigInteger, sa.Identity(cache=1), nullable=False),
        # Whether its command published others too.
        sa.Column("of_several", sa.Boolean, nullable=False, server_default=sa.true()),
        sa.Index("parked_position", "position"),
    )
    # Each time the database turned out to be an earlier one; unfinished until it is rebuilt from the log.
    sa.Table(
        "restored",
        metadata,
        moment("at", primary_key=True),
        moment("finished_at"),
        sa.Column("why", sa.Text, nullable=False, server_default=""),
        sa.Column("unread", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("rebuilt", sa.Integer, nullable=False, server_default="0"),
        sa.Column("lost", JSONB, nullable=False, server_default="[]"),
    )
    sa.Table(
        "audit",
        metadata,
        sa.Column("position", sa.BigInteger, sa.Identity(cache=1), primary_key=True),
        moment("at", nullable=False),
        sa.Column("organization", sa.Text, nullable=False),
        sa.Column("client", sa.Text, nullable=False),
        sa.Column("plan", sa.Text, nullable=False),
        sa.Column("stream", sa.Text, nullable=False),
        sa.Column("parts", sa.Text, nullable=False),
        sa.Column("fields", sa.Text, nullable=False),
        sa.Column("why", sa.Text, nullable=False),
        # Who of the organization; proved by a token, or stated by its program.
        sa.Column("person", sa.Text, nullable=False, server_default=""),
        sa.Column("proved", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Index("audit_stream", "stream"),
        sa.Index("audit_organization", "organization", "position"),
        sa.Index("audit_plan", "plan", "position"),
    )


def provider_table(metadata: sa.MetaData) -> None:
    """A service's copy of the directory (`provider_copy.py`). Nothing in it is about a member."""
    sa.Table(
        "provider",
        metadata,
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("entry", JSONB, nullable=False),
    )


def file_tables(metadata: sa.MetaData) -> None:
    """Files that organizations send: the file, its sealed bytes, and what becomes of each row (`file_tables.py`)."""
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
