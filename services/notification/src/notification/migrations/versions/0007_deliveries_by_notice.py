"""The deliveries of a notice are found by it."""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("CREATE INDEX delivery_notice ON delivery (notice) WHERE notice <> ''")


def downgrade() -> None:
    raise NotImplementedError("a journal is not taken back; restore a backup instead")
