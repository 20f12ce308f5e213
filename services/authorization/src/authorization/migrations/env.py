"""Alembic's entry for authorization's database."""

from alembic import context

from authorization.persistence.tables import metadata
from loopkeeper.postgres.migrating import run_environment

run_environment(context, metadata)
