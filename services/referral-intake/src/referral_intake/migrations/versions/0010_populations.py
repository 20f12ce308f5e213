"""Lists by population: a row for each, since row-level security lets no array into an index."""

from alembic import op

from loopkeeper.postgres.indexes import build

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

STATEMENTS = (
    "create table referral_population (population text not null, id text not null, primary key (population, id))",
    "insert into referral_population select distinct p, r.id from referral r, unnest(r.populations) p",
    "alter table referral_population enable row level security",
    "alter table referral_population force row level security",
    "create policy referral_population_written on referral_population for all to current_user "
    "using (true) with check (true)",
    # The policy of referrals says whose they are.
    "create policy referral_population_seen on referral_population for select to intake_reader "
    "using (exists (select 1 from referral r where r.id = referral_population.id))",
    "grant select on referral_population to intake_reader",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
    build(op, (), ("referral_populations",))


def downgrade() -> None:
    raise NotImplementedError("a journal is not taken back; restore a backup instead")
