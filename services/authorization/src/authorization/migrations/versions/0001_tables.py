"""Authorization's tables: the requests and the directory copy."""

from alembic import op

from loopkeeper.store.first_tables import CHASSIS, PROVIDER_COPY
from loopkeeper.store.row_access import chassis_security, row_security

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TABLES = (
    """
    CREATE INDEX audit_asked ON audit (organization, why, at)
    """,
    """
    CREATE TABLE lookup (
        id TEXT NOT NULL,
        plan TEXT NOT NULL,
        member_index TEXT NOT NULL,
        PRIMARY KEY (id)
    )
    """,
    """
    CREATE INDEX lookup_member ON lookup (plan, member_index)
    """,
    """
    CREATE TABLE referral (
        id TEXT NOT NULL,
        plan_id TEXT DEFAULT '' NOT NULL,
        referrer_id TEXT DEFAULT '' NOT NULL,
        provider_id TEXT DEFAULT '' NOT NULL,
        authorization_id TEXT NOT NULL,
        member TEXT NOT NULL,
        status TEXT NOT NULL,
        waits_for TEXT NOT NULL,
        due_at TIMESTAMP WITH TIME ZONE,
        at_risk_at TIMESTAMP WITH TIME ZONE,
        grant_live BOOLEAN NOT NULL,
        grant_through DATE,
        approved_through DATE,
        holder TEXT NOT NULL,
        awaiting_provider TEXT NOT NULL,
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
    CREATE UNIQUE INDEX referral_authorization ON referral (authorization_id) WHERE authorization_id <> ''
    """,
    """
    CREATE INDEX referral_awaiting ON referral (awaiting_provider) WHERE awaiting_provider <> ''
    """,
    """
    CREATE INDEX referral_member ON referral (plan_id, member)
    """,
    """
    CREATE INDEX referral_plan ON referral (plan_id, at, authorization_id)
    """,
    """
    CREATE INDEX referral_queue ON referral (plan_id, status, due_at, authorization_id)
    """,
    """
    CREATE INDEX referral_waiting ON referral (plan_id, due_at, authorization_id) WHERE waits_for <> ''
    """,
    """
    CREATE INDEX referral_held ON referral (provider_id, at, authorization_id) WHERE provider_id <> ''
    """,
)


def upgrade() -> None:
    for statement in (
        *CHASSIS,
        PROVIDER_COPY,
        *TABLES,
        *row_security("referral", "authorization"),
        *chassis_security("authorization"),
    ):
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("a journal is not taken back; restore a backup instead")
