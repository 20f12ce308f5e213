"""Who held a member before, so that what it tells late is found; and the member files of a plan for a provider."""

from alembic import op

from loopkeeper.postgres.indexes import build

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE referral ADD COLUMN formerly_held_by text[]")
    build(
        op,
        (
            "referral_formerly_held ON referral USING gin (formerly_held_by) WHERE formerly_held_by IS NOT NULL",
            "file_member ON file (plan, provider_id, received_at) WHERE kind = 'mif'",
        ),
    )


def downgrade() -> None:
    raise NotImplementedError("a journal is not taken back; restore a backup instead")
