"""A batch's claims, rows and marks are taken by one call."""

from alembic import op

from loopkeeper.store.later_tables import BEGIN_BATCH

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for statement in BEGIN_BATCH:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("a journal is not taken back; restore a backup instead")
