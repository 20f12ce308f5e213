"""Assignment's tables: the referral's row, one row for each provider's turn, and the directory. What rows have of their state
is in columns.py and turns.py."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from loopkeeper.store.schema import chassis_tables, moment, stream_table

metadata = sa.MetaData()
chassis_tables(metadata)

referral = stream_table(
    metadata,
    "referral",
    sa.Column("member", sa.Text, nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    sa.Index("referral_plan", "plan_id", "at", "id"),
    # Of those about whose provider the plan is asked.
    sa.Index("referral_left", "id", postgresql_where=sa.text("state -> 'change' ->> 'left' = 'true'")),
)

# One provider's turn. What an offer may show is here, so that no offer needs the referral's own row.
assignment = sa.Table(
    "assignment",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("referral", sa.Text, nullable=False),
    sa.Column("plan_id", sa.Text, nullable=False),
    sa.Column("referrer_id", sa.Text, nullable=False),
    sa.Column("provider_id", sa.Text, nullable=False),
    sa.Column("member", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("basis", sa.Text, nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    # Takes a place; counts for the member, which has one; is the younger of two that an identity brought together.
    sa.Column("held", sa.Boolean, nullable=False),
    sa.Column("live", sa.Boolean, nullable=False),
    sa.Column("conflicted", sa.Boolean, nullable=False),
    sa.Column("starts_on", sa.Date),
    moment("made_at", nullable=False),
    moment("answer_due_at", nullable=False),
    moment("accepted_at"),
    sa.Column("lead", sa.Text, nullable=False),
    sa.Column("county", sa.Text, nullable=False),
    sa.Column("age_band", sa.Text, nullable=False),
    sa.Column("language", sa.Text, nullable=False),
    sa.Column("needs", ARRAY(sa.Text), nullable=False),
    sa.Column("n", sa.Integer, nullable=False),
    moment("at", nullable=False),
    sa.Index(
        "assignment_member_live", "member", unique=True, postgresql_where=sa.text("live AND NOT conflicted")
    ),
    sa.Index("assignment_conflicted", "member", postgresql_where=sa.text("conflicted")),
    sa.Index("assignment_provider_held", "provider_id", postgresql_where=sa.text("held")),
    sa.Index("assignment_member", "member", postgresql_where=sa.text("accepted_at IS NOT NULL")),
    sa.Index("assignment_referral", "referral"),
    sa.Index("assignment_provider", "provider_id", "at", "id"),
    sa.Index("assignment_plan", "plan_id", "at", "id"),
    # Of a member two may live, one of them conflicted.
    sa.Index("assignment_live", "member", postgresql_where=sa.text("live")),
    sa.Index("assignment_at", "at", "id"),
    sa.Index("assignment_status", "status", "at", "id"),
    sa.Index("assignment_plan_status", "plan_id", "status", "at", "id"),
    sa.Index("assignment_provider_status", "provider_id", "status", "at", "id"),
)

# How many places each provider has given to each plan's members, kept by the database itself as assignments change.
places = sa.Table(
    "places",
    metadata,
    sa.Column("provider_id", sa.Text, primary_key=True),
    sa.Column("plan_id", sa.Text, primary_key=True),
    sa.Column("taken", sa.Integer, nullable=False),
)

# The directory: each entry is a stream of its own, with journal, chain and version.
provider = sa.Table(
    "provider",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("active", sa.Boolean, nullable=False),
    sa.Column("npi", sa.Text, nullable=False),
    sa.Column("entry", JSONB, nullable=False),
    sa.Column("n", sa.Integer, nullable=False),
    sa.Column("sequence", sa.Integer, nullable=False),
    sa.Column("head", sa.Text, nullable=False),
    moment("at", nullable=False),
    sa.Index("provider_at", "at", "id"),
    sa.Index("provider_contracts", sa.text("(entry -> 'contracts') jsonb_path_ops"), postgresql_using="gin"),
)
