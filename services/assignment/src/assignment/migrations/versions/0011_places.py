"""How many places each provider has given away is kept, and no longer counted for every offer."""

from alembic import op

from loopkeeper.store.row_access import row_security

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

TABLE = "CREATE TABLE places (provider_id text PRIMARY KEY, taken integer NOT NULL)"

# By the database itself: while replicas are replaced, those that do not know the table change it too. Replicas take turns, since
# each may change the numbers of several providers by two statements.
KEPT = (
    """
    CREATE FUNCTION keep_places() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
      given text[];
      taken_back text[];
    BEGIN
      IF TG_OP <> 'DELETE' THEN
        SELECT array_agg(provider_id) INTO given FROM came WHERE held;
      END IF;
      IF TG_OP <> 'INSERT' THEN
        SELECT array_agg(provider_id) INTO taken_back FROM went WHERE held;
      END IF;
      IF given IS DISTINCT FROM taken_back THEN
        PERFORM pg_advisory_xact_lock('places'::regclass::oid::bigint);
        INSERT INTO places AS p (provider_id, taken)
          SELECT provider_id, sum(n) FROM (SELECT unnest(given), 1 UNION ALL SELECT unnest(taken_back), -1)
            AS changed (provider_id, n)
          GROUP BY 1 HAVING sum(n) <> 0 ORDER BY 1
          ON CONFLICT (provider_id) DO UPDATE SET taken = p.taken + excluded.taken;
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
COUNTED = "INSERT INTO places SELECT provider_id, count(*) FROM assignment WHERE held GROUP BY 1"


def upgrade() -> None:
    for statement in (TABLE, *row_security("places", "assignment", ("provider_id",)), *KEPT, COUNTED):
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("a journal is not taken back; restore a backup instead")
