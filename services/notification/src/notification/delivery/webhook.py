"""How one signed webhook is sent, and what its answer means for the next attempt.

Nothing here knows the database: the worker leases a delivery, calls `Sender.send`, asks `classify` and
`next_attempt`, and records. Signing follows Standard Webhooks 1.0.0.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import StrEnum
from ssl import SSLContext
from types import TracebackType
from typing import Any, Literal, Self, cast

import aiohttp
from yarl import URL

from loopkeeper.contract import ids
from loopkeeper.contract.calendar import written
from loopkeeper.kernel.clock import Clock
from notification.delivery.resolver import CheckedResolver, Resolve, SystemNames
from notification.delivery.ssrf_guard import Allow, UrlForbidden, check_url

# Waits before attempts 1 to 10; 75 h 35 min in all.
SCHEDULE = (
    timedelta(),
    timedelta(seconds=5),
    timedelta(minutes=5),
    timedelta(minutes=30),
    *(timedelta(hours=hours) for hours in (2, 5, 10, 14, 20, 24)),
)
# Spreads the retries of an endpoint that came back, so that they do not fall on it together.
JITTER = 0.2
# A partner may ask for patience, but not for more than our own longest wait: its told-by dates run on.
LONGEST_RETRY_AFTER = SCHEDULE[-1]

READ_AT_MOST = 64 * 1024
KEPT_EXCERPT = 4 * 1024
CHALLENGE_TYPE = "ecm.endpoint.challenge.v1"

# Common servers drop an idle connection after 5 s; letting go before them spares a false reset.
KEEPALIVE = timedelta(seconds=4)
# Connections in all, and to one host and port: a hanging endpoint holds no more than its own share.
CONNECTIONS, CONNECTIONS_PER_ENDPOINT = 256, 64
# Parallel deliveries to one name share one look-up this long, so that a dead name server holds one thread, not all.
NAMES_KEPT = timedelta(seconds=5)

ErrorClass = Literal[
    "dns_error", "connection_refused", "tls_error", "timeout", "forbidden_address", "reset", "other"
]


class Verdict(StrEnum):
    """What an attempt means: told, to be tried again, or an endpoint that asked never to be called again."""

    DELIVERED = "delivered"
    RETRY = "retry"
    GONE = "gone"


@dataclass(frozen=True, slots=True)
class Attempted:
    """What one attempt met. Both `status` and `error` are set where the answer began well and broke off.

    `response_excerpt` is the partner's text, at most 4 kB of it, safe to store (no NUL): for the endpoint's
    owner only. `retry_after` is set only for answers that are no success, never negative, at most 24 h.
    """

    status: int | None
    error: ErrorClass | None
    duration_ms: int
    response_excerpt: str = ""
    retry_after: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Challenged:
    """Whether an endpoint proved to be its owner's; `sentence` says what was missing, and is empty if it passed."""

    passed: bool
    sentence: str
    attempted: Attempted


def classify(attempted: Attempted) -> Verdict:
    """Only a 2xx whose answer arrived (whole, or its first 64 kB) is delivered; a redirect is a failure."""
    if attempted.status == 410:
        return Verdict.GONE
    if attempted.error is None and attempted.status is not None and 200 <= attempted.status < 300:
        return Verdict.DELIVERED
    return Verdict.RETRY


def next_attempt(
    number: int, failed_at: datetime, retry_after: timedelta | None, jitter: float
) -> datetime | None:
    """When to try again after attempt `number` (1 = the first) failed at `failed_at`; None after the tenth.

    `jitter` is a random number from 0 to 1 and moves the wait by −20 % to +20 %; 0.5 is the schedule itself.
    `retry_after` is a floor that jitter does not lower.
    """
    if number >= len(SCHEDULE):
        return None
    wait = SCHEDULE[number] * (1 - JITTER + 2 * JITTER * jitter)
    return failed_at + max(wait, retry_after or timedelta())


