"""What a plan's topic in Kafka is to have: rows that enter in the transaction which writes the plan's feed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import orjson

from loopkeeper.contract.envelope import Message
from loopkeeper.contract.events import PUBLISHERS, Event, publisher
from loopkeeper.kernel.settings import Settings
from loopkeeper.store.gathered import Writes

ENQUEUE = """
INSERT INTO forward (plan, headers, data)
SELECT plan, headers, data FROM unnest($1::text[], $2::bytea[], $3::bytea[]) WITH ORDINALITY AS t (plan, headers, data, ord)
ORDER BY ord
"""


READ = "SELECT position, headers, data FROM forward WHERE plan = $1 ORDER BY position LIMIT $2"


def on_kafka(settings: Settings) -> bool:
    """Whether anything is forwarded at all: elsewhere a plan reads its feed."""
    return (settings.event_log_url() or "").startswith("kafka://")


def concerns(event: Event) -> bool:
    """Whether a plan's topic has events of this kind."""
    return publisher(type(event)) == PUBLISHERS["authorization"]


def forwarded(message: Message, data: Mapping[str, Any]) -> Message:
    """The event as the log has it, but with the data that the plan's feed has."""
    return replace(message, data=orjson.dumps(data))


async def enqueue(writes: Writes, messages: Sequence[tuple[str, Message]]) -> None:
    """Queue messages, each with its plan, inside the transaction that makes them."""
    if messages:
        await writes.execute(
            ENQUEUE,
            [plan for plan, _ in messages],
            [orjson.dumps(message.headers()) for _, message in messages],
            [message.data for _, message in messages],
        )


async def waiting(connection: Any) -> int:
    """How many events no plan's topic has yet."""
    return await connection.fetchval("SELECT count(*) FROM forward")
