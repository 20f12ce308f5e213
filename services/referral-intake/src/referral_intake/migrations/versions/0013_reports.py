"""Previews of reports for the state, with what each referral counts in; a provider's entry as it was at each month's end;
and files by the month they speak of."""

from alembic import op

from loopkeeper.postgres.indexes import build
from loopkeeper.store.file_tables import FILE_MONTH
from loopkeeper.store.row_access import row_security

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

SEEN = "using (exists (select 1 from report r where r.id = report))"
TABLES = (
    """
    CREATE TABLE report (
        id text PRIMARY KEY, plan_id text NOT NULL DEFAULT '', kind text NOT NULL, period text NOT NULL,
        state text NOT NULL, client text NOT NULL, person text NOT NULL, proved boolean NOT NULL, code text NOT NULL,
        digest text NOT NULL, bytes integer NOT NULL, referrals integer NOT NULL, figures jsonb NOT NULL,
        rows jsonb NOT NULL, asked_at timestamptz NOT NULL, ready_at timestamptz, submitted_at timestamptz,
        submitted_by jsonb NOT NULL, forgotten_at timestamptz, at timestamptz NOT NULL
    )
    """,
    "CREATE INDEX report_plan ON report (plan_id, at, id)",
    "CREATE INDEX report_building ON report (asked_at, id) WHERE state = 'building'",
    "CREATE INDEX report_submitted ON report (plan_id, kind, period, submitted_at) WHERE submitted_at IS NOT NULL",
    "CREATE INDEX report_kept ON report (asked_at) WHERE forgotten_at IS NULL AND state <> 'building'",
    "CREATE TABLE report_part (report text NOT NULL, n integer NOT NULL, sealed text NOT NULL, PRIMARY KEY (report, n))",
    """
    CREATE TABLE report_line (
        report text NOT NULL, referral text NOT NULL, figures jsonb NOT NULL, names jsonb NOT NULL,
        PRIMARY KEY (report, referral)
    )
    """,
    *row_security("report", "intake", ("plan_id",)),
    *(
        statement
        for table in ("report_part", "report_line")
        for statement in (
            f"alter table {table} enable row level security",
            f"alter table {table} force row level security",
            f"create policy {table}_written on {table} for all to current_user using (true) with check (true)",
            f"create policy {table}_seen on {table} for select to intake_reader {SEEN}",
            f"grant select on {table} to intake_reader",
        )
    ),
    "ALTER TABLE provider ADD COLUMN was jsonb",
)


def upgrade() -> None:
    for statement in TABLES:
        op.execute(statement)
    build(op, (FILE_MONTH,))


def downgrade() -> None:
    raise NotImplementedError("a journal is not taken back; restore a backup instead")