def new_secret() -> str:
    """A fresh signing secret: `whsec_` and 32 random bytes in base64 (the standard asks for 24 to 64)."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()


def sign(secret: str, webhook_id: str, at: datetime, body: bytes) -> str:
    """One signature, `v1,<base64>`, over id, unix second of `at` and the exact bytes. Raises ValueError for a
    secret that is not `whsec_` and base64."""
    try:
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except binascii.Error:
        key = b""
    if not secret.startswith("whsec_") or not key:
        raise ValueError("a webhook secret is whsec_ followed by base64")
    signed = f"{webhook_id}.{int(at.timestamp())}.".encode() + body
    return "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()


def signed_headers(keys: Sequence[str], webhook_id: str, at: datetime, body: bytes) -> dict[str, str]:
    """The three Standard Webhooks headers. Several secrets (during a rotation) give several signatures.

    `webhook_id` must be the same in every attempt; `at` is the time of this one.
    """
    return {
        "webhook-id": webhook_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": " ".join(sign(key, webhook_id, at, body) for key in keys),
    }


class Sender:
    """Owns the connections. Follows no redirect, uses no proxy, keeps no cookie, verifies certificates.

    A new connection goes only to an IP judged in its own look-up; a kept one stays with the IP it was judged for.
    Send no more than 32 at a time to one endpoint: more would wait here on the partner's time.
    """

    def __init__(
        self,
        allow: Allow,
        clock: Clock,
        *,
        connect: timedelta = timedelta(seconds=5),
        total: timedelta = timedelta(seconds=15),
        resolve: Resolve | None = None,
        names_kept: timedelta = NAMES_KEPT,
        tls: SSLContext | None = None,
    ) -> None:
        self.clock = clock
        self._allow = allow
        self._connect = connect
        self._total = total
        self._resolve = resolve
        self._names_kept = names_kept
        self._tls = tls

    async def __aenter__(self) -> Self:
        self._names = SystemNames()
        connector = aiohttp.TCPConnector(
            limit=CONNECTIONS,
            limit_per_host=CONNECTIONS_PER_ENDPOINT,
            keepalive_timeout=KEEPALIVE.total_seconds(),
            resolver=CheckedResolver(self._resolve or self._names, self._allow, self._connect),
            ttl_dns_cache=int(self._names_kept.total_seconds()),
            ssl=self._tls or True,
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            timeout=aiohttp.ClientTimeout(
                total=self._total.total_seconds(), sock_connect=self._connect.total_seconds()
            ),
            headers={"user-agent": "Loopkeeper-Webhooks/1", "accept-encoding": "identity"},
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()
        self._names.close()

    async def send(self, url: str, headers: Mapping[str, str], body: bytes) -> Attempted:
        """POST `body` as JSON once. Judges the URL again, never raises for what the partner or the network does."""
        begun = time.monotonic()
        try:
            target = URL(check_url(url, self._allow))
            async with self._session.post(
                target,
                data=body,
                headers={"content-type": "application/json", **headers},
                allow_redirects=False,
            ) as response:
                return await self._read(response, begun)
        except UrlForbidden:
            return Attempted(None, "forbidden_address", _milliseconds(begun))
        except (aiohttp.ClientError, OSError) as failure:
            return Attempted(None, error_class(failure), _milliseconds(begun))

    async def _read(self, response: aiohttp.ClientResponse, begun: float) -> Attempted:
        answer, error = bytearray(), None
        try:
            while len(answer) < READ_AT_MOST and (
                chunk := await response.content.read(READ_AT_MOST - len(answer))
            ):
                answer += chunk
        except (aiohttp.ClientError, OSError) as failure:
            error = error_class(failure)
        if not response.content.at_eof():
            response.close()
        excerpt = bytes(answer[:KEPT_EXCERPT]).decode(errors="replace").replace("\0", "\ufffd")
        patience = None if 200 <= response.status < 300 else self._retry_after(response)
        return Attempted(response.status, error, _milliseconds(begun), excerpt, patience)

    def _retry_after(self, response: aiohttp.ClientResponse) -> timedelta | None:
        return retry_after(response.headers.get("retry-after"), self.clock.wall())


def retry_after(header: str | None, now: datetime) -> timedelta | None:
    """What a `Retry-After` header (seconds or an HTTP date) asks for, at most 24 h; None if it says nothing."""
    text = (header or "").strip()
    if text.isascii() and text.isdigit():
        wait = timedelta(seconds=min(int(text[:9]), LONGEST_RETRY_AFTER.total_seconds()))
    else:
        try:
            until = parsedate_to_datetime(text)
        except ValueError:
            return None
        wait = (until if until.tzinfo else until.replace(tzinfo=UTC)) - now
    return min(wait, LONGEST_RETRY_AFTER) if wait > timedelta() else None


def error_class(failure: Exception) -> ErrorClass:
    """The name under which an owner reads a failed connection. Most special first: these types inherit."""
    match failure:
        case aiohttp.ClientConnectorDNSError():
            return "dns_error"
        case aiohttp.ClientSSLError():
            return "tls_error"
        case TimeoutError():
            return "timeout"
        case aiohttp.ClientConnectorError(os_error=ConnectionRefusedError()):
            return "connection_refused"
        case aiohttp.ClientConnectorError(os_error=ConnectionResetError()):
            return "reset"
        case aiohttp.ClientConnectorError():
            return "other"
        case aiohttp.ClientConnectionError() | aiohttp.ClientPayloadError() | ConnectionError():
            return "reset"
        case _:
            return "other"


async def challenge(sender: Sender, url: str, secret: str, text: str) -> Challenged:
    """Ask an endpoint to prove that it reads what we send: it must answer 2xx with JSON `{"challenge": text}`
    within the first 4 kB."""
    at = sender.clock.wall()
    question = {"type": CHALLENGE_TYPE, "timestamp": written(at), "data": {"challenge": text}}
    body = json.dumps(question).encode()
    attempted = await sender.send(url, signed_headers([secret], ids.new("chl"), at, body), body)
    sentence = _missing(attempted, text)
    return Challenged(not sentence, sentence, attempted)


def _missing(attempted: Attempted, text: str) -> str:
    if attempted.error is not None:
        return f"The endpoint could not be reached: {attempted.error}."
    if classify(attempted) is not Verdict.DELIVERED:
        return f"The endpoint answered {attempted.status}; a 2xx is needed."
    try:
        answer: Any = json.loads(attempted.response_excerpt)
    except ValueError:
        return 'The endpoint must answer with JSON: {"challenge": "<the text it was sent>"}.'
    if not isinstance(answer, dict) or cast(dict[str, Any], answer).get("challenge") != text:
        return 'The endpoint did not answer with the challenge it was sent, as {"challenge": "…"}.'
    return ""


def _milliseconds(begun: float) -> int:
    return round((time.monotonic() - begun) * 1000)
