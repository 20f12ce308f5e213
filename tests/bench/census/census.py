"""Plays a story with every statement recorded, fills its tables, and asks what each statement looks at: small, and large."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from loopkeeper.postgres.connections import Connection, connect
from tests.bench.census.explaining import Cost, explained
from tests.bench.census.fill import fill, prepare
from tests.bench.census.lists import asked
from tests.bench.census.recording import Example, Recording, Statement, recorded
from tests.databases import Databases
from tests.loop.house import house
from tests.loop.stories import broad

# What a statement may look at beyond what it looked at before: a deeper tree, a row more of the same kind.
TIMES, ROWS, PAGES_TIMES, PAGES = 1.3, 16, 3.0, 48
# A table that did not grow by as much does not count: it holds what a deployment has, not what it did.
GROWN = 4.0


@dataclass(frozen=True, slots=True)
class Compared:
    """One example of one statement, over small and over large tables."""

    statement: Statement
    example: Example
    small: Cost
    large: Cost
    grown: frozenset[str]

    @property
    def scans(self) -> tuple[str, ...]:
        """The tables read from end to end that grow."""
        return tuple(each for each in self.large.scanned if each in self.grown)

    @property
    def grows(self) -> bool:
        rows = self.large.rows > max(self.small.rows * TIMES + ROWS, 2 * self.page)
        pages = self.large.pages > max(self.small.pages * PAGES_TIMES + PAGES, 8 * self.page)
        return bool(self.scans) or rows or pages

    @property
    def page(self) -> int:
        """How many rows a list may look at for one page, by each key that the caller has; few tables do not even fill
        one."""
        last = self.example.values[-1] if self.example.values else 0
        keys = self.statement.query.count(" UNION ALL ") + 1
        return last * keys if self.statement.reader and isinstance(last, int) else 0


@dataclass
class Census:
    """The databases of a story that was played, and what was sent to them."""

    recording: Recording
    connections: Mapping[str, Connection]
    urls: Mapping[str, str]
    copies: int = 0

    async def fill_to(self, copies: int) -> int:
        """How many referrals there are then."""
        count = await fill(self.connections, self.copies + 1, copies)
        self.copies = copies
        return count

    async def sizes(self) -> Mapping[tuple[str, str], float]:
        found: dict[tuple[str, str], float] = {}
        for service, connection in self.connections.items():
            for row in await connection.fetch("SELECT relname, reltuples FROM pg_class WHERE relkind = 'r'"):
                found[service, row["relname"]] = max(row["reltuples"], 1.0)
        return found

    async def costs(self, tries: int = 1) -> Sequence[tuple[Statement, Example, Cost]]:
        return [
            (
                statement,
                example,
                await explained(self.connections[statement.service], statement, example, tries),
            )
            for statement, examples in self.recording.found.items()
            if statement.service in self.connections
            for example in examples
        ]

    async def compare(self, small: int, large: int, tries: int = 1) -> tuple[Sequence[Compared], int, int]:
        """What each statement costs over so many copies of the story, and over so many more."""
        few = await self.fill_to(small)
        sizes, before = await self.sizes(), await self.costs(tries)
        many = await self.fill_to(large)
        later = await self.sizes()
        grown = {
            service: frozenset(
                name
                for (of, name), size in later.items()
                if of == service and size > GROWN * sizes.get((of, name), 1.0)
            )
            for service in self.connections
        }
        after = await self.costs(tries)
        return (
            [
                Compared(statement, example, old, new, grown[statement.service])
                for (statement, example, old), (_, _, new) in zip(before, after, strict=True)
            ],
            few,
            many,
        )


@asynccontextmanager
async def census(databases: Databases, folder: Path) -> AsyncGenerator[Census]:
    """A town's story is played and every list is read; then the services stop, and only their databases stay."""
    with recorded() as recording:
        async with house(databases, folder) as opened:
            await broad(opened)
            for caller, url in await asked(opened):
                recording.route = f"{caller} {url}"
                await opened.ask(caller, "GET", url)
            recording.route = ""
            await opened.quiet()
            assert opened.addresses is not None
            urls = opened.addresses.databases
    connections = {name: await connect(databases.admin(url)) for name, url in urls.items()}
    for connection in connections.values():
        await connection.execute("SET statement_timeout = 0")
    try:
        await prepare(connections)
        yield Census(recording, connections, urls)
    finally:
        for connection in connections.values():
            await connection.close()
