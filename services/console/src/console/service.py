"""The console, as `loopkeeper up` runs it: no service, for it keeps no loop; a program of its own beside them."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import aiohttp
from starlette.types import ASGIApp

from console.access.session import People
from console.access.sessions import end_after_restore, suspend_unseen
from console.access.store import Access
from console.access.tokens import Issuer
from console.app import app_of
from console.settings import ConsoleSettings
from console.web.running import Running
from console.web.site import site_at
from loopkeeper.kernel.repeat import repeat
from loopkeeper.kernel.settings import read
from loopkeeper.kernel.wake import woken_by
from loopkeeper.postgres.connections import writing_pool
from loopkeeper.postgres.incarnation import incarnation
from loopkeeper.runtime.console import Console, Resources

CLEARED_EVERY = 3600.0


@asynccontextmanager
async def alive(resources: Resources) -> AsyncGenerator[ASGIApp]:
    """The console from its first connection to its last one."""
    settings, own = resources.settings, read(ConsoleSettings)
    site = site_at(settings.issuer_url)
    pool = await writing_pool(resources.database, name="loopkeeper-console")
    connector = aiohttp.TCPConnector(limit=64, keepalive_timeout=30)
    # A cookie of a service would be everybody's.
    http = aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())
    try:
        access = Access(pool, resources.clock, resources.directory, site, settings, own)
        known = await pool.fetchval("SELECT EXISTS (SELECT 1 FROM born)")
        await end_after_restore(access, await incarnation(pool), known=known)

        async def clear() -> bool:
            await suspend_unseen(access)
            return False

        resources.start("console.access", lambda heartbeat: repeat(clear, woken_by(), CLEARED_EVERY, heartbeat))
        people = People(access, Issuer(access))
        running = Running(
            people, http, settings.base_url, resources.clock, site, settings, own, resources.stopping
        )
        yield app_of(running)
    finally:
        await http.close()
        await pool.close()


console = Console(name="console", package="console", settings=ConsoleSettings, alive=alive)
