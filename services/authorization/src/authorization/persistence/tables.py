"""Authorization's tables: the request's row, look-ups and claims of cases, the directory copy, and files of decisions. What a
row has of its state is in columns.py."""

from __future__ import annotations

import sqlalchemy as sa

from loopkeeper.store.schema import chassis_tables, file_tables, moment, provider_table, stream_table

metadata = sa.MetaData()
chassis_tables(metadata)
provider_table(metadata)
file_tables(metadata)

# How often an organization looked something up of late.
audit = metadata.tables["audit"]
sa.Index("audit_asked", audit.c.organization, audit.c.why, audit.c["at"])

WAITS = sa.text("waits_for <> ''")
HELD = sa.text("provider_id <> ''")
HELD_WAITS = sa.text("waits_for <> '' AND provider_id <> ''")

referral = stream_table(
    metadata,
    "referral",
    sa.Column("authorization_id", sa.Text, nullable=False),
    sa.Column("member", sa.Text, nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    # What waits for the plan: decision, reauthorization, discontinuation; empty for nothing.
    sa.Column("waits_for", sa.Text, nullable=False),
    moment("due_at"),
    moment("at_risk_at"),
    sa.Column("grant_live", sa.Boolean, nullable=False),
    sa.Column("grant_through", sa.Date),
    sa.Column("approved_through", sa.Date),
    # Who serves under the approved term; empty while nobody does.
    sa.Column("holder", sa.Text, nullable=False),
    sa.Column("awaiting_provider", sa.Text, nullable=False),
    sa.Index(
        "referral_authorization",
        "authorization_id",
        unique=True,
        postgresql_where=sa.text("authorization_id <> ''"),
    ),
    sa.Index(
        "referral_waiting",
        "plan_id",
        "due_at",
        "authorization_id",
        postgresql_where=WAITS,
    ),
    sa.Index(
        "referral_held",
        "provider_id",
        "at",
        "authorization_id",
        postgresql_where=HELD,
    ),
    # A provider of two thousand members looks for the few that wait.
    sa.Index(
        "referral_provider_status", "provider_id", "status", "at", "authorization_id", postgresql_where=HELD
    ),
    sa.Index(
        "referral_provider_waiting", "provider_id", "due_at", "authorization_id", postgresql_where=HELD_WAITS
    ),
    sa.Index(
        "referral_provider_waits",
        "provider_id",
        "waits_for",
        "due_at",
        "authorization_id",
        postgresql_where=HELD_WAITS,
    ),
    sa.Index("referral_plan", "plan_id", "at", "authorization_id"),
    sa.Index("referral_plan_status", "plan_id", "status", "at", "authorization_id"),
    sa.Index(
        "referral_plan_waits", "plan_id", "waits_for", "due_at", "authorization_id", postgresql_where=WAITS
    ),
    # Operations see all.
    sa.Index("referral_at", "at", "authorization_id"),
    sa.Index("referral_status", "status", "at", "authorization_id"),
    sa.Index("referral_due", "due_at", "authorization_id", postgresql_where=WAITS),
    sa.Index("referral_waits", "waits_for", "due_at", "authorization_id", postgresql_where=WAITS),
    sa.Index("referral_member", "plan_id", "member"),
    sa.Index("referral_awaiting", "awaiting_provider", postgresql_where=sa.text("awaiting_provider <> ''")),
)

# One row a request whose member's CIN and birth date are known.
lookup = sa.Table(
    "lookup",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("plan", sa.Text, nullable=False),
    sa.Column("member_index", sa.Text, nullable=False),
    sa.Index("lookup_member", "plan", "member_index"),
)

# One row a claimed request; over once `until` has passed.
case_claim = sa.Table(
    "case_claim",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("plan_id", sa.Text, nullable=False, server_default=""),
    sa.Column("person", sa.Text, nullable=False),
    moment("until", nullable=False),
    sa.Index("case_claim_person", "plan_id", "person"),
)
