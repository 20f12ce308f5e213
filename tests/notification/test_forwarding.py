"""A plan's topic in Kafka: what its feed has of authorizations, same ids and order, nothing sealed; nothing lost when the
service crashes, a topic is missing, or the database is put back."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
import pytest_asyncio
from aiokafka import AIOKafkaConsumer, TopicPartition
from pydantic import SecretStr

from loopkeeper.contract import events, ids
from loopkeeper.contract.envelope import Message
from loopkeeper.contract.events import Event
from loopkeeper.event_log import kafka_plans
from loopkeeper.event_log.kafka import KafkaLog
from loopkeeper.event_log.kafka_access import Users, topic_of
from loopkeeper.event_log.kafka_config import goodbye, kafka_config
from loopkeeper.kernel.clock import ManualClock
from loopkeeper.kernel.settings import Settings
from loopkeeper.postgres.connections import connect
from loopkeeper.runtime.run import Addresses, Running
from loopkeeper.runtime.service import installed
from loopkeeper.security import organizations
from loopkeeper.testing.rules import MONDAY
from notification.persistence.forwarded import on_kafka
from tests.builders.notification import approved, received
from tests.builders.organizations import REFERRER
from tests.databases import Databases
from tests.kafka import PARTITIONS, Kafka

Headers = Mapping[str, str]
PATIENCE = 20.0


def expedited() -> Event:
    return events.AuthorizationExpedited(occurred_at=MONDAY, authorization="aut_1", due_at=MONDAY)


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(PATIENCE):
        while True:
            if await condition():
                return
            await asyncio.sleep(0.02)


@dataclass
class Town:
    """Notification alone on a real log; the other services are this test, which publishes their facts."""

    settings: Settings
    databases: Databases
    database: str
    harbor: str
    valley: str
    event_log: KafkaLog
    keys: Mapping[str, str]
    programs: list[Running] = field(default_factory=list[Running])
    counts: dict[tuple[str, str], int] = field(default_factory=dict[tuple[str, str], int])

    async def start(self) -> Running:
        service = {"notification": installed()["notification"]}
        program = Running(self.settings, service, clock=ManualClock(MONDAY))
        await program.start(Addresses({"notification": self.database}, self.settings.event_log_url() or ""))
        self.programs.append(program)
        return program

    async def stop(self) -> None:
        while self.programs:
            await self.programs.pop().stop()

    async def make_topics(self, *plans: str) -> None:
        await kafka_plans.create(
            kafka_config(self.settings.event_log_url() or "", self.settings), 1, Users(plans, {})
        )

    async def happens(self, referral: str, *facts: Event) -> list[str]:
        """Published by the services that own them; the ids of authorization's."""
        sent: list[Message] = []
        for fact in facts:
            source = f"/{events.publisher(type(fact))}"
            number = self.counts[referral, source] = self.counts.get((referral, source), 0) + 1
            sent.append(
                Message(ids.uuid(), fact.wire_type(), source, referral, MONDAY, fact.payload(), number)
            )
        assert await self.event_log.publish(sent) == len(sent)
        return [str(each.id) for each in sent if each.source == "/authorization"]

    async def forwarded(self) -> None:
        """Until all that was published is read, and all of it forwarded."""
        (program, *_) = self.programs
        context = program.contexts["notification"]

        async def nothing_left() -> bool:
            return context.store.ready.is_set() and not await context.lag() and not await self.rows()

        await until(nothing_left)

    async def arrived(self, plan: str, referral: str, count: int) -> None:
        """Until the plan's topic has so many records of this referral."""

        async def there() -> bool:
            return len(await self.ids_of(plan, referral)) >= count

        await until(there)

    async def rows(self, plan: str = "") -> int:
        connection = await connect(self.database)
        try:
            return await connection.fetchval("SELECT count(*) FROM forward WHERE plan = $1 OR $1 = ''", plan)
        finally:
            await connection.close()

    async def execute(self, statement: str) -> None:
        connection = await connect(self.database)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    def caller(self, plan: str) -> httpx.AsyncClient:
        headers = {"Authorization": f"Bearer {self.keys[plan]}"}
        transport = httpx.ASGITransport(app=self.programs[0].app)
        return httpx.AsyncClient(transport=transport, base_url="http://loop.test", headers=headers)

    async def feed(self, plan: str, subscription: str) -> list[Any]:
        """The plan's feed, what it says of authorizations."""
        async with self.caller(plan) as caller:
            answer = await caller.get(f"/v1/subscriptions/{subscription}/events?limit=200")
        return [each for each in answer.json()["items"] if each["type"].startswith("ecm.authorization.")]

    async def subscribe(self, plan: str) -> str:
        async with self.caller(plan) as caller:
            return (await caller.post("/v1/subscriptions", json={})).json()["id"]

    async def topic(self, plan: str) -> list[tuple[Headers, bytes]]:
        """Everything in the plan's topic, each referral's in its order."""
        name = topic_of(plan)
        servers = kafka_config(self.settings.event_log_url() or "", self.settings).servers
        reader = AIOKafkaConsumer(bootstrap_servers=servers, enable_auto_commit=False)
        await reader.start()
        try:
            places = [TopicPartition(name, number) for number in range(PARTITIONS)]
            reader.assign(places)
            await reader.seek_to_beginning()
            found: list[tuple[Headers, bytes]] = []
            left = sum((await reader.end_offsets(places)).values())
            while len(found) < left:
                for records in (await reader.getmany(timeout_ms=1000)).values():
                    found += [
                        ({k: v.decode() for k, v in record.headers}, record.value or b"")
                        for record in records
                    ]
            return found
        finally:
            await goodbye(reader.stop(), reader)

    async def ids_of(self, plan: str, referral: str) -> list[str]:
        return [h["ce_id"] for h, _ in await self.topic(plan) if h["ce_subject"] == referral]


