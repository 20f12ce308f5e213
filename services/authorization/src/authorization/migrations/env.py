"""Alembic's entry for authorization's database."""

from alembic import context

from authorization.models import metadata
from loopkeeper.migrate import run_environment

run_environment(context, metadata)
