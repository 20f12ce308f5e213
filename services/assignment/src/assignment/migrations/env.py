"""Alembic's entry for assignment's database."""

from alembic import context

from assignment.persistence.tables import metadata
from loopkeeper.postgres.migrating import run_environment

run_environment(context, metadata)
