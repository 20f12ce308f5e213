"""The backup's job, as the manifest says it: every service is dumped, a dump can be put back whole, old ones go, and what
failed leaves nothing that looks like a backup."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import pytest_asyncio

from loopkeeper.postgres.connections import Connection, connect
from loopkeeper.postgres.embedded import Server
from tests.databases import Databases
from tests.deploy.manifests import Overlay, pod, variables
from tests.deploy.places import DATABASES, SERVICES
from tests.deploy.sql import programs
from tests.shared.filled import fill, tables

DAY = 86_400.0


@dataclass
class Job:
    """The container of the manifest, with this machine's databases."""

    command: list[str]
    server: Server
    urls: Mapping[str, str]
    folder: Path

    def run(self, **instead: str) -> subprocess.CompletedProcess[str]:
        own = {f"DATABASE_{service}": url for service, url in self.urls.items()}
        environment = {
            "PATH": f"{programs(self.server)}:{os.defpath}",
            "FOLDER": str(self.folder),
            **own,
            **instead,
        }
        return subprocess.run(
            self.command, env=environment, capture_output=True, text=True, check=False, timeout=120
        )

    def dumps(self) -> dict[str, Path]:
        return {each.name.partition(".")[0]: each for each in sorted(self.folder.glob("*.dump"))}


@pytest_asyncio.fixture(scope="module")
async def urls(databases: Databases) -> AsyncGenerator[Mapping[str, str]]:
    """Each service's database with a row in every table, and the console's, whose tables hold each other, without."""
    found: dict[str, str] = {}
    for service in DATABASES:
        found[service] = await databases.make(service, await databases.template(service))
        if service in SERVICES:
            owner = await connect(found[service])
            await fill(owner, "kept")
            await owner.close()
    yield found
    await databases.drop()


@pytest.fixture
def job(production: Overlay, postgres: Server, urls: Mapping[str, str], tmp_path: Path) -> Job:
    (container,) = pod(production.named("CronJob", "loopkeeper-backup"))["spec"]["containers"]
    named = {key for key in variables(production, container) if key.startswith("DATABASE_")}
    assert named == {f"DATABASE_{service}" for service in DATABASES}
    return Job([*container["command"], *container["args"]], postgres, urls, tmp_path)


@pytest_asyncio.fixture
async def elsewhere(postgres: Server) -> AsyncGenerator[str]:
    """An empty database of intake's, in place of one that was lost."""
    admin = await connect(postgres.admin())
    await admin.execute('CREATE DATABASE "put_back" OWNER "intake"')
    yield postgres.url("intake").replace("@/intake?", "@/put_back?")
    await admin.execute('DROP DATABASE "put_back" WITH (FORCE)')
    await admin.close()


def put_back(job: Job, dump: Path, url: str) -> None:
    words = [programs(job.server) / "pg_restore", "--dbname", url, dump]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr


async def rows(url: str) -> dict[str, int]:
    connection: Connection = await connect(url)
    found = {
        name: await connection.fetchval(f'SELECT count(*) FROM "{name}"') for name in await tables(connection)
    }
    await connection.close()
    return found


async def test_a_dump_put_back_is_the_database_row_for_row(job: Job, elsewhere: str) -> None:
    done = job.run()
    assert done.returncode == 0, done.stderr
    assert set(job.dumps()) == set(DATABASES)
    assert not list(job.folder.glob("*.part"))
    for each in job.dumps().values():
        assert each.stat().st_mode & 0o077 == 0, "what a dump holds is nobody's to read"
    # As the manual puts a service's database back.
    put_back(job, job.dumps()["intake"], elsewhere)
    kept = await rows(job.urls["intake"])
    assert await rows(elsewhere) == kept
    assert sum(kept.values()) > 10
    reader = await connect(elsewhere)
    await reader.execute("SET ROLE intake_reader")
    assert await reader.fetchval("SELECT count(*) FROM referral") == 0, "row-level security came back too"
    await reader.close()


def test_dumps_of_two_weeks_are_kept_and_older_ones_go(job: Job) -> None:
    young, old = job.folder / "intake.young.dump", job.folder / "intake.old.dump"
    for file, days in ((young, 13), (old, 16)):
        file.touch()
        then = time.time() - days * DAY
        os.utime(file, (then, then))
    assert job.run().returncode == 0
    assert young.exists()
    assert not old.exists()


def test_a_database_that_is_away_fails_the_job_and_leaves_nothing_that_looks_like_a_backup(job: Job) -> None:
    nowhere = job.urls["assignment"].replace(urlsplit(job.urls["assignment"]).path, "/nowhere")
    done = job.run(DATABASE_assignment=nowhere)
    assert done.returncode != 0
    assert set(job.dumps()) == {"intake", "authorization"}
