"""The indexes of open loops hold populations too: one population is counted without a look at each loop's row."""

from alembic import op

from loopkeeper.postgres.indexes import build

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

HELD = "plan_id, referrer_id, provider_id, status, next_actor, next_step, county, next_due_at, populations"
DUE = "(coalesce(next_due_at, '9999-12-31 00:00:00+00'::timestamptz)), id"
OPEN = "status NOT IN ('closed', '')"
KEYS = (
    ("", "", ""),
    ("_plan", "plan_id, ", ""),
    ("_referrer", "referrer_id, ", ""),
    ("_provider", "provider_id, ", " AND provider_id <> ''"),
)


def upgrade() -> None:
    build(
        op,
        [
            f"referral_open_due{name} ON referral ({first}{DUE}) INCLUDE ({HELD}) WHERE {OPEN}{also}"
            for name, first, also in KEYS
        ],
        obsolete=[f"referral_due{name}" for name, _, _ in KEYS],
    )


def downgrade() -> None:
    raise NotImplementedError("a journal is not taken back; restore a backup instead")
