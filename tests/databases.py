"""Databases for single tests, on the one PostgreSQL of a session (`tests/conftest.py` opens it)."""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable
from importlib.metadata import entry_points
from urllib.parse import urlsplit

from loopkeeper.postgres.connections import Connection, connect
from loopkeeper.postgres.embedded import Server
from loopkeeper.postgres.migrations import upgrade

SERVICES = ("intake", "authorization", "assignment", "notification", "console", "log")
# The service of the chassis's own tests publishes as intake does, and has a database of the same owner.
EXAMPLE, EXAMPLE_OWNER = "example", "intake"
NUMBERS = itertools.count()

# A new, empty database of this service; or one with its tables.
Fresh = Callable[[str], Awaitable[str]]
Migrated = Callable[[str], Awaitable[str]]
# The address of a new, empty log.
NewLog = Callable[[], Awaitable[str]]


class Databases:
    """Databases made for single tests, as the role of the service owns them, and dropped after them."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._made: list[str] = []
        self.templates: dict[str, str] = {}

    async def make(self, service: str, template: str | None = None) -> str:
        service = EXAMPLE_OWNER if service == EXAMPLE else service
        name = f"{service}_{next(NUMBERS)}"
        admin = await connect(self._server.admin())
        try:
            # Copied file by file: half the work of going through the log, and nothing here need survive a crash.
            copied = f'TEMPLATE "{template}" STRATEGY FILE_COPY' if template else "STRATEGY FILE_COPY"
            await admin.execute(f'CREATE DATABASE "{name}" OWNER "{service}" {copied}')
            self._made.append(name)
        finally:
            await admin.close()
        if template is None:
            await self._prepare(service, name)
        return self.url(service, name)

    async def keep(self, url: str) -> str:
        """A copy of this database as it is now, which nobody uses at the moment: a backup."""
        name = f"kept_{next(NUMBERS)}"
        await self._copy(urlsplit(url).path.strip("/"), name, urlsplit(url).username or "")
        self._made.append(name)
        return name

    async def end_sessions(self, url: str) -> None:
        """Everybody who uses this database loses the line, and may come again."""
        admin = await connect(self._server.admin())
        try:
            await admin.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = $1",
                urlsplit(url).path.strip("/"),
            )
        finally:
            await admin.close()

    async def copy_in_use(self, url: str) -> str:
        """What a standby has: this database as it is now, while it is used. Its users lose the line for a moment."""
        name = urlsplit(url).path.strip("/")
        admin = await connect(self._server.admin())
        try:
            await admin.execute(f'ALTER DATABASE "{name}" CONNECTION LIMIT 0')
            await self.end_sessions(url)
            return await self.keep(url)
        finally:
            await admin.execute(f'ALTER DATABASE "{name}" CONNECTION LIMIT -1')
            await admin.close()

    async def put_back(self, kept: str, url: str) -> None:
        """Make this database what it was when it was kept."""
        name = urlsplit(url).path.strip("/")
        admin = await connect(self._server.admin())
        try:
            await admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
        finally:
            await admin.close()
        await self._copy(kept, name, urlsplit(url).username or "")

    async def _copy(self, source: str, name: str, owner: str) -> None:
        admin = await connect(self._server.admin())
        try:
            await admin.execute(
                f'CREATE DATABASE "{name}" OWNER "{owner}" TEMPLATE "{source}" STRATEGY FILE_COPY'
            )
        finally:
            await admin.close()

    def url(self, service: str, name: str) -> str:
        return self._server.url(service).replace(f"@/{service}?", f"@/{name}?")

    def admin(self, url: str) -> str:
        """The same database for the role that may do anything in it."""
        return self._server.admin(urlsplit(url).path.strip("/"))

    async def drop(self) -> None:
        admin = await connect(self._server.admin())
        try:
            while self._made:
                await admin.execute(f'DROP DATABASE "{self._made.pop()}" WITH (FORCE)')
        finally:
            await admin.close()

    async def template(self, service: str) -> str:
        """A database with this service's tables, migrated once a session."""
        if service not in self.templates:
            await upgrade(await self.make(service), package_of(service))
            self.templates[service] = self._made.pop()
        return self.templates[service]

    async def _prepare(self, service: str, name: str) -> None:
        inside: Connection = await connect(self._server.admin(name))
        try:
            await inside.execute(f'ALTER SCHEMA public OWNER TO "{service}"')
            await inside.execute(f'GRANT USAGE ON SCHEMA public TO "{service}_reader"')
        finally:
            await inside.close()


def package_of(service: str) -> str:
    """Whose migrations make this service's tables."""
    if service == EXAMPLE:
        return "tests.example"
    group = "loopkeeper.console" if service == "console" else "loopkeeper.services"
    (point,) = entry_points(group=group, name=service)
    return point.module.partition(".")[0]
