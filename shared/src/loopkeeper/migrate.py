"""How a service's database gets its tables: its own Alembic tree, under one lock, at start or as a job."""

from __future__ import annotations

import asyncio
from typing import Any

import sqlalchemy as sa

# Two replicas starting at once migrate once; the other waits here.
LOCK = 0x6D696772


def sqlalchemy_url(url: str) -> sa.URL:
    """The same database as SQLAlchemy names it, over asyncpg."""
    return sa.make_url(url).set(drivername="postgresql+asyncpg")


async def upgrade(url: str, package: str) -> None:
    """Bring this database to the newest revision of `<package>/migrations`."""
    from sqlalchemy.ext.asyncio import create_async_engine

    engine = create_async_engine(sqlalchemy_url(url))
    try:
        async with engine.connect() as connection:
            await connection.execute(sa.text("SELECT pg_advisory_lock(:lock)"), {"lock": LOCK})
            await connection.commit()
            await connection.run_sync(_upgrade, package)
            await connection.execute(sa.text("SELECT pg_advisory_unlock(:lock)"), {"lock": LOCK})
            await connection.commit()
    finally:
        await engine.dispose()


def _upgrade(connection: sa.Connection, package: str) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", f"{package}:migrations")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
    connection.commit()


def run_environment(context: Any, metadata: sa.MetaData) -> None:
    """What every service's `migrations/env.py` does: migrate over the connection it is handed."""
    context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
    with context.begin_transaction():
        context.run_migrations()


def upgrade_now(url: str, package: str) -> None:
    """`upgrade` for a program without a loop of its own."""
    asyncio.run(upgrade(url, package))
