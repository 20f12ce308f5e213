"""What a plan's own topic in Kafka does not have yet."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Positions without a cache: one referral's are in the order of its commits.
    op.execute(
        "create table forward (position bigint generated always as identity (cache 1) primary key, "
        "plan text not null, headers bytea not null, data bytea not null)"
    )
    op.execute("create index forward_plan on forward (plan, position)")


def downgrade() -> None:
    raise NotImplementedError("a journal is not taken back; restore a backup instead")
