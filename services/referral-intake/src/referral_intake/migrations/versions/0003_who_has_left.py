"""Who has left: members whom a whole roster does not name any more are kept, with the day."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("alter table roster add column left_on date")
    op.execute("alter table roster_import add column standing integer not null default 0")
    op.execute("alter table roster_import alter column standing drop default")


def downgrade() -> None:
    raise NotImplementedError("a journal is not taken back; restore a backup instead")
