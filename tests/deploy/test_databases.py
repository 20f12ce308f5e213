"""deploy/postgres/databases.sql, run on a real PostgreSQL: a database a service, closed to every other."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Generator
from pathlib import Path

import asyncpg
import pytest

from loopkeeper.postgres import embedded
from loopkeeper.postgres.connections import connect
from loopkeeper.postgres.embedded import Server
from loopkeeper.postgres.migrations import upgrade
from tests.deploy.places import DEPLOY, SERVICES

PASSWORD = "it's-for-a-test"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Generator[Server]:
    """An empty server on which the file was run as Docker's PostgreSQL image runs it."""
    folder: Path = tmp_path_factory.mktemp("made")
    server = embedded.start(folder, (), settings={"fsync": "off"})
    try:
        run_with_psql(server, DEPLOY / "postgres/databases.sql")
        yield server
    finally:
        embedded.remove(folder)


def run_with_psql(server: Server, file: Path) -> None:
    programs = Path(os.readlink(f"/proc/{server.pid}/exe")).parent
    psql = subprocess.run(
        [programs / "psql", "--no-psqlrc", "--quiet", "--file=-", server.admin()],
        input=file.read_text(),
        env={**os.environ, "DATABASE_PASSWORD": PASSWORD},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert psql.returncode == 0, psql.stderr


def url(server: Server, role: str, database: str) -> str:
    password = PASSWORD.replace("'", "%27")
    return server.admin(database).replace(f"postgres:{server.passwords['postgres']}@", f"{role}:{password}@")


async def test_a_service_migrates_its_own_database_and_reads_it_as_its_reader(made: Server) -> None:
    # One of the four, whose name is a word of SQL; the statements are the same for all.
    await upgrade(url(made, "authorization", "authorization"), "authorization")
    connection = await connect(url(made, "authorization", "authorization"))
    assert await connection.fetchval("SELECT count(*) FROM journal") == 0
    await connection.execute("SET ROLE authorization_reader")
    await connection.close()


async def test_every_service_has_a_database_of_its_own(made: Server) -> None:
    for service in SERVICES:
        connection = await connect(url(made, service, service))
        assert await connection.fetchval("SELECT current_user::text = current_database()::text")
        await connection.close()


async def test_no_service_reaches_the_database_of_another(made: Server) -> None:
    for database in ("authorization", "postgres"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connect(url(made, "intake", database))
