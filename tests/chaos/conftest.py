"""What fault campaigns share: one fork server, and a PostgreSQL of their own whose databases each file finds empty."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest
import pytest_asyncio

from loopkeeper.postgres import embedded
from tests.chaos.cluster import Cluster
from tests.chaos.lives import Lives


@pytest_asyncio.fixture(scope="session")
async def lives() -> AsyncGenerator[Lives]:
    async with Lives() as begun:
        yield begun


@pytest_asyncio.fixture(scope="session")
async def _cluster(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Cluster]:
    folder = tmp_path_factory.mktemp("cluster")
    yield await asyncio.to_thread(Cluster.start, folder)
    await asyncio.to_thread(embedded.remove, folder)


@pytest_asyncio.fixture(scope="module")
async def cluster(_cluster: Cluster) -> AsyncGenerator[Cluster]:
    yield _cluster
    await _cluster.empty()
