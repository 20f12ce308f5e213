"""Intake's tables: the referral's row, the members it tells apart, the plans' rosters, the state's reports. What a row has of
its state is in columns.py."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from loopkeeper.store.schema import chassis_tables, file_tables, moment, provider_table, stream_table
from referral_intake.persistence.columns import COUNTED, DUE_KEY, IS_OPEN, MAY_BE_TWICE

metadata = sa.MetaData()
chassis_tables(metadata)
provider_table(metadata)
file_tables(metadata)

OPEN = sa.text("status <> 'closed' AND status <> ''")
SERVED = sa.text("provider_id <> ''")

referral = stream_table(
    metadata,
    "referral",
    sa.Column("member", sa.Text, nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("outcome", sa.Text, nullable=False),
    sa.Column("populations", ARRAY(sa.Text), nullable=False),
    sa.Column("next_actor", sa.Text, nullable=False),
    sa.Column("next_step", sa.Text, nullable=False),
    sa.Column("county", sa.Text, nullable=False, server_default=""),
    moment("next_due_at"),
    moment("told_at"),
    sa.Index("referral_member", "member"),
    sa.Index("referral_plan", "plan_id", "at", "id"),
    sa.Index("referral_referrer", "referrer_id", "at", "id"),
    sa.Index("referral_provider", "provider_id", "at", "id"),
    # The open loops, of everybody and of each party, by when something is due: lists and counts read these alone.
    *(
        sa.Index(
            f"referral_open_due{name}",
            *columns_before,
            sa.text(DUE_KEY),
            "id",
            postgresql_where=sa.text(" AND ".join((IS_OPEN, *also))),
            postgresql_include=[
                "plan_id",
                "referrer_id",
                "provider_id",
                *COUNTED,
                "next_due_at",
                "populations",
            ],
        )
        for name, columns_before, also in (
            ("", (), ()),
            ("_plan", ("plan_id",), ()),
            ("_referrer", ("referrer_id",), ()),
            ("_provider", ("provider_id",), ("provider_id <> ''",)),
        )
    ),
    sa.Index(
        "referral_possible_duplicate",
        "plan_id",
        sa.text(DUE_KEY),
        "id",
        postgresql_where=sa.text(f"{IS_OPEN} AND {MAY_BE_TWICE}"),
    ),
    # Few loops are open at a time; lists of what is closed are read in the order of all.
    sa.Index("referral_open_at", "next_actor", "next_due_at", "at", postgresql_where=OPEN),
    sa.Index("referral_at", "at", "id"),
    sa.Index("referral_status", "status", "at", "id", postgresql_where=OPEN),
    sa.Index("referral_plan_status", "plan_id", "status", "at", "id", postgresql_where=OPEN),
    sa.Index("referral_referrer_status", "referrer_id", "status", "at", "id", postgresql_where=OPEN),
    sa.Index("referral_provider_status", "provider_id", "status", "at", "id", postgresql_where=OPEN),
    sa.Index("referral_referrer_plan", "referrer_id", "plan_id", "at", "id"),
    sa.Index("referral_provider_plan", "provider_id", "plan_id", "at", "id", postgresql_where=SERVED),
)

# The populations of each referral, for lists by one: row-level security uses an index for equality of text, and for no array.
referral_population = sa.Table(
    "referral_population",
    metadata,
    sa.Column("population", sa.Text, primary_key=True),
    sa.Column("id", sa.Text, primary_key=True),
)

# `id` is plan:blind index of CIN and birth date; `member` the random id of the person.
member = sa.Table(
    "member",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("member", sa.Text, nullable=False),
)

# A Community Supports referral of the lead care manager: its own small loop. `provider_id` is the ECM provider that
# follows it, `serving` the Community Supports provider asked.
support = sa.Table(
    "support",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("referral", sa.Text, nullable=False),
    sa.Column("plan_id", sa.Text, nullable=False, server_default=""),
    sa.Column("provider_id", sa.Text, nullable=False, server_default=""),
    sa.Column("code", sa.Text, nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("serving", sa.Text, nullable=False),
    moment("at", nullable=False),
    sa.Index("support_plan", "plan_id", "at", "id"),
    sa.Index("support_provider", "provider_id", "at", "id"),
    sa.Index("support_referral", "referral"),
    sa.Index("support_at", "at", "id"),
    sa.Index("support_status", "status", "at", "id"),
    sa.Index("support_plan_status", "plan_id", "status", "at", "id"),
    sa.Index("support_provider_status", "provider_id", "status", "at", "id"),
)

# Blind indexes of who each referral says its member is, so that two of one person find each other. Nothing readable.
identity = sa.Table(
    "identity",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("member_key", sa.Text, nullable=False),
    sa.Column("cin_key", sa.Text, nullable=False),
    sa.Column("person_key", sa.Text, nullable=False),
    sa.Index("identity_cin", "cin_key", postgresql_where=sa.text("cin_key <> ''")),
    sa.Index("identity_person", "person_key", postgresql_where=sa.text("person_key <> ''")),
)

# `id` is plan:blind index of the CIN. Nothing readable about the person is here.
roster = sa.Table(
    "roster",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("plan", sa.Text, nullable=False),
    sa.Column("birth_key", sa.Text, nullable=False),
    sa.Column("county", sa.Text, nullable=False),
    sa.Column("covered_from", sa.Date, nullable=False),
    sa.Column("covered_through", sa.Date),
    sa.Column("pcp", sa.Text, nullable=False),
    sa.Column("programs", JSONB, nullable=False),
    sa.Column("generation", sa.Text, nullable=False),
    # The day from which a whole roster has not named the member.
    sa.Column("left_on", sa.Date),
    sa.Index("roster_plan", "plan", "generation"),
    sa.Index("roster_listed", "plan", "generation", postgresql_where=sa.text("left_on IS NULL")),
)

# How far each plan's newest import came.
roster_import = sa.Table(
    "roster_import",
    metadata,
    sa.Column("plan_id", sa.Text, primary_key=True),
    sa.Column("import", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("owner", sa.Text, nullable=False),
    sa.Column("lines", sa.Integer, nullable=False),
    sa.Column("accepted", sa.Integer, nullable=False),
    sa.Column("refused", sa.Integer, nullable=False),
    sa.Column("removed", sa.Integer, nullable=False),
    # How many members were on the roster when the import began.
    sa.Column("standing", sa.Integer, nullable=False),
    sa.Column("errors", JSONB, nullable=False),
    # The import whose answers the loops have learned.
    sa.Column("compared", sa.Text, nullable=False),
    moment("at", nullable=False),
)

# Reports, their bytes a part at a time, and their lines; `rows` are the policy rows that define the figures.
report = sa.Table(
    "report",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("plan_id", sa.Text, nullable=False, server_default=""),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("period", sa.Text, nullable=False),
    # building, ready or failed
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("client", sa.Text, nullable=False),
    sa.Column("person", sa.Text, nullable=False),
    sa.Column("proved", sa.Boolean, nullable=False),
    sa.Column("code", sa.Text, nullable=False),
    sa.Column("digest", sa.Text, nullable=False),
    sa.Column("bytes", sa.Integer, nullable=False),
    sa.Column("referrals", sa.Integer, nullable=False),
    sa.Column("figures", JSONB, nullable=False),
    sa.Column("rows", JSONB, nullable=False),
    moment("asked_at", nullable=False),
    moment("ready_at"),
    moment("submitted_at"),
    sa.Column("submitted_by", JSONB, nullable=False),
    moment("forgotten_at"),
    moment("at", nullable=False),
    sa.Index("report_plan", "plan_id", "at", "id"),
    sa.Index("report_building", "asked_at", "id", postgresql_where=sa.text("state = 'building'")),
    sa.Index(
        "report_submitted",
        "plan_id",
        "kind",
        "period",
        "submitted_at",
        postgresql_where=sa.text("submitted_at IS NOT NULL"),
    ),
    sa.Index(
        "report_kept",
        "asked_at",
        postgresql_where=sa.text("forgotten_at IS NULL AND state <> 'building'"),
    ),
)

report_part = sa.Table(
    "report_part",
    metadata,
    sa.Column("report", sa.Text, primary_key=True),
    sa.Column("n", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("sealed", sa.Text, nullable=False),
)

report_line = sa.Table(
    "report_line",
    metadata,
    sa.Column("report", sa.Text, primary_key=True),
    sa.Column("referral", sa.Text, primary_key=True),
    sa.Column("figures", JSONB, nullable=False),
    sa.Column("names", JSONB, nullable=False),
)

# How each entry was at the end of the months in which it changed.
metadata.tables["provider"].append_column(sa.Column("was", JSONB))
