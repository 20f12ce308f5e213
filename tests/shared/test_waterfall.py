"""A referral's way as one trace: from the POST through every service to the partner's webhook."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from loopkeeper.kernel.metrics import Metrics
from loopkeeper.kernel.settings import Settings
from loopkeeper.observability.exchange import Exchange
from loopkeeper.observability.telemetry import Telemetry, observe
from loopkeeper.observability.trace_view import draw, read_spans, to_json

DAVID, OTHER = "ref_david", "ref_other"
SERVICES = ("intake", "authorization", "assignment", "notification")


def settings_at(home: Path, **more: Any) -> Settings:
    return Settings(home=home, **more)


class HandNanoseconds:
    """Nanoseconds since 2026-03-02 17:00 UTC, moved by hand."""

    def __init__(self) -> None:
        self.now = 1_772_470_800 * 10**9

    def __call__(self) -> int:
        return self.now

    def after(self, milliseconds: int) -> None:
        self.now += milliseconds * 10**6


class Loop:
    """Four services that pass one cause on, as their consumers and the webhook sender do."""

    def __init__(self, home: Path) -> None:
        self.time = HandNanoseconds()
        self.services = {name: Telemetry.open(name, settings_at(home), self.time) for name in SERVICES}
        self.observe = observe(self.services, Metrics())

    def post(self, trace: str, referral: str) -> None:
        cause = f"00-{trace * 32}-{'1' * 16}-01"
        self.time.after(20)
        self.observe(
            Exchange(
                "POST",
                trace * 32,
                cause,
                route="POST /v1/referrals",
                service="intake",
                status=201,
                seconds=0.02,
            )
        )
        authorized = self.step(
            "authorization", "process referral-loops", cause, referral, "referral.received"
        )
        assigned = self.step(
            "assignment", "process referral-loops", authorized, referral, "authorization.granted"
        )
        told = self.step("notification", "process referral-loops", assigned, referral, "assignment.made")
        self.step("notification", "webhook", told, referral, "")

    def timer(self, referral: str) -> None:
        self.time.after(432_000_000)
        with self.services["assignment"].span(
            "timer", attributes={"loopkeeper.referral": referral, "loopkeeper.timer": "respond"}
        ):
            self.time.after(4)

    def step(self, service: str, name: str, parent: str, referral: str, event: str) -> str:
        self.time.after(5)
        attributes = {"loopkeeper.referral": referral, "loopkeeper.event.type": event or None}
        with self.services[service].span(name, parent, attributes) as span:
            self.time.after(10)
        return span.traceparent

    def close(self) -> None:
        for telemetry in self.services.values():
            telemetry.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("home")
    loop = Loop(home)
    loop.post("a", DAVID)
    loop.post("b", OTHER)
    loop.timer(DAVID)
    loop.close()
    return home / "spans"


def test_all_spans_of_every_trace_that_touches_the_referral_are_read_in_order(folder: Path) -> None:
    spans = read_spans(folder, DAVID)
    # The POST's own span does not know the referral yet; its trace does.
    assert [(span.service, span.name) for span in spans] == [
        ("intake", "POST /v1/referrals"),
        ("authorization", "process referral-loops"),
        ("assignment", "process referral-loops"),
        ("notification", "process referral-loops"),
        ("notification", "webhook"),
        ("assignment", "timer"),
    ]
    assert {span.trace_id for span in spans[:5]} == {"a" * 32}


def test_the_waterfall_goes_from_the_post_to_the_webhook(folder: Path) -> None:
    lines = draw(read_spans(folder, DAVID), width=110)
    assert lines[0] == f"trace {'a' * 32}  2026-03-02 17:00:00 UTC  5 spans  80.0 ms"
    assert [line.split("█")[0].split() for line in lines[1:6]] == [
        ["intake", "POST", "/v1/referrals", "·", "201"],
        ["authorization", "process", "referral-loops", "·", "referral.received"],
        ["assignment", "process", "referral-loops", "·", "authorization.granted"],
        ["notification", "process", "referral-loops", "·", "assignment.made"],
        ["notification", "webhook"],
    ]
    assert [line.split()[-2:] for line in lines[1:6]] == [["20.0", "ms"], *[["10.0", "ms"]] * 4]
    starts = [line.index("█") for line in lines[1:6]]
    assert starts == sorted(set(starts))
    assert lines[6] == ""
    assert lines[7].startswith("trace ")
    assert "timer · respond" in lines[8]


@pytest.mark.parametrize("width", [40, 80, 110, 200])
def test_every_line_has_room_for_its_bar(folder: Path, width: int) -> None:
    bars = draw(read_spans(folder, DAVID), width)[1:6]
    # Below sixty columns words and bars both keep the least they need.
    assert max(map(len, bars)) <= max(width, 60)
    assert all("█" in bar for bar in bars)


def test_programs_get_the_same_with_depth_and_offsets(folder: Path) -> None:
    document = json.loads(json.dumps(to_json(read_spans(folder, DAVID))))
    first, second = document["traces"]
    assert [span["depth"] for span in first["spans"]] == [0, 1, 2, 3, 4]
    assert [span["after_ms"] for span in first["spans"]] == [0, 25, 40, 55, 70]
    assert (first["began_at"], first["milliseconds"]) == ("2026-03-02T17:00:00Z", 80)
    assert second["spans"][0]["attributes"]["loopkeeper.timer"] == "respond"


def test_lines_half_written_or_of_another_kind_are_left_out(folder: Path, tmp_path: Path) -> None:
    whole = b"".join(path.read_bytes() for path in sorted(folder.iterdir()))
    broken = [
        whole[:-40],
        b'{"trace_id":"' + b"a" * 32 + b'","ref":"ref_david"}',
        b"[1]",
        b"\xff\xfe ref_david",
    ]
    (tmp_path / "intake-1.jsonl").write_bytes(b"\n".join(broken))
    (tmp_path / "intake-1.1.jsonl").write_bytes(whole)
    assert read_spans(tmp_path, DAVID) == read_spans(folder, DAVID)


def test_a_failed_step_is_marked(folder: Path, tmp_path: Path) -> None:
    telemetry = Telemetry.open("notification", settings_at(tmp_path))
    telemetry.begin("webhook", attributes={"loopkeeper.referral": DAVID}).end("TimeoutError")
    telemetry.close()
    assert draw(read_spans(tmp_path / "spans", DAVID))[1].endswith("ms ✗")


def test_nothing_is_known_of_a_referral_nobody_touched_or_a_folder_that_is_not_there(
    folder: Path, tmp_path: Path
) -> None:
    assert read_spans(folder, "ref_nobody") == []
    assert read_spans(tmp_path / "none", DAVID) == []
    assert draw([]) == []
