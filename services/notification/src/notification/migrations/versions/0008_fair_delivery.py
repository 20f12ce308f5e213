"""Deliveries are leased in turns: what is in flight, whose host it goes to, and which endpoints do not answer."""

from alembic import op

from loopkeeper.postgres.indexes import build

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

STATEMENTS = (
    "alter table endpoint add column failures integer not null default 0, add column open_until timestamptz",
    "alter table subscription add column host text not null default ''",
    "update subscription set host = lower(coalesce(substring(url from '^[a-z]+://([^/?#:]+)'), ''))",
)
INDEXES = ("delivery_leased ON delivery (leased_until) WHERE state = 'pending' AND leased_until IS NOT NULL",)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
    build(op, INDEXES)


def downgrade() -> None:
    raise NotImplementedError("a journal is not taken back; restore a backup instead")
