"""On which log is a loop played? On each of the two: a test that opens a house asks here for a log, and every test of that
file runs once on PostgreSQL and once on a real Kafka."""

from __future__ import annotations

import pytest
import pytest_asyncio

from loopkeeper.event_log import kafka_plans
from loopkeeper.event_log.kafka_access import Users
from loopkeeper.event_log.kafka_config import KafkaConfig
from tests.builders.organizations import HARBOR, VALLEY
from tests.databases import Databases, NewLog
from tests.kafka import Kafka

# What is played on both logs in every run: the whole story, the same log read twice, restores and set-backs of one service
# each. The rest plays on Kafka in `make test-long`: its rules do not know which log carries them.
ON_BOTH = ("test_david", "test_twice", "test_restore", "test_set_back", "test_log_set_back")
SET_BACK_ON_BOTH = "authorization"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        callspec = getattr(item, "callspec", None)
        if callspec is None or callspec.params.get("new_log") != "kafka" or item.path.parent.name != "loop":
            continue
        service = callspec.params.get("service", SET_BACK_ON_BOTH)
        if item.path.stem not in ON_BOTH or service != SET_BACK_ON_BOTH:
            item.add_marker("long")


@pytest_asyncio.fixture(scope="module", params=["postgres", "kafka"])
async def new_log(request: pytest.FixtureRequest, databases: Databases) -> NewLog:
    """Makes logs. One of the databases goes with the house's others; a topic goes with its broker."""
    if request.param == "postgres":
        return lambda: databases.make("log")
    kafka: Kafka = request.getfixturevalue("kafka")
    # What the story's plans read is forwarded there from every house of this broker.
    await kafka_plans.create(KafkaConfig(kafka.servers), 1, Users([HARBOR, VALLEY], {}))
    return kafka.url
