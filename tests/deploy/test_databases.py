"""deploy/postgres/databases.sql, run on a real PostgreSQL: a database a service, closed to every other."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import asyncpg
import pytest

from loopkeeper.postgres import embedded
from loopkeeper.postgres.connections import connect
from loopkeeper.postgres.embedded import Server
from loopkeeper.postgres.migrations import upgrade
from tests.deploy.places import DATABASES, DEPLOY
from tests.deploy.sql import run_with_psql, typed, url


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


@pytest.fixture
def empty(tmp_path: Path) -> Generator[Server]:
    """A server of its own, on which nothing was made."""
    server = embedded.start(tmp_path / "empty", (), settings={"fsync": "off"})
    yield server
    embedded.remove(tmp_path / "empty")


FILE = DEPLOY / "postgres/databases.sql"


async def test_on_a_managed_server_a_role_that_is_no_superuser_makes_the_same(empty: Server) -> None:
    """As a provider gives it: it may create databases and roles, and the databases that are there are not its own."""
    admin = await connect(empty.admin())
    await admin.execute("CREATE ROLE provider LOGIN CREATEDB CREATEROLE PASSWORD 'of-the-provider'")
    await admin.execute("GRANT CONNECT, TEMPORARY ON DATABASE postgres TO provider")
    await admin.close()
    target = empty.admin().replace(f"postgres:{empty.passwords['postgres']}@", "provider:of-the-provider@")
    own = {f"{each.upper()}_PASSWORD": f"{each}'s" for each in DATABASES}
    done = typed(empty, FILE, target, **own)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    for service in DATABASES:
        secret = f"{service}%27s"
        connection = await connect(
            empty.admin(service).replace(f"postgres:{empty.passwords['postgres']}@", f"{service}:{secret}@")
        )
        await connection.execute("CREATE TABLE made_by_its_owner ()")
        await connection.execute(f'SET ROLE "{service}_reader"')
        await connection.close()
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await connect(target.replace("/postgres?", "/intake?"))


async def test_where_a_password_was_forgotten_nothing_is_made(empty: Server) -> None:
    done = typed(empty, FILE, empty.admin(), INTAKE_PASSWORD="only-one")
    assert done.returncode != 0
    admin = await connect(empty.admin())
    assert await admin.fetchval("SELECT count(*) FROM pg_roles WHERE rolname = 'intake'") == 0
    await admin.close()


async def test_a_service_migrates_its_own_database_and_reads_it_as_its_reader(made: Server) -> None:
    # One of the four, whose name is a word of SQL; the statements are the same for all.
    await upgrade(url(made, "authorization", "authorization"), "authorization")
    connection = await connect(url(made, "authorization", "authorization"))
    assert await connection.fetchval("SELECT count(*) FROM journal") == 0
    await connection.execute("SET ROLE authorization_reader")
    await connection.close()


async def test_every_service_has_a_database_of_its_own(made: Server) -> None:
    for service in DATABASES:
        connection = await connect(url(made, service, service))
        assert await connection.fetchval("SELECT current_user::text = current_database()::text")
        await connection.close()


async def test_no_service_reaches_the_database_of_another(made: Server) -> None:
    for database in ("authorization", "postgres"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connect(url(made, "intake", database))
