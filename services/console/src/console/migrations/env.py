"""Alembic's entry for the console's database."""

from alembic import context
from sqlalchemy import MetaData

from loopkeeper.postgres.migrating import run_environment

run_environment(context, MetaData())
