"""What the console is to the chassis: a program for people next to the services, on their port or on one of its own.

It is no `Service`: it has no rules and no log. It is found by an entry point of its own group, has a database and
migrations like a service, and asks the services over HTTP as everybody does.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from typing import cast

from starlette.types import ASGIApp, Receive, Scope, Send

from loopkeeper.kernel.clock import Clock
from loopkeeper.kernel.errors import StartError
from loopkeeper.kernel.logs import get
from loopkeeper.kernel.settings import ServiceSettings, Settings
from loopkeeper.kernel.supervisor import Factory, Supervisor
from loopkeeper.postgres import migrations
from loopkeeper.runtime import startup
from loopkeeper.runtime.run import Say, at_addresses, make_clock, requirements_of, silent
from loopkeeper.security.organizations import Directory

log = get("console")
GROUP = "loopkeeper.console"
NAME = "console"
# What the services answer, where both are on one port; every other address is a page.
API = ("/v1/", "/openapi/", "/health/")
OWN = frozenset({"/metrics", "/openapi.json", "/docs"})


@dataclass(frozen=True)
class ConsoleResources:
    """What a console is given: where its database is, the time, the organizations, and a place for its tasks."""

    settings: Settings
    clock: Clock
    directory: Directory
    supervisor: Supervisor
    database: str = field(repr=False)

    def start(self, name: str, run: Factory) -> None:
        """Begin a task that is started again when it fails, and ended with the process."""
        self.supervisor.start(name, run)

    def stopping(self) -> bool:
        """Whether the process was asked to stop."""
        return self.supervisor.stopping.is_set()


@dataclass(frozen=True)
class Newcomer:
    """Somebody who may enrol. `invented`: a person of a rehearsal, whom anybody there may be without proof."""

    organization: str
    name: str
    email: str
    roles: tuple[str, ...]
    title: str = ""
    licence: str = ""
    admin: bool = False
    invented: bool = False


@dataclass(frozen=True)
class Console:
    """The installed console. `alive` gives its app for as long as it lives; `invite` answers with the link that each of
    these hands on, empty for an invented person, and raises `StartError` where one cannot be invited."""

    name: str
    package: str
    settings: type[ServiceSettings]
    alive: Callable[[ConsoleResources], AbstractAsyncContextManager[ASGIApp]]
    invite: Callable[[ConsoleResources, Sequence[Newcomer]], Awaitable[Sequence[str]]]


def installed() -> Console | None:
    """The console found by entry point; None where it is not installed."""
    found = [point.load() for point in entry_points(group=GROUP)]
    return cast("Console", found[0]) if found else None


def chosen(names: list[str]) -> tuple[Console | None, list[str]]:
    """The console, where it is named or nothing is, and the names that are left. Raises `StartError` where it is named
    and not installed."""
    if names and NAME not in names:
        return None, names
    console = installed()
    if NAME in names and console is None:
        raise StartError("The console is not installed.", "Install it: `pip install ./services/console`.")
    return console, [name for name in names if name != NAME]


@asynccontextmanager
async def console_app(
    console: Console, settings: Settings, supervisor: Supervisor, say: Say = silent
) -> AsyncGenerator[ASGIApp]:
    """The console's app, once its database and tables are there."""
    async with resources_of(console, settings, supervisor, say) as resources:
        say("console: starting")
        async with console.alive(resources) as app:
            yield app


@asynccontextmanager
async def resources_of(
    console: Console, settings: Settings, supervisor: Supervisor, say: Say = silent
) -> AsyncGenerator[ConsoleResources]:
    """What the console is given, once its database and tables are there."""
    needed = {console.name: console}
    async with at_addresses(settings, needed, say, log_too=False) as addresses:
        needs = requirements_of(addresses, needed, tables=settings.migrate == "never")
        missing = await startup.missing(needs)
        if missing:
            say(f"waiting: {missing[console.name].sentence}")
            await startup.Wait(needs, missing).over()
        database = addresses.databases[console.name]
        if settings.migrate == "start":
            say("console: tables")
            await migrations.upgrade(database, console.package)
        directory = Directory(settings.config_folder)
        yield ConsoleResources(settings, make_clock(settings), directory, supervisor, database)


class OnePort:
    """Services and console on one port: the API's addresses are the services', all others are pages."""

    def __init__(self, services: ASGIApp, pages: ASGIApp) -> None:
        self._services = services
        self._pages = pages

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = cast("str", scope.get("path", ""))
        api = path.startswith(API) or path in OWN
        await (self._services if api else self._pages)(scope, receive, send)
