"""Files that plans send: their decisions."""

from alembic import op

from loopkeeper.store.file_tables import file_statements

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for statement in file_statements("authorization"):
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("a journal is not taken back; restore a backup instead")
