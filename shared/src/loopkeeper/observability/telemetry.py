"""Which way did one outside cause take? Spans made by hand on the OpenTelemetry SDK, attributes by allow-list.

A span here is a few fields and two random ids; when it ends it becomes the SDK's `ReadableSpan` and goes into the
queue of its `BatchSpanProcessor`, whose thread sends it to the collector or appends it to a local file. Nothing in
the loop ever waits for that: a full queue drops its oldest span. The SDK's own tracer costs more than twice as
much (20 against 8 µs) and would hold the parent in a context variable; ours comes from the event or the request.
"""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from types import MappingProxyType
from typing import Literal

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags

from loopkeeper.kernel.metrics import Metrics
from loopkeeper.kernel.settings import Settings
from loopkeeper.observability.exchange import TRACEPARENT, Exchange
from loopkeeper.observability.file_exporter import SpanFile

# The only attributes that leave the process: ids, codes, counts. Nothing a person wrote.
ALLOWED = frozenset(
    {
        "loopkeeper.referral",
        "loopkeeper.event.type",
        "loopkeeper.timer",
        "loopkeeper.command",
        "loopkeeper.outcome",
        "loopkeeper.subscription",
        "loopkeeper.delivery",
        "loopkeeper.attempt",
        "messaging.message.id",
        "http.request.method",
        "http.route",
        "http.response.status_code",
        "server.address",
        "error.type",
        "service.name",
    }
)
LONGEST = 200
MOST_LINKS = 32
# `loopkeeper trace` shows what just happened, and the thread of a process at rest sleeps: each of its wakes costs the loop.
FLUSH_MILLISECONDS = 1_500
# At 5 000 spans a second the queue holds more than one flush; beyond it the oldest are dropped.
QUEUE, BATCH = 8192, 512
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"})
# Asked every few seconds by machines; a span of each would only push the real ones out of the file, and a count of
# them would hide the errors people get.
QUIET = ("/health/", "/metrics")

Kind = Literal["internal", "server", "client", "producer", "consumer"]
Value = str | int | float | bool | None
NOTHING: Mapping[str, Value] = MappingProxyType({})
KINDS: Mapping[str, SpanKind] = {kind.name.lower(): kind for kind in SpanKind}
SCOPE = InstrumentationScope("loopkeeper")
SAMPLED, UNSAMPLED = TraceFlags(TraceFlags.SAMPLED), TraceFlags(TraceFlags.DEFAULT)
FINE, FAILED = Status(StatusCode.UNSET), Status(StatusCode.ERROR)


class Span:
    """One step under way. `traceparent` is what its consequences name as their parent (W3C Trace Context)."""

    __slots__ = (
        "_attributes",
        "_context",
        "_kind",
        "_links",
        "_name",
        "_parent",
        "_started",
        "_telemetry",
        "traceparent",
    )

    def __init__(
        self,
        telemetry: Telemetry,
        name: str,
        context: SpanContext,
        parent: SpanContext | None,
        kind: Kind,
        links: Sequence[Link],
        started: int,
    ) -> None:
        self._telemetry: Telemetry | None = telemetry
        self._name = name
        self._context = context
        self._parent = parent
        self._kind = kind
        self._links = links
        self._started = started
        self._attributes: dict[str, str | int | float | bool] = {}
        self.traceparent = f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"

    def set(self, name: str, value: Value) -> None:
        """Note an attribute. A name that is not allowed and a None are dropped; texts are cut at 200 characters."""
        if name not in ALLOWED or value is None:
            return
        self._attributes[name] = str(value)[:LONGEST] if isinstance(value, str) else value

    def end(self, error: str | None = None, *, at: int | None = None) -> None:
        """Over now (or `at`, in nanoseconds since 1970). `error` is a type or slug. A second call does nothing."""
        telemetry, self._telemetry = self._telemetry, None
        if telemetry is None:
            return
        if error is not None:
            self.set("error.type", error)
        telemetry.keep(
            ReadableSpan(
                self._name[:LONGEST],
                context=self._context,
                parent=self._parent,
                resource=telemetry.resource,
                attributes=self._attributes,
                links=self._links,
                kind=KINDS[self._kind],
                status=FINE if error is None else FAILED,
                start_time=self._started,
                end_time=at if at is not None else telemetry.now(),
                instrumentation_scope=SCOPE,
            )
        )


