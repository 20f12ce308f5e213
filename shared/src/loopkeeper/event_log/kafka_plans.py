"""Which topic has a plan's own systems? Each plan's authorizations are forwarded to one that only its own user reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from loopkeeper.event_log import kafka_access, kafka_topics
from loopkeeper.event_log.kafka_access import OPEN, Users, topic_of
from loopkeeper.event_log.kafka_config import KafkaConfig


async def create(config: KafkaConfig, replication: int, users: Users) -> Mapping[str, bool]:
    """Make each plan's topic and the rules of who uses it; by topic, whether it is new. Rules that are there stay as
    they are. Raises `StartError` where the cluster refuses or is away."""
    made: dict[str, bool] = {}
    for plan in users.plans:
        topic = topic_of(plan)
        made[topic] = await kafka_topics.create(replace(config, topic=topic), replication)
        await kafka_access.grant(config, users.of_plan(plan))
    return made


async def flaws(config: KafkaConfig, replication: int, users: Users) -> list[str]:
    """In what the plans' topics and their rules differ from what they must be, one sentence each. Raises
    `StartError`."""
    found: list[str] = []
    for plan in users.plans:
        topic = topic_of(plan)
        found += [
            f"{topic}: {flaw}" for flaw in await kafka_topics.flaws(replace(config, topic=topic), replication)
        ]
        rules = await kafka_access.flaws(config, users.of_plan(plan), users.known())
        if rules is None:
            # Where the services log in, others can too: there it is a flaw.
            return [*found, OPEN] if users.services else found
        found += rules
    return found
