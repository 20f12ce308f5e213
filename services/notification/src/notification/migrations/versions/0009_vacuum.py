"""Dead rows of the busiest tables are removed by count, not by share; they are what an old snapshot leaves behind."""

from alembic import op

from loopkeeper.store.later_tables import vacuumed

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for statement in vacuumed("delivery"):
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("a journal is not taken back; restore a backup instead")