def first(seen: Sequence[str]) -> list[str]:
    """As a reader has them who takes each once."""
    return list(dict.fromkeys(seen))


@asynccontextmanager
async def town(kafka: Kafka, databases: Databases, folder: Path) -> AsyncGenerator[Town]:
    mark = uuid4().hex[:8]
    harbor, valley = f"harbor-{mark}", f"valley-{mark}"
    settings = Settings(
        home=folder,
        bus=SecretStr(await kafka.url()),
        kafka_partitions=PARTITIONS,
        # A replica that joins or leaves is noticed in a quarter of this.
        kafka_session=1.5,
        log_level="ERROR",
    )
    made = organizations.import_organizations(
        settings.config_folder,
        [
            {"id": harbor, "name": "Harbor Health Plan", "kind": "plan", "roles": ["plan"]},
            {"id": valley, "name": "Valley Care Plan", "kind": "plan", "roles": ["plan"]},
            {"id": REFERRER, "name": "Mission Clinic", "kind": "referrer", "roles": ["referrer"]},
        ],
    )
    keys = {str(each["id"]): str(each["key"]) for each in made}
    database = await databases.make("notification", await databases.template("notification"))
    event_log = KafkaLog(kafka_config(settings.event_log_url() or "", settings))
    found = Town(settings, databases, database, harbor, valley, event_log, keys)
    try:
        yield found
    finally:
        await found.stop()
        await event_log.close()


@pytest_asyncio.fixture
async def empty(kafka: Kafka, databases: Databases, tmp_path: Path) -> AsyncGenerator[Town]:
    async with town(kafka, databases, tmp_path) as found:
        yield found
    await databases.drop()


