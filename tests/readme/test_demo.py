"""Does the demo do what it says: a story by HTTP alone, nothing lost, nothing doubled, and lines that work when pasted?"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path

import pytest

from demo.broker import Broker
from demo.house import SERVICES, House
from demo.ports import free_port
from loopkeeper.postgres import embedded

ROOT = Path(__file__).parents[2]
FIGURES = (
    "referrals", "closed", "told", "open", "merged", "denied", "lost", "doubled", "readable", "seconds", "p50_ms",
    "p99_ms", "shares",
)  # fmt: skip


# What the story must have in it, in percent of its referrals; and how many kinds.
AT_LEAST = {
    "without address or phone": 20, "declined once": 10, "pended": 5, "denied": 3, "duplicates": 3, "unreachable": 5,
    "populations": 9, "forms": 2, "languages": 5,
}  # fmt: skip


@pytest.fixture
def home(tmp_path: Path) -> Generator[Path]:
    yield tmp_path / "home"
    embedded.remove(tmp_path / "home" / "postgres")


# loop.md 8.4
def test_the_demo_loses_and_doubles_nothing_and_its_lines_work_when_pasted(home: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LOOPKEEPER_")}
    demo = subprocess.Popen(
        [sys.executable, "-m", "demo", "--json", "--port", "0", "--home", str(home)],
        cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert demo.stdout is not None
    assert demo.stderr is not None
    try:
        figures = json.loads(demo.stdout.readline())
        told = []
        for line in demo.stderr:
            told.append(line)
            if line.strip().startswith("stop"):
                break
        pasted = [line.strip() for line in told if line.strip().startswith("curl ")]
        answers = [_paste(line) for line in pasted]
        # Somebody tries what `kill -9` does to a town that stays up.
        (up,) = _children(demo.pid)
        os.kill(up, signal.SIGKILL)
        again = demo.stderr.readline()
        answers_again = [_paste(line) for line in pasted]
    finally:
        demo.send_signal(signal.SIGINT)
        demo.communicate(timeout=60)
    assert tuple(figures) == FIGURES
    said = " ".join(" ".join(told).split())
    for line in (
        "a shelter's sheet of 40: 40 accepted", "Valley's list of decisions: 40 accepted", "its month: 9 accepted, 3 refused",
        "the 3 corrected and sent again: 3 accepted, 9 unchanged",
    ):  # fmt: skip
        assert line in said
    assert figures["referrals"] == 200 == figures["closed"] + figures["open"]
    assert (figures["lost"], figures["doubled"], figures["readable"]) == (0, 0, 0)
    assert figures["told"] == figures["closed"]
    assert {name for name, least in AT_LEAST.items() if figures["shares"][name] < least} == set()
    assert set(figures["shares"]) == set(AT_LEAST)
    assert demo.returncode == 0
    assert "was killed: back after" in again
    timeline, receipt, providers = answers
    assert answers_again[0]["items"][: len(timeline["items"])] == timeline["items"]
    assert answers_again[2] == providers
    # David's loop closed once and its referrer was told; a year and a half later his service ended.
    types = [event["type"] for event in timeline["items"]]
    assert types.count("referral.closed") == 1
    assert "notice.delivered" in types[types.index("referral.closed") :]
    assert types[-1] == "assignment.ended"
    assert receipt["id"].startswith("ref_")
    assert receipt["eligibility"] == "confirmed"
    assert providers["items"]
    assert not re.search(r"Traceback|went wrong", "".join(told))


def _children(pid: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _paste(line: str) -> dict[str, list[dict[str, str]]]:
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=30, check=True)
    return json.loads(done.stdout)


def test_where_each_service_has_an_address_every_path_leads_to_the_one_that_answers_it(
    tmp_path: Path,
) -> None:
    house = House(tmp_path, free_port(), Broker(tmp_path))
    for service in SERVICES:
        document = json.loads((ROOT / "docs" / "reference" / "openapi" / f"{service}.json").read_text())
        for path in document["paths"]:
            if path.startswith("/v1/"):
                assert house.url_of(path) == house.processes[service].url, (service, path)
