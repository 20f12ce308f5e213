"""Files by the month they speak of."""

from alembic import op

from loopkeeper.postgres.indexes import build
from loopkeeper.store.file_tables import FILE_MONTH

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    build(op, (FILE_MONTH,))


def downgrade() -> None:
    raise NotImplementedError("a journal is not taken back; restore a backup instead")
