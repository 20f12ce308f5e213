"""How the server's process is made, found again, and ended."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from loopkeeper.kernel.errors import StartError
from loopkeeper.postgres.embedded.place import ServerFolders, make_folders, make_roots_place

PORT = 5432
# A recovery after kill -9 replays the WAL since the last checkpoint; a laptop's disk needs seconds.
STARTS_WITHIN = 60.0
STOPS_WITHIN = 30.0
LARGEST_LOG = 4 * 1024 * 1024
# What a new server says while the children of a killed one still hold its shared memory, or it its lock.
NOT_YET = ("is still in use", "already exists")


def initialize(place: ServerFolders, programs: Path, password: str) -> None:
    """A new cluster. It is made aside and then given its name: one that was cut short never counts."""
    if place.account is not None:
        make_roots_place()
    shutil.rmtree(place.fresh, ignore_errors=True)
    place.fresh.mkdir(mode=0o700)
    secret = place.fresh / "password"
    secret.touch(0o600)
    secret.write_text(password)
    for path in (secret, place.fresh):
        _give(place, path)
    words = ("--username=postgres", "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C")
    done = _run(place, programs / "initdb", "-D", place.fresh / "data", f"--pwfile={secret}", *words)
    if done.returncode:
        raise StartError(f"PostgreSQL's initdb failed: {_complaint(done.stderr)}", f"Look into {place.own}.")
    make_folders(place)
    shutil.rmtree(place.cluster, ignore_errors=True)
    (place.fresh / "data").rename(place.cluster)
    shutil.rmtree(place.fresh)


def launch(place: ServerFolders, programs: Path, configuration: Mapping[str, str]) -> int:
    """Start the server, recovering what a killed one left; its process when it is ready. Raises `StartError`."""
    make_folders(place)
    settings = {**configuration, "unix_socket_directories": str(place.sockets), "port": str(PORT)}
    options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
    words = ("start", "-D", place.cluster, "-l", place.log, "-w", "-t", "20", "-s", "-o", shlex.join(options))
    deadline = time.monotonic() + STARTS_WITHIN
    while True:
        before = _log_size(place)
        _unlock_corpse(place)
        # pg_ctl leaves a server of its own session behind: no child of ours, so our end is not its end.
        _run(place, programs / "pg_ctl", *words)
        if (pid := running(place)) is not None:
            return pid
        said = _logged(place, before)
        waits = serving(place) is not None or any(words in said for words in NOT_YET)
        if not waits or time.monotonic() > deadline:
            raise StartError(f"PostgreSQL did not start: {_complaint(said)}", f"See {place.log}.")
        time.sleep(0.2)


def running(place: ServerFolders) -> int | None:
    """The process of this place's server when it is ready for sessions."""
    lines = _pid_file(place)
    return serving(place) if len(lines) >= 8 and lines[7].strip() == "ready" else None


def serving(place: ServerFolders) -> int | None:
    """The process of this place's server, be it starting, ready or stopping. A pid that is another program by now,
    another PostgreSQL included, is none."""
    lines = _pid_file(place)
    if not lines or not lines[0].isdigit():
        return None
    pid = int(lines[0])
    return pid if f" -D {place.cluster} " in f"{_command_line(pid)} " else None


def end(place: ServerFolders) -> bool:
    """A fast shutdown, waited for; whether there was a server."""
    pid = serving(place)
    if pid is None:
        return False
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGINT)
    deadline = time.monotonic() + STOPS_WITHIN
    while serving(place) == pid:
        if time.monotonic() > deadline:
            raise StartError(f"PostgreSQL (process {pid}) does not stop.", f"See {place.log}.")
        time.sleep(0.02)
    return True


def bound_log(place: ServerFolders) -> None:
    """Empty a log that grew too large; the server appends to it and goes on."""
    if _log_size(place) > LARGEST_LOG:
        os.close(os.open(place.log, os.O_WRONLY | os.O_TRUNC | os.O_NOFOLLOW))


def _unlock_corpse(place: ServerFolders) -> None:
    """Take the locks from a killed server that nobody buries, as where a container's first process waits for no child:
    PostgreSQL takes its process for alive and would never start again. Children of it that still write are found by
    their shared memory, with these files or without."""
    lines = _pid_file(place)
    if lines and lines[0].isdigit() and _is_corpse(int(lines[0])):
        for lock in (place.sockets / f".s.PGSQL.{PORT}.lock", place.cluster / "postmaster.pid"):
            lock.unlink(missing_ok=True)


def _is_corpse(pid: int) -> bool:
    """Whether this process has ended and waits to be buried; False where the system does not tell."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (OSError, IndexError):
        return False


def _pid_file(place: ServerFolders) -> list[str]:
    try:
        return (place.cluster / "postmaster.pid").read_text().splitlines()
    except (FileNotFoundError, NotADirectoryError):
        return []


def _command_line(pid: int) -> str:
    """The words a process was started with; empty for one that is gone or waits to be buried."""
    if Path("/proc/self/cmdline").exists():
        try:
            return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
        except OSError:
            return ""
    words = ["/bin/ps", "-ww", "-o", "command=", "-p", str(pid)]
    return subprocess.run(words, check=False, capture_output=True, text=True).stdout.strip()  # noqa: S603


def _run(place: ServerFolders, *words: str | Path) -> subprocess.CompletedProcess[str]:
    """One of PostgreSQL's own programs, as the account it belongs to, with nothing of our environment."""
    account = place.account
    # Its words go to files: a server left behind would hold a pipe open forever.
    with tempfile.TemporaryFile("w+") as said:
        done = subprocess.run(  # noqa: S603 our own binary
            list(words),
            check=False,
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=said,
            # The server must not inherit our keys, and LC_* or PG* would change what it does.
            env={"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"},
            cwd="/",
            user=account.pw_uid if account else None,
            group=account.pw_gid if account else None,
            extra_groups=[] if account else None,
        )
        said.seek(0)
        return subprocess.CompletedProcess(done.args, done.returncode, "", said.read())


def _give(place: ServerFolders, path: Path) -> None:
    if place.account is not None:
        os.chown(path, place.account.pw_uid, place.account.pw_gid)


def _log_size(place: ServerFolders) -> int:
    try:
        return place.log.lstat().st_size
    except FileNotFoundError:
        return 0


def _logged(place: ServerFolders, before: int) -> str:
    """What the server wrote to its log since it had this size."""
    try:
        descriptor = os.open(place.log, os.O_RDONLY | os.O_NOFOLLOW)
    except FileNotFoundError:
        return ""
    with os.fdopen(descriptor, "rb") as log:
        log.seek(before)
        return log.read(64 * 1024).decode("utf-8", "replace")


def _complaint(said: str) -> str:
    """The line that names the cause: the first fatal one, else the last."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    fatal = [line for line in lines if "FATAL:" in line or "error:" in line]
    return (fatal or lines[-1:] or ["it said nothing"])[0]
