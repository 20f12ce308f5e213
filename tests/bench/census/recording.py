"""Every statement that the services send while a story is played and every list is read, with what was asked of it."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakKeyDictionary

import asyncpg

from loopkeeper.postgres.embedded import Server
from loopkeeper.store.row_access import SET_VISIBILITY

# Of each statement so many examples are kept: those that name most.
KEPT = 2
# What is asked of the session, not of tables.
SESSION = (
    "set_config",
    "pg_advisory",
    "pg_try_advisory",
    "pg_notify",
    "pg_postmaster_start_time",
    "pg_stat_activity",
)
TABLES = ("SELECT", "WITH", "INSERT", "UPDATE", "DELETE")
VIEWED = "set_config('app.organization'"


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement of one service's database; `reader` where the role under row-level security sends it."""

    service: str
    query: str
    reader: bool

    @property
    def short(self) -> str:
        return " ".join(self.query.split())


@dataclass(frozen=True, slots=True)
class Example:
    """What was asked, and by whom."""

    values: tuple[Any, ...]
    sight: tuple[Any, ...] = ("", "", "", "", "on")
    organization: str = ""
    route: str = ""


@dataclass
class Recording:
    """By statement, its examples. `route` is what is being asked over HTTP, where somebody says so."""

    found: dict[Statement, list[Example]] = field(default_factory=dict[Statement, list[Example]])
    route: str = ""
    _sights: WeakKeyDictionary[Any, tuple[Any, ...]] = field(
        default_factory=lambda: WeakKeyDictionary[Any, tuple[Any, ...]]()
    )
    _organizations: WeakKeyDictionary[Any, str] = field(default_factory=lambda: WeakKeyDictionary[Any, str]())

    def take(self, connection: Any, query: str, values: tuple[Any, ...]) -> None:
        protocol = connection._protocol
        if query == SET_VISIBILITY:
            self._sights[protocol] = values
            self._organizations[protocol] = ""
            return
        if VIEWED in query:
            self._organizations[protocol] = values[0]
            return
        if not query.lstrip().startswith(TABLES) or any(word in query for word in SESSION):
            return
        params = connection._params
        service = params.database.partition("_")[0]
        reader = "role" in (params.server_settings or {})
        statement = Statement(service, query, reader)
        sight = self._sights.get(protocol, ("", "", "", "", "on")) if reader else ("", "", "", "", "on")
        example = Example(values, sight, self._organizations.get(protocol, "") if reader else "", self.route)
        kept = self.found.setdefault(statement, [])
        if reader and self.route:
            if all(each.route != self.route for each in kept):
                kept.append(example)
            return
        kept.append(example)
        kept.sort(key=_says, reverse=True)
        del kept[KEPT:]


def _says(example: Example) -> tuple[int, int]:
    """How much it asks: of a statement that takes lists, the longest are the best."""
    lists = [value for value in example.values if isinstance(value, list)]
    return (sum(bool(each) for each in lists), sum(len(each) for each in lists))


@contextmanager
def recorded() -> Generator[Recording]:
    """Everything sent meanwhile, by any session of this process."""
    recording, library = Recording(), asyncpg.Connection
    one: Any = library._execute  # pyright: ignore[reportPrivateUsage]
    many: Any = library._executemany  # pyright: ignore[reportPrivateUsage]

    async def _execute(self: Any, query: str, args: Any, *rest: Any, **options: Any) -> Any:
        recording.take(self, query, tuple(args))
        return await one(self, query, args, *rest, **options)

    async def _executemany(self: Any, query: str, args: Any, *rest: Any, **options: Any) -> Any:
        rows = [tuple(each) for each in args]
        for each in rows[:1]:
            recording.take(self, query, each)
        return await many(self, query, rows, *rest, **options)

    library._execute, library._executemany = _execute, _executemany  # pyright: ignore[reportAttributeAccessIssue]
    try:
        yield recording
    finally:
        library._execute, library._executemany = one, many  # pyright: ignore[reportAttributeAccessIssue]


def owners(server: Server, addresses: Mapping[str, str]) -> Mapping[str, str]:
    """Who may do anything in each service's database."""
    return {name: server.admin(url.rpartition("/")[2].partition("?")[0]) for name, url in addresses.items()}
