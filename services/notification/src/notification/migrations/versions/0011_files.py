"""Files that providers send, and the index by which a provider's own members are found."""

from alembic import op

from loopkeeper.postgres.indexes import build
from loopkeeper.store.file_tables import file_statements

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for statement in file_statements("notification"):
        op.execute(statement)
    op.execute("ALTER TABLE referral ADD COLUMN held_by text NOT NULL DEFAULT ''")
    op.execute("UPDATE referral SET held_by = coalesce(state -> 'assignment' ->> 'provider', '')")
    build(op, ("referral_held ON referral (plan_id, held_by)",))


def downgrade() -> None:
    raise NotImplementedError("a journal is not taken back; restore a backup instead")
