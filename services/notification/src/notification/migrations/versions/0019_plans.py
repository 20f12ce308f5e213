"""A batch's statements are planned once, and look up keys."""

from alembic import op

from loopkeeper.store.later_tables import BEGIN_BATCH_2

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for statement in BEGIN_BATCH_2:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("a journal is not taken back; restore a backup instead")
