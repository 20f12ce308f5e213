"""Notification's tables: outreach rows, notices, subscriptions with their feeds, deliveries and attempts."""

from alembic import op

from loopkeeper.store.first_tables import CHASSIS, PROVIDER_COPY
from loopkeeper.store.row_access import chassis_security, row_security

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TABLES = (
    """
    CREATE TABLE attempt (
        id TEXT NOT NULL,
        subscription TEXT NOT NULL,
        organization TEXT NOT NULL,
        delivery TEXT NOT NULL,
        webhook TEXT NOT NULL,
        type TEXT NOT NULL,
        referral TEXT NOT NULL,
        number INTEGER NOT NULL,
        trigger TEXT NOT NULL,
        at TIMESTAMP WITH TIME ZONE NOT NULL,
        outcome TEXT NOT NULL,
        status INTEGER,
        error TEXT,
        duration_ms INTEGER NOT NULL,
        response TEXT NOT NULL,
        next_attempt_at TIMESTAMP WITH TIME ZONE,
        PRIMARY KEY (id)
    )
    """,
    """
    CREATE INDEX attempt_subscription ON attempt (subscription, at, id)
    """,
    """
    CREATE TABLE delivery (
        id TEXT NOT NULL,
        subscription TEXT NOT NULL,
        sequence BIGINT NOT NULL,
        referral TEXT NOT NULL,
        notice TEXT NOT NULL,
        told BOOLEAN NOT NULL,
        trigger TEXT NOT NULL,
        asked TEXT NOT NULL,
        state TEXT NOT NULL,
        number INTEGER NOT NULL,
        next_attempt_at TIMESTAMP WITH TIME ZONE NOT NULL,
        leased_until TIMESTAMP WITH TIME ZONE,
        lease TEXT NOT NULL,
        delivered_at TIMESTAMP WITH TIME ZONE,
        PRIMARY KEY (id)
    )
    """,
    """
    CREATE INDEX delivery_due ON delivery (subscription, next_attempt_at, sequence) WHERE state = 'pending'
    """,
    """
    CREATE INDEX delivery_order ON delivery (subscription, referral, sequence) WHERE state = 'pending'
    """,
    """
    CREATE INDEX delivery_untold ON delivery (id) WHERE delivered_at IS NOT NULL AND notice <> '' AND NOT told
    """,
    """
    CREATE TABLE endpoint (
        id TEXT NOT NULL,
        failing_since TIMESTAMP WITH TIME ZONE,
        heard_at TIMESTAMP WITH TIME ZONE,
        PRIMARY KEY (id)
    )
    """,
    """
    CREATE TABLE feed (
        subscription TEXT NOT NULL,
        sequence BIGINT NOT NULL,
        id TEXT NOT NULL,
        type TEXT NOT NULL,
        referral TEXT NOT NULL,
        notice TEXT NOT NULL,
        body TEXT NOT NULL,
        traceparent TEXT NOT NULL,
        at TIMESTAMP WITH TIME ZONE NOT NULL,
        PRIMARY KEY (subscription, sequence)
    )
    """,
    """
    CREATE TABLE notice (
        id TEXT NOT NULL,
        referral TEXT NOT NULL,
        plan TEXT NOT NULL,
        event UUID NOT NULL,
        code TEXT NOT NULL,
        recipient TEXT NOT NULL,
        recipient_kind TEXT NOT NULL,
        addressee TEXT NOT NULL,
        words JSONB NOT NULL,
        needs TEXT[] NOT NULL,
        closing BOOLEAN NOT NULL,
        published BOOLEAN NOT NULL,
        at TIMESTAMP WITH TIME ZONE NOT NULL,
        due_at TIMESTAMP WITH TIME ZONE,
        overdue_at TIMESTAMP WITH TIME ZONE,
        told_at TIMESTAMP WITH TIME ZONE,
        told_how TEXT NOT NULL,
        told_by JSONB NOT NULL,
        PRIMARY KEY (id)
    )
    """,
    """
    CREATE INDEX notice_recipient ON notice (recipient, at, id)
    """,
    """
    CREATE INDEX notice_referral ON notice (referral)
    """,
    """
    CREATE TABLE referral (
        id TEXT NOT NULL,
        plan_id TEXT DEFAULT '' NOT NULL,
        referrer_id TEXT DEFAULT '' NOT NULL,
        provider_id TEXT DEFAULT '' NOT NULL,
        status TEXT NOT NULL,
        state JSONB NOT NULL,
        n INTEGER NOT NULL,
        sequence INTEGER NOT NULL,
        head TEXT NOT NULL,
        created_at TIMESTAMP WITH TIME ZONE NOT NULL,
        at TIMESTAMP WITH TIME ZONE NOT NULL,
        PRIMARY KEY (id)
    )
    """,
    """
    CREATE INDEX referral_at ON referral (at, id)
    """,
    """
    CREATE INDEX referral_plan ON referral (plan_id, at, id)
    """,
    """
    CREATE INDEX referral_provider ON referral (provider_id, at, id)
    """,
    """
    CREATE TABLE subscription (
        id TEXT NOT NULL,
        organization TEXT NOT NULL,
        url TEXT,
        description TEXT NOT NULL,
        secret TEXT NOT NULL,
        old_secret TEXT NOT NULL,
        old_secret_until TIMESTAMP WITH TIME ZONE,
        state TEXT NOT NULL,
        enabled_at TIMESTAMP WITH TIME ZONE,
        disabled_why TEXT NOT NULL,
        disabled_at TIMESTAMP WITH TIME ZONE,
        sequence BIGINT NOT NULL,
        n INTEGER NOT NULL,
        created_at TIMESTAMP WITH TIME ZONE NOT NULL,
        at TIMESTAMP WITH TIME ZONE NOT NULL,
        PRIMARY KEY (id)
    )
    """,
    """
    CREATE INDEX subscription_organization ON subscription (organization, at, id)
    """,
)

