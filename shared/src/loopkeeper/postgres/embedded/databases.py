"""Which databases and roles the embedded PostgreSQL holds, and how each is reached."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from loopkeeper.postgres.connections import TRANSIENT, Connection, connect
from loopkeeper.postgres.embedded.postmaster import PORT


@dataclass(frozen=True)
class Server:
    """A running server. Every database has an owner role of its own name that can reach no other database."""

    folder: Path
    data: Path
    sockets: Path
    pid: int
    passwords: Mapping[str, str] = field(repr=False)

    def url(self, database: str) -> str:
        """The URL of a database for its owner."""
        return self._url(database, database)

    def admin(self, database: str = "postgres") -> str:
        """The URL for the superuser: tests and repairs only."""
        return self._url("postgres", database)

    def _url(self, role: str, database: str) -> str:
        return f"postgresql://{role}:{self.passwords[role]}@/{database}?host={self.sockets}&port={PORT}"


async def prepare(server: Server, databases: Sequence[str]) -> None:
    """Make the databases that are not there yet, each closed to everyone but its own role."""
    admin = await connect(server.admin(), name="loopkeeper-embedded")
    try:
        await admin.execute("REVOKE ALL ON DATABASE postgres, template1 FROM PUBLIC")
        rows = await admin.fetch("SELECT datname, datacl IS NOT NULL AS closed FROM pg_database")
        there = {row["datname"]: row["closed"] for row in rows}
        for name in databases:
            if not there.get(name):
                await _make_database(server, admin, name, new=name not in there)
    finally:
        await admin.close()


async def in_use(server: Server) -> bool:
    """Whether anybody but this very look has a session; one that does not answer counts as used."""
    try:
        admin = await connect(server.admin(), name="loopkeeper-embedded")
    except TRANSIENT:
        return True
    try:
        return await admin.fetchval(
            """SELECT EXISTS (SELECT 1 FROM pg_stat_activity
               WHERE backend_type = 'client backend' AND pid <> pg_backend_pid())"""
        )
    finally:
        await admin.close()


async def _make_database(server: Server, admin: Connection, name: str, *, new: bool) -> None:
    """Closing the database to others comes last, so that an interrupted start is seen and taken up again."""
    await _make_roles(admin, name, server.passwords[name])
    if new:
        await admin.execute(f'CREATE DATABASE "{name}" OWNER "{name}"')
    inside = await connect(server.admin(name), name="loopkeeper-embedded")
    try:
        await inside.execute(f'ALTER SCHEMA public OWNER TO "{name}"')
        await inside.execute("REVOKE ALL ON SCHEMA public FROM PUBLIC")
        await inside.execute(f'GRANT USAGE ON SCHEMA public TO "{name}_reader"')
    finally:
        await inside.close()
    await admin.execute(f'REVOKE ALL ON DATABASE "{name}" FROM PUBLIC')


async def _make_roles(admin: Connection, name: str, password: str) -> None:
    """The login role that owns a service's database, and the reader role it may become."""
    there = {row["rolname"] for row in await admin.fetch("SELECT rolname FROM pg_roles")}
    login = f"LOGIN PASSWORD '{password}' NOSUPERUSER NOCREATEDB NOCREATEROLE"
    await admin.execute(f'{"ALTER" if name in there else "CREATE"} ROLE "{name}" {login}')
    if f"{name}_reader" not in there:
        await admin.execute(f'CREATE ROLE "{name}_reader" NOLOGIN')
    await admin.execute(f'GRANT "{name}_reader" TO "{name}"')
