"""What the parts of `access` work with: the console's database, the time, the organizations, and how a secret is kept."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from console.settings import ConsoleSettings
from console.web.site import Site
from loopkeeper.kernel.clock import Clock
from loopkeeper.kernel.settings import Settings
from loopkeeper.postgres.connections import Connection, Pool, Queryable
from loopkeeper.security.organizations import Directory, Organization


@dataclass(frozen=True, eq=False)
class Access:
    """The database and what is around it. Sessions and invitations count by the world's clock, whatever a demo moved."""

    pool: Pool
    clock: Clock
    directory: Directory
    site: Site
    settings: Settings
    own: ConsoleSettings

    def now(self) -> datetime:
        return self.clock.wall()

    def organization(self, slug: str) -> Organization | None:
        """One that takes part now."""
        found = self.directory.organization(slug)
        return found if found is not None and not getattr(found, "revoked", False) else None

    @asynccontextmanager
    async def changing(self) -> AsyncGenerator[Connection]:
        """One transaction: all of it is kept, or nothing."""
        async with self.pool.acquire() as connection, connection.transaction():
            yield connection

    async def note(
        self,
        connection: Queryable,
        organization: str,
        what: str,
        *,
        person: str | None = None,
        by: str = "",
        how: str = "",
    ) -> None:
        """Write down what happened to somebody's access; the person and the organization's admins read it."""
        await connection.execute(
            "INSERT INTO access_event (at, organization, person, by, what, how) VALUES ($1, $2, $3, $4, $5, $6)",
            self.now(),
            organization,
            person,
            by,
            what,
            how,
        )

    async def noted(self, person: str) -> Sequence[Mapping[str, Any]]:
        """What happened to this person's access, newest first: `at`, `what`, `how`, `by`."""
        return await self.pool.fetch(
            "SELECT at, what, how, by FROM access_event WHERE person = $1 ORDER BY n DESC LIMIT 40", person
        )


def secret() -> str:
    """256 random bits, to be shown or sent once."""
    return secrets.token_urlsafe(32)


def hashed(text: str) -> bytes:
    """How a secret of 256 random bits is kept."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
