"""What is old goes: what was delivered and tried, and the beginnings of feeds. Mailboxes by what was told."""

from alembic import op

from loopkeeper.postgres.indexes import build

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

STATEMENTS = (
    "alter table subscription add column pruned bigint not null default 0",
    "grant select (pruned) on subscription to notification_reader",
    "create table retention (id integer primary key default 1 check (id = 1), deliveries_before timestamptz not null)",
)
# Rows lie about in the order of their time: a summary a block range is enough, and costs nothing to keep.
INDEXES = (
    "attempt_at ON attempt USING brin (at)",
    "delivery_delivered ON delivery USING brin (delivered_at)",
    "attempt_failed ON attempt (subscription, at, id) WHERE outcome <> 'delivered'",
    "notice_untold_kind ON notice (recipient, recipient_kind, at, id) WHERE told_at IS NULL",
    "notice_told ON notice (recipient, at, id) WHERE told_at IS NOT NULL",
    "notice_serving_told ON notice (serving, at, id) WHERE serving <> '' AND told_at IS NOT NULL",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
    # Row-level security lets no expression into an index that might fail, and a division might.
    build(op, INDEXES, ("attempt_class",))


def downgrade() -> None:
    raise NotImplementedError("a journal is not taken back; restore a backup instead")