async def test_a_plans_topic_has_what_its_feed_has_of_authorizations_and_nothing_sealed(empty: Town) -> None:
    await empty.make_topics(empty.harbor, empty.valley)
    await empty.start()
    await empty.forwarded()
    feeds = {plan: await empty.subscribe(plan) for plan in (empty.harbor, empty.valley)}
    referrals = [ids.new("ref") for _ in range(6)]
    for number, referral in enumerate(referrals):
        plan = empty.valley if number == 0 else empty.harbor
        await empty.happens(referral, received(plan=plan), expedited(), approved(), expedited())
    await empty.forwarded()
    for plan, feed in feeds.items():
        listed, records = await empty.feed(plan, feed), await empty.topic(plan)
        assert len(records) == len(listed) == (3 if plan == empty.valley else 15)
        for referral in referrals:
            of_feed = [each for each in listed if each["data"]["referral"] == referral]
            of_topic = [(h, json.loads(body)) for h, body in records if h["ce_subject"] == referral]
            assert [h["ce_id"] for h, _ in of_topic] == [each["data"]["event"] for each in of_feed]
            assert [h["ce_type"] for h, _ in of_topic] == [each["type"] for each in of_feed]
            assert [h["ce_sequence"] for h, _ in of_topic] == [str(n + 1) for n in range(len(of_topic))]
            for (_, body), each in zip(of_topic, of_feed, strict=True):
                told = {k: v for k, v in each["data"].items() if k not in ("referral", "sequence")}
                assert body == told
        assert {h["ce_source"] for h, _ in records} == {"/authorization"}
        assert not any("sealed" in json.loads(body) or b"v1.1." in body for _, body in records)


async def test_a_crash_between_publish_and_delete_repeats_and_loses_nothing(empty: Town) -> None:
    await empty.make_topics(empty.harbor)
    await empty.execute(
        "CREATE FUNCTION crash() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION USING ERRCODE = 'admin_shutdown'; END $$"
    )
    await empty.execute("CREATE TRIGGER crash BEFORE DELETE ON forward EXECUTE FUNCTION crash()")
    await empty.start()
    referral = ids.new("ref")
    made = await empty.happens(referral, received(plan=empty.harbor), approved(), expedited())
    await empty.arrived(empty.harbor, referral, 2 * len(made))
    made += await empty.happens(referral, expedited())
    await empty.execute("DROP TRIGGER crash ON forward")
    await empty.forwarded()
    seen = await empty.ids_of(empty.harbor, referral)
    assert len(seen) > len(made)
    assert first(seen) == made


async def test_a_missing_topic_holds_up_its_own_plan_only_and_another_replica_goes_on(empty: Town) -> None:
    await empty.make_topics(empty.harbor)
    await empty.start()
    valleys, harbors = ids.new("ref"), ids.new("ref")
    waits = await empty.happens(valleys, received(plan=empty.valley), approved(), expedited())
    goes = await empty.happens(harbors, received(plan=empty.harbor), approved(), expedited())
    await empty.arrived(empty.harbor, harbors, len(goes))
    assert await empty.rows(empty.valley) == len(waits)
    await empty.make_topics(empty.valley)
    second = await empty.start()
    await empty.programs.pop(0).stop()
    assert empty.programs == [second]
    waits += await empty.happens(valleys, expedited())
    await empty.arrived(empty.valley, valleys, len(waits))
    await empty.forwarded()
    assert await empty.ids_of(empty.valley, valleys) == waits
    assert await empty.ids_of(empty.harbor, harbors) == goes


async def test_after_a_restore_the_topic_repeats_under_the_same_ids_and_keeps_the_order(empty: Town) -> None:
    await empty.make_topics(empty.harbor)
    await empty.start()
    referral = ids.new("ref")
    made = await empty.happens(referral, received(plan=empty.harbor), expedited())
    await empty.forwarded()
    await empty.stop()
    backup = await empty.databases.keep(empty.database)
    await empty.start()
    made += await empty.happens(referral, approved(), expedited())
    await empty.forwarded()
    before = await empty.topic(empty.harbor)
    await empty.stop()
    await empty.databases.put_back(backup, empty.database)
    await empty.start()
    made += await empty.happens(referral, expedited())
    await empty.forwarded()
    after = await empty.topic(empty.harbor)
    assert after[: len(before)] == before
    # What was told after the backup is told again, word for word, and then what is new.
    assert after[len(before) : -1] == before[1:]
    assert first([headers["ce_id"] for headers, _ in after]) == made


@pytest.mark.parametrize("event_log", ["", "postgresql://log"])
def test_without_kafka_nothing_is_forwarded(event_log: str) -> None:
    assert not on_kafka(Settings(bus=SecretStr(event_log) if event_log else None))
