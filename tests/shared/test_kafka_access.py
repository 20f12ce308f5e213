"""May each service's own user do its work on the log, and nothing else? Asked of the broker itself."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from uuid import uuid4

import pytest
import pytest_asyncio
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import TopicAuthorizationFailedError

from loopkeeper.event_log import kafka_access, kafka_topics
from loopkeeper.event_log.kafka import KafkaLog
from loopkeeper.event_log.kafka_access import (
    ALTER,
    DESCRIBE,
    GROUP,
    LITERAL,
    PREFIXED,
    READ,
    TOPIC,
    WRITE,
    AccessRule,
    topic_of,
)
from loopkeeper.event_log.kafka_config import KafkaConfig, goodbye
from loopkeeper.event_log.port import GroupMember, LogUnavailable, Received
from loopkeeper.kernel.errors import StartError
from loopkeeper.security import organizations
from tests.kafka import USERS, Kafka
from tests.shared.event_log_contract import Offsets, message
from tests.shared.kafka_operations import CLUSTER, CREATE, DESCRIBE_CONFIGS

PLAN = f"harbor-{uuid4().hex[:8]}"
INTAKE, NOTIFICATION, OPERATOR = "loopkeeper-intake", "loopkeeper-notification", "loopkeeper-topics"
# The partitions that `loopkeeper topics` makes by default.
PARTITIONS = 6


@dataclass(frozen=True)
class Installation:
    """A log and a plan's topic, made by `loopkeeper topics create` as the operator's user."""

    kafka: Kafka
    log: str
    home: Path

    def line(self, user: str) -> KafkaConfig:
        options = self.kafka.login(user)
        return KafkaConfig(options.pop("bootstrap_servers"), self.log, PARTITIONS, options)

    def topics(self, word: str) -> subprocess.CompletedProcess[str]:
        environment = {
            "PATH": os.defpath,
            "LOOPKEEPER_HOME": str(self.home),
            "LOOPKEEPER_BUS": f"kafka://{self.kafka.login_servers}/{self.log}",
            "LOOPKEEPER_KAFKA_REPLICATION": "1",
            "LOOPKEEPER_KAFKA_MECHANISM": "PLAIN",
            "LOOPKEEPER_KAFKA_USER": OPERATOR,
            "LOOPKEEPER_KAFKA_PASSWORD": USERS[OPERATOR],
        }
        words = [str(Path(sys.executable).with_name("loopkeeper")), "topics", word]
        return subprocess.run(words, env=environment, capture_output=True, text=True, timeout=60)


@pytest_asyncio.fixture(scope="module")
async def installed(kafka: Kafka, tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Installation]:
    home = tmp_path_factory.mktemp("access")
    organizations.import_organizations(home / "config", [{"id": PLAN, "name": "Harbor", "kind": "plan"}])
    made = Installation(kafka, f"loops-{uuid4().hex}", home)
    operator = f"User:{OPERATOR}"
    rules = [AccessRule(CLUSTER, "kafka-cluster", LITERAL, operator, each) for each in (CREATE, ALTER)]
    for name, pattern in ((made.log, LITERAL), ("plan.", PREFIXED)):
        rules += [AccessRule(TOPIC, name, pattern, operator, each) for each in (DESCRIBE, DESCRIBE_CONFIGS)]
    await kafka_access.grant(KafkaConfig(kafka.servers), rules)
    done = await asyncio.to_thread(made.topics, "create")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == (
        "The services use them as loopkeeper-intake, loopkeeper-authorization, loopkeeper-assignment, "
        "loopkeeper-notification."
    )
    yield made


@pytest_asyncio.fixture
async def event_log(installed: Installation) -> AsyncGenerator[Callable[[str], KafkaLog]]:
    """The log as this user has it."""
    opened: list[KafkaLog] = []

    def make(user: str) -> KafkaLog:
        opened.append(KafkaLog(installed.line(user), replica="0"))
        return opened[-1]

    yield make
    for each in opened:
        await each.close()


async def test_a_services_user_does_its_work_from_end_to_end(event_log: Callable[[str], KafkaLog]) -> None:
    intake, notification, sent = event_log(INTAKE), event_log(NOTIFICATION), message("ref_1", 1)
    assert await intake.publish([sent]) == 1
    assert sum((await intake.ends()).values()) == 1
    for service, reading in (("intake", intake), ("notification", notification)):
        member = await reading.join(service, Offsets())
        (got,) = await polled(member)
        assert got.message is not None
        assert got.message.id == sent.id
        await member.acknowledge({got.partition: got.offset + 1})
        assert (await reading.positions(service))[got.partition] == got.offset + 1
        assert [each.offset async for each in reading.history()] == [got.offset]
    assert await notification.forward(topic_of(PLAN), [sent]) == 1


async def test_a_services_user_does_nothing_else(
    installed: Installation, event_log: Callable[[str], KafkaLog]
) -> None:
    intake, line = event_log(INTAKE), installed.line(INTAKE)
    with pytest.raises(LogUnavailable, match="TopicAuthorizationFailedError"):
        await intake.forward(topic_of(PLAN), [message("ref_1", 1)])
    for service in ("authorization", "notification"):
        member = await intake.join(service, Offsets())
        with pytest.raises(LogUnavailable, match="GroupAuthorizationFailedError"):
            await polled(member)
    plans = KafkaLog(replace(installed.line(NOTIFICATION), topic=topic_of(PLAN)))
    with pytest.raises(LogUnavailable, match="TopicAuthorizationFailedError"):
        _ = [each async for each in plans.history()]
    await plans.close()
    admin = AIOKafkaAdminClient(**installed.kafka.login(INTAKE))
    await admin.start()
    try:
        for topic in (installed.log, topic_of(PLAN)):
            answer = await admin.delete_topics([topic])
            assert answer.topic_error_codes == [(topic, TopicAuthorizationFailedError.errno)]
    finally:
        await goodbye(admin.close(), admin)
    with pytest.raises(StartError, match="cannot be made"):
        await kafka_topics.create(replace(line, topic=f"{installed.log}-2"), 1)
    with pytest.raises(StartError, match="cannot be set"):
        await kafka_access.grant(line, [AccessRule(TOPIC, topic_of(PLAN), LITERAL, f"User:{INTAKE}", READ)])


async def test_check_names_what_a_service_lacks_and_what_somebody_may_beyond(installed: Installation) -> None:
    sound = await asyncio.to_thread(installed.topics, "check")
    assert (sound.returncode, sound.stdout.splitlines()) == (
        0,
        [f"The topic {installed.log} is as the log needs it.", "The topics of 1 plan are as they must be."],
    )
    beyond = [
        AccessRule(TOPIC, topic_of(PLAN), LITERAL, f"User:{INTAKE}", WRITE),
        AccessRule(TOPIC, "loops-", PREFIXED, f"User:{PLAN}", READ),
        AccessRule(GROUP, f"{installed.log}.intake", LITERAL, f"User:{NOTIFICATION}", READ),
    ]
    await kafka_access.grant(KafkaConfig(installed.kafka.servers), beyond)
    checked = await asyncio.to_thread(installed.topics, "check")
    assert checked.returncode == 1
    assert checked.stdout.splitlines() == [
        f"User:{PLAN} may read the topic loops-* too.",
        f"User:{NOTIFICATION} may read in groups {installed.log}.intake too.",
        f"The topic {installed.log} is not as the log needs it.",
        f"User:{INTAKE} may write the topic {topic_of(PLAN)} too.",
        "The topics of 1 plan are not as they must be.",
    ]


async def polled(member: GroupMember) -> Sequence[Received]:
    """The first answer that is not empty: a group takes a moment to give its partitions."""
    async with asyncio.timeout(20):
        while not (got := await member.poll()):
            pass
        return got
