"""How a service's database gets its tables: its own Alembic tree, under one lock, at start or as a job. And are they there,
for the program that finds them?

A revision is a number that begins its file's name. Tables only grow, so a program works with newer ones, as it must while
both versions run and after a step back. A migration that older programs cannot work with begins a new thousand.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from loopkeeper.kernel.errors import StartError
from loopkeeper.postgres.connections import connect, lost, session

# Two replicas starting at once migrate once; the other waits here.
LOCK = 0x6D696772
ASKED_EVERY = 0.2


def sqlalchemy_url(url: str) -> sa.URL:
    """The same database as SQLAlchemy names it, over asyncpg."""
    return sa.make_url(url).set(drivername="postgresql+asyncpg")


# So many revisions lie between one migration that older programs cannot work with and the next.
ERA = 1000


@dataclass(frozen=True, slots=True)
class Tables:
    """Which revision a database's tables have (empty: there are none), and which one this program needs."""

    service: str
    found: str
    needed: str

    @property
    def missing(self) -> bool:
        return not self.found or int(self.found) < int(self.needed)

    @property
    def newer(self) -> bool:
        return bool(self.found) and int(self.found) > int(self.needed)


async def tables(service: str, url: str, package: str) -> Tables:
    """What is in this database. Raises `StartError` where this program is too old for it, and what asyncpg raises."""
    connection = await connect(url)
    try:
        found = ""
        if await connection.fetchval("SELECT to_regclass('alembic_version') IS NOT NULL"):
            found = await connection.fetchval("SELECT version_num FROM alembic_version") or ""
    finally:
        await connection.close()
    return _checked(Tables(service, found, newest(package)))


def newest(package: str) -> str:
    """The newest revision this program has, by the names of its files: Alembic itself would cost every start its import."""
    names = [each.name for each in files(package).joinpath("migrations", "versions").iterdir()]
    return max(name.partition("_")[0] for name in names if name[0].isdigit())


def _checked(tables: Tables) -> Tables:
    """Raises `StartError` where waiting would not help: the tables are another program's, or this one is too old."""
    if tables.found and not tables.found.isdigit():
        raise StartError(
            f"The tables of {tables.service} are at revision {tables.found!r}, which is none of Loopkeeper's.",
            "Name this service's own database.",
        )
    if tables.newer and int(tables.found) // ERA > int(tables.needed) // ERA:
        raise StartError(
            f"The tables of {tables.service} are at revision {tables.found} and this program knows them up to "
            f"{tables.needed}: they are newer, and of a kind that it cannot work with.",
            "Run the version that made them, or a later one; tables are not taken back.",
        )
    return tables


async def upgrade(url: str, package: str, revision: str = "head") -> Tables:
    """Bring this database to this revision of `<package>/migrations`; what was found. Newer tables stay as they are."""
    if revision == "head":
        found = await tables(package, url, package)
        if not found.missing:
            # As at almost every start: Alembic and an engine are two dozen megabytes and half a second.
            return found
    from sqlalchemy.ext.asyncio import create_async_engine

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


def went_away(error: BaseException) -> bool:
    """Whether a migration ended because the database went away, and not by a fault of its own: it starts again."""
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return True
    causes = (error.__cause__, getattr(error, "orig", None))
    return lost(error) or any(went_away(each) for each in causes if each is not None)


def _upgrade(connection: sa.Connection, package: str, revision: str) -> Tables:
    from alembic import command
    from alembic.config import Config
    from alembic.migration import MigrationContext

    current = MigrationContext.configure(connection).get_current_revision() or ""
    connection.rollback()
    found = _checked(Tables(package, current, newest(package)))
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


def upgrade_now(url: str, package: str) -> None:
    """`upgrade` for a program without a loop of its own."""
    asyncio.run(upgrade(url, package))
