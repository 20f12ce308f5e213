"""About whose provider the plan is asked is looked up, and no longer looked for among all who hold a place."""

from alembic import op

from loopkeeper.postgres.indexes import build

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    build(op, ["referral_left ON referral (id) WHERE state -> 'change' ->> 'left' = 'true'"])


def downgrade() -> None:
    raise NotImplementedError("a journal is not taken back; restore a backup instead")
