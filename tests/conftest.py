"""What tests share: one real PostgreSQL a session, and a clock that only tests move."""

from __future__ import annotations

import itertools
import os
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from importlib.metadata import entry_points
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import pytest_asyncio

from loopkeeper.kernel.clock import ManualClock
from loopkeeper.postgres import embedded
from loopkeeper.postgres.connections import Connection, connect
from loopkeeper.postgres.embedded import Server
from loopkeeper.postgres.migrations import upgrade
from tests.kafka import Kafka, shared_broker

SERVICES = ("intake", "authorization", "assignment", "notification", "console", "log")
NUMBERS = itertools.count()

# A process takes a file at a time, so the longest begin first: none of them is left for the end, when the others are done.
LONGEST_FIRST = (
    "readme/test_readme.py", "readme/test_guides.py", "readme/test_demo_kafka.py", "readme/test_demo.py",
    "openapi/test_schemathesis.py", "chaos/test_kafka_processes.py", "chaos/test_kill.py", "loop/test_restore.py",
    "loop/test_set_back.py", "deploy/test_alerts.py",
)  # fmt: skip

# A new, empty database of this service; or one with its tables.
Fresh = Callable[[str], Awaitable[str]]
Migrated = Callable[[str], Awaitable[str]]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files first, the rest in their order."""
    rank = {name: place for place, name in enumerate(LONGEST_FIRST)}

    def place(item: pytest.Item) -> int:
        return rank.get("/".join(item.path.parts[-2:]), len(rank))

    items.sort(key=place)


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Generator[Server]:
    """The product's own embedded PostgreSQL, in a folder of this session; its data need not survive it."""
    folder: Path = tmp_path_factory.mktemp("postgres")
    server = embedded.start(folder, SERVICES, settings={"fsync": "off", "max_connections": "200"})
    yield server
    embedded.remove(folder)


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Generator[Kafka]:
    """A real broker, one for all processes of this run. Where none can be had the test fails and says how."""
    base = tmp_path_factory.getbasetemp()
    with shared_broker((base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "kafka") as running:
        yield running


class Databases:
    """Databases made for single tests, as the role of the service owns them, and dropped after them."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._made: list[str] = []
        self.templates: dict[str, str] = {}

    async def make(self, service: str, template: str | None = None) -> str:
        name = f"{service}_{next(NUMBERS)}"
        admin = await connect(self._server.admin())
        try:
            # Copied file by file: half the work of going through the log, and nothing here need survive a crash.
            copied = f'TEMPLATE "{template}" STRATEGY FILE_COPY' if template else "STRATEGY FILE_COPY"
            await admin.execute(f'CREATE DATABASE "{name}" OWNER "{service}" {copied}')
            self._made.append(name)
        finally:
            await admin.close()
        if template is None:
            await self._prepare(service, name)
        return self.url(service, name)

    async def keep(self, url: str) -> str:
        """A copy of this database as it is now, which nobody uses at the moment: a backup."""
        name = f"kept_{next(NUMBERS)}"
        await self._copy(urlsplit(url).path.strip("/"), name, urlsplit(url).username or "")
        self._made.append(name)
        return name

    async def end_sessions(self, url: str) -> None:
        """Everybody who uses this database loses the line, and may come again."""
        admin = await connect(self._server.admin())
        try:
            await admin.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = $1",
                urlsplit(url).path.strip("/"),
            )
        finally:
            await admin.close()

    async def copy_in_use(self, url: str) -> str:
        """What a standby has: this database as it is now, while it is used. Its users lose the line for a moment."""
        name = urlsplit(url).path.strip("/")
        admin = await connect(self._server.admin())
        try:
            await admin.execute(f'ALTER DATABASE "{name}" CONNECTION LIMIT 0')
            await self.end_sessions(url)
            return await self.keep(url)
        finally:
            await admin.execute(f'ALTER DATABASE "{name}" CONNECTION LIMIT -1')
            await admin.close()

    async def put_back(self, kept: str, url: str) -> None:
        """Make this database what it was when it was kept."""
        name = urlsplit(url).path.strip("/")
        admin = await connect(self._server.admin())
        try:
            await admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
        finally:
            await admin.close()
        await self._copy(kept, name, urlsplit(url).username or "")

    async def _copy(self, source: str, name: str, owner: str) -> None:
        admin = await connect(self._server.admin())
        try:
            await admin.execute(
                f'CREATE DATABASE "{name}" OWNER "{owner}" TEMPLATE "{source}" STRATEGY FILE_COPY'
            )
        finally:
            await admin.close()

    def url(self, service: str, name: str) -> str:
        return self._server.url(service).replace(f"@/{service}?", f"@/{name}?")

    def admin(self, url: str) -> str:
        """The same database for the role that may do anything in it."""
        return self._server.admin(urlsplit(url).path.strip("/"))

    async def drop(self) -> None:
        admin = await connect(self._server.admin())
        try:
            while self._made:
                await admin.execute(f'DROP DATABASE "{self._made.pop()}" WITH (FORCE)')
        finally:
            await admin.close()

    async def template(self, service: str) -> str:
        """A database with this service's tables, migrated once a session."""
        if service not in self.templates:
            url = await self.make(service)
            group = "loopkeeper.console" if service == "console" else "loopkeeper.services"
            (point,) = entry_points(group=group, name=service)
            await upgrade(url, point.module.partition(".")[0])
            self.templates[service] = self._made.pop()
        return self.templates[service]

    async def _prepare(self, service: str, name: str) -> None:
        inside: Connection = await connect(self._server.admin(name))
        try:
            await inside.execute(f'ALTER SCHEMA public OWNER TO "{service}"')
            await inside.execute(f'GRANT USAGE ON SCHEMA public TO "{service}_reader"')
        finally:
            await inside.close()


@pytest.fixture(scope="session")
def databases(postgres: Server) -> Databases:
    return Databases(postgres)


@pytest_asyncio.fixture
async def fresh_database(databases: Databases) -> AsyncGenerator[Fresh]:
    """Makes empty databases: `await fresh_database("intake")` answers the URL for its owner."""
    yield databases.make
    await databases.drop()


@pytest_asyncio.fixture
async def migrated(databases: Databases) -> AsyncGenerator[Migrated]:
    """Makes databases with a service's tables."""

    async def make(service: str) -> str:
        return await databases.make(service, await databases.template(service))

    yield make
    await databases.drop()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()
