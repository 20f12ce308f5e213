"""Is the story the same on Kafka, with a process for each service and a rolling restart in the middle?"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path

import pytest

from loopkeeper.postgres import embedded

ROOT = Path(__file__).parents[2]


@pytest.fixture
def home(tmp_path: Path) -> Generator[Path]:
    yield tmp_path / "home"
    embedded.remove(tmp_path / "home" / "postgres")


@pytest.mark.long
def test_the_story_on_kafka_loses_and_doubles_nothing_through_a_rolling_restart(home: Path) -> None:
    """Fewer people than by default: that David's year and a half and the restart go well is what is asked here."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LOOPKEEPER_")}
    words = ["--kafka", "--once", "--json", "--referrals", "24", "--port", "0", "--home", str(home)]
    done = subprocess.run(
        [sys.executable, "-m", "demo", *words],
        cwd=ROOT, env=environment, capture_output=True, text=True, timeout=280,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    figures = json.loads(done.stdout)
    assert figures["referrals"] == 24 == figures["closed"] + figures["open"]
    assert (figures["lost"], figures["doubled"], figures["readable"]) == (0, 0, 0)
    assert figures["told"] == figures["closed"]
    assert "a rolling restart in the middle" in done.stderr
