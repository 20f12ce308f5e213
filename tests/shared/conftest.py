"""What tests of the chassis share: a place for replicas of the example service."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest_asyncio

from loopkeeper.kernel.clock import ManualClock
from tests.databases import Fresh, Migrated
from tests.example.service import example
from tests.shared.replica import Site, site


@pytest_asyncio.fixture
async def here(
    migrated: Migrated, fresh_database: Fresh, tmp_path: Path, clock: ManualClock
) -> AsyncGenerator[Site]:
    """The example's database and a log, on which any number of its replicas may be opened."""
    log = await fresh_database("log")
    async with site(example, await migrated("example"), log, tmp_path, clock) as opened:
        yield opened
