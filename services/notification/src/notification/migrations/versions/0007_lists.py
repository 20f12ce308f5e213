"""Every list is read in the order of an index, for every key and every filter."""

from alembic import op

from loopkeeper.postgres.indexes import build

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

STATEMENTS = (
    "alter table notice add column serving text not null default ''",
    "update notice n set serving = r.provider_id from referral r where r.id = n.referral and n.recipient_kind = 'member' and r.provider_id <> ''",
    "drop policy notice_seen on notice",
    "create policy notice_seen on notice for select to notification_reader using (recipient = (select nullif(current_setting('app.organization', true), '')) or plan = (select nullif(current_setting('app.plan', true), '')) or (recipient_kind = 'member' and serving = (select nullif(current_setting('app.provider', true), ''))))",
)
INDEXES = (
    "referral_status ON referral (status, at, id)",
    "referral_plan_status ON referral (plan_id, status, at, id)",
    "referral_provider_status ON referral (provider_id, status, at, id) WHERE provider_id <> ''",
    "notice_kind ON notice (recipient, recipient_kind, at, id)",
    "notice_untold ON notice (recipient, at, id) WHERE told_at IS NULL",
    "notice_serving ON notice (serving, at, id) WHERE serving <> ''",
    "notice_serving_untold ON notice (serving, at, id) WHERE serving <> '' AND told_at IS NULL",
    "attempt_type ON attempt (subscription, type, at, id)",
    "attempt_outcome ON attempt (subscription, outcome, at, id) WHERE outcome <> 'delivered'",
    "attempt_class ON attempt (subscription, (coalesce(status / 100, 0)), at, id) WHERE outcome <> 'delivered'",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
    build(op, INDEXES)


def downgrade() -> None:
    raise NotImplementedError("a journal is not taken back; restore a backup instead")
