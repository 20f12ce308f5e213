"""The console, as `loopkeeper up` runs it: no service, for it keeps no loop; a program of its own next to them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager

import aiohttp
from starlette.types import ASGIApp

from console.access import people
from console.access.session import People
from console.access.sessions import end_after_restore, suspend_unseen
from console.access.store import Access
from console.access.tokens import Issuer
from console.app import app_of
from console.running import Running
from console.settings import ConsoleSettings
from console.web.refusals import Refusal
from console.web.site import site_at
from loopkeeper.kernel.errors import StartError
from loopkeeper.kernel.repeat import repeat
from loopkeeper.kernel.settings import read
from loopkeeper.kernel.wake import woken_by
from loopkeeper.postgres.connections import writing_pool
from loopkeeper.postgres.incarnation import incarnation
from loopkeeper.runtime.console import Console, ConsoleResources, Newcomer

CLEARED_EVERY = 3600.0


@asynccontextmanager
async def alive(resources: ConsoleResources) -> AsyncGenerator[ASGIApp]:
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

        resources.start(
            "console.access", lambda heartbeat: repeat(clear, woken_by(), CLEARED_EVERY, heartbeat)
        )
        running = Running(
            People(access, Issuer(access)),
            http,
            settings.base_url,
            resources.clock,
            site,
            settings,
            own,
            resources.stopping,
        )
        yield app_of(running)
    finally:
        await http.close()
        await pool.close()


async def invite(resources: ConsoleResources, newcomers: Sequence[Newcomer]) -> Sequence[str]:
    """Let these enrol, one after the other. Raises `StartError` at the first who cannot be."""
    settings, own = resources.settings, read(ConsoleSettings)
    pool = await writing_pool(resources.database, name="loopkeeper-console")
    try:
        site = site_at(settings.issuer_url)
        access = Access(pool, resources.clock, resources.directory, site, settings, own)
        return [await _invite(access, newcomer) for newcomer in newcomers]
    except Refusal as refusal:
        raise StartError(f"{refusal.title}.", f"{refusal.fix}") from None
    finally:
        await pool.close()


async def _invite(access: Access, newcomer: Newcomer) -> str:
    of = access.organization(newcomer.organization)
    if of is None:
        raise Refusal(
            404, f"There is no organization {newcomer.organization!r}", "Add it with `loopkeeper org add`."
        )
    if newcomer.invented and access.settings.synthetic_members != "on":
        raise Refusal(
            403, "Invented people are for a rehearsal", "Set LOOPKEEPER_SYNTHETIC_MEMBERS=on there."
        )
    invited = await people.invite(
        access,
        of,
        name=newcomer.name,
        email=newcomer.email,
        roles=newcomer.roles,
        title=newcomer.title,
        licence=newcomer.licence,
        admin=newcomer.admin,
        by="picker" if newcomer.invented else "",
        confirmed=True,
    )
    if newcomer.invented:
        await people.be_here(access, invited.person)
        return ""
    return f"{access.site.origin}/enrol/{invited.token}"


console = Console(name="console", package="console", settings=ConsoleSettings, alive=alive, invite=invite)
