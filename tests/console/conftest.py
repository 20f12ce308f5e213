"""What the console's tests share: one Chromium a process, one running console a module, and no fault left unsaid."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, async_playwright

from tests.console import chromium
from tests.console.stage import Stage, stage
from tests.databases import Databases


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What needs a browser has its mark: `make console-proof` runs it."""
    for item in items:
        if "browser" in getattr(item, "fixturenames", ()):
            item.add_marker("browser")


@pytest_asyncio.fixture(scope="session")
async def browser() -> AsyncGenerator[Browser]:
    """Debian's Chromium. Where none can be had the test fails and says how. The back/forward cache is on, as people have
    it: the library switches it off."""
    path = chromium.install()
    assert path is not None, chromium.HOW
    async with async_playwright() as playwright:
        made = await playwright.chromium.launch(
            executable_path=path,
            args=["--no-sandbox"],
            ignore_default_args=["--disable-back-forward-cache"],
        )
        yield made
        await made.close()


@pytest_asyncio.fixture(scope="module")
async def opened(
    databases: Databases, browser: Browser, tmp_path_factory: pytest.TempPathFactory
) -> AsyncGenerator[Stage]:
    """A console with nothing in it yet."""
    folder: Path = tmp_path_factory.mktemp("console")
    with pytest.MonkeyPatch.context() as patch:
        async with stage(databases, folder, browser, patch) as made:
            yield made


@pytest_asyncio.fixture
async def at(opened: Stage) -> AsyncGenerator[Stage]:
    """The running console. What its browsers met that should not be fails the test."""
    opened.faults.clear()
    yield opened
    await opened.close_browsers()
    assert opened.faults == []
