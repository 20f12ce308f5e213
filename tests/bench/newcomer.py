"""How long does a newcomer wait for the first closed loop? `make demo` on a fresh clone of the last commit, watched line by line.

    python -m tests.bench.newcomer [--empty]

Without `--empty` packages come from this machine's cache, so that no network is measured; with it everything is fetched.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from loopkeeper.postgres import embedded

ROOT = Path(__file__).parents[2]
# What each phase ends with, as it is said on the terminal; in this order.
ENDS = {
    "setup": "keys for two plans",
    "keys": "loopkeeper up:",
    "start": " and be somebody of the story",
    "directory": "verified endpoints",
    "loop": "the loop is closed",
}
OURS = ("LOOPKEEPER_", "UV_", "XDG_", "PYTHON", "VIRTUAL_ENV", "MAKE")


@dataclass(frozen=True)
class FirstLoop:
    """Seconds of each phase: what is fetched, installed and loaded for the first time; keys from the command line; the first
    start, with PostgreSQL's own and all tables; directory, rosters and endpoints; and David's loop."""

    setup: float
    keys: float
    start: float
    directory: float
    loop: float

    @property
    def whole(self) -> float:
        return self.setup + self.keys + self.start + self.directory + self.loop


def first_loop(folder: Path, *, empty: bool = False) -> FirstLoop:
    """Clone into this folder, which must not be there, and play until the first loop is closed."""
    clone, home = folder / "clone", folder / "home"
    home.mkdir(parents=True)
    subprocess.run(["git", "clone", "-q", ROOT, clone], check=True)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    if empty:
        kept["HOME"] = str(home)
    began = time.monotonic()
    playing = subprocess.Popen(
        ["make", "demo", "ARGS=--once --json --referrals 1 --port 0"],
        cwd=clone,
        env=kept,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        # What is stopped is the whole of it.
        start_new_session=True,
    )
    try:
        return FirstLoop(**_phases(playing, began))
    finally:
        os.killpg(playing.pid, signal.SIGINT)
        playing.communicate()
        embedded.remove(clone / ".loopkeeper" / "postgres")


def _phases(playing: subprocess.Popen[str], began: float) -> Mapping[str, float]:
    assert playing.stdout is not None
    found, said = dict[str, float](), list[str]()
    for line in playing.stdout:
        said.append(line)
        name = next((each for each in ENDS if each not in found), None)
        if name is not None and ENDS[name] in line:
            now = time.monotonic()
            found[name], began = now - began, now
            if len(found) == len(ENDS):
                return found
    raise AssertionError(f"no loop was closed: {''.join(said)[-2000:]}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--empty", action="store_true", help="an empty home: every package is fetched from the network"
    )
    with tempfile.TemporaryDirectory() as made:
        found = first_loop(Path(made) / "newcomer", empty=parser.parse_args().empty)
    for name in ENDS:
        print(f"{name:<10} {getattr(found, name):6.1f} s")
    print(f"{'whole':<10} {found.whole:6.1f} s")


if __name__ == "__main__":
    main()
