"""Alembic's entry for intake's database."""

from alembic import context

from loopkeeper.postgres.migrating import run_environment
from referral_intake.persistence.tables import metadata

run_environment(context, metadata)
