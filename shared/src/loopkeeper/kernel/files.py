"""How the configuration files are kept: changed by one writer at a time, replaced whole, readable by their owner."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def locked(file: Path) -> Generator[None]:
    """One process at a time changes this file; the lock goes with its process."""
    with file.with_suffix(".lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def write_private(file: Path, text: str) -> None:
    """Replace a file whole, mode 0600; a reader sees the old or the new one, after a crash too."""
    fresh = file.with_name(f".{file.name}.{os.getpid()}")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as out:
        out.write(text)
        out.flush()
        os.fsync(out.fileno())
    fresh.replace(file)


def stamp(file: Path) -> tuple[int, int, int]:
    """What differs when the file was replaced."""
    found = file.stat()
    return found.st_mtime_ns, found.st_ino, found.st_size
