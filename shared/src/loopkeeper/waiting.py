"""What does a service do whose database is not there yet? It waits where everybody can see it: it lives, is not ready,
names the database it waits for, and asks every request to come back."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Mapping

import uvicorn
from prometheus_client import CollectorRegistry
from starlette.types import Receive, Scope, Send

from loopkeeper.clients import Directory
from loopkeeper.database import unreachable
from loopkeeper.errors import Busy
from loopkeeper.logs import get
from loopkeeper.routes import Api
from loopkeeper.serving import Server
from loopkeeper.settings import Settings
from loopkeeper.web import Health, Part, build_app

log = get("waiting")
# So short that nobody notices the difference, so long that it costs nothing for an hour.
LOOK_EVERY = 0.5


async def away(urls: Mapping[str, str]) -> Mapping[str, str]:
    """Which of these services' databases cannot be reached, and why: the type of the error."""
    found = await asyncio.gather(*(unreachable(url) for url in urls.values()))
    return {name: why for name, why in zip(urls, found, strict=True) if why}


async def until_there(settings: Settings, urls: Mapping[str, str], missing: Mapping[str, str]) -> bool:
    """Wait for all of these databases, `missing` being what was away at the last look. False: asked to stop."""
    wait = _Wait(settings, urls, missing)
    return await wait.run()


class _Wait:
    """A program that answers for services which have not started."""

    def __init__(self, settings: Settings, urls: Mapping[str, str], missing: Mapping[str, str]) -> None:
        self._urls = urls
        self._missing = missing
        parts = [Part(Api(name), None, lambda name=name: self._ready(name)) for name in urls]
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
        missing = await away(self._urls)
        for name in self._missing.keys() - missing.keys():
            log.info("the database is there", service=name)
        self._missing = missing

    def _ready(self, name: str) -> Awaitable[Mapping[str, Health]]:
        return _told(self._missing.get(name, ""))


async def _told(why: str) -> Mapping[str, Health]:
    return {
        "database": Health(ok=not why, detail=why),
        "start": Health(
            ok=False, detail="the database is waited for" if why else "another database is waited for"
        ),
    }


async def _soon(event: Awaitable[object]) -> None:
    try:
        await asyncio.wait_for(event, LOOK_EVERY)
    except TimeoutError:
        return


async def _not_yet(scope: Scope, receive: Receive, send: Send) -> None:
    raise Busy("the start", retry_after=5)
