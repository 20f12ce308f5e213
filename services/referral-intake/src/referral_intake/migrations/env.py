"""Alembic's entry for intake's database."""

from alembic import context

from loopkeeper.migrate import run_environment
from referral_intake.models import metadata

run_environment(context, metadata)
