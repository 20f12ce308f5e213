"""A member's live assignments, and every list, are found by an index."""

from alembic import op

from loopkeeper.postgres.indexes import build

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

INDEXES = (
    "assignment_live ON assignment (member) WHERE live",
    "assignment_at ON assignment (at, id)",
    "assignment_status ON assignment (status, at, id)",
    "assignment_plan_status ON assignment (plan_id, status, at, id)",
    "assignment_provider_status ON assignment (provider_id, status, at, id)",
)


def upgrade() -> None:
    build(op, INDEXES)


def downgrade() -> None:
    raise NotImplementedError("a journal is not taken back; restore a backup instead")