# A subscription's rows are its organization's alone, whatever its role: the route sets `app.organization`.
OWN = "organization = (select nullif(current_setting('app.organization', true), ''))"
# Everything but the secret, which only the owner's connections read.
SEEN = (
    "id, organization, url, description, old_secret_until, state, enabled_at, disabled_why, disabled_at, sequence, "
    "n, created_at, at"
)
# Operations see which subscriptions are disabled, and why.
OR_OPERATIONS = f"{OWN} or (select current_setting('app.operations', true)) = 'yes'"


# A notice is seen by its recipient, by the plan whose member it concerns, and a member's by the provider that serves.
ADDRESSED = (
    "recipient = (select nullif(current_setting('app.organization', true), '')) "
    "or plan = (select nullif(current_setting('app.plan', true), '')) "
    "or (recipient_kind = 'member' and exists (select 1 from referral r where r.id = referral "
    "and r.provider_id = (select nullif(current_setting('app.provider', true), ''))))"
)


def upgrade() -> None:
    for statement in (
        *CHASSIS,
        PROVIDER_COPY,
        *TABLES,
        *row_security("referral", "notification"),
        *chassis_security("notification"),
        *_own_rows("subscription", SEEN, OR_OPERATIONS),
        *_own_rows("attempt", "*", OWN),
        *_own_rows("notice", "*", ADDRESSED),
    ):
        op.execute(statement)
    op.execute(
        "ALTER TABLE delivery SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000)"
    )


def _own_rows(table: str, columns: str, seen: str) -> tuple[str, ...]:
    granted = "" if columns == "*" else f" ({columns})"
    return (
        f"alter table {table} enable row level security",
        f"alter table {table} force row level security",
        f"create policy {table}_written on {table} for all to current_user using (true) with check (true)",
        f"create policy {table}_seen on {table} for select to notification_reader using ({seen})",
        f"grant select{granted} on {table} to notification_reader",
    )


def downgrade() -> None:
    raise NotImplementedError("a journal is not taken back; restore a backup instead")
