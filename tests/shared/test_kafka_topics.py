"""Is the topic made as the log needs it, and is what is in it what any other client of the standard reads?"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from cloudevents.core.bindings.kafka import KafkaMessage, from_binary_event
from confluent_kafka import Consumer

from loopkeeper.event_log.kafka import KafkaLog, partition_of
from loopkeeper.event_log.kafka_config import KafkaConfig
from tests.kafka import Kafka
from tests.shared.event_log_contract import message

Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def topic() -> str:
    return f"loops-{uuid4().hex}"


@pytest.fixture
def command(kafka: Kafka, topic: str, tmp_path: Path) -> Command:
    """Runs `loopkeeper topics` for this topic, as an operator would."""
    environment = {
        "PATH": os.defpath,
        "LOOPKEEPER_HOME": str(tmp_path),
        "LOOPKEEPER_BUS": f"kafka://{kafka.servers}/{topic}",
        "LOOPKEEPER_KAFKA_REPLICATION": "1",
    }

    def run(word: str, **settings: str) -> subprocess.CompletedProcess[str]:
        words = [str(Path(sys.executable).with_name("loopkeeper")), "topics", word]
        return subprocess.run(
            words, env={**environment, **settings}, capture_output=True, text=True, timeout=60
        )

    return run


def test_a_topic_is_made_once_and_then_is_as_the_log_needs_it(command: Command, topic: str) -> None:
    assert command("check").stdout.splitlines()[0] == f"The topic {topic} does not exist."
    assert command("create").stdout == f"The topic {topic} is made.\n"
    assert (again := command("create")).returncode == 0
    assert "there already" in again.stdout
    checked = command("check")
    assert (checked.returncode, checked.stdout) == (0, f"The topic {topic} is as the log needs it.\n")
    other = command("check", LOOPKEEPER_KAFKA_PARTITIONS="7", LOOPKEEPER_KAFKA_REPLICATION="3")
    assert other.returncode == 1
    assert other.stdout.splitlines()[:4] == [
        "It has 6 partitions, configured are 7.",
        "It has 1 copies of a partition, configured are 3.",
        "A partition has 1 copies in step, needed are 2.",
        "min.insync.replicas is 1, needed is 2.",
    ]


async def test_a_topic_that_forgets_by_age_is_not_as_the_log_needs_it(
    command: Command, kafka: Kafka, topic: str
) -> None:
    await kafka.topic(6, name=topic, kept={"retention.ms": "604800000"})
    checked = command("check")
    assert checked.returncode == 1
    assert checked.stdout.splitlines()[0] == "retention.ms is 604800000, needed is -1."


async def test_an_event_of_another_year_is_taken_like_any_other(
    command: Command, kafka: Kafka, topic: str
) -> None:
    """A record has its event's own time; a broker left to itself refuses what is an hour ahead of its clock."""
    assert command("create").returncode == 0
    event_log, now = KafkaLog(KafkaConfig(kafka.servers, topic, 6)), message("ref_1", 1)
    later = replace(now, time=now.time + timedelta(days=900))
    assert await event_log.publish([now, later]) == 2
    await event_log.close()


def test_a_cluster_that_is_away_is_named_with_what_to_mend(command: Command) -> None:
    away = command("create", LOOPKEEPER_BUS="kafka://127.0.0.1:1/loops")
    assert away.returncode == 5
    assert away.stderr.splitlines()[-2:] == [
        "Kafka at 127.0.0.1:1 does not answer: ConnectionRefusedError.",
        "Start it, or correct LOOPKEEPER_BUS and the LOOPKEEPER_KAFKA_… settings.",
    ]


async def test_another_client_and_the_standards_own_library_read_the_event(kafka: Kafka) -> None:
    """CloudEvents 1.0 in binary mode, read by librdkafka and the CloudEvents SDK."""
    line = KafkaConfig(kafka.servers, await kafka.topic(), 3)
    event_log, sent = KafkaLog(line), message("ref_1", 7)
    assert await event_log.publish([sent]) == 1
    await event_log.close()
    reader = Consumer(
        {"bootstrap.servers": kafka.servers, "group.id": line.topic, "auto.offset.reset": "earliest"}
    )
    reader.subscribe([line.topic])
    record = reader.poll(30.0)
    assert record is not None
    assert record.error() is None
    reader.close()
    assert record.partition() == partition_of("ref_1", 3)
    headers = {name: bytes(value) for name, value in record.headers() or []}
    assert headers["content-type"] == b"application/json"
    read = from_binary_event(KafkaMessage(headers=headers, key=record.key(), value=record.value()))
    attributes = read.get_attributes()
    assert (attributes["specversion"], attributes["id"], attributes["type"], attributes["source"]) == (
        "1.0", str(sent.id), sent.type, sent.source,
    )  # fmt: skip
    assert (attributes["subject"], attributes["time"]) == ("ref_1", sent.time)
    assert (attributes["partitionkey"], attributes["sequence"]) == ("ref_1", "7")
    assert read.get_data() == {"number": 7}
