"""Which revision a service's tables have, and which one this program needs.

A revision is a number that begins its file's name. Tables only grow, so a program works with newer ones, as it must while
both versions run and after a step back. A migration that older programs cannot work with begins a new thousand.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files

from loopkeeper.kernel.errors import StartError

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
