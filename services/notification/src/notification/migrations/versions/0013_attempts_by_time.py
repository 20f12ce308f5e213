"""Old attempts are found in the order of an index: a summary by block range is passed over where another index seems
cheaper, and that one is read from end to end."""

from alembic import op

from loopkeeper.postgres.indexes import build

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Rows come in the order of their time: each goes to the index's last page.
    build(op, ("attempt_since ON attempt (at, id)",), ("attempt_at",))


def downgrade() -> None:
    raise NotImplementedError("a journal is not taken back; restore a backup instead")
