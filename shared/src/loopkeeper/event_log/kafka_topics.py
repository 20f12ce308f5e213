"""Is the topic as the log needs it? Made once, by an operator; later only looked at."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from loopkeeper.event_log.kafka_config import (
    ANSWER_MS,
    AWAY,
    AIOKafkaAdminClient,
    ConfigResource,
    KafkaConfig,
    NewTopic,
    TopicExists,
    TopicUnknown,
    goodbye,
)
from loopkeeper.event_log.kafka_refusals import Refusals
from loopkeeper.event_log.port import LogRefused
from loopkeeper.kernel.errors import StartError

ANSWERS_WITHIN = 4 * ANSWER_MS / 1000
# A leader takes a record only when one copy more has it: one broker may fail without loss. Fewer copies than three
# are for machines where losing the disk loses everything anyway.
SAFE_REPLICATION = 3
# The log is kept forever: restores and proofs read it from its beginning. Records carry the events' own time, so by
# age a broker would delete what is old the day it arrives.
# And it would refuse what is more than an hour ahead of its own clock: a demo's clock is, and a wrong one may be.
KEPT: Mapping[str, str] = {
    "cleanup.policy": "delete",
    "retention.ms": "-1",
    "retention.bytes": "-1",
    "message.timestamp.after.max.ms": str(2**63 - 1),
    # A leader that lacks records would take back what was confirmed.
    "unclean.leader.election.enable": "false",
}


def settings_of(replication: int) -> Mapping[str, str]:
    """What a topic of the log must be set to."""
    return {**KEPT, "min.insync.replicas": "2" if replication >= SAFE_REPLICATION else "1"}


async def create(config: KafkaConfig, replication: int) -> bool:
    """Make the topic; False if it was there already. Raises `StartError` where the cluster refuses or is away."""
    asked = NewTopic(
        config.topic, config.partitions, replication, topic_configs=dict(settings_of(replication))
    )
    answer = await ask(config, lambda admin: admin.create_topics([asked]))
    (result,) = answer.topic_errors
    code: int = result[1]
    if code not in (0, TopicExists.errno):
        raise StartError(
            f"The topic {config.topic} cannot be made: {result[2] or code}.",
            "Look at LOOPKEEPER_KAFKA_REPLICATION and at what this user may do.",
        )
    return code == 0


async def flaws(config: KafkaConfig, replication: int) -> list[str]:
    """In what the topic differs from what the log needs, one sentence each. Raises `StartError`."""
    (described,) = await ask(config, lambda admin: admin.describe_topics([config.topic]))
    if described["error_code"] == TopicUnknown.errno:
        return [f"The topic {config.topic} does not exist."]
    partitions: list[Any] = described["partitions"]
    found: list[str] = []
    if len(partitions) != config.partitions:
        found.append(f"It has {len(partitions)} partitions, configured are {config.partitions}.")
    copies = min((len(each["replicas"]) for each in partitions), default=0)
    if copies < replication:
        found.append(f"It has {copies} copies of a partition, configured are {replication}.")
    step = min((len(each["isr"]) for each in partitions), default=0)
    if step < min(2, replication):
        found.append(f"A partition has {step} copies in step, needed are {min(2, replication)}.")
    (answer,) = await ask(
        config, lambda admin: admin.describe_configs([ConfigResource("topic", config.topic)])
    )
    is_set = {entry[0]: entry[1] for entry in answer.resources[0][4]}
    for name, wanted in settings_of(replication).items():
        if is_set.get(name) != wanted:
            found.append(f"{name} is {is_set.get(name)}, needed is {wanted}.")
    return found


async def ask(config: KafkaConfig, question: Callable[[Any], Awaitable[Any]]) -> Any:
    """What the cluster answers an operator. Raises `StartError` where it does not."""
    admin = AIOKafkaAdminClient(**config.client())
    try:
        async with asyncio.timeout(ANSWERS_WITHIN):
            await admin.start()
            return await question(admin)
    except AWAY as error:
        found = await Refusals(config).named(error)
        raise StartError(
            f"Kafka at {config.servers} {'refuses' if isinstance(found, LogRefused) else 'does not answer'}: {found}.",
            "Start it, or correct LOOPKEEPER_BUS and the LOOPKEEPER_KAFKA_… settings.",
        ) from error
    finally:
        await goodbye(admin.close(), admin)
