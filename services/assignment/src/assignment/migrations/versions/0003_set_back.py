"""How far the log was read and by which record, which server the database is on, and which events one command made."""

from alembic import op

from loopkeeper.store.later_tables import SET_BACK

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for statement in SET_BACK:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("a journal is not taken back; restore a backup instead")
