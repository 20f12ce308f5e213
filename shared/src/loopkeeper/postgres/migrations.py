"""Are a service's tables there, for the program that finds them? Where they are not, they are made (`migrating.py`).

A revision is a number that begins its file's name. Tables only grow, so a program works with newer ones, as it must while
both versions run and after a step back. A migration that older programs cannot work with begins a new thousand.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from importlib.resources import files

from loopkeeper.kernel.errors import StartError
from loopkeeper.postgres.connections import connect, lost

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
    return checked(Tables(service, found, newest(package)))


def newest(package: str) -> str:
    """The newest revision this program has, by the names of its files: Alembic itself would cost every start its import."""
    names = [each.name for each in files(package).joinpath("migrations", "versions").iterdir()]
    return max(name.partition("_")[0] for name in names if name[0].isdigit())


def checked(tables: Tables) -> Tables:
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
