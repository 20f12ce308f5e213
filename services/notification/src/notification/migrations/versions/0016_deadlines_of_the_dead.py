"""Nobody writes to the dead: what letters to them were due by goes. Such a deadline came, told nothing and stayed due."""

from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """DELETE FROM timer t USING notice n, referral r
           WHERE n.recipient_kind = 'member' AND t.stream = n.referral AND t.kind = 'notice ' || n.id
             AND r.id = n.referral
             AND (r.state ->> 'deceased' = 'true' OR r.state ->> 'death_told' = 'true')"""
    )


def downgrade() -> None:
    raise NotImplementedError("a journal is not taken back; restore a backup instead")
