"""Alembic's entry for assignment's database."""

from alembic import context

from assignment.models import metadata
from loopkeeper.migrate import run_environment

run_environment(context, metadata)
