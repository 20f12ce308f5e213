"""Which import of a roster the loops have learned of."""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("alter table roster_import add column compared text not null default ''")
    op.execute("update roster_import set compared = import")
    op.execute("alter table roster_import alter column compared drop default")


def downgrade() -> None:
    raise NotImplementedError("a journal is not taken back; restore a backup instead")
