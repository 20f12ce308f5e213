"""Every list is read in the order of an index, for every key and every filter."""

from alembic import op

from loopkeeper.postgres.indexes import build

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

INDEXES = (
    "referral_open_at ON referral (next_actor, next_due_at, at) WHERE status <> 'closed' AND status <> ''",
    "referral_at ON referral (at, id)",
    "referral_status ON referral (status, at, id) WHERE status <> 'closed' AND status <> ''",
    "referral_plan_status ON referral (plan_id, status, at, id) WHERE status <> 'closed' AND status <> ''",
    "referral_referrer_status ON referral (referrer_id, status, at, id) WHERE status <> 'closed' AND status <> ''",
    "referral_provider_status ON referral (provider_id, status, at, id) WHERE status <> 'closed' AND status <> ''",
    "referral_referrer_plan ON referral (referrer_id, plan_id, at, id)",
    "referral_provider_plan ON referral (provider_id, plan_id, at, id) WHERE provider_id <> ''",
    "referral_populations ON referral USING gin (populations) WITH (fastupdate = off)",
    "support_at ON support (at, id)",
    "support_status ON support (status, at, id)",
    "support_plan_status ON support (plan_id, status, at, id)",
    "support_provider_status ON support (provider_id, status, at, id)",
    "roster_listed ON roster (plan, generation) WHERE left_on IS NULL",
)


def upgrade() -> None:
    build(op, INDEXES, ("referral_open",))


def downgrade() -> None:
    raise NotImplementedError("a journal is not taken back; restore a backup instead")
