"""The console with the four services behind it on one port, invented people to be, and browsers that tell what went wrong."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import uvicorn
from playwright.async_api import Browser, BrowserContext, Page, Request

from console.service import console
from console.settings import ConsoleSettings
from loopkeeper.kernel.clock import ManualClock
from loopkeeper.kernel.server import Server
from loopkeeper.kernel.supervisor import Supervisor
from loopkeeper.postgres.connections import Connection, connect
from loopkeeper.postgres.migrations import upgrade
from loopkeeper.runtime.console import ConsoleResources, Newcomer, OnePort
from loopkeeper.security import issuer
from loopkeeper.security.organizations import Directory
from tests.builders.organizations import CLINIC, HARBOR, HOSPITAL, NAVIGATORS, OPERATIONS, STREET, VALLEY
from tests.databases import Databases
from tests.loop.house import House, house

PEOPLE = (
    Newcomer(OPERATIONS, "Noor Haddad", "noor@ops.example", ("operations",), "Operations", admin=True, invented=True),
    Newcomer(HARBOR, "Maria Chen", "maria@harbor.example", ("plan",), "UM nurse", "RN 841182", True, True),
    Newcomer(HARBOR, "Dev Patel", "dev@harbor.example", ("plan",), "Care coordinator", invented=True),
    Newcomer(VALLEY, "Grace Lindqvist", "grace@valley.example", ("plan",), "Director", "A 12345", True, True),
    Newcomer(STREET, "Luis Ortega", "luis@street.example", ("provider", "referrer"), "Lead care manager", admin=True, invented=True),
    Newcomer(NAVIGATORS, "Mei Tran", "mei@bay.example", ("provider",), "Care manager", admin=True, invented=True),
    Newcomer(CLINIC, "Rosa Diaz", "rosa@eastside.example", ("provider", "referrer"), "Nurse", admin=True, invented=True),
    Newcomer(HOSPITAL, "Imani Brooks", "imani@bayview.example", ("referrer",), "Planner", admin=True, invented=True),
)  # fmt: skip


class StageClock(ManualClock):
    """The house's time is stopped; the world's goes on, and can be moved: tokens end by it."""

    def __init__(self) -> None:
        super().__init__()
        self.shift = timedelta()

    def wall(self) -> datetime:
        return datetime.now(UTC) + self.shift


@dataclass
class Stage:
    """A running console, as people see it."""

    house: House
    url: str
    clock: StageClock
    database: str
    resources: ConsoleResources
    browser: Browser | None = None
    faults: list[str] = field(default_factory=list[str])
    _contexts: list[BrowserContext] = field(default_factory=list[BrowserContext])

    @property
    def own(self) -> ConsoleSettings:
        return ConsoleSettings()

    async def context(self, *, width: int = 1280, dark: bool = False, script: bool = True) -> BrowserContext:
        """A fresh browser profile. What it asks of strangers, and what its policy forbids, is a fault."""
        assert self.browser is not None
        made = await self.browser.new_context(
            viewport={"width": width, "height": 800},
            color_scheme="dark" if dark else "light",
            java_script_enabled=script,
            locale="en-US",
        )
        made.on("request", self._asked)
        made.on("console", lambda message: self._said(message.text))
        made.on("weberror", lambda error: self.faults.append(f"script: {error.error}"))
        self._contexts.append(made)
        return made

    async def be(self, name: str, context: BrowserContext | None = None, **how: Any) -> Page:
        """Somebody of the rehearsal, signed in, in a browser of their own."""
        page = await (context or await self.context(**how)).new_page()
        await page.goto(f"{self.url}/signin")
        await page.get_by_role("button", name=re.compile(name)).click()
        await page.wait_for_load_state()
        return page

    def _asked(self, request: Request) -> None:
        if not request.url.startswith((self.url, "data:", "blob:")):
            self.faults.append(f"asked a stranger: {request.url}")

    def _said(self, text: str) -> None:
        if "Content Security Policy" in text or "Trusted Type" in text or "TrustedHTML" in text:
            self.faults.append(f"policy: {text}")

    async def close_browsers(self) -> None:
        for each in self._contexts:
            await each.close()
        self._contexts.clear()

    async def asks(self, query: str, *values: object) -> Any:
        """One value of the console's own database."""
        connection: Connection = await connect(self.database)
        try:
            return await connection.fetchval(query, *values)
        finally:
            await connection.close()


@asynccontextmanager
async def stage(
    databases: Databases, folder: Path, browser: Browser | None, monkeypatch: Any
) -> AsyncGenerator[Stage]:
    """The console and the four services on one port of this process."""
    monkeypatch.setenv("LOOPKEEPER_CONSOLE_PICKER", "on")
    monkeypatch.setenv("LOOPKEEPER_CONSOLE_OPERATIONS", "on")
    clock = StageClock()
    async with house(databases, folder, clock=clock) as opened:
        server = Server(uvicorn.Config(lambda *_: None, port=0, log_config=None, lifespan="off", ws="none"))
        socket = server.config.bind_socket()
        port = socket.getsockname()[1]
        settings = opened.running.settings.model_copy(
            update={"port": port, "console_url": f"http://localhost:{port}", "clock": "movable"}
        )
        issuer.first_key(settings.config_folder, settings.issuer_folder, settings.issuer_url)
        database = await databases.make("console")
        await upgrade(database, "console")
        supervisor = Supervisor()
        resources = ConsoleResources(settings, clock, Directory(settings.config_folder), supervisor, database)
        await console.invite(resources, PEOPLE)
        async with console.alive(resources) as pages:
            server.config.app = OnePort(opened.running.app, pages)
            serving = asyncio.create_task(server.serve(sockets=[socket]))
            made = Stage(opened, f"http://localhost:{port}", clock, database, resources, browser)
            try:
                yield made
            finally:
                await made.close_browsers()
                supervisor.stopping.set()
                server.leave()
                await serving
                await supervisor.stop(timedelta(seconds=2))
