"""What a span may hold, where spans go, and that none of it can hurt the service."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from prometheus_client import generate_latest

from loopkeeper.kernel.metrics import Metrics
from loopkeeper.kernel.settings import Settings
from loopkeeper.observability import file_exporter
from loopkeeper.observability.exchange import TRACEPARENT, Exchange
from loopkeeper.observability.telemetry import ALLOWED, Telemetry, observe
from tests.shared.web_example import CANARY, caller, example

CAUSE = f"00-{'a' * 32}-{'b' * 16}-01"
SOURCES = [*Path("shared/src").rglob("*.py"), *Path("services").glob("*/src/**/*.py")]


def settings_at(home: Path, **more: Any) -> Settings:
    return Settings(home=home, **more)


@pytest.fixture
def telemetry(tmp_path: Path) -> Iterator[Telemetry]:
    opened = Telemetry.open("intake", settings_at(tmp_path))
    yield opened
    opened.close()


def text_of(folder: Path) -> str:
    return "".join(path.read_text() for path in sorted((folder / "spans").glob("*.jsonl")))


def spans_of(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text_of(folder).splitlines()]


def test_a_span_is_one_line_with_all_that_a_reader_needs(telemetry: Telemetry, tmp_path: Path) -> None:
    with telemetry.span("timer", CAUSE, {"loopkeeper.referral": "ref_1"}, links=[CAUSE, "nonsense"]) as span:
        span.set("loopkeeper.attempt", 2)
    telemetry.flush()
    (line,) = spans_of(tmp_path)
    assert line.pop("end_ns") >= line.pop("start_ns") > time.time_ns() - 60 * 10**9
    assert line == {
        "trace_id": "a" * 32,
        "span_id": span.traceparent[36:52],
        "parent_id": "b" * 16,
        "name": "timer",
        "service": "intake",
        "kind": "internal",
        "attributes": {"loopkeeper.referral": "ref_1", "loopkeeper.attempt": 2},
        "links": [{"trace_id": "a" * 32, "span_id": "b" * 16}],
        "status": "unset",
    }


def test_what_the_list_does_not_allow_never_leaves(telemetry: Telemetry, tmp_path: Path) -> None:
    with telemetry.span("timer", attributes={"member.name": CANARY, "loopkeeper.timer": "respond"}) as span:
        span.set("loopkeeper.note", CANARY)
        span.set("loopkeeper.outcome", None)
    telemetry.flush()
    assert CANARY not in text_of(tmp_path)
    assert spans_of(tmp_path)[0]["attributes"] == {"loopkeeper.timer": "respond"}


def test_a_text_is_cut_at_two_hundred_characters(telemetry: Telemetry, tmp_path: Path) -> None:
    telemetry.begin("timer", attributes={"server.address": "x" * 5_000}).end()
    telemetry.flush()
    assert spans_of(tmp_path)[0]["attributes"]["server.address"] == "x" * 200


def test_every_attribute_named_in_the_code_is_allowed() -> None:
    named = {name: path for path in SOURCES for name in attributes_in(path)}
    assert {name: str(path) for name, path in named.items() if name not in ALLOWED} == {}
    assert "loopkeeper.referral" in named


def attributes_in(path: Path) -> Iterator[str]:
    """The keys of `attributes={...}` of a span, and the first word of `span.set("...", …)`."""
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        literals: Sequence[ast.expr | None] = []
        if node.func.attr in ("span", "begin"):
            given = [keyword.value for keyword in node.keywords if keyword.arg == "attributes"]
            literals = [key for value in given if isinstance(value, ast.Dict) for key in value.keys]
        elif (
            node.func.attr == "set" and isinstance(node.func.value, ast.Name) and "span" in node.func.value.id
        ):
            literals = node.args[:1]
        yield from (str(key.value) for key in literals if isinstance(key, ast.Constant))


def test_an_exception_passes_through_and_leaves_its_type_only(telemetry: Telemetry, tmp_path: Path) -> None:
    with pytest.raises(LookupError), telemetry.span("timer"):
        raise LookupError(CANARY)
    telemetry.flush()
    (line,) = spans_of(tmp_path)
    assert (line["status"], line["attributes"]) == ("error", {"error.type": "LookupError"})
    assert CANARY not in text_of(tmp_path)


def test_a_span_without_a_sound_parent_begins_a_trace(telemetry: Telemetry) -> None:
    first, second = telemetry.begin("timer"), telemetry.begin("timer", parent=f"00-{'0' * 32}-{'b' * 16}-01")
    assert TRACEPARENT.fullmatch(first.traceparent)
    assert TRACEPARENT.fullmatch(second.traceparent)
    assert first.traceparent[3:35] != second.traceparent[3:35]
    assert telemetry.begin("timer", parent=first.traceparent).traceparent[3:35] == first.traceparent[3:35]


def test_a_cause_that_is_not_sampled_keeps_its_consequences_out(telemetry: Telemetry, tmp_path: Path) -> None:
    span = telemetry.begin("timer", parent=CAUSE.removesuffix("01") + "00")
    span.end()
    telemetry.flush()
    assert span.traceparent.endswith("-00")
    assert text_of(tmp_path) == ""


def test_a_span_ends_once_and_one_that_ends_after_closing_is_no_error(
    telemetry: Telemetry, tmp_path: Path
) -> None:
    first, late = telemetry.begin("timer"), telemetry.begin("timer")
    first.end()
    first.end()
    telemetry.close()
    late.end()
    assert len(spans_of(tmp_path)) == 1


def test_a_span_costs_little(telemetry: Telemetry) -> None:
    def one() -> float:
        started = time.thread_time()
        for _ in range(2_000):
            telemetry.begin(
                "timer", CAUSE, {"loopkeeper.referral": "ref_1", "loopkeeper.timer": "respond"}
            ).end()
        return (time.thread_time() - started) / 2_000

    # Twice the 30 µs it may take on a quiet machine.
    assert min(one() for _ in range(3)) < 60e-6


# ── the local file ───────────────────────────────────────────────────────────────────────────────────────


def test_the_file_starts_over_and_keeps_one_generation(tmp_path: Path) -> None:
    telemetry = Telemetry.open("intake", settings_at(tmp_path, trace_file_bytes=20_000))
    last = ""
    for _ in range(40):
        for _ in range(20):
            span = telemetry.begin("timer", attributes={"loopkeeper.timer": "respond"})
            span.end()
            last = span.traceparent
        telemetry.flush()
    telemetry.close()
    files = sorted((tmp_path / "spans").iterdir())
    assert [file.name for file in files] == [f"intake-{os.getpid()}.1.jsonl", f"intake-{os.getpid()}.jsonl"]
    assert all(file.stat().st_size <= 20_000 for file in files)
    assert last[3:35] in text_of(tmp_path)


def ended_pid() -> int:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    return ended.pid


def test_files_of_ended_processes_stay_within_the_bound_oldest_away_first(tmp_path: Path) -> None:
    pid = ended_pid()
    for n, name in enumerate(["oldest", "older", "newest"]):
        path = tmp_path / f"{name}-{pid}.jsonl"
        path.write_text("x" * 400)
        os.utime(path, (1_000 + n, 1_000 + n))
    (tmp_path / f"running-{os.getpid()}.jsonl").write_text("x" * 4_000)
    (tmp_path / "notes.jsonl").write_text("not ours")
    file_exporter.prune(tmp_path, 1_000)
    assert {path.stem.partition("-")[0] for path in tmp_path.iterdir()} == {
        "older",
        "newest",
        "running",
        "notes",
    }


def test_many_small_files_of_ended_processes_are_bounded_too(tmp_path: Path) -> None:
    pid = ended_pid()
    for n in range(file_exporter.MOST_FILES + 20):
        (tmp_path / f"s{n}-{pid}.jsonl").write_text("x")
    file_exporter.prune(tmp_path, 1_000_000)
    assert len(list(tmp_path.iterdir())) == file_exporter.MOST_FILES


def test_a_folder_that_cannot_be_written_costs_spans_and_nothing_else(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "spans").write_text("a file stands where the folder should be")
    telemetry = Telemetry.open("intake", settings_at(tmp_path))
    for _ in range(3):
        telemetry.begin("timer").end()
        telemetry.flush()
    telemetry.close()
    assert capsys.readouterr().err.count("spans not written") == 1


def test_an_exporter_that_hangs_delays_nobody_who_ends_a_span() -> None:
    class Slow(SpanExporter):
        def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
            time.sleep(0.3)
            return SpanExportResult.SUCCESS

    telemetry = Telemetry("intake", Slow())
    started = time.perf_counter()
    for _ in range(600):
        telemetry.begin("timer").end()
    assert time.perf_counter() - started < 0.25
    telemetry.close()


# ── requests ─────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_request_becomes_the_server_span_its_consequences_name(
    telemetry: Telemetry, tmp_path: Path
) -> None:
    shown = example()
    async with caller(shown.app) as client:
        await client.post("/v1/visits", json={"name": "David"}, headers={"traceparent": CAUSE})
    (exchange,) = shown.exchanges
    observe({"camp": telemetry}, Metrics())(exchange)
    consequence = telemetry.begin("process referral-loops", parent=exchange.traceparent)
    consequence.end()
    telemetry.flush()
    server, below = spans_of(tmp_path)
    assert (server["trace_id"], server["parent_id"], server["kind"]) == ("a" * 32, "b" * 16, "server")
    assert (below["trace_id"], below["parent_id"]) == ("a" * 32, server["span_id"])
    assert server["name"] == "POST /v1/visits"
    assert server["attributes"] == {
        "http.request.method": "POST",
        "http.route": "/v1/visits",
        "http.response.status_code": 201,
    }


async def test_an_address_never_reaches_a_span_or_a_figure(telemetry: Telemetry, tmp_path: Path) -> None:
    shown, metrics = example(), Metrics()
    async with caller(shown.app) as client:
        await client.get(f"/v1/{CANARY}", params={"name": CANARY})
        await client.post("/v1/faults/x", json={"text": CANARY})
        await client.request(CANARY, "/v1/visits")
    over = observe(telemetry, metrics)
    for exchange in shown.exchanges:
        over(exchange)
    telemetry.flush()
    figures = generate_latest(metrics.registry).decode()
    assert CANARY not in text_of(tmp_path) + figures
    assert 'loopkeeper_http_requests_total{method="GET",route="unmatched",status="4xx"} 1.0' in figures
    assert 'loopkeeper_http_requests_total{method="POST",route="/v1/faults/{id}",status="5xx"} 1.0' in figures
    assert [line["status"] for line in spans_of(tmp_path)] == ["unset", "error", "unset"]


def test_a_span_belongs_to_the_service_that_declared_the_route(tmp_path: Path) -> None:
    both = {name: Telemetry.open(name, settings_at(tmp_path)) for name in ("intake", "assignment")}
    over = observe(both, Metrics())
    over(Exchange("GET", "a" * 32, CAUSE, route="GET /v1/providers", service="assignment", status=200))
    over(Exchange("GET", "a" * 32, CAUSE, status=404))
    over(Exchange("GET", "a" * 32, CAUSE, route="GET /health/live", service="open", status=200))
    for telemetry in both.values():
        telemetry.close()
    assert [(line["service"], line["name"]) for line in spans_of(tmp_path)] == [
        ("assignment", "GET /v1/providers"),
        ("intake", "GET"),
    ]


def test_a_caller_who_left_is_an_error_of_the_span_and_counted(telemetry: Telemetry, tmp_path: Path) -> None:
    metrics = Metrics()
    observe(telemetry, metrics)(Exchange("POST", "a" * 32, CAUSE, route="POST /v1/referrals", seconds=0.25))
    telemetry.flush()
    (line,) = spans_of(tmp_path)
    assert line["attributes"]["error.type"] == "caller-left"
    assert line["end_ns"] - line["start_ns"] == 250_000_000
    assert 'status="none"' in generate_latest(metrics.registry).decode()


def test_the_process_shows_its_memory_and_time() -> None:
    figures = generate_latest(Metrics().registry).decode()
    assert "process_resident_memory_bytes" in figures
    assert "process_cpu_seconds_total" in figures
