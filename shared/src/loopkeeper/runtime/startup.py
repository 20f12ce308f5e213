"""What does a service do whose database or tables are not there yet? It waits where everybody can see it: it lives, is not
ready, names what it waits for, and asks every request to come back."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, field

import uvicorn
from prometheus_client import CollectorRegistry
from starlette.types import Receive, Scope, Send

from loopkeeper.http.app import Health, Part, build_app
from loopkeeper.http.route import Api
from loopkeeper.kernel.errors import Busy
from loopkeeper.kernel.logs import get
from loopkeeper.kernel.server import Server
from loopkeeper.kernel.settings import Settings
from loopkeeper.postgres import migrations
from loopkeeper.postgres.connections import AWAY, reason, unreachable
from loopkeeper.security.organizations import Directory

log = get("waiting")
# So short that nobody notices the difference, so long that it costs nothing for an hour.
LOOK_EVERY = 0.5
TOLD = {"database": "the database is waited for", "migrations": "the tables are waited for"}


class WentAway(Exception):
    """A database was there at the first look, and is not any more: the start begins again. Its text is a kind of error."""


@dataclass(frozen=True, slots=True)
class Need:
    """One service's database, and which setting names it. `package`: whose tables must be in it already; empty where
    this program makes them."""

    url: str = field(repr=False)
    setting: str
    package: str = ""


@dataclass(frozen=True, slots=True)
class Lack:
    """What one service has to wait for, under the name that probes have for it, and what mends it."""

    what: str
    detail: str
    sentence: str
    fix: str


async def lacking(needs: Mapping[str, Need]) -> Mapping[str, Lack]:
    """Which of these services cannot start yet, and why. Raises `StartError` where waiting would not help."""
    found = await asyncio.gather(*(_lack(name, need) for name, need in needs.items()))
    return {name: lack for name, lack in zip(needs, found, strict=True) if lack}


async def _lack(name: str, need: Need) -> Lack | None:
    if not need.package:
        why = await unreachable(need.url)
        return _away(name, need, why) if why else None
    try:
        tables = await migrations.tables(name, need.url, need.package)
    except AWAY as error:
        return _away(name, need, reason(error))
    if not tables.lacking:
        return None
    what = f"at revision {tables.found}, needed is {tables.needed}" if tables.found else "not there yet"
    job = f"`loopkeeper migrate {name}`"
    return Lack(
        "migrations",
        f"the tables are {what}: run {job}",
        f"The tables of {name} are {what}.",
        f"Run {job}; the service goes on by itself then.",
    )


def _away(name: str, need: Need, why: str) -> Lack:
    return Lack(
        "database",
        why,
        f"The database of {name} cannot be reached: {why}.",
        f"Start it, or correct {need.setting}.",
    )


async def until_there(settings: Settings, needs: Mapping[str, Need], missing: Mapping[str, Lack]) -> bool:
    """Wait until these services can start, `missing` being what was lacking at the last look. False: asked to stop."""
    wait = _Wait(settings, needs, missing)
    return await wait.run()


class _Wait:
    """A program that answers for services which have not started."""

    def __init__(self, settings: Settings, needs: Mapping[str, Need], missing: Mapping[str, Lack]) -> None:
        self._needs = needs
        self._missing: Mapping[str, Lack] = {}
        self._tell(missing)
        parts = [Part(Api(name), None, lambda name=name: self._ready(name)) for name in needs]
        app = build_app(
            parts,
            directory=Directory(settings.config_folder),
            settings=settings,
            registry=CollectorRegistry(),
        )
        app.router.default = _not_yet
        self._server = Server(
            uvicorn.Config(
                app,
                host=settings.host,
                port=settings.port,
                log_config=None,
                access_log=False,
                ws="none",
                # Nothing it answers takes time.
                timeout_graceful_shutdown=1,
            )
        )

    async def run(self) -> bool:
        stopped = asyncio.Event()
        loop = asyncio.get_running_loop()
        for sign in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(sign, stopped.set)
        serving = asyncio.create_task(self._server.serve())
        try:
            while self._missing and not stopped.is_set():
                await _soon(stopped.wait())
                await self._look()
        finally:
            self._server.leave()
            await serving
        return not stopped.is_set()

    async def _look(self) -> None:
        self._tell(await lacking(self._needs))

    def _tell(self, missing: Mapping[str, Lack]) -> None:
        """Say once of each service what it waits for now."""
        for name in self._missing.keys() | missing.keys():
            before, now = self._missing.get(name), missing.get(name)
            if now is None:
                log.info("what was waited for is there", service=name)
            elif before is None or before.what != now.what:
                log.warning(TOLD[now.what], service=name, reason=now.detail)
        self._missing = missing

    def _ready(self, name: str) -> Awaitable[Mapping[str, Health]]:
        return _told(self._missing.get(name))


async def _told(lack: Lack | None) -> Mapping[str, Health]:
    if lack is None:
        return {
            "database": Health(ok=True),
            "start": Health(ok=False, detail="another service is waited for"),
        }
    start = Health(ok=False, detail=TOLD[lack.what])
    return {"database": Health(ok=True), lack.what: Health(ok=False, detail=lack.detail), "start": start}


async def _soon(event: Awaitable[object]) -> None:
    try:
        await asyncio.wait_for(event, LOOK_EVERY)
    except TimeoutError:
        return


async def _not_yet(scope: Scope, receive: Receive, send: Send) -> None:
    raise Busy("the start", retry_after=5)
