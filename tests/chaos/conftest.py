"""What fault campaigns share: one fork server, and a PostgreSQL of their own whose databases each file finds empty."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest
import pytest_asyncio

from tests.chaos.cluster import Cluster, may_mount
from tests.chaos.lives import Lives


@pytest_asyncio.fixture(scope="session")
async def lives() -> AsyncGenerator[Lives]:
    async with Lives() as begun:
        yield begun


@pytest_asyncio.fixture(scope="session")
async def _cluster(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Cluster]:
    folder = tmp_path_factory.mktemp("cluster")
    started = await asyncio.to_thread(Cluster.start, folder)
    yield started
    await asyncio.to_thread(started.remove)


@pytest_asyncio.fixture(scope="module")
async def cluster(_cluster: Cluster) -> AsyncGenerator[Cluster]:
    yield _cluster
    await _cluster.empty()


@pytest_asyncio.fixture(scope="module")
async def own_disk(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Cluster]:
    """A PostgreSQL with a disk of its own, where that may be had."""
    folder = tmp_path_factory.mktemp("disk")
    started = await asyncio.to_thread(Cluster.start, folder, on_own_disk=may_mount())
    yield started
    await asyncio.to_thread(started.remove)
