"""Do the README's lines work when pasted, one block after the other, on a machine that has only the packages?"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Generator, Mapping
from pathlib import Path

import pytest

from demo.house import free_port
from loopkeeper import embedded

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```sh\n(.*?)^```", re.M | re.S)
STARTS_WITHIN = 60


@pytest.fixture
def shell(tmp_path: Path) -> Generator[Mapping[str, str]]:
    """The environment of a newcomer: an empty home, the command on the path, a port that is free."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LOOPKEEPER_")}
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    yield {**kept, "HOME": str(tmp_path), "PATH": path, "LOOPKEEPER_PORT": str(free_port(0))}
    embedded.remove(tmp_path / "my-loop" / "postgres")


def blocks() -> list[str]:
    return BLOCK.findall((ROOT / "README.md").read_text())


def run(lines: str, shell: Mapping[str, str], folder: Path) -> list[str]:
    """What these lines print, each by itself in one shell. A line that fails fails the test."""
    port = shell["LOOPKEEPER_PORT"]
    script = "set -e\n" + "\n".join(
        f"{line}\necho; echo '--'"
        for line in lines.replace("localhost:8600", f"localhost:{port}").splitlines()
    )
    done = subprocess.run(
        ["bash", "-c", script], cwd=folder, env=shell, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return [part.strip() for part in done.stdout.split("\n--\n")]


def wait_until_ready(process: subprocess.Popen[bytes], port: str) -> None:
    for _ in range(STARTS_WITHIN * 10):
        assert process.poll() is None, "loopkeeper up ended"
        try:
            with urllib.request.urlopen(f"http://localhost:{port}/health/ready", timeout=3):
                return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            # Nothing can be waited on from outside but the answer itself.
            try:
                process.wait(0.1)
            except subprocess.TimeoutExpired:
                continue
    raise AssertionError("loopkeeper up is not ready")


def test_the_first_two_commands_are_the_two_of_the_makefile() -> None:
    first, second, *_ = blocks()
    assert (first.strip(), second.strip()) == ("make demo", "make test")


def test_a_newcomers_first_loop_works_line_by_line(shell: Mapping[str, str], tmp_path: Path) -> None:
    _, _, setting_up, asking = blocks()
    *before, last = setting_up.splitlines()
    assert last == "loopkeeper up"
    run("\n".join(before), shell, tmp_path)
    up = subprocess.Popen(
        ["bash", "-c", f"{before[0]}\nexec {last}"],
        cwd=tmp_path, env=dict(shell), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        wait_until_ready(up, shell["LOOPKEEPER_PORT"])
        _, _, receipt, mine, queue, stuck, *_ = run(asking, shell, tmp_path)
        referral = json.loads(receipt)["id"]
        assert [item["id"] for item in json.loads(mine)["items"]] == [referral]
        assert "items" in json.loads(queue)
        assert referral in stuck
    finally:
        up.send_signal(signal.SIGINT)
        assert up.wait(30) == 0


def test_every_page_the_documents_point_to_is_there() -> None:
    pages = [
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
        *(ROOT / "docs").glob("*.md"),
        *(ROOT / "docs/adr").glob("*.md"),
    ]
    dead = [
        f"{page.name}: {target}"
        for page in pages
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text())
        if "://" not in target and not (page.parent / target).exists()
    ]
    assert dead == []
