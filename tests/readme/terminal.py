"""A newcomer's machine: an empty home, a service that is up, and a second terminal to paste into."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from demo.ports import free_port
from loopkeeper.postgres import embedded

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```sh\n(.*?)^```", re.M | re.S)
FIRST_COMMAND = re.compile(r"^\| \*\*(I [a-z ]+)\*\* \| \[(\w+)\.md\]\([^)]*\) \| `(.*)` \|$", re.M)
STARTS_WITHIN = 180
# Every guide of the README's doors, in their order, and a word of what it prints when it worked.
GUIDES = {
    "refer": '"next_step"', "plan": '"approved"', "serve": '"services_started"', "files": "Result,Code,What to do",
    "directory": '"tule-midwives"',
    "operate": "intake: sound", "integrate": "ecm.endpoint.challenge.v1",
}  # fmt: skip


@dataclass
class Terminal:
    """A newcomer's second terminal: the folder of the first, with the service up. It knows what a new shell knows; the
    rest is the README's second block."""

    folder: Path
    environment: Mapping[str, str]

    def paste(self, lines: str, *, up_already: bool = True) -> str:
        """What these lines print in one shell, the README's second terminal. A line that fails fails the test."""
        port = self.environment["LOOPKEEPER_PORT"]
        script = (
            "set -e\n"
            + (blocks("README.md")[3] if up_already else "")
            + lines.replace("localhost:8600", f"localhost:{port}")
        )
        done = subprocess.run(
            ["bash", "-c", script],
            cwd=self.folder, env=dict(self.environment), capture_output=True, text=True, timeout=240,
        )  # fmt: skip
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
        return done.stdout

    def paste_second(self, lines: str) -> str:
        """The same, behind what the README says a second terminal begins with."""
        return self.paste(f"{blocks('README.md')[3]}\n{lines}")


def blocks(document: str) -> list[str]:
    return BLOCK.findall((ROOT / document).read_text())


def of_guide(guide: str) -> str:
    return "\n".join(blocks(f"docs/guides/{guide}.md"))


@contextmanager
def opened(folder: Path) -> Generator[Terminal]:
    """An empty home and the repository's `.venv`; nothing but a free port is set. The README's first terminal is typed
    and stays up."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LOOPKEEPER_")}
    (folder / ".venv").symlink_to(sys.prefix)
    port = str(free_port())
    found = Terminal(folder, {**kept, "HOME": str(folder), "LOOPKEEPER_PORT": port})
    activated = "source .venv/bin/activate\n"
    *before, last = blocks("README.md")[2].splitlines()
    assert last == "loopkeeper up"
    found.paste(activated + "\n".join(before))
    up = subprocess.Popen(
        ["bash", "-c", f"{activated}{before[0]}\nexec {last}"],
        cwd=folder, env=dict(found.environment), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        wait_until_ready(up, port)
        yield found
    finally:
        up.send_signal(signal.SIGINT)
        left = up.wait(60)
        embedded.remove(folder / "my-loop" / "postgres")
    assert left == 0


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


def assert_no_problem(printed: str) -> None:
    at = printed.find('"slug"')
    assert at < 0, printed[max(0, at - 500) : at + 500]
