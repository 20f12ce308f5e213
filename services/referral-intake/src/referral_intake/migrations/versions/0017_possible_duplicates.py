"""An index of the open loops that may be another's member, by when something is due."""

from alembic import op

from loopkeeper.postgres.indexes import build

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

DUE = "(coalesce(next_due_at, '9999-12-31 00:00:00+00'::timestamptz)), id"


def upgrade() -> None:
    build(
        op,
        [
            f"referral_possible_duplicate ON referral (plan_id, {DUE}) "
            "WHERE status NOT IN ('closed', '') AND (state #>> '{linked,why}') = 'possible_duplicate'"
        ],
    )


def downgrade() -> None:
    raise NotImplementedError("a journal is not taken back; restore a backup instead")
