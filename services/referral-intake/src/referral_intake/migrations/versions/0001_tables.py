"""Intake's tables: referrals, members, rosters, the provider copy."""

from alembic import op

from loopkeeper.store.first_tables import CHASSIS, PROVIDER_COPY
from loopkeeper.store.row_access import chassis_security, row_security

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TABLES = (
    """
    CREATE TABLE identity (
        id TEXT NOT NULL,
        member_key TEXT NOT NULL,
        cin_key TEXT NOT NULL,
        person_key TEXT NOT NULL,
        PRIMARY KEY (id)
    )
    """,
    """
    CREATE INDEX identity_cin ON identity (cin_key) WHERE cin_key <> ''
    """,
    """
    CREATE INDEX identity_person ON identity (person_key) WHERE person_key <> ''
    """,
    """
    CREATE TABLE member (
        id TEXT NOT NULL,
        member TEXT NOT NULL,
        PRIMARY KEY (id)
    )
    """,
    """
    CREATE TABLE referral (
        id TEXT NOT NULL,
        plan_id TEXT DEFAULT '' NOT NULL,
        referrer_id TEXT DEFAULT '' NOT NULL,
        provider_id TEXT DEFAULT '' NOT NULL,
        member TEXT NOT NULL,
        status TEXT NOT NULL,
        outcome TEXT NOT NULL,
        populations TEXT[] NOT NULL,
        next_actor TEXT NOT NULL,
        next_step TEXT NOT NULL,
        next_due_at TIMESTAMP WITH TIME ZONE,
        told_at TIMESTAMP WITH TIME ZONE,
        state JSONB NOT NULL,
        n INTEGER NOT NULL,
        sequence INTEGER NOT NULL,
        head TEXT NOT NULL,
        created_at TIMESTAMP WITH TIME ZONE NOT NULL,
        at TIMESTAMP WITH TIME ZONE NOT NULL,
        PRIMARY KEY (id)
    )
    """,
    """
    CREATE INDEX referral_member ON referral (member)
    """,
    """
    CREATE INDEX referral_open ON referral (next_actor, next_due_at) WHERE status <> 'closed'
    """,
    """
    CREATE INDEX referral_plan ON referral (plan_id, at, id)
    """,
    """
    CREATE INDEX referral_provider ON referral (provider_id, at, id)
    """,
    """
    CREATE INDEX referral_referrer ON referral (referrer_id, at, id)
    """,
    """
    CREATE TABLE roster (
        id TEXT NOT NULL,
        plan TEXT NOT NULL,
        birth_key TEXT NOT NULL,
        county TEXT NOT NULL,
        covered_from DATE NOT NULL,
        covered_through DATE,
        pcp TEXT NOT NULL,
        programs JSONB NOT NULL,
        generation TEXT NOT NULL,
        PRIMARY KEY (id)
    )
    """,
    """
    CREATE INDEX roster_plan ON roster (plan, generation)
    """,
    """
    CREATE TABLE roster_import (
        plan_id TEXT NOT NULL,
        import TEXT NOT NULL,
        state TEXT NOT NULL,
        owner TEXT NOT NULL,
        lines INTEGER NOT NULL,
        accepted INTEGER NOT NULL,
        refused INTEGER NOT NULL,
        removed INTEGER NOT NULL,
        errors JSONB NOT NULL,
        at TIMESTAMP WITH TIME ZONE NOT NULL,
        PRIMARY KEY (plan_id)
    )
    """,
    """
    CREATE TABLE support (
        id TEXT NOT NULL,
        referral TEXT NOT NULL,
        plan_id TEXT DEFAULT '' NOT NULL,
        provider_id TEXT DEFAULT '' NOT NULL,
        code TEXT NOT NULL,
        status TEXT NOT NULL,
        serving TEXT NOT NULL,
        at TIMESTAMP WITH TIME ZONE NOT NULL,
        PRIMARY KEY (id)
    )
    """,
    """
    CREATE INDEX support_plan ON support (plan_id, at, id)
    """,
    """
    CREATE INDEX support_provider ON support (provider_id, at, id)
    """,
    """
    CREATE INDEX support_referral ON support (referral)
    """,
)


def upgrade() -> None:
    supports = row_security("support", "intake", ("plan_id", "provider_id"))
    imports = row_security("roster_import", "intake", ("plan_id",))
    rows = row_security("referral", "intake")
    for statement in (
        *CHASSIS,
        PROVIDER_COPY,
        *TABLES,
        *rows,
        *supports,
        *imports,
        *chassis_security("intake"),
    ):
        op.execute(statement)
    op.execute("grant select on provider to intake_reader")


def downgrade() -> None:
    raise NotImplementedError("a journal is not taken back; restore a backup instead")
