"""How a service's database gets its tables: its own Alembic tree, under one lock, at start or as a job.

Loaded where tables are behind, and by nobody else: a process at work has no use for SQLAlchemy (ADR 69).
"""

from __future__ import annotations

import asyncio
from typing import Any

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy.ext.asyncio import create_async_engine

from loopkeeper.postgres.connections import session
from loopkeeper.postgres.revisions import Tables, checked, newest

# Two replicas starting at once migrate once; the other waits here.
LOCK = 0x6D696772
ASKED_EVERY = 0.2


def sqlalchemy_url(url: str) -> sa.URL:
    """The same database as SQLAlchemy names it, over asyncpg."""
    return sa.make_url(url).set(drivername="postgresql+asyncpg")


async def migrated(url: str, package: str, revision: str) -> Tables:
    """Bring this database to this revision of `<package>/migrations`; what was found. Newer tables stay as they are."""
    # asyncpg reads the URL itself: SQLAlchemy would take `sslmode` and its like for words of its own.
    engine = create_async_engine("postgresql+asyncpg://", async_creator=lambda: session(url))
    try:
        async with engine.connect() as connection:
            await _alone(connection)
            found = await connection.run_sync(_upgrade, package, revision)
            await connection.execute(sa.text("SELECT pg_advisory_unlock(:lock)"), {"lock": LOCK})
            await connection.commit()
            return found
    finally:
        await engine.dispose()


async def _alone(connection: Any) -> None:
    """Hold the lock. Who waits asks again and again, each time in a transaction that ends: an index that is being made waits
    for every transaction older than it, and would never be done while another replica waits in one."""
    while True:
        held = await connection.scalar(sa.text("SELECT pg_try_advisory_lock(:lock)"), {"lock": LOCK})
        await connection.commit()
        if held:
            return
        await asyncio.sleep(ASKED_EVERY)


def _upgrade(connection: sa.Connection, package: str, revision: str) -> Tables:
    current = MigrationContext.configure(connection).get_current_revision() or ""
    connection.rollback()
    found = checked(Tables(package, current, newest(package)))
    if found.newer:
        return found
    config = Config()
    config.set_main_option("script_location", f"{package}:migrations")
    config.attributes["connection"] = connection
    command.upgrade(config, revision)
    connection.commit()
    return found


def run_environment(context: Any, metadata: sa.MetaData) -> None:
    """What every service's `migrations/env.py` does: migrate over the connection it is handed."""
    # A migration whose indexes are made outside a transaction is kept by itself.
    context.configure(
        connection=context.config.attributes["connection"],
        target_metadata=metadata,
        transaction_per_migration=True,
    )
    with context.begin_transaction():
        context.run_migrations()
