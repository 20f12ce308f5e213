"""How many places each provider has given away is kept, and no longer counted for every offer."""

from alembic import op

from loopkeeper.store.row_access import row_security

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

TABLE = """
CREATE TABLE places (
    provider_id text NOT NULL, plan_id text NOT NULL, taken integer NOT NULL, PRIMARY KEY (provider_id, plan_id))
"""

# By the database itself: while replicas are replaced, those that do not know the table change it too. Replicas take turns, since
# each may change several rows by two statements.
KEPT = (
    """
    CREATE FUNCTION keep_places() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
      given places[];
      taken_back places[];
      changed places[];
    BEGIN
      IF TG_OP <> 'DELETE' THEN
        SELECT array_agg((provider_id, plan_id, 1)::places) INTO given FROM came WHERE held;
      END IF;
      IF TG_OP <> 'INSERT' THEN
        SELECT array_agg((provider_id, plan_id, -1)::places) INTO taken_back FROM went WHERE held;
      END IF;
      SELECT array_agg((provider_id, plan_id, n)::places ORDER BY provider_id, plan_id) INTO changed FROM (
        SELECT provider_id, plan_id, sum(taken) AS n FROM unnest(given || taken_back) GROUP BY 1, 2) AS moved
      WHERE n <> 0;
      IF changed IS NOT NULL THEN
        PERFORM pg_advisory_xact_lock('places'::regclass::oid::bigint);
        INSERT INTO places AS p SELECT * FROM unnest(changed)
          ON CONFLICT (provider_id, plan_id) DO UPDATE SET taken = p.taken + excluded.taken;
      END IF;
      RETURN NULL;
    END $$
    """,
    """
    CREATE TRIGGER places_given AFTER INSERT ON assignment
      REFERENCING NEW TABLE AS came FOR EACH STATEMENT EXECUTE FUNCTION keep_places()
    """,
    """
    CREATE TRIGGER places_changed AFTER UPDATE ON assignment
      REFERENCING OLD TABLE AS went NEW TABLE AS came FOR EACH STATEMENT EXECUTE FUNCTION keep_places()
    """,
    """
    CREATE TRIGGER places_taken_back AFTER DELETE ON assignment
      REFERENCING OLD TABLE AS went FOR EACH STATEMENT EXECUTE FUNCTION keep_places()
    """,
)

# Nobody writes an assignment between the triggers and this: they hold its table until the migration is committed.
COUNTED = "INSERT INTO places SELECT provider_id, plan_id, count(*) FROM assignment WHERE held GROUP BY 1, 2"


def upgrade() -> None:
    for statement in (TABLE, *row_security("places", "assignment", ("provider_id",)), *KEPT, COUNTED):
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("a journal is not taken back; restore a backup instead")
