"""Are a service's tables there, for the program that finds them? Where they are not, they are made (`migrating.py`)."""

from __future__ import annotations

import asyncio

from loopkeeper.postgres.connections import connect, lost
from loopkeeper.postgres.revisions import Tables, checked, newest


async def tables(service: str, url: str, package: str) -> Tables:
    """What is in this database. Raises `StartError` where this program is too old for it, and what asyncpg raises."""
    connection = await connect(url)
    try:
        found = ""
        if await connection.fetchval("SELECT to_regclass('alembic_version') IS NOT NULL"):
            found = await connection.fetchval("SELECT version_num FROM alembic_version") or ""
    finally:
        await connection.close()
    return checked(Tables(service, found, newest(package)))


async def upgrade(url: str, package: str, revision: str = "head") -> Tables:
    """Bring this database to this revision of `<package>/migrations`; what was found. Newer tables stay as they are."""
    if revision == "head":
        found = await tables(package, url, package)
        if not found.missing:
            # As at almost every start, which then loads neither SQLAlchemy nor Alembic.
            return found
    from loopkeeper.postgres.migrating import migrated

    return await migrated(url, package, revision)


def went_away(error: BaseException) -> bool:
    """Whether a migration ended because the database went away, and not by a fault of its own: it starts again."""
    # As SQLAlchemy says it.
    if getattr(error, "connection_invalidated", False):
        return True
    causes = (error.__cause__, getattr(error, "orig", None))
    return lost(error) or any(went_away(each) for each in causes if each is not None)


def upgrade_now(url: str, package: str) -> None:
    """`upgrade` for a program without a loop of its own."""
    asyncio.run(upgrade(url, package))
