"""When the database turned out to be an earlier one: unfinished until what it lost was read again."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("create table restored (at timestamptz primary key, finished_at timestamptz)")


def downgrade() -> None:
    raise NotImplementedError("a journal is not taken back; restore a backup instead")
