"""How a process of services lives: as an app in any ASGI server, or under `loopkeeper up`; waiting, start and end alike."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from types import FrameType
from typing import Any, cast

import uvicorn
from fastapi import FastAPI
from starlette.types import ASGIApp

from loopkeeper.http.app import App
from loopkeeper.http.protocol import behind, door_of
from loopkeeper.kernel.errors import StartError
from loopkeeper.kernel.logs import configure, get
from loopkeeper.kernel.server import Server
from loopkeeper.kernel.settings import Settings, read
from loopkeeper.kernel.supervisor import Supervisor
from loopkeeper.runtime import startup
from loopkeeper.runtime.console import Console, OnePort, console_app
from loopkeeper.runtime.run import GRACE, Running, Say, at_addresses, requirements_of, silent
from loopkeeper.runtime.service import Service
from loopkeeper.store.transient import transient

log = get("serve")

# Longer than a load balancer keeps an idle connection (60 seconds is usual): the one that ends it must be the one that
# would send on it.
KEPT_ALIVE = 75


@asynccontextmanager
async def alive(running: Running, say: Say = silent) -> AsyncGenerator[None]:
    """The life of a process's services, from the first look for their databases to the last connection closed. Where
    one is not there yet or goes away meanwhile, or its tables or the log, the life begins all the same, and they start
    as soon as it is there."""
    settings, services = running.settings, running.services
    async with at_addresses(settings, services, say) as addresses, running:
        needs = requirements_of(addresses, services, tables=settings.migrate == "never")
        missing = await startup.missing(needs)
        if not missing:
            try:
                await running.begin(addresses, say)
            except startup.WentAway as away:
                log.warning("the start begins again", reason=str(away))
                missing = await startup.missing(needs)
            else:
                yield
                return
        for lack in [*missing.values()][:1]:
            say(f"waiting: {lack.sentence}")
            say(lack.fix)
        beginning = asyncio.create_task(running.begin_later(needs, missing, addresses))
        try:
            yield
        finally:
            beginning.cancel()
            await asyncio.wait({beginning})


def app_of(services: Mapping[str, Service]) -> App:
    """An app of these services for any ASGI server, which starts and stops them with its lifespan. The settings are
    those of the environment."""
    settings = read(Settings)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncGenerator[None]:
        configure("+".join(services), settings.log_level)
        try:
            async with alive(running), ended_by_failure(running):
                with told_of_the_end(running):
                    log.info("started")
                    yield
        except StartError as error:
            log.error("cannot start", reason=error.sentence)
            log.error("what helps", reason=error.fix)
            raise

    running = Running(settings, services, lifespan=lifespan)
    return running.app


@contextmanager
def told_of_the_end(running: Running) -> Generator[None]:
    """Tell the services at once when the process is asked to stop. A server first waits for its open connections and
    only then ends the lifespan; a stream would hold it for minutes."""
    loop, before = asyncio.get_running_loop(), dict[signal.Signals, Callable[..., Any]]()
    if threading.current_thread() is threading.main_thread():
        for sign in (signal.SIGTERM, signal.SIGINT):
            servers = signal.getsignal(sign)
            if callable(servers):
                before[sign] = servers
                signal.signal(sign, _chained(servers, loop, running.supervisor.stopping))
    try:
        yield
    finally:
        for sign, servers in before.items():
            signal.signal(sign, servers)


def _chained(
    servers: Callable[..., Any], loop: asyncio.AbstractEventLoop, stopping: asyncio.Event
) -> Callable[[int, FrameType | None], None]:
    def asked(sign: int, frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(stopping.set)
        servers(sign, frame)

    return asked


@asynccontextmanager
async def ended_by_failure(running: Running) -> AsyncGenerator[None]:
    """End the process, as if it were asked to, when one of its tasks has failed for good."""

    async def end() -> None:
        await running.supervisor.failed.wait()
        log.error("a task failed for good: the process ends")
        signal.raise_signal(signal.SIGTERM)

    ending = asyncio.create_task(end())
    try:
        yield
    finally:
        ending.cancel()
        await asyncio.wait({ending})


async def serve(
    settings: Settings, services: Mapping[str, Service], say: Say = silent, console: Console | None = None
) -> int:
    """`loopkeeper up`: run until asked to stop; returns the exit code (1 if a task failed for good)."""
    configure("+".join([*services, *([console.name] if console else [])]), settings.log_level)
    async with AsyncExitStack() as stack:
        running = Running(settings, services) if services else None
        supervisor = running.supervisor if running else Supervisor(fatal=(), transient=transient)
        app: ASGIApp | None = None
        if running is not None:
            await stack.enter_async_context(alive(running, say))
            app = running.app
        else:
            stack.push_async_callback(supervisor.stop, GRACE)
        if console is not None:
            pages = await stack.enter_async_context(console_app(console, settings, supervisor, say))
            app = OnePort(app, pages) if app is not None else pages
        failed = await _listen(settings, cast("ASGIApp", app), supervisor)
    if running is not None and running.failure is not None:
        raise running.failure
    return 1 if failed else 0


async def _listen(settings: Settings, app: ASGIApp, supervisor: Supervisor) -> bool:
    """Serve until asked to stop, or until a task failed for good: then True."""
    server = Server(
        uvicorn.Config(
            app,
            http=behind(door_of(settings)),
            host=settings.host,
            port=settings.port,
            ssl_certfile=settings.certificate,
            ssl_keyfile=settings.certificate_key,
            log_config=None,
            access_log=False,
            ws="none",
            lifespan="off",
            timeout_keep_alive=KEPT_ALIVE,
            timeout_graceful_shutdown=int(GRACE.total_seconds()),
        )
    )

    def leave() -> None:
        supervisor.stopping.set()
        server.leave()

    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, leave)
    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, leave)
    serving = asyncio.create_task(server.serve())
    log.info("started", port=settings.port)
    failing = asyncio.create_task(supervisor.failed.wait())
    await asyncio.wait({serving, failing}, return_when=asyncio.FIRST_COMPLETED)
    failed = failing.done()
    leave()
    failing.cancel()
    await serving
    return failed
