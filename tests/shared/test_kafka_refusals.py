"""The broker is there and does not take what we publish, or does not let us read: who is told what, and how often?"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import MessageSizeTooLargeError

from loopkeeper.event_log import kafka_access
from loopkeeper.event_log.kafka import KafkaLog
from loopkeeper.event_log.kafka_access import DESCRIBE, LITERAL, READ, WRITE, AccessRule
from loopkeeper.event_log.kafka_config import KafkaConfig, goodbye, kafka_config
from loopkeeper.event_log.kafka_refusals import Refusals
from loopkeeper.event_log.port import LogRefused, LogUnavailable
from loopkeeper.flow.relay import Relay
from loopkeeper.kernel.logs import ONCE_IN
from loopkeeper.kernel.metrics import Metrics
from loopkeeper.kernel.settings import Settings
from loopkeeper.kernel.supervisor import Supervisor
from loopkeeper.observability.telemetry import Telemetry
from loopkeeper.store.transient import transient
from tests.databases import Migrated
from tests.kafka import FOR_EVER, PARTITIONS, USERS, Kafka
from tests.shared.event_log_contract import Offsets, message
from tests.shared.replica import SOON, connect_as, until
from tests.shared.stores import opened, reception

# No event is as small as this.
TINY = "100"
TOO_LARGE = "MessageSizeTooLargeError: an event is larger than the topic takes: raise its max.message.bytes"
TOPIC_REFUSED = "TopicAuthorizationFailedError: the user of LOOPKEEPER_KAFKA_USER may not do this with the topic: grant it"
ALL_REFUSED = (
    "ClusterAuthorizationFailedError: the user of LOOPKEEPER_KAFKA_USER may not write to any topic: grant it"
)
GROUP_REFUSED = (
    "GroupAuthorizationFailedError: the user of LOOPKEEPER_KAFKA_USER may not read in this group: grant it"
)


@pytest_asyncio.fixture
async def tiny(kafka: Kafka) -> KafkaConfig:
    """A topic that takes none of our events."""
    kept = {**FOR_EVER, "max.message.bytes": TINY}
    return KafkaConfig(kafka.servers, await kafka.topic(kept=kept), PARTITIONS)


@pytest_asyncio.fixture
async def topic(kafka: Kafka) -> str:
    assert kafka.login_servers, "log-ins are tested on a broker of this run: unset LOOPKEEPER_KAFKA"
    return await kafka.topic()


@pytest_asyncio.fixture
async def clerk(kafka: Kafka, topic: str) -> AsyncGenerator[KafkaLog]:
    """The log as a user sees it who was granted nothing yet."""
    settings = {
        "kafka_user": "clerk",
        "kafka_password": USERS["clerk"],
        "kafka_mechanism": "PLAIN",
        "kafka_partitions": PARTITIONS,
    }
    event_log = KafkaLog(
        kafka_config(f"kafka://{kafka.login_servers}/{topic}", Settings(**settings)), session=1.5
    )
    yield event_log
    await event_log.close()


async def widen(line: KafkaConfig) -> None:
    """What the sentence asks for."""
    admin = AIOKafkaAdminClient(bootstrap_servers=line.servers)
    await admin.start()
    try:
        configs: Any = {"max.message.bytes": "1048588", **FOR_EVER}
        await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, line.topic, configs=configs)])
    finally:
        await goodbye(admin.close(), admin)


async def allow(kafka: Kafka, topic: str, *operations: int, kind: int = kafka_access.TOPIC) -> None:
    line = KafkaConfig(kafka.servers, topic, PARTITIONS)
    grants = [AccessRule(kind, topic, LITERAL, "User:clerk", each) for each in operations]
    await kafka_access.grant(line, grants)


async def becomes(said: Callable[[], Awaitable[str]], sentence: str) -> None:
    """A grant takes effect a moment after it is made."""
    async with asyncio.timeout(SOON):
        while (now := await said()) != sentence:
            assert now.startswith("LogRefused "), now


# ── a record that is not taken ────────────────────────────────────────────────────────────────────────────


async def test_a_relay_whose_event_the_broker_does_not_take_says_why_and_goes_on_once_that_is_mended(
    migrated: Migrated, tmp_path: Path, tiny: KafkaConfig
) -> None:
    url, event_log, supervisor = await migrated("example"), KafkaLog(tiny), Supervisor(transient=transient)
    telemetry = Telemetry.open("intake", Settings(home=tmp_path))
    try:
        async with opened(url, tmp_path / "config") as bench:
            (known,) = received = [reception()]
            await bench.store.execute(received)
            relay = Relay(
                "intake",
                partial(connect_as, url),
                event_log,
                bench.store.unsent,
                metrics=Metrics(),
                telemetry=telemetry,
            )
            supervisor.start("intake.relay", relay.run)

            async def says_why() -> bool:
                return supervisor.health()["intake.relay"].detail == f"waiting: the log refuses: {TOO_LARGE}"

            await until(says_why)
            assert await bench.count("outbox") == 1
            await widen(tiny)

            async def is_sent() -> bool:
                return await bench.count("outbox") == 0

            await until(is_sent)
            assert [one.key async for one in event_log.history()] == [known.stream]
    finally:
        await supervisor.stop(timedelta(seconds=5))
        await event_log.close()
        telemetry.close()


async def test_what_stands_before_a_refused_event_is_published_and_the_next_round_names_the_refusal(
    kafka: Kafka, capsys: pytest.CaptureFixture[str]
) -> None:
    event_log = KafkaLog(KafkaConfig(kafka.servers, await kafka.topic(), PARTITIONS))
    secret = b"Marisol"
    too_large = replace(message("ref_1", 2), data=secret * (2**18))
    assert await event_log.publish([message("ref_1", 1), too_large]) == 1
    with pytest.raises(LogRefused) as refused:
        await event_log.publish([too_large])
    assert str(refused.value) == TOO_LARGE
    await event_log.close()
    written = "".join(capsys.readouterr())
    assert TOO_LARGE in written
    assert secret.decode() not in written


async def test_a_user_who_may_not_publish_is_told_so_until_it_is_granted(
    kafka: Kafka, topic: str, clerk: KafkaLog
) -> None:
    async def publishes() -> str:
        try:
            return str(await clerk.publish([message("ref_1", 1)]))
        except LogUnavailable as error:
            return f"{type(error).__name__} {error}"

    # Who may do nothing is told of whichever the library asks for first.
    assert await publishes() in (f"LogRefused {ALL_REFUSED}", f"LogRefused {TOPIC_REFUSED}")
    await allow(kafka, topic, DESCRIBE)
    await becomes(publishes, f"LogRefused {ALL_REFUSED}")
    await allow(kafka, await kafka.topic(), WRITE)
    await becomes(publishes, f"LogRefused {TOPIC_REFUSED}")
    await allow(kafka, topic, WRITE)
    await becomes(publishes, "1")


async def test_a_user_who_may_not_read_is_told_whether_it_is_the_topic_or_the_group(
    kafka: Kafka, topic: str, clerk: KafkaLog
) -> None:
    sender, member = (
        KafkaLog(KafkaConfig(kafka.servers, topic, PARTITIONS)),
        await clerk.join("intake", Offsets()),
    )
    await sender.publish([message("ref_1", 1)])
    await sender.close()

    async def reads() -> str:
        """What the first poll says that says anything: the group is entered in the background."""
        async with asyncio.timeout(SOON):
            while True:
                try:
                    if await member.poll(timeout=0.2):
                        return "read"
                except LogUnavailable as error:
                    return f"{type(error).__name__} {error}"

    await becomes(reads, f"LogRefused {TOPIC_REFUSED}")
    await allow(kafka, topic, DESCRIBE)
    await becomes(reads, f"LogRefused {GROUP_REFUSED}")
    await allow(kafka, f"{topic}.intake", READ, kind=kafka_access.GROUP)
    await becomes(reads, f"LogRefused {TOPIC_REFUSED}")
    await allow(kafka, topic, READ)
    await becomes(reads, "read")


# ── the log ───────────────────────────────────────────────────────────────────────────────────────────────


async def test_the_same_refusal_is_logged_once_in_a_while(capsys: pytest.CaptureFixture[str]) -> None:
    """A relay tries five times a second, and each of its tries is refused."""
    moment = time.monotonic()
    refusals = Refusals(KafkaConfig("127.0.0.1:1"), now=lambda: moment)
    for _ in range(5):
        assert str(await refusals.named(MessageSizeTooLargeError())) == TOO_LARGE
    moment += ONCE_IN
    await refusals.named(MessageSizeTooLargeError())
    assert capsys.readouterr().err.count(TOO_LARGE) == 2
