"""Two replicas of every service, each alone with its own database, against one real Kafka: what is restarted, killed
or away while people go on, and what do probes hear of it?"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncGenerator, Generator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from demo.broker import Broker
from demo.ports import free_port
from loopkeeper.event_log.kafka_config import TOPIC
from loopkeeper.kernel.clock import FileClock
from loopkeeper.postgres.connections import Connection, connect
from loopkeeper.runtime.run import GRACE
from loopkeeper.runtime.service import installed
from tests.builders.organizations import HARBOR, OPERATIONS
from tests.chaos import invariants
from tests.chaos.cluster import Cluster
from tests.chaos.hearing import unheard, unkept
from tests.chaos.lives import Life, Lives, until
from tests.chaos.load import People
from tests.chaos.pairs import REPLICAS, Pairs, pairs
from tests.kafka import PARTITIONS, Kafka, guarded
from tests.loop.house import POLICY

SEED = 11
# So many are sent around each restart, each kill, and before and while the broker is away.
FORMS_EACH = 3
FORMS = FORMS_EACH * (1 + len(installed()) + len(installed()) + 2)
# A webhook that died on its way is sent again when its lease runs out, a minute later.
LEASE = timedelta(seconds=61)
# A broker that comes back, and eight processes that find it, on two cores.
SOON = 120.0


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Generator[Broker]:
    """A broker of this file's own, to be taken away. It does not run yet."""
    found = Broker(tmp_path_factory.mktemp("kafka"))
    yield found
    found.kill()


@pytest.fixture(scope="module")
def event_log(broker: Broker) -> str:
    return f"kafka://{broker.servers}/{TOPIC}"


@pytest_asyncio.fixture(scope="module")
async def running(
    lives: Lives, cluster: Cluster, tmp_path_factory: pytest.TempPathFactory, broker: Broker, event_log: str
) -> AsyncGenerator[Pairs]:
    if not broker.pid:
        await begin(broker)
        await make_topic(broker)
    async with pairs(lives, cluster, tmp_path_factory.mktemp("pairs"), event_log) as opened:
        yield opened


@pytest_asyncio.fixture(scope="module")
async def people(running: Pairs) -> AsyncGenerator[People]:
    """The same all through this file: what became of everything they sent is asked after each disturbance."""
    async with People(running, SEED) as opened:
        await opened.expect(FORMS)
        yield opened


@pytest_asyncio.fixture
async def admin(cluster: Cluster) -> AsyncGenerator[Connection]:
    connection = await connect(cluster.server.admin())
    yield connection
    await connection.close()


async def begin(broker: Broker) -> None:
    await asyncio.to_thread(broker.start)
    guarded(broker)


async def make_topic(broker: Broker) -> None:
    await Kafka(broker.servers, "").topic(name=TOPIC)


async def test_a_service_that_is_first_waits_for_database_broker_and_topic_and_says_so(
    lives: Lives, cluster: Cluster, admin: Connection, broker: Broker, event_log: str, tmp_path: Path
) -> None:
    await admin.execute("ALTER DATABASE intake RENAME TO intake_of_tomorrow")
    port = free_port()
    environment = {
        "PATH": "",
        "LOOPKEEPER_HOME": str(tmp_path / "home"),
        "LOOPKEEPER_POLICY": str(POLICY),
        "LOOPKEEPER_INTAKE_DATABASE": cluster.addresses().databases["intake"],
        "LOOPKEEPER_BUS": event_log,
        "LOOPKEEPER_KAFKA_PARTITIONS": str(PARTITIONS),
        "LOOPKEEPER_PORT": str(port),
    }
    life = await lives.begin(["up", "intake"], environment, tmp_path / "up.log")
    await life.serves(port)
    async with httpx.AsyncClient(timeout=60.0, base_url=f"http://127.0.0.1:{port}") as anybody:
        assert (await anybody.get("/health/live")).status_code == 200
        found = await intake_waits(anybody)
        assert found["database"] == {"ok": False, "detail": "InvalidCatalogNameError"}
        early = await anybody.post("/v1/referrals", json={})
        assert (early.status_code, early.headers["Retry-After"]) == (503, "5")
        assert "Start it, or correct LOOPKEEPER_INTAKE_DATABASE." in life.said()

        await admin.execute("ALTER DATABASE intake_of_tomorrow RENAME TO intake")
        found = await intake_waits(anybody, until="log")
        assert found["database"]["ok"]
        assert found["log"]["ok"] is False
        assert found["start"]["detail"] == "the log has not been read"

        await begin(broker)
        found = await intake_waits(anybody, until="log", saying="UnknownTopicOrPartitionError")
        assert found["log"]["ok"] is False

        await make_topic(broker)
        await until(lambda: says(anybody, 200), SOON)
    life.ask_to_stop()
    assert await life.ended() == 0


