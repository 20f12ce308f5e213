"""Who of an organization opened or decided what; the organization and the plan may read it."""

from alembic import op

from loopkeeper.store.later_tables import AUDIT_PERSON
from loopkeeper.store.row_access import audit_security

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for statement in (*AUDIT_PERSON, *audit_security("intake")):
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("a journal is not taken back; restore a backup instead")
