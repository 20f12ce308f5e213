"""What happens to requests at a stop, and to a start when the database or the log is away?"""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncGenerator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from demo.ports import free_port
from loopkeeper.postgres import migrations, revisions
from loopkeeper.postgres.connections import Connection, connect
from loopkeeper.runtime.run import GRACE
from loopkeeper.store.gate import PATIENCE
from tests.builders.forms import david
from tests.builders.organizations import CLINIC, HARBOR
from tests.chaos.cluster import Cluster
from tests.chaos.lives import Lives, taken, until
from tests.chaos.town import Town, town, uvicorn_of
from tests.databases import Fresh, Migrated
from tests.loop.house import POLICY
from tests.shared.cut_line import cut_line

CANNOT_START = 5
# Anything waited for here is a matter of milliseconds.
SOON = 90.0
# Less than a request's patience with a lock (4 s), more than a stop takes that waits for nothing.
A_MOMENT = 1.0


@pytest_asyncio.fixture(scope="module")
async def opened(
    lives: Lives, cluster: Cluster, tmp_path_factory: pytest.TempPathFactory
) -> AsyncGenerator[Town]:
    async with town(lives, cluster, tmp_path_factory.mktemp("town")) as running:
        yield running


@pytest_asyncio.fixture
async def admin(cluster: Cluster) -> AsyncGenerator[Connection]:
    connection = await connect(cluster.server.admin("intake"))
    yield connection
    await connection.close()


async def waits_for_a_lock(admin: Connection) -> bool:
    query = "SELECT count(*) FROM pg_stat_activity WHERE datname = 'intake' AND wait_event_type = 'Lock'"
    return await admin.fetchval(query) > 0


async def is_free(port: int) -> bool:
    return not await taken(port)


async def test_a_stop_answers_what_is_under_way_takes_nothing_new_and_ends_well(
    opened: Town, admin: Connection
) -> None:
    port = int(opened.places["intake"].rpartition(":")[2])
    headers = {"Authorization": f"Bearer {opened.keys[CLINIC]}"}
    async with httpx.AsyncClient(timeout=60.0, base_url=opened.places["intake"], headers=headers) as clinic:
        async with admin.transaction():
            # Nobody can claim anything until this transaction ends: the request is in the middle of its batch.
            await admin.execute("LOCK TABLE claim IN SHARE ROW EXCLUSIVE MODE")
            asking = asyncio.create_task(clinic.post("/v1/referrals", json=david()))
            await until(lambda: waits_for_a_lock(admin), SOON)
            began = time.monotonic()
            stopping = asyncio.create_task(opened.stop())
            await until(lambda: is_free(port), SOON)
            # It waits for its answer, as long as its grace allows; one that does not is gone by then.
            done, _ = await asyncio.wait({asking, stopping}, timeout=A_MOMENT)
            assert not done
        answer = await asking
    assert answer.status_code == 201
    assert await stopping == 0
    assert time.monotonic() - began < GRACE.total_seconds()
    await opened.begin()
    assert (await opened.referral(CLINIC, answer.json()["id"]))["status"] != ""


