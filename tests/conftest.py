"""What tests share: one real PostgreSQL a session, and a clock that only tests move."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Generator
from pathlib import Path

import pytest
import pytest_asyncio

from loopkeeper.kernel.clock import ManualClock
from loopkeeper.postgres import embedded
from loopkeeper.postgres.embedded import Server
from tests.databases import SERVICES, Databases, Fresh, Migrated
from tests.kafka import Kafka, shared_broker

# A process takes a file at a time, so the longest begin first: none of them is left for the end, when the others are done.
LONGEST_FIRST = (
    "readme/test_readme.py", "readme/test_guides.py", "readme/test_demo_kafka.py", "readme/test_demo.py",
    "openapi/test_schemathesis.py", "chaos/test_kafka_processes.py", "chaos/test_kill.py", "loop/test_restore.py",
    "loop/test_set_back.py", "deploy/test_alerts.py", "console/test_looks.py", "console/test_journeys.py",
)  # fmt: skip


# Whatever has one of these starts a server.
SERVERS = frozenset({"postgres", "kafka"})


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--in-process", action="store_true", help="Only tests that need no PostgreSQL and no Kafka"
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The longest files first, the rest in their order; of `make test-fast` only what starts no server."""
    if config.getoption("--in-process"):
        served = {item for item in items if SERVERS & set(getattr(item, "fixturenames", ()))}
        config.hook.pytest_deselected(items=list(served))
        items[:] = [item for item in items if item not in served]
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
