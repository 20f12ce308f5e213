"""Who of a plan works on which request."""

from alembic import op

from loopkeeper.store.row_access import row_security

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for statement in (
        """CREATE TABLE case_claim (id text PRIMARY KEY, plan_id text NOT NULL DEFAULT '', person text NOT NULL,
           until timestamptz NOT NULL)""",
        "CREATE INDEX case_claim_person ON case_claim (plan_id, person)",
        *row_security("case_claim", "authorization", ("plan_id",)),
    ):
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("a journal is not taken back; restore a backup instead")
