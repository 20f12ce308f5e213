"""Every list is read in the order of an index, for every key and every filter."""

from alembic import op

from loopkeeper.postgres.indexes import build

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

INDEXES = (
    "referral_plan_status ON referral (plan_id, status, at, authorization_id)",
    "referral_plan_waits ON referral (plan_id, waits_for, due_at, authorization_id) WHERE waits_for <> ''",
    "referral_at ON referral (at, authorization_id)",
    "referral_status ON referral (status, at, authorization_id)",
    "referral_due ON referral (due_at, authorization_id) WHERE waits_for <> ''",
    "referral_waits ON referral (waits_for, due_at, authorization_id) WHERE waits_for <> ''",
)


def upgrade() -> None:
    build(op, INDEXES, ("referral_queue",))


def downgrade() -> None:
    raise NotImplementedError("a journal is not taken back; restore a backup instead")
