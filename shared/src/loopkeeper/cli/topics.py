"""The topics in Kafka and who may use them, for the operator who sets a cluster up: make them once, look whether they are still as
they must be."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import typer

from loopkeeper.cli.http_client import SERVICES
from loopkeeper.cli.terminal import FAILED, Json, counted, say, settings, show, starting
from loopkeeper.kernel.errors import StartError
from loopkeeper.kernel.settings import Settings
from loopkeeper.security.organizations import OrganizationKind, list_organizations

if TYPE_CHECKING:
    from loopkeeper.event_log.kafka_access import Users
    from loopkeeper.event_log.kafka_config import KafkaConfig


HELP = "The log's topic in Kafka, and each plan's own."


def create(as_json: Json = False) -> None:
    """Make the topic that LOOPKEEPER_BUS names, with its partitions kept forever, and one for each plan, and the rules of
    who may use them: each service and each plan as a user of its own. What is there is left alone, and where it differs
    from what is needed, said. Again after each new plan, as a user who may alter the cluster."""
    from loopkeeper.event_log import kafka_access, kafka_plans, kafka_topics

    async def work() -> tuple[dict[str, bool], list[str]]:
        made = {config.topic: await kafka_topics.create(config, current.kafka_replication)}
        await kafka_access.grant(config, users.of_log(config))
        made |= await kafka_plans.create(config, current.kafka_replication, users)
        return made, [
            flaw for each in await _flaws(config, current.kafka_replication, users) for flaw in each
        ]

    current = settings()
    with starting():
        config, users = _known(current)
        made, flaws = asyncio.run(work())
    if as_json:
        own = made.pop(config.topic)
        show(
            {
                "topic": config.topic,
                "partitions": config.partitions,
                "made": own,
                "plans": made,
                "services": users.services,
                "flaws": flaws,
            }
        )
        return
    for topic, new in made.items():
        say(f"The topic {topic} {'is made' if new else 'is there already'}.")
    if users.services:
        say(f"The services use them as {', '.join(users.services.values())}.")
    for flaw in flaws:
        say(flaw)


def check(as_json: Json = False) -> None:
    """Compare the topics, and who may use them, with what is needed; exit code 1 where they differ."""
    current = settings()
    with starting():
        config, users = _known(current)
        flaws, of_plans = asyncio.run(_flaws(config, current.kafka_replication, users))
    if as_json:
        show({"topic": config.topic, "sound": not flaws + of_plans, "flaws": flaws + of_plans})
    else:
        for flaw in flaws:
            say(flaw)
        say(f"The topic {config.topic} is {'not ' if flaws else ''}as the log needs it.")
        for flaw in of_plans:
            say(flaw)
        if users.plans:
            say(
                f"The topics of {counted(len(users.plans), 'plan')} are {'not ' if of_plans else ''}as they must be."
            )
    if flaws or of_plans:
        raise typer.Exit(FAILED)


async def _flaws(config: KafkaConfig, replication: int, users: Users) -> tuple[list[str], list[str]]:
    """What is wrong with the log, and with the plans' topics."""
    from loopkeeper.event_log import kafka_access, kafka_plans, kafka_topics

    rules = await kafka_access.flaws(config, users.of_log(config), users.known())
    of_log = await kafka_topics.flaws(config, replication) + ([kafka_access.OPEN] if rules is None else rules)
    return of_log, await kafka_plans.flaws(config, replication, users)


def _known(current: Settings) -> tuple[KafkaConfig, Users]:
    """The log, and who logs in as what. Where the operator logs in, or the services' users are named, each
    service has one of its own."""
    from loopkeeper.event_log.kafka_access import Users, user_of
    from loopkeeper.event_log.kafka_config import kafka_config

    known = list_organizations(current.config_folder)
    plans = [each.id for each in known if each.kind is OrganizationKind.PLAN]
    named, log_in = current.kafka_service_users, bool(current.kafka_user or current.kafka_service_users)
    services = {each: named.get(each, user_of(each)) for each in SERVICES if log_in}
    return kafka_config(_event_log(current), current), Users(plans, current.kafka_plan_users, services)


def _event_log(current: Settings) -> str:
    url = current.event_log_url()
    if url is None or not url.startswith("kafka://"):
        raise StartError("LOOPKEEPER_BUS names no Kafka.", "Set it to kafka://host:port/topic.")
    return url
