"""Who may have to hear of a batch is locked and read by one call.

Its statements are what three were: each sees what was committed while the one before waited. A subscription that is made
meanwhile is not among those locked and hears of the next fact. It is named by its version: while replicas are replaced, each
calls its own.
"""

from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        CREATE FUNCTION hold_subscriptions_1(kinds text[], names text[], organizations text[])
        RETURNS TABLE (
            id text, organization text, url text, sequence bigint, secret text, old_secret text,
            old_secret_until timestamptz, entry jsonb)
        LANGUAGE plpgsql VOLATILE AS $$
        #variable_conflict use_column
        DECLARE
          living text[] := array(
            SELECT s.id FROM subscription s WHERE s.organization = ANY(organizations) AND s.state <> 'deleted');
        BEGIN
          INSERT INTO shared (kind, id)
            SELECT t.kind, t.id FROM unnest(kinds, names) AS t (kind, id)
            UNION SELECT 'subscription', s.id FROM unnest(living) AS s (id) ORDER BY kind, id
            ON CONFLICT (kind, id) DO UPDATE SET id = excluded.id WHERE false;
          RETURN QUERY
            SELECT s.id, s.organization, s.url, s.sequence, s.secret, s.old_secret, s.old_secret_until, NULL::jsonb
            FROM subscription s WHERE s.id = ANY(living) AND s.state <> 'deleted'
            UNION ALL
            SELECT p.id, NULL, NULL, NULL, NULL, NULL, NULL, p.entry FROM provider p WHERE p.id = ANY(organizations)
            ORDER BY 1;
        END $$
        """
    )
    op.execute("REVOKE ALL ON FUNCTION hold_subscriptions_1 FROM PUBLIC")


def downgrade() -> None:
    raise NotImplementedError("a journal is not taken back; restore a backup instead")
