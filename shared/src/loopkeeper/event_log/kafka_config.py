"""How is the broker reached? Address, topic, and what proves who we are, as every client of the library takes it."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, cast
from urllib.parse import urlsplit

import aiokafka  # pyright: ignore[reportMissingTypeStubs]
import aiokafka.admin  # pyright: ignore[reportMissingTypeStubs]
import aiokafka.conn  # pyright: ignore[reportMissingTypeStubs]
import aiokafka.errors  # pyright: ignore[reportMissingTypeStubs]
import aiokafka.partitioner  # pyright: ignore[reportMissingTypeStubs]
import aiokafka.protocol.admin  # pyright: ignore[reportMissingTypeStubs]
import aiokafka.protocol.metadata  # pyright: ignore[reportMissingTypeStubs]
from aiokafka.admin import config_resource  # pyright: ignore[reportMissingTypeStubs]
from aiokafka.errors import KafkaError  # pyright: ignore[reportMissingTypeStubs]

from loopkeeper.kernel.errors import StartError
from loopkeeper.kernel.settings import Settings

# The library's types are known only in part: what its clients do is proved by the port's contract instead.
Client = Any
AIOKafkaConsumer: Any = aiokafka.AIOKafkaConsumer
AIOKafkaProducer: Any = aiokafka.AIOKafkaProducer
AIOKafkaAdminClient: Any = aiokafka.admin.AIOKafkaAdminClient
NewTopic: Any = aiokafka.admin.NewTopic
ConfigResource: Any = config_resource.ConfigResource
CreateAclsRequest: Any = aiokafka.protocol.admin.CreateAclsRequest
DescribeAclsRequest: Any = aiokafka.protocol.admin.DescribeAclsRequest
create_conn: Any = cast("Any", aiokafka.conn).create_conn
MetadataRequest: Any = cast("Any", aiokafka.protocol.metadata).MetadataRequest
errors: Any = aiokafka.errors
SecurityDisabled: Any = aiokafka.errors.SecurityDisabled
TopicExists: Any = aiokafka.errors.TopicAlreadyExistsError
TopicUnknown: Any = aiokafka.errors.UnknownTopicOrPartitionError
Listener: Any = aiokafka.ConsumerRebalanceListener
TopicPartition: Any = aiokafka.TopicPartition
murmur2: Any = cast("Any", aiokafka.partitioner).murmur2

TOPIC = "referral-loops"
# What the library raises while a broker is away, restarts or answers too late.
AWAY = (KafkaError, OSError, TimeoutError)
# An answer that takes longer will not come; the library tries again by itself before that (performance.md).
ANSWER_MS = 5_000
RETRY_MS = 100
# How long a client believes in a leader that no longer answers.
METADATA_MS = 10_000
# A client that is thrown away gets this long: its broker may be the reason why it goes.
GOODBYE = 2.0


@dataclass(frozen=True, slots=True)
class KafkaConfig:
    """One topic on one cluster. `partitions` is its configured count: it decides where a key is, forever."""

    servers: str
    topic: str = TOPIC
    partitions: int = 6
    options: Mapping[str, Any] = field(default_factory=dict[str, Any], repr=False)

    def group(self, name: str) -> str:
        """How a service's group is called on the broker, where several installations may be side by side."""
        return f"{self.topic}.{name}"

    def client(self) -> dict[str, Any]:
        """What every client of the library is given."""
        return {
            "bootstrap_servers": self.servers.split(","),
            "request_timeout_ms": ANSWER_MS,
            "retry_backoff_ms": RETRY_MS,
            "metadata_max_age_ms": METADATA_MS,
            **self.options,
        }


def kafka_config(url: str, settings: Settings) -> KafkaConfig:
    """The line a `kafka://host:port,host:port/topic` names. Raises `StartError` for one that cannot be meant."""
    parts = urlsplit(url)
    topic = parts.path.strip("/") or TOPIC
    if parts.scheme != "kafka" or not parts.netloc or "@" in parts.netloc or "/" in topic:
        raise StartError(
            "LOOPKEEPER_BUS is no address of a Kafka topic.",
            f"Use kafka://host:port,host:port/{TOPIC}; user and password are settings of their own.",
        )
    return KafkaConfig(parts.netloc, topic, settings.kafka_partitions, _security(settings))


def _security(settings: Settings) -> Mapping[str, Any]:
    context = _tls(settings) if settings.kafka_tls == "on" else None
    options: dict[str, Any] = {"security_protocol": "SSL" if context else "PLAINTEXT"}
    if context:
        options["ssl_context"] = context
    if settings.kafka_user:
        password = settings.kafka_password.get_secret_value() if settings.kafka_password else ""
        options |= {
            "security_protocol": f"SASL_{'SSL' if context else 'PLAINTEXT'}",
            "sasl_mechanism": settings.kafka_mechanism,
            "sasl_plain_username": settings.kafka_user,
            "sasl_plain_password": password,
        }
    return options


def _tls(settings: Settings) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=settings.kafka_ca)
        if settings.kafka_certificate is not None:
            context.load_cert_chain(settings.kafka_certificate, settings.kafka_certificate_key)
    except (OSError, ssl.SSLError) as error:
        raise StartError(
            f"The certificates for Kafka cannot be read: {type(error).__name__}.",
            "Check LOOPKEEPER_KAFKA_CA, LOOPKEEPER_KAFKA_CERTIFICATE and LOOPKEEPER_KAFKA_CERTIFICATE_KEY.",
        ) from error
    return context


async def goodbye(leaving: Coroutine[Any, Any, None], owner: Any) -> None:
    """Wait for a client to stop, but not forever."""
    with suppress(*AWAY):
        async with asyncio.timeout(GOODBYE):
            await _end_refresh(getattr(owner, "client", None) or owner._client)
    with suppress(*AWAY):
        async with asyncio.timeout(GOODBYE):
            await leaving


async def _end_refresh(network: Any) -> None:
    """The library cancels its refresh of metadata wherever that is, and a connection that is just being opened
    stays open: it is ended here, while nobody opens one."""
    async with network._get_conn_lock:
        refreshing, network._sync_task = network._sync_task, None
        if refreshing is not None:
            refreshing.cancel()
            await asyncio.wait([refreshing])
