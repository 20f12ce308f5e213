"""The chassis's tables as they are now, the register's referrals, and its members."""

from alembic import op

from loopkeeper.store.first_tables import CHASSIS
from loopkeeper.store.later_tables import (
    AUDIT_PERSON,
    BEGIN_BATCH_2,
    OF_SEVERAL,
    PARKED_POSITION,
    SET_BACK,
    WHOLE_ROWS,
    vacuumed,
)
from loopkeeper.store.row_access import audit_security, chassis_security, row_security

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TABLES = (
    """
    CREATE TABLE referral (
        id TEXT PRIMARY KEY,
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
        at TIMESTAMP WITH TIME ZONE NOT NULL
    )
    """,
    "CREATE INDEX referral_member ON referral (member)",
    "CREATE TABLE member (id TEXT PRIMARY KEY, member TEXT NOT NULL)",
    "CREATE TABLE restored (at timestamptz PRIMARY KEY, finished_at timestamptz)",
)


def upgrade() -> None:
    for statement in (
        *CHASSIS, *TABLES, *row_security("referral", "intake"), *chassis_security("intake"), *SET_BACK,
        *AUDIT_PERSON, *audit_security("intake"), *vacuumed(), *BEGIN_BATCH_2, *WHOLE_ROWS, OF_SEVERAL, f"CREATE INDEX {PARKED_POSITION}",
    ):  # fmt: skip
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("a journal is not taken back; restore a backup instead")
