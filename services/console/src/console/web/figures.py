"""The console's figures for Prometheus: how many requests, how fast, how they ended; no person's, no referral's.

The names are those of the services, so that one dashboard and one alert cover both.
"""

from __future__ import annotations

import time

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.process_collector import ProcessCollector
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from loopkeeper.kernel.metrics import ANSWER_BUCKETS

PATH = "/metrics"


class Figures:
    """The figures of one console. A route is its template as declared, or `unmatched`."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._requests = Counter(
            "loopkeeper_http_requests",
            "Requests answered",
            ("method", "route", "status"),
            registry=self._registry,
        )
        self._seconds = Histogram(
            "loopkeeper_http_request_seconds",
            "Time until an answer began",
            ("route",),
            buckets=ANSWER_BUCKETS,
            registry=self._registry,
        )

    def answered(self, scope: Scope, status: int, seconds: float) -> None:
        """Count one answer. `seconds`: until it began, since a live page stays open for hours."""
        route: str = getattr(scope.get("route"), "path", "unmatched")
        self._requests.labels(scope["method"], route, f"{status // 100}xx").inc()
        self._seconds.labels(route).observe(seconds)

    def page(self) -> Response:
        """What Prometheus reads."""
        return Response(generate_latest(self._registry), media_type=CONTENT_TYPE_PLAIN_0_0_4)


class Counted:
    """The layer that counts every answer of the app below it, and answers `/metrics` itself."""

    def __init__(self, app: ASGIApp, figures: Figures) -> None:
        self._app = app
        self._figures = figures

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if scope["path"] == PATH:
            await self._figures.page()(scope, receive, send)
            return
        begun = time.perf_counter()

        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._figures.answered(scope, message["status"], time.perf_counter() - begun)
            await send(message)

        await self._app(scope, receive, counted)
