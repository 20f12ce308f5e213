"""A provider's lists by status and by what waits, each in the order of an index."""

from alembic import op

from loopkeeper.postgres.indexes import build

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

INDEXES = (
    "referral_provider_status ON referral (provider_id, status, at, authorization_id) WHERE provider_id <> ''",
    "referral_provider_waiting ON referral (provider_id, due_at, authorization_id) "
    "WHERE waits_for <> '' AND provider_id <> ''",
    "referral_provider_waits ON referral (provider_id, waits_for, due_at, authorization_id) "
    "WHERE waits_for <> '' AND provider_id <> ''",
)


def upgrade() -> None:
    build(op, INDEXES)


def downgrade() -> None:
    raise NotImplementedError("a journal is not taken back; restore a backup instead")
