"""The log as an AsyncAPI 3.1 document: its topic, its messages, who sends and who receives each; and each plan's
topic.

The payloads are the JSON Schemas in docs/reference/schemas, by reference; the headers are those that a message's
envelope writes (`loopkeeper/contract/envelope.py`), so the document cannot name one that is not there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import yaml

from loopkeeper.contract import events
from loopkeeper.contract.envelope import REQUIRED, Message
from loopkeeper.contract.event import Catalog, Event, Superseded
from loopkeeper.contract.events import PUBLISHERS
from loopkeeper.event_log.kafka_access import topic_of

TOPIC = "referral-loops"
# What each header of the envelope says (CloudEvents 1.0, Kafka binding, binary mode).
HEADERS: Mapping[str, str] = {
    "ce_specversion": "The version of CloudEvents: 1.0",
    "ce_id": "The event's id, a UUIDv7; a redelivery has the same",
    "ce_type": "The wire type",
    "ce_source": "The service that published it, as /<service>",
    "ce_subject": "The stream: a referral's id, or for provider.recorded a provider's",
    "ce_time": "When the service learned it, in UTC; when it happened is in the data (`occurred_at`)",
    "ce_partitionkey": "The stream again: what the record is keyed by, so that one referral keeps its order",
    "ce_sequence": "Counts the events of this stream by this source, from 1, without a gap",
    "ce_chain": "The value of the journal's chain at this event: log and journal prove each other",
    "ce_causationid": "The id of the command or event that caused it",
    "ce_traceparent": "W3C trace context of its cause",
    "content-type": "application/json",
}


Kind = type[Event] | type[Superseded]


def document(
    version: str, readers: Mapping[type[Event], Sequence[str]], catalog: Catalog = events.CATALOG
) -> str:
    """The document as YAML. `readers` names the services that react to each event. Earlier versions lie in the
    channels, and nobody sends them."""
    kinds = list(catalog.by_type.values())
    lying: list[Kind] = [*kinds, *catalog.superseded.values()]
    return yaml.safe_dump(
        {
            "asyncapi": "3.1.0",
            "info": {
                "title": "Loopkeeper: the loop log",
                "version": version,
                "description": "Every event of every referral loop, in one ordered topic keyed by referral. At least "
                "once: readers deduplicate by `ce_id`. Events carry ids, codes and times; identity travels "
                "sealed, where it changes. Fields are only ever added to a version; anything else is a new one, and "
                "earlier ones stay in the log.",
                "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
            },
            "defaultContentType": "application/json",
            "channels": {"loop": _channel(lying), "plan": _plan_channel(lying)},
            "operations": _operations(kinds, readers, catalog) | _forwarding(kinds),
            "components": {
                "messages": {_key(kind): _message(kind) for kind in lying},
                "schemas": {"Envelope": _envelope()},
            },
        },
        sort_keys=False,
        allow_unicode=True,
        width=110,
    )


def _key(kind: Kind) -> str:
    """The name of an event's message: the newest version has the event's own."""
    return kind.wire if issubclass(kind, Event) else f"{kind.wire}.v{kind.wire_version}"


def _refs(channel: str, kinds: Sequence[Kind]) -> list[dict[str, str]]:
    return [{"$ref": f"#/channels/{channel}/messages/{_key(kind)}"} for kind in kinds]


def _components(kinds: Sequence[Kind]) -> dict[str, dict[str, str]]:
    return {_key(kind): {"$ref": f"#/components/messages/{_key(kind)}"} for kind in kinds}


def _channel(kinds: Sequence[Kind]) -> dict[str, Any]:
    return {
        "address": TOPIC,
        "title": "The loop log",
        "description": "Kept forever. All events of one referral lie in one partition, so every reader sees them in "
        "the same order and a cause before its effect.",
        "messages": _components(kinds),
        "bindings": {
            "kafka": {
                "topic": TOPIC,
                "topicConfiguration": {
                    "cleanup.policy": ["delete"],
                    "retention.ms": -1,
                    "retention.bytes": -1,
                },
                "bindingVersion": "0.5.0",
            }
        },
    }


def _of_plans(kinds: Sequence[Kind]) -> list[Kind]:
    return [kind for kind in kinds if events.publisher(kind) == PUBLISHERS["authorization"]]


def _plan_channel(kinds: Sequence[Kind]) -> dict[str, Any]:
    return {
        "address": topic_of("{plan}"),
        "title": "A plan's authorizations",
        "description": "What the plan's feed says of authorizations, under the ids and in the order per referral that "
        "the log has; nothing sealed. At least once: readers deduplicate by `ce_id`. Only the plan's own user "
        "may read it. The data has `event` (the id again) next to its fields, and `part2` where 42 CFR part 2 holds.",
        "parameters": {"plan": {"description": "The plan's id, as in the events' field `plan`"}},
        "messages": _components(_of_plans(kinds)),
        "bindings": {
            "kafka": {
                "topicConfiguration": {
                    "cleanup.policy": ["delete"],
                    "retention.ms": -1,
                    "retention.bytes": -1,
                },
                "bindingVersion": "0.5.0",
            }
        },
    }


def _forwarding(kinds: Sequence[type[Event]]) -> dict[str, Any]:
    """Forwarding is not publishing: these are the same events, so nobody becomes their second publisher."""
    return {
        "notificationForwards": {
            "action": "send",
            "channel": {"$ref": "#/channels/plan"},
            "summary": "What notification forwards to a plan's own systems",
            "messages": _refs("plan", _of_plans(kinds)),
        }
    }


def _operations(
    kinds: Sequence[type[Event]], readers: Mapping[type[Event], Sequence[str]], catalog: Catalog
) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for service in dict.fromkeys(events.publisher(kind) for kind in kinds):
        sent = [kind for kind in kinds if events.publisher(kind) == service]
        read = [kind for kind in kinds if service in readers.get(kind, ())]
        made[f"{service}Sends"] = _operation("send", f"What {service} publishes", sent)
        wires = {kind.wire for kind in read}
        older = [old for old in catalog.superseded.values() if old.wire in wires]
        made[f"{service}Receives"] = _operation("receive", f"What {service} reacts to", [*read, *older])
    return made


def _operation(action: str, summary: str, kinds: Sequence[Kind]) -> dict[str, Any]:
    return {
        "action": action,
        "channel": {"$ref": "#/channels/loop"},
        "summary": summary,
        "messages": _refs("loop", kinds),
    }


def _message(kind: Kind) -> dict[str, Any]:
    return {
        "name": kind.wire_type(),
        "title": _key(kind),
        "summary": (kind.__doc__ or kind.wire).strip().partition("\n")[0],
        "contentType": "application/json",
        "headers": {"$ref": "#/components/schemas/Envelope"},
        "payload": {"$ref": f"./schemas/{kind.wire_type()}.json"},
        "bindings": {
            "kafka": {
                "key": {"type": "string", "description": "The stream, as ce_subject"},
                "bindingVersion": "0.5.0",
            }
        },
    }


def _envelope() -> dict[str, Any]:
    written = Message(UUID(int=0), "", "", "", datetime.now(UTC), b"").headers()
    return {
        "type": "object",
        "required": ["ce_specversion", *REQUIRED],
        "properties": {name: {"type": "string", "description": HEADERS[name]} for name in written},
    }