@pytest.mark.parametrize("program", ["loopkeeper", "uvicorn"])
async def test_a_service_whose_tables_a_job_makes_waits_for_them_and_goes_on_by_itself(
    lives: Lives, fresh_database: Fresh, tmp_path: Path, program: str
) -> None:
    """Without tables, then with those of an older program, then with its own; a job of its own migrates."""
    url, port = await fresh_database("intake"), free_port()
    words = ["up", "intake"] if program == "loopkeeper" else uvicorn_of("referral_intake", port)
    environment = {
        "PATH": "",
        "LOOPKEEPER_HOME": str(tmp_path / "home"),
        "LOOPKEEPER_POLICY": str(POLICY),
        "LOOPKEEPER_INTAKE_DATABASE": url,
        "LOOPKEEPER_BUS": await fresh_database("log"),
        "LOOPKEEPER_PORT": str(port),
        "LOOPKEEPER_MIGRATE": "never",
    }
    life = await lives.begin(words, environment, tmp_path / "up.log")
    await life.serves(port)
    async with httpx.AsyncClient(timeout=60.0, base_url=f"http://127.0.0.1:{port}") as anybody:

        async def waits_for(saying: str) -> bool:
            answer = await anybody.get("/health/ready")
            assert answer.status_code == 503
            assert (await anybody.get("/health/live")).status_code == 200
            found = answer.json()["services"]["intake"]
            assert found["database"]["ok"]
            return found["migrations"] == {"ok": False, "detail": saying}

        job = "run `loopkeeper migrate intake`"
        assert await waits_for(f"the tables are not there yet: {job}")
        early = await anybody.post("/v1/referrals", json={})
        assert (early.status_code, early.headers["Retry-After"]) == (503, "5")
        if program == "loopkeeper":
            assert "Run `loopkeeper migrate intake`; the service goes on by itself then." in life.said()
        assert f'"reason":"the tables are not there yet: {job}"' in life.said()

        await migrations.upgrade(url, "referral_intake", "0001")
        needed = revisions.newest("referral_intake")
        await until(lambda: waits_for(f"the tables are at revision 0001, needed is {needed}: {job}"), SOON)

        migrating = await lives.begin(["migrate", "intake"], environment, tmp_path / "migrate.log")
        assert await migrating.ended() == 0
        await until(lambda: is_ready(anybody), SOON)
    life.ask_to_stop()
    assert await life.ended() == (0 if program == "loopkeeper" else -signal.SIGTERM)


@pytest.mark.parametrize("connections", range(1, 7))
async def test_a_database_that_goes_away_at_any_moment_of_the_start_is_waited_for(
    lives: Lives, fresh_database: Fresh, tmp_path: Path, connections: int
) -> None:
    """Between the first look and the tables, between the tables and the pools, between two of them."""
    port = free_port()
    async with cut_line(await fresh_database("intake")) as line:
        line.lets_through = connections
        environment = {
            "PATH": "",
            "LOOPKEEPER_HOME": str(tmp_path / "home"),
            "LOOPKEEPER_POLICY": str(POLICY),
            "LOOPKEEPER_INTAKE_DATABASE": line.through,
            "LOOPKEEPER_BUS": await fresh_database("log"),
            "LOOPKEEPER_PORT": str(port),
        }
        life = await lives.begin(["up", "intake"], environment, tmp_path / "up.log")

        async def used_up() -> bool:
            return line.lets_through == 0 and line.refused > 0

        await until(used_up, SOON)
        line.lets_through = None
        await life.serves(port)
        async with httpx.AsyncClient(timeout=60.0, base_url=f"http://127.0.0.1:{port}") as anybody:

            async def ready() -> bool:
                try:
                    return (await anybody.get("/health/ready")).status_code == 200
                except httpx.TransportError:
                    return False

            await until(ready, 2 * SOON)
        life.ask_to_stop()
        assert await life.ended() == 0


async def test_tables_that_only_grew_are_worked_with_and_others_refused_in_a_sentence(
    lives: Lives, migrated: Migrated, fresh_database: Fresh, tmp_path: Path
) -> None:
    """After a step back, and while both versions run, a program finds newer tables than its own."""
    url, port = await migrated("intake"), free_port()
    environment = {
        "PATH": "",
        "LOOPKEEPER_HOME": str(tmp_path / "home"),
        "LOOPKEEPER_POLICY": str(POLICY),
        "LOOPKEEPER_INTAKE_DATABASE": url,
        "LOOPKEEPER_BUS": await fresh_database("log"),
        "LOOPKEEPER_PORT": str(port),
    }
    needed = revisions.newest("referral_intake")
    tables = await connect(url)
    for word, told in (("start", "and stay as they are"), ("never", "")):
        await tables.execute("UPDATE alembic_version SET version_num = '0999'")
        environment["LOOPKEEPER_MIGRATE"] = word
        life = await lives.begin(["up", "intake"], environment, tmp_path / f"{word}.log")
        await life.serves(port)
        async with httpx.AsyncClient(timeout=60.0, base_url=f"http://127.0.0.1:{port}") as anybody:
            await until(lambda anybody=anybody: is_ready(anybody), SOON)
        life.ask_to_stop()
        assert await life.ended() == 0
        assert told in life.said()

        await tables.execute("UPDATE alembic_version SET version_num = '1001'")
        life = await lives.begin(["up", "intake"], environment, tmp_path / f"{word}.log")
        assert await life.ended() == CANNOT_START
        assert f"at revision 1001 and this program knows them up to {needed}: they are newer" in life.said()
        assert "Run the version that made them, or a later one" in life.said()
    await tables.close()


