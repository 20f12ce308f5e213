"""What is set aside for a restore is read in its order."""

from alembic import op

from loopkeeper.postgres.indexes import build
from loopkeeper.store.later_tables import OF_SEVERAL, PARKED_POSITION

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(OF_SEVERAL)
    build(op, [PARKED_POSITION])


def downgrade() -> None:
    raise NotImplementedError("a journal is not taken back; restore a backup instead")