async def test_a_start_that_waits_ends_well_when_it_is_asked_to(
    lives: Lives, cluster: Cluster, event_log: str, tmp_path: Path
) -> None:
    nowhere = f"postgresql://intake:secret-of-intake@/intake?host={tmp_path}&port=5432"
    port = free_port()
    environment = {
        "PATH": "",
        "LOOPKEEPER_HOME": str(tmp_path / "home"),
        "LOOPKEEPER_INTAKE_DATABASE": nowhere,
        "LOOPKEEPER_BUS": event_log,
        "LOOPKEEPER_PORT": str(port),
    }
    life = await lives.begin(["up", "intake"], environment, tmp_path / "up.log")
    await life.serves(port)
    assert await seconds_to_stop(life) < GRACE.total_seconds()
    assert "The database of intake cannot be reached: FileNotFoundError." in life.said()
    assert "secret-of-intake" not in life.said()


async def test_a_rolling_restart_under_load_loses_nothing_and_doubles_nothing(
    running: Pairs, people: People
) -> None:
    """One replica of each service is stopped and started again; people go on all the time. And all the time the master key is
    being changed: who is started again has the new one, the others the old."""
    await people.release(FORMS_EACH)
    await people.referred_at_least(1)
    sealed_before = next(iter(people.referred))
    await type_at_the_desk(running, "keys", "rotate-master")
    for service in installed():
        took = time.monotonic()
        assert await running.stop(service, "0") == 0, running.living
        assert time.monotonic() - took < GRACE.total_seconds()
        await people.release(FORMS_EACH)
        await running.begin(service, "0")
        await running.until_ready(service, "0")
    await all_is_kept(running, people)
    await members_open(running, people, sealed_before)
    # Half of them were never started again: they go on with the data keys they have.
    await type_at_the_desk(running, "keys", "rotate-master", "--finish")
    await members_open(running, people, sealed_before)


async def test_a_replica_of_each_service_killed_under_load_loses_nothing_and_doubles_nothing(
    running: Pairs, people: People
) -> None:
    for service in installed():
        await work_is_under_way(running, people)
        await running.kill(service, "1")
        await running.begin(service, "1")
        await running.until_ready(service, "1")
    # Nobody sends while the clock passes over the leases of the dead: those of the living would run out with them.
    for replica in REPLICAS:
        assert await running.stop("notification", replica) == 0
    assert isinstance(running.clock, FileClock)
    running.clock.advance(LEASE)
    await asyncio.gather(*(running.begin("notification", replica) for replica in REPLICAS))
    await running.ready()
    await all_is_kept(running, people)


async def test_a_broker_killed_under_load_is_named_by_every_probe_takes_nobody_off_the_network_and_loses_nothing(
    running: Pairs, people: People, broker: Broker
) -> None:
    await work_is_under_way(running, people)
    await asyncio.to_thread(broker.kill)
    try:
        # What people send is kept where it came in, and waits there for the log.
        await people.release(FORMS_EACH)
        await people.referred_at_least(people.released)
        standing = await running.ask(OPERATIONS, "GET", "/v1/operations/intake/status")
        assert standing["outbox"] > 0
        assert standing["lag"] is None
        await asyncio.gather(*(names_the_log(running, *each) for each in running.doors))
        # Longer than what the client tries again by itself: what was being sent when the broker died is given up.
        await until(lambda: a_relay_waits(running, "intake"), SOON)
    finally:
        await begin(broker)
    await running.ready()
    await all_is_kept(running, people)


