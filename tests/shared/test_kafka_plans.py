"""Who may read a plan's topic? Asked of the broker itself, with each one's own user."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.errors import TopicAuthorizationFailedError
from confluent_kafka import Consumer

from loopkeeper.event_log import kafka_access
from loopkeeper.event_log.kafka import KafkaLog, partition_of
from loopkeeper.event_log.kafka_access import (
    ALL,
    EVERYBODY,
    LITERAL,
    READ,
    TOPIC,
    AccessRule,
    Users,
    topic_of,
)
from loopkeeper.event_log.kafka_config import KafkaConfig, goodbye
from loopkeeper.event_log.port import LogUnavailable
from loopkeeper.kernel.errors import StartError
from loopkeeper.security import organizations
from tests.kafka import PARTITIONS, USERS, Kafka
from tests.shared.event_log_contract import by_key, message

Command = Callable[..., subprocess.CompletedProcess[str]]
HARBOR, VALLEY = f"harbor-{uuid4().hex[:8]}", "valley"


@pytest.fixture
def log_name() -> str:
    return f"loops-{uuid4().hex}"


@pytest.fixture
def command(kafka: Kafka, log_name: str, tmp_path: Path) -> Command:
    """`loopkeeper topics` of an installation with two plans, of which one logs in under another name than its id."""
    assert kafka.login_servers, "log-ins are tested on a broker of this run: unset LOOPKEEPER_KAFKA"
    organizations.import_organizations(
        tmp_path / "config", [{"id": each, "name": each, "kind": "plan"} for each in (HARBOR, VALLEY)]
    )
    environment = {
        "PATH": os.defpath,
        "LOOPKEEPER_HOME": str(tmp_path),
        "LOOPKEEPER_BUS": f"kafka://{kafka.servers}/{log_name}",
        "LOOPKEEPER_KAFKA_REPLICATION": "1",
        "LOOPKEEPER_KAFKA_PLAN_USERS": json.dumps({HARBOR: "harbor"}),
    }

    def run(*asked: str, **settings: str) -> subprocess.CompletedProcess[str]:
        words = [str(Path(sys.executable).with_name("loopkeeper")), "topics", *asked]
        return subprocess.run(
            words, env={**environment, **settings}, capture_output=True, text=True, timeout=60
        )

    return run


def read(kafka: Kafka, user: str, topic: str, group: str) -> str:
    """What this user gets: the first record's id, or the name of the broker's refusal."""
    reader = Consumer(
        {
            "bootstrap.servers": kafka.login_servers,
            "security.protocol": "SASL_PLAINTEXT",
            "sasl.mechanism": "PLAIN",
            "sasl.username": user,
            "sasl.password": USERS[user],
            "group.id": group,
            "auto.offset.reset": "earliest",
        }
    )
    reader.subscribe([topic])
    try:
        record = reader.poll(20.0)
        assert record is not None
        error = record.error()
        if error is not None:
            return str(error.name())
        return dict(record.headers() or [])["ce_id"].decode()
    finally:
        reader.close()


async def write(kafka: Kafka, user: str, topic: str) -> None:
    producer = AIOKafkaProducer(**kafka.login(user), acks="all")
    await producer.start()
    try:
        await producer.send_and_wait(topic, b"{}", key=b"ref_1")
    finally:
        await goodbye(producer.stop(), producer)


async def test_a_plans_user_reads_its_own_topic_and_no_other(
    kafka: Kafka, command: Command, log_name: str
) -> None:
    made = await asyncio.to_thread(command, "create")
    assert (made.returncode, len(made.stdout.splitlines())) == (0, 3), made.stderr
    event_log, sent = KafkaLog(KafkaConfig(kafka.servers, log_name, 6)), message("ref_1", 1)
    for topic in (topic_of(HARBOR), topic_of(VALLEY)):
        assert await event_log.forward(topic, [sent]) == 1
    assert await event_log.publish([sent]) == 1
    await event_log.close()

    def gets(user: str, topic: str, group: str) -> str:
        return read(kafka, user, topic, group)

    mark = uuid4().hex
    asked = {
        "its own": ("harbor", topic_of(HARBOR), f"{HARBOR}.{mark}"),
        "its own, named by its id": ("valley", topic_of(VALLEY), f"valley.{mark}"),
        "another plan's": ("harbor", topic_of(VALLEY), f"{HARBOR}.{mark}"),
        "the log": ("harbor", log_name, f"{HARBOR}.{mark}"),
        "in another plan's group": ("harbor", topic_of(HARBOR), f"valley.{mark}"),
        "in a group named a little longer": ("harbor", topic_of(HARBOR), f"{HARBOR}x.{mark}"),
        "nobody's": ("nobody", topic_of(HARBOR), f"{HARBOR}.{mark}"),
    }
    got = {
        each: await asyncio.to_thread(gets, user, topic, group)
        for each, (user, topic, group) in asked.items()
    }
    topic_refused, group_refused = "TOPIC_AUTHORIZATION_FAILED", "GROUP_AUTHORIZATION_FAILED"
    assert got == {
        "its own": str(sent.id),
        "its own, named by its id": got["its own, named by its id"],
        "another plan's": topic_refused,
        "the log": topic_refused,
        "in another plan's group": group_refused,
        "in a group named a little longer": group_refused,
        "nobody's": group_refused,
    }
    assert UUID(got["its own, named by its id"])
    for user in ("harbor", "valley"):
        with pytest.raises(TopicAuthorizationFailedError):
            await write(kafka, user, topic_of(HARBOR))


async def test_check_names_what_is_missing_and_who_reads_too_much(
    kafka: Kafka, command: Command, log_name: str
) -> None:
    await asyncio.to_thread(command, "create")
    sound = await asyncio.to_thread(command, "check")
    assert (sound.returncode, sound.stdout.splitlines()[-1]) == (
        0,
        "The topics of 2 plans are as they must be.",
    )
    line = KafkaConfig(kafka.servers, log_name, 6)
    # Rules stay with the broker, which other tests share: none of them may find that everybody may write somewhere.
    for principal, operation in ((EVERYBODY, READ), ("User:valley", ALL)):
        await kafka_access.grant(line, [AccessRule(TOPIC, topic_of(HARBOR), LITERAL, principal, operation)])
    # The services log in as users who were granted nothing, and the plan under a name it had not before.
    other = await asyncio.to_thread(
        command,
        "check",
        LOOPKEEPER_KAFKA_SERVICE_USERS=json.dumps({"notification": "notices"}),
        LOOPKEEPER_KAFKA_PLAN_USERS=json.dumps({HARBOR: "harbor-new"}),
    )
    topic = topic_of(HARBOR)
    assert other.returncode == 1
    assert set(other.stdout.splitlines()) >= {
        f"User:loopkeeper-intake may not write the topic {log_name}.",
        f"User:loopkeeper-intake may not read in groups {log_name}.intake.",
        f"User:notices may not write the topic {topic}.",
        f"User:harbor-new may not read the topic {topic}.",
        f"User:harbor-new may not read in groups {HARBOR}.*.",
        f"User:* may read the topic {topic} too.",
        f"User:valley may do anything with the topic {topic} too.",
        "The topics of 2 plans are not as they must be.",
    }


def test_no_two_share_a_user() -> None:
    shared = [
        ({"a": "b"}, {}),
        ({"a": "same", "b": "same"}, {}),
        ({}, {"intake": "b"}),
        ({}, {"intake": "same", "notification": "same"}),
    ]
    for named, services in shared:
        with pytest.raises(StartError):
            Users(["a", "b"], named, services)


async def test_a_topic_that_is_missing_is_said_soon_and_the_log_goes_on(kafka: Kafka) -> None:
    line = KafkaConfig(kafka.servers, await kafka.topic(), PARTITIONS)
    event_log = KafkaLog(line)
    with pytest.raises(LogUnavailable):
        await event_log.forward(f"{line.topic}-missing", [message("ref_1", 1)])
    assert await event_log.publish([message("ref_1", 1)]) == 1
    await event_log.close()


async def test_another_topic_keeps_each_keys_order_by_its_own_count_of_partitions(kafka: Kafka) -> None:
    line = KafkaConfig(kafka.servers, await kafka.topic(), PARTITIONS)
    other = replace(line, topic=await kafka.topic(PARTITIONS + 2), partitions=PARTITIONS + 2)
    event_log, reader = KafkaLog(line), KafkaLog(other)
    sent = [message(f"ref_{n % 7}", n) for n in range(140)]
    assert await event_log.forward(other.topic, sent) == len(sent)
    found = [one async for one in reader.history()]
    assert by_key(found) == {f"ref_{k}": list(range(k, 140, 7)) for k in range(7)}
    assert all(one.partition == partition_of(one.key, PARTITIONS + 2) for one in found)
    await event_log.close()
    await reader.close()