class Telemetry:
    """The spans of one service in one process."""

    def __init__(self, name: str, exporter: SpanExporter, clock: Callable[[], int] | None = None) -> None:
        self.name = name
        self.now = clock or time.time_ns
        self.resource = Resource({"service.name": name})
        self._random = random.SystemRandom() if clock is None else random.Random(name)  # noqa: S311 ids, not secrets
        self._processor = BatchSpanProcessor(
            exporter,
            max_queue_size=QUEUE,
            schedule_delay_millis=FLUSH_MILLISECONDS,
            max_export_batch_size=BATCH,
        )
        self._closed = False

    @classmethod
    def open(
        cls,
        name: str,
        settings: Settings,
        clock: Callable[[], int] | None = None,
        metrics: Metrics | None = None,
    ) -> Telemetry:
        """Spans to `settings.otlp`, else to a bounded file in `home/spans`. `clock` gives nanoseconds since 1970;
        never the movable one: a trace shows how long things really took. `metrics` counts what a collector lost."""
        return cls(name, _exporter(name, settings, metrics or Metrics()), clock)

    def begin(
        self,
        name: str,
        parent: str | None = None,
        attributes: Mapping[str, Value] = NOTHING,
        links: Sequence[str] = (),
        kind: Kind = "internal",
    ) -> Span:
        """A span that the caller ends. Without a well-formed `parent` it begins a trace; `links` are traceparents
        of other causes. `name` is a constant text."""
        above = _context(parent)
        context = SpanContext(
            above.trace_id if above is not None else self._random.getrandbits(128) or 1,
            self._random.getrandbits(64) or 1,
            is_remote=False,
            trace_flags=above.trace_flags if above is not None else SAMPLED,
        )
        return self._begin(name, context, above, kind, links, attributes, self.now())

    @contextmanager
    def span(
        self,
        name: str,
        parent: str | None = None,
        attributes: Mapping[str, Value] = NOTHING,
        kind: Kind = "internal",
        links: Sequence[str] = (),
    ) -> Generator[Span]:
        """A span for the length of a block; an exception passes through and leaves its type."""
        span = self.begin(name, parent, attributes, links, kind)
        try:
            yield span
        except BaseException as error:
            span.end(type(error).__name__)
            raise
        span.end()

    def served(self, exchange: Exchange, attributes: Mapping[str, Value]) -> None:
        """The server span of a request that is over, under the ids its consequences already name."""
        context = _context(exchange.traceparent)
        if context is None:
            return
        ended = self.now()
        name = exchange.route or _method(exchange)
        started = ended - int(exchange.seconds * 1e9)
        span = self._begin(name, context, _context(exchange.parent), "server", (), attributes, started)
        failed = exchange.status >= 500 or exchange.status == 0
        span.end((exchange.slug or "caller-left") if failed else None, at=ended)

    def keep(self, span: ReadableSpan) -> None:
        """Queue an ended span; after `close` it is dropped."""
        if not self._closed:
            self._processor.on_end(span)

    def flush(self) -> None:
        """Write everything ended so far; blocks while it does."""
        self._processor.force_flush()

    def close(self) -> None:
        """Write what is queued and stop the thread."""
        self._closed = True
        self._processor.shutdown()

    def _begin(
        self,
        name: str,
        context: SpanContext,
        parent: SpanContext | None,
        kind: Kind,
        links: Sequence[str],
        attributes: Mapping[str, Value],
        started: int,
    ) -> Span:
        others = (
            [found for link in links[:MOST_LINKS] if (found := _context(link)) is not None] if links else ()
        )
        span = Span(self, name, context, parent, kind, [Link(other) for other in others], started)
        for key, value in attributes.items():
            span.set(key, value)
        return span


def observe(telemetry: Telemetry | Mapping[str, Telemetry], metrics: Metrics) -> Callable[[Exchange], None]:
    """What the web layer calls when a request is over: its server span and its figures.

    With a mapping the span belongs to the service that declared the route, or to the first of them if none did.
    """
    first = telemetry if isinstance(telemetry, Telemetry) else next(iter(telemetry.values()))

    def over(exchange: Exchange) -> None:
        route = exchange.route.partition(" ")[2]
        _count(metrics, exchange, route or "unmatched")
        if route.startswith(QUIET) and exchange.status < 500:
            return
        owner = first if isinstance(telemetry, Telemetry) else telemetry.get(exchange.service, first)
        owner.served(
            exchange,
            {
                "http.request.method": _method(exchange),
                "http.route": route or None,
                "http.response.status_code": exchange.status or None,
                "loopkeeper.outcome": exchange.slug or None,
            },
        )

    return over


def _count(metrics: Metrics, exchange: Exchange, route: str) -> None:
    """A probe or a scrape is no request: machines ask far more often than people, and would hide their errors."""
    if not exchange.declared:
        metrics.undeclared.labels(route).inc()
    if route.startswith(QUIET):
        return
    status = f"{exchange.status // 100}xx" if exchange.status else "none"
    metrics.requests.labels(_method(exchange), route, status).inc()
    metrics.request_seconds.labels(route).observe(exchange.seconds)


def _method(exchange: Exchange) -> str:
    return exchange.method if exchange.method in METHODS else "_OTHER"


def _context(traceparent: str | None) -> SpanContext | None:
    match = re.fullmatch(TRACEPARENT, traceparent) if traceparent else None
    if match is None or traceparent is None:
        return None
    flags = SAMPLED if int(traceparent[53:55], 16) & 1 else UNSAMPLED
    return SpanContext(
        int(traceparent[3:35], 16), int(traceparent[36:52], 16), is_remote=True, trace_flags=flags
    )


def _exporter(name: str, settings: Settings, metrics: Metrics) -> SpanExporter:
    if not settings.otlp:
        return SpanFile(settings.home / "spans", name, settings.trace_file_bytes)
    # Only a program that has a collector pays for loading this.
    from loopkeeper.observability.collector import Collector

    base = settings.otlp.rstrip("/")
    endpoint = base if base.endswith("/v1/traces") else f"{base}/v1/traces"
    return Collector(endpoint, metrics.spans_lost.labels(name).inc)