async def test_with_its_database_away_a_service_names_it_and_the_others_are_ready(
    running: Pairs, admin: Connection
) -> None:
    await admin.execute('ALTER DATABASE "assignment" CONNECTION LIMIT 0')
    try:
        await admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'assignment'"
        )
        for replica in REPLICAS:
            answer = await running.readiness("assignment", replica)
            assert answer.status_code == 503
            found = answer.json()["services"]["assignment"]
            assert (found["database"]["ok"], found["log"]["ok"]) == (False, True), found
        assert (await running.readiness("intake", "0")).status_code == 200
        desk = await running.lives.begin(
            ["status"],
            {**running.environment("intake", "0"), "LOOPKEEPER_URLS": json.dumps(running.places)},
            running.home / "status.log",
        )
        # What the runbook says to type in this outage tells of all four.
        assert await desk.ended() == 1
        told = desk.said()
        assert "assignment cannot say how it is: database: " in told
        assert all(each in told for each in ("intake", "authorization", "notification"))
    finally:
        await admin.execute('ALTER DATABASE "assignment" CONNECTION LIMIT -1')
    await running.ready()


async def type_at_the_desk(running: Pairs, *words: str) -> None:
    life = await running.lives.begin(words, running.environment("intake", "0"), running.home / "desk.log")
    assert await life.ended() == 0, life.said()


async def members_open(running: Pairs, people: People, *referrals: str) -> None:
    """Each replica of intake opens who was sealed by either: the plan asks once for each."""
    for referral in (*referrals, list(people.referred)[-1]):
        for _ in REPLICAS:
            opened = await running.ask(HARBOR, "GET", f"/v1/referrals/{referral}/member")
            assert opened["identity"]["cin"] == people.referred[referral].member["cin"]


async def work_is_under_way(running: Pairs, people: People) -> None:
    """More forms are being sent: one is answered and on its way through the services, and somebody waits for an
    answer."""
    answered = len(people.referred)
    await people.release(FORMS_EACH)
    await people.referred_at_least(answered + 1)

    async def asked() -> bool:
        return running.under_way > 0

    await until(asked, SOON)


async def all_is_kept(running: Pairs, people: People) -> None:
    """Everything sent so far came to its end, once and in order, and everybody heard of it."""
    await people.settled()
    assert people.mishaps == []
    assert len(people.referred) == people.released
    assert [*unkept(await invariants.look(running.where), people)] == []
    assert [*unheard(await invariants.feeds(running.where), running)] == []
    assert await invariants.everything_broken(running.where, running.home / "config") == []


async def a_relay_waits(running: Pairs, service: str) -> bool:
    found = [(await running.readiness(service, replica)).json()["services"][service] for replica in REPLICAS]
    return "waiting: the log cannot be reached" in [each["relay"]["detail"] for each in found]


async def names_the_log(running: Pairs, *services: str) -> None:
    async def names() -> bool:
        answer = await running.readiness(*services)
        # A replica that is not ready gets no requests, and this one answers them.
        assert (answer.status_code, answer.json()["ready"]) == (200, True), answer.text
        found = answer.json()["services"][services[0]]
        assert found["database"]["ok"], found
        return not found["log"]["ok"]

    await until(names, SOON)


async def intake_waits(anybody: httpx.AsyncClient, until: str = "database", saying: str = "") -> Any:
    """What is in the way, once the probe speaks of this."""
    async with asyncio.timeout(SOON):
        while True:
            try:
                answer = await anybody.get("/health/ready")
            except httpx.TransportError:
                # Between the program that waits and the one that works.
                await asyncio.sleep(0.05)
                continue
            assert answer.status_code == 503
            found = answer.json()["services"]["intake"]
            if until in found and saying in found[until]["detail"]:
                return found
            await asyncio.sleep(0.05)


async def says(anybody: httpx.AsyncClient, status: int) -> bool:
    return (await anybody.get("/health/ready")).status_code == status


async def seconds_to_stop(life: Life) -> float:
    asked = time.monotonic()
    life.ask_to_stop()
    assert await life.ended() == 0
    return time.monotonic() - asked
