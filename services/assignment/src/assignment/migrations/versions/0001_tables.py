"""Assignment's tables: referrals, providers' turns, the directory."""

from alembic import op

from loopkeeper.store.first_tables import CHASSIS
from loopkeeper.store.row_access import chassis_security, row_security

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TABLES = (
    """
    CREATE TABLE assignment (
        id TEXT NOT NULL,
        referral TEXT NOT NULL,
        plan_id TEXT NOT NULL,
        referrer_id TEXT NOT NULL,
        provider_id TEXT NOT NULL,
        member TEXT NOT NULL,
        kind TEXT NOT NULL,
        basis TEXT NOT NULL,
        status TEXT NOT NULL,
        reason TEXT NOT NULL,
        held BOOLEAN NOT NULL,
        live BOOLEAN NOT NULL,
        conflicted BOOLEAN NOT NULL,
        starts_on DATE,
        made_at TIMESTAMP WITH TIME ZONE NOT NULL,
        answer_due_at TIMESTAMP WITH TIME ZONE NOT NULL,
        accepted_at TIMESTAMP WITH TIME ZONE,
        lead TEXT NOT NULL,
        county TEXT NOT NULL,
        age_band TEXT NOT NULL,
        language TEXT NOT NULL,
        needs TEXT[] NOT NULL,
        n INTEGER NOT NULL,
        at TIMESTAMP WITH TIME ZONE NOT NULL,
        PRIMARY KEY (id)
    )
    """,
    """
    CREATE UNIQUE INDEX assignment_member_live ON assignment (member) WHERE live AND NOT conflicted
    """,
    """
    CREATE INDEX assignment_conflicted ON assignment (member) WHERE conflicted
    """,
    """
    CREATE INDEX assignment_member ON assignment (member) WHERE accepted_at IS NOT NULL
    """,
    """
    CREATE INDEX assignment_plan ON assignment (plan_id, at, id)
    """,
    """
    CREATE INDEX assignment_provider ON assignment (provider_id, at, id)
    """,
    """
    CREATE INDEX assignment_provider_held ON assignment (provider_id) WHERE held
    """,
    """
    CREATE INDEX assignment_referral ON assignment (referral)
    """,
    """
    CREATE TABLE provider (
        id TEXT NOT NULL,
        version INTEGER NOT NULL,
        active BOOLEAN NOT NULL,
        npi TEXT NOT NULL,
        entry JSONB NOT NULL,
        n INTEGER NOT NULL,
        sequence INTEGER NOT NULL,
        head TEXT NOT NULL,
        at TIMESTAMP WITH TIME ZONE NOT NULL,
        PRIMARY KEY (id)
    )
    """,
    """
    CREATE INDEX provider_at ON provider (at, id)
    """,
    """
    CREATE INDEX provider_contracts ON provider USING gin ((entry -> 'contracts') jsonb_path_ops)
    """,
    """
    CREATE TABLE referral (
        id TEXT NOT NULL,
        plan_id TEXT DEFAULT '' NOT NULL,
        referrer_id TEXT DEFAULT '' NOT NULL,
        provider_id TEXT DEFAULT '' NOT NULL,
        member TEXT NOT NULL,
        status TEXT NOT NULL,
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
    CREATE INDEX referral_plan ON referral (plan_id, at, id)
    """,
)


def upgrade() -> None:
    security = (
        *row_security("referral", "assignment"),
        *row_security("assignment", "assignment"),
        *chassis_security("assignment"),
    )
    for statement in (*CHASSIS, *TABLES, *security, "grant select on provider to assignment_reader"):
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("a journal is not taken back; restore a backup instead")
