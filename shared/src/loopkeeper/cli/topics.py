"""The log's topic in Kafka, for whoever sets a cluster up: make it once, look whether it is still as it must be."""

from __future__ import annotations

import asyncio

import typer

from loopkeeper.cli.terminal import FAILED, Json, say, settings, show, starting
from loopkeeper.errors import StartError
from loopkeeper.settings import Settings


def add_to(app: typer.Typer) -> None:
    """Register the commands of this file."""
    topics = typer.Typer(no_args_is_help=True, help="The log's topic in Kafka.")
    topics.command()(create)
    topics.command()(check)
    app.add_typer(topics, name="topics")


def create(as_json: Json = False) -> None:
    """Make the topic that LOOPKEEPER_BUS names, with its partitions and for ever; one that is there is left alone."""
    from loopkeeper.bus import kafka_topics
    from loopkeeper.bus.kafka_line import line_of

    current = settings()
    with starting():
        line = line_of(_bus(current), current)
        made = asyncio.run(kafka_topics.create(line, current.kafka_replication))
    if as_json:
        show({"topic": line.topic, "partitions": line.partitions, "made": made})
    else:
        say(
            f"The topic {line.topic} {'is made' if made else 'is there already; see `loopkeeper topics check`'}."
        )


def check(as_json: Json = False) -> None:
    """Compare the topic with what the log needs; exit code 1 where they differ."""
    from loopkeeper.bus import kafka_topics
    from loopkeeper.bus.kafka_line import line_of

    current = settings()
    with starting():
        line = line_of(_bus(current), current)
        flaws = asyncio.run(kafka_topics.flaws(line, current.kafka_replication))
    if as_json:
        show({"topic": line.topic, "sound": not flaws, "flaws": flaws})
    else:
        for flaw in flaws:
            say(flaw)
        say(f"The topic {line.topic} is {'not ' if flaws else ''}as the log needs it.")
    if flaws:
        raise typer.Exit(FAILED)


def _bus(current: Settings) -> str:
    url = current.bus_url()
    if url is None or not url.startswith("kafka://"):
        raise StartError("LOOPKEEPER_BUS names no Kafka.", "Set it to kafka://host:port/topic.")
    return url
