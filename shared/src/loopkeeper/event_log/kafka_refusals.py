"""Why does the broker not do what it was asked? It is away, or it says no: then what must be fixed is named.

Known by the class of the error alone. The broker's own words stay out of it: they may quote a key or a user.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from loopkeeper.event_log.kafka_config import AWAY, KafkaConfig, MetadataRequest, create_conn, errors
from loopkeeper.event_log.port import LogRefused, LogUnavailable
from loopkeeper.kernel.logs import ONCE_IN, get

log = get("kafka")

# What a bare connection takes on one machine is milliseconds; who is only asked why must not be waited for.
ANSWERS_WITHIN = 2.0
# OpenSSL's numbers: the certificate has another host or address, or its time is over.
OTHER_HOST, EXPIRED = (62, 64), 10
CLOSED = (
    "the broker closes the line at once; if it stays so, LOOPKEEPER_KAFKA_TLS, LOOPKEEPER_KAFKA_USER and the port in "
    "LOOPKEEPER_BUS are not of one listener"
)
# What a person must fix, by what the broker answers.
FIXES: Mapping[type[Exception], str] = {
    errors.SaslAuthenticationFailed: "correct LOOPKEEPER_KAFKA_USER and LOOPKEEPER_KAFKA_PASSWORD",
    errors.UnsupportedSaslMechanismError: "correct LOOPKEEPER_KAFKA_MECHANISM",
    errors.IllegalSaslStateError: "nobody logs in at this port: correct LOOPKEEPER_BUS, or unset LOOPKEEPER_KAFKA_USER",
    errors.TopicAuthorizationFailedError: "the user of LOOPKEEPER_KAFKA_USER may not do this with the topic: grant it",
    errors.GroupAuthorizationFailedError: "the user of LOOPKEEPER_KAFKA_USER may not read in this group: grant it",
    errors.ClusterAuthorizationFailedError: "the user of LOOPKEEPER_KAFKA_USER may not write to any topic: grant it",
    errors.MessageSizeTooLargeError: "an event is larger than the topic takes: raise its max.message.bytes",
    errors.RecordListTooLargeError: "events are larger than the topic takes: raise its segment.bytes",
    errors.InvalidTimestampError: "the topic takes no event of this time: see `loopkeeper topics check`",
    errors.PolicyViolationError: "a policy of the cluster forbids it: see the broker's log",
}


class Refusals:
    """Names what went wrong on this line. A refusal is also logged, each reason once in a while."""

    def __init__(self, config: KafkaConfig, now: Callable[[], float] = time.monotonic) -> None:
        self._config = config
        self._now = now
        self._told: dict[str, float] = {}

    async def named(self, error: Exception) -> LogUnavailable:
        """What to raise for this error of the library."""
        if isinstance(error, errors.KafkaConnectionError):
            error = await _why(self._config, error)
        found = unavailable(error)
        reason, now = str(found), self._now()
        if isinstance(found, LogRefused) and now - self._told.get(reason, -ONCE_IN) >= ONCE_IN:
            self._told[reason] = now
            log.warning(found.sentence, reason=reason)
        return found


def unavailable(error: Exception) -> LogUnavailable:
    """The error by its class: refused where a person must fix something, else away."""
    name, fix = type(error).__name__, FIXES.get(type(error))
    if isinstance(error, ssl.SSLCertVerificationError):
        fix = _certificate(error)
    elif isinstance(error, ssl.SSLError):
        fix = "correct LOOPKEEPER_KAFKA_TLS and LOOPKEEPER_KAFKA_CERTIFICATE"
    if fix:
        return LogRefused(f"{name}: {fix}")
    if isinstance(error, errors.KafkaConnectionError | ConnectionResetError):
        return LogUnavailable(f"{name}: {CLOSED}")
    return LogUnavailable(name)


def _certificate(error: ssl.SSLCertVerificationError) -> str:
    if error.verify_code in OTHER_HOST:
        return "the broker's certificate is another host's: name it in LOOPKEEPER_BUS as its certificate does"
    if error.verify_code == EXPIRED:
        return "the broker's certificate is out of date: renew it"
    return "the authorities in LOOPKEEPER_KAFKA_CA do not vouch for the broker"


async def _why(config: KafkaConfig, error: Exception) -> Exception:
    """The library tells only its own log why it got no connection: so one is made by hand. `error` where this one
    is well."""
    options = config.client()
    for server in options.pop("bootstrap_servers"):
        host, _, port = server.rpartition(":")
        try:
            async with asyncio.timeout(ANSWERS_WITHIN):
                await _ask(host, int(port), options)
        except AWAY as found:
            error = found
            if isinstance(unavailable(found), LogRefused):
                break
    return error


async def _ask(host: str, port: int, options: Mapping[str, Any]) -> None:
    wanted = {
        name: value
        for name, value in options.items()
        if name.partition("_")[0] in ("sasl", "security", "ssl")
    }
    connection = await create_conn(host, port, request_timeout_ms=int(ANSWERS_WITHIN * 1000), **wanted)
    try:
        # Only this shows a broker that wants to know who we are: a greeting it answers to everybody.
        await connection.send(MetadataRequest([]))
    finally:
        with suppress(*AWAY):
            connection.close()
