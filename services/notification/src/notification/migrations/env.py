"""Alembic's entry for notification's database."""

from alembic import context

from loopkeeper.postgres.migrating import run_environment
from notification.persistence.tables import metadata

run_environment(context, metadata)
