"""Spans to a collector, by OTLP over HTTP. What is lost is counted, and the log says why."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import requests
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from loopkeeper.kernel.logs import get

log = get("collector")
# A collector that is away loses two batches a second; one line tells of all that were lost since the one before.
ONCE_IN = 10.0

Lost = Callable[[int], None]


class Collector(SpanExporter):
    """Sends spans to one endpoint. `lost` is told how many spans of a batch were lost."""

    def __init__(self, endpoint: str, lost: Lost) -> None:
        self._session = _Session()
        self._exporter = OTLPSpanExporter(endpoint=endpoint, session=self._session)
        self._lost = lost
        self._said_at = -ONCE_IN
        self._unsaid = 0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = self._exporter.export(spans)
        if result is not SpanExportResult.SUCCESS:
            self._lost(len(spans))
            self._say(len(spans))
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._exporter.force_flush(timeout_millis)

    def _say(self, lost: int) -> None:
        self._unsaid += lost
        if time.monotonic() - self._said_at < ONCE_IN:
            return
        log.warning("spans were lost", reason=self._session.failure or "not sent", count=self._unsaid)
        self._said_at, self._unsaid = time.monotonic(), 0


class _Session(requests.Session):
    """Remembers how its last request failed: a status, or what kind of error was at the bottom of it."""

    failure = ""

    def request(self, *args: Any, **named: Any) -> requests.Response:
        try:
            answer = super().request(*args, **named)
        except Exception as error:
            self.failure = _innermost(error)
            raise
        self.failure = "" if answer.status_code < 400 else f"the collector answered {answer.status_code}"
        return answer


def _innermost(error: BaseException) -> str:
    """The kind of error that the network library wrapped: ConnectionRefusedError, gaierror, SSLCertVerificationError."""
    seen: list[BaseException] = []
    below: BaseException | None = error
    while below is not None and below not in seen:
        seen.append(below)
        reason = getattr(below, "reason", None)
        wrapped = [each for each in (reason, *below.args) if isinstance(each, BaseException)]
        below = below.__cause__ or below.__context__ or (wrapped[0] if wrapped else None)
    return type(seen[-1]).__name__
