"""Spans that a collector does not take: the log says why, once in a while, and every one is counted."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from loopkeeper.kernel.metrics import Metrics
from loopkeeper.kernel.settings import Settings
from loopkeeper.observability.telemetry import Telemetry


@pytest.fixture
def refusing() -> Iterator[str]:
    """A collector that answers 401 to everything."""

    class Refuse(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(401)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Refuse)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def away() -> str:
    """An address at which nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{taken.getsockname()[1]}"


def said(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    return [line for line in lines if line["message"] == "spans were lost"]


def send(endpoint: str, *batches: int) -> Metrics:
    metrics = Metrics()
    telemetry = Telemetry.open("intake", Settings(otlp=endpoint), metrics=metrics)
    for spans in batches:
        for _ in range(spans):
            telemetry.begin("receive").end()
        telemetry.flush()
    telemetry.close()
    return metrics


def lost(metrics: Metrics) -> float | None:
    return metrics.registry.get_sample_value("loopkeeper_spans_lost_total", {"service": "intake"})


def test_a_collector_that_refuses_is_named_by_its_status_and_its_lost_spans_are_counted(
    refusing: str, capsys: pytest.CaptureFixture[str]
) -> None:
    metrics = send(refusing, 3, 2)
    assert lost(metrics) == 5
    (line,) = said(capsys)
    assert (line["reason"], line["count"], line["module"]) == ("the collector answered 401", 3, "collector")


@pytest.mark.timeout(240)
def test_a_collector_that_is_away_is_named_by_what_the_network_said(
    away: str, capsys: pytest.CaptureFixture[str]
) -> None:
    metrics = send(away, 1)
    assert lost(metrics) == 1
    assert [line["reason"] for line in said(capsys)] == ["ConnectionRefusedError"]
