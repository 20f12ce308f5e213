"""The topics in Kafka, for whoever sets a cluster up: make them once, look whether they are still as they must be."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from loopkeeper.cli.terminal import FAILED, Json, say, settings, show, starting
from loopkeeper.clients import OrganizationKind, list_organizations
from loopkeeper.errors import StartError
from loopkeeper.settings import Settings

if TYPE_CHECKING:
    from loopkeeper.bus.kafka_plans import Readers

Services = Annotated[
    str,
    typer.Option(
        metavar="USER", help="As whom the services log in at the broker; default: LOOPKEEPER_KAFKA_USER."
    ),
]


def add_to(app: typer.Typer) -> None:
    """Register the commands of this file."""
    topics = typer.Typer(no_args_is_help=True, help="The log's topic in Kafka, and each plan's own.")
    topics.command()(create)
    topics.command()(check)
    app.add_typer(topics, name="topics")


def create(services: Services = "", as_json: Json = False) -> None:
    """Make the topic that LOOPKEEPER_BUS names, with its partitions and for ever, and one for each plan that only this
    plan's user may read; what is there is left alone. Again after each new plan."""
    from loopkeeper.bus import kafka_plans, kafka_topics
    from loopkeeper.bus.kafka_line import line_of

    current = settings()
    with starting():
        line, readers = line_of(_bus(current), current), _readers(current, services)
        made = {line.topic: asyncio.run(kafka_topics.create(line, current.kafka_replication))}
        made |= asyncio.run(kafka_plans.create(line, current.kafka_replication, readers))
    if as_json:
        show(
            {
                "topic": line.topic,
                "partitions": line.partitions,
                "made": made.pop(line.topic),
                "plans": made,
            }
        )
        return
    for topic, new in made.items():
        say(f"The topic {topic} {'is made' if new else 'is there already; see `loopkeeper topics check`'}.")


def check(services: Services = "", as_json: Json = False) -> None:
    """Compare the topics, and who may read the plans', with what is needed; exit code 1 where they differ."""
    from loopkeeper.bus import kafka_plans, kafka_topics
    from loopkeeper.bus.kafka_line import line_of

    current = settings()
    with starting():
        line, readers = line_of(_bus(current), current), _readers(current, services)
        flaws = asyncio.run(kafka_topics.flaws(line, current.kafka_replication))
        of_plans = asyncio.run(kafka_plans.flaws(line, current.kafka_replication, readers))
    if as_json:
        show({"topic": line.topic, "sound": not flaws + of_plans, "flaws": flaws + of_plans})
    else:
        for flaw in flaws:
            say(flaw)
        say(f"The topic {line.topic} is {'not ' if flaws else ''}as the log needs it.")
        for flaw in of_plans:
            say(flaw)
        if readers.plans:
            say(f"The topics of {len(readers.plans)} plans are {'not ' if of_plans else ''}as they must be.")
    if flaws or of_plans:
        raise typer.Exit(FAILED)


def _readers(current: Settings, services: str) -> Readers:
    from loopkeeper.bus.kafka_plans import Readers

    known = list_organizations(current.config_folder)
    plans = [each.id for each in known if each.kind is OrganizationKind.PLAN]
    return Readers(plans, current.kafka_plan_users, services or current.kafka_user)


def _bus(current: Settings) -> str:
    url = current.bus_url()
    if url is None or not url.startswith("kafka://"):
        raise StartError("LOOPKEEPER_BUS names no Kafka.", "Set it to kafka://host:port/topic.")
    return url
