"""A feed's numbering has a name, so that a restored database can begin another one; owners read their feeds."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

STATEMENTS = (
    "alter table subscription add column epoch text",
    "alter table subscription add column kept bigint",
    "update subscription set epoch = left(md5(id || at::text), 8), kept = 0",
    "alter table subscription alter column epoch set not null",
    "alter table subscription alter column kept set not null",
    "grant select (epoch, kept) on subscription to notification_reader",
    "alter table feed enable row level security",
    "alter table feed force row level security",
    "create policy feed_written on feed for all to current_user using (true) with check (true)",
    # The policy of subscriptions says whose they are.
    "create policy feed_seen on feed for select to notification_reader "
    "using (exists (select 1 from subscription s where s.id = subscription))",
    "grant select on feed to notification_reader",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("a journal is not taken back; restore a backup instead")
