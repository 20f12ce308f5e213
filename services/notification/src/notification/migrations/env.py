"""Alembic's entry for notification's database."""

from alembic import context

from loopkeeper.migrate import run_environment
from notification.models import metadata

run_environment(context, metadata)
