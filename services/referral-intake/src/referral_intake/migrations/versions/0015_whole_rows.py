"""States and events stay in their rows."""

from alembic import op

from loopkeeper.store.later_tables import WHOLE_ROWS

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for statement in WHOLE_ROWS:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("a journal is not taken back; restore a backup instead")