async def is_ready(anybody: httpx.AsyncClient) -> bool:
    """The program that waits is the one that works then: somebody always listens."""
    return (await anybody.get("/health/ready")).status_code == 200


async def test_a_migration_whose_database_is_away_says_so_at_once_and_how_to_mend_it(
    lives: Lives, opened: Town, tmp_path: Path
) -> None:
    """It is a job, which its caller orders again; a service itself waits."""
    nowhere = f"postgresql://intake:secret-of-intake@/intake?host={tmp_path}&port=5432"
    environment = {**opened.environment("intake"), "LOOPKEEPER_INTAKE_DATABASE": nowhere}
    life = await lives.begin(["migrate", "intake"], environment, tmp_path / "migrate.log")
    assert await life.ended() == CANNOT_START
    said = life.said().splitlines()
    assert said[-2:] == [
        "The database of intake cannot be reached: FileNotFoundError.",
        "Start it, or correct LOOPKEEPER_INTAKE_DATABASE.",
    ]
    assert not any("secret-of-intake" in line for line in said)


async def test_a_start_while_the_log_is_away_says_so_and_takes_what_waits_when_it_is_back(
    opened: Town, admin: Connection
) -> None:
    assert await opened.stop() == 0
    # The log's role is refused every session, as by a server that has no more to give.
    await admin.execute("ALTER DATABASE log CONNECTION LIMIT 0")
    try:
        await opened.begin()
        async with httpx.AsyncClient(timeout=60.0, base_url=opened.places["intake"]) as anybody:
            ready = await anybody.get("/health/ready")
        # It may have lost what the log has: it takes nothing before it has looked.
        body = david(member={**david()["member"], "cin": "90000021S"})
        waiting = asyncio.create_task(opened.refer(CLINIC, body))
        done, _ = await asyncio.wait({waiting}, timeout=A_MOMENT)
        assert not done
    finally:
        await admin.execute("ALTER DATABASE log CONNECTION LIMIT -1")
    assert ready.status_code == 503
    for found in ready.json()["services"].values():
        assert found["log"]["ok"] is False
        assert found["start"] == {"ok": False, "detail": "the log has not been read"}
    referral = await waiting
    await opened.quiet()
    assert (await opened.timeline(referral, HARBOR))[:2] == [
        "referral.received",
        "authorization.review_opened",
    ]


async def test_a_decision_that_cannot_be_written_now_is_asked_to_come_back_and_then_applies(
    opened: Town, admin: Connection
) -> None:
    """What is read still answers; what writes has lost its sessions and gets no new ones."""
    await opened.refer(CLINIC, david(member={**david()["member"], "cin": "90000022S"}))
    await opened.quiet()
    queue = await opened.ask(HARBOR, "GET", "/v1/authorizations?status=pending")
    path = f"/v1/authorizations/{queue['items'][-1]['id']}:approve"
    decision = {"acted_by": {"person": "maria-chen", "title": "UM nurse"}}
    headers = {"Authorization": f"Bearer {opened.keys[HARBOR]}", "Idempotency-Key": "maria-decides"}
    # The service is as patient with its database as a client usually is with it.
    patient = httpx.Timeout(2 * PATIENCE)
    async with httpx.AsyncClient(
        base_url=opened.places["authorization"], headers=headers, timeout=patient
    ) as plan:
        await admin.execute('ALTER DATABASE "authorization" CONNECTION LIMIT 0')
        try:
            await admin.execute(
                """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                   WHERE datname = 'authorization' AND application_name = 'loopkeeper-authorization'"""
            )
            away = await plan.post(path, json=decision)
        finally:
            await admin.execute('ALTER DATABASE "authorization" CONNECTION LIMIT -1')
        assert (away.status_code, away.json()["slug"]) == (503, "busy")
        assert "Retry-After" in away.headers
        await opened.quiet()
        assert (await plan.post(path, json=decision)).status_code == 200
