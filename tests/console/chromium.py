"""A real Chromium for the tests: the system's, or Debian's package where this program may install it.

python -m tests.console.chromium
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
HOW = "Install one, such as `apt-get install chromium`, or name it in CHROMIUM."


def find() -> str | None:
    """The browser that is here; None where there is none."""
    named = os.environ.get("CHROMIUM")
    found = [named] if named else [shutil.which(name) for name in NAMES]
    return next((path for path in found if path and Path(path).exists()), None)


def install() -> str | None:
    """The browser, installed from Debian where that may be done."""
    if find() is None and os.geteuid() == 0 and shutil.which("apt-get"):
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "check": False}
        for words in (("update", "-qq"), ("install", "-y", "-qq", "--no-install-recommends", "chromium")):
            subprocess.run(
                ["apt-get", *words], env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"}, **quiet
            )
    return find()


if __name__ == "__main__":
    if install() is None:
        print(f"There is no Chromium. {HOW}", file=sys.stderr)
        sys.exit(1)
