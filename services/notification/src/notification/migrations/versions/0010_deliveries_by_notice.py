"""The deliveries of a notice are found by it."""

from alembic import op

from loopkeeper.postgres.indexes import build

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    build(op, ("delivery_notice ON delivery (notice) WHERE notice <> ''",))


def downgrade() -> None:
    raise NotImplementedError("a journal is not taken back; restore a backup instead")
