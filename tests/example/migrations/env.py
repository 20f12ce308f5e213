"""Alembic's entry for the register's database."""

from alembic import context

from loopkeeper.postgres.migrating import run_environment
from tests.example.persistence import metadata

run_environment(context, metadata)
