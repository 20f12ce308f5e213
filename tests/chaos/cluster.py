"""Which PostgreSQL may a test kill? One of its own, with fresh databases in it.

Without fsync: a killed process leaves behind what it has written, since the system holds it; only a system that dies
itself would lose that. With fsync a recovery would first flush every file of the cluster, for seconds, and be no other.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from loopkeeper.postgres import embedded
from loopkeeper.postgres.connections import connect
from loopkeeper.postgres.embedded import Server
from loopkeeper.runtime.run import Addresses
from tests.databases import SERVICES

SETTINGS = {"fsync": "off"}
# How much a disk takes that may be full. In memory: only what is written takes any.
DISK = "1500m"
BALLAST, BLOCK = "ballast", 4096


@dataclass
class Cluster:
    """The embedded server of this folder. As in production every database is closed to all roles but its own."""

    folder: Path
    server: Server
    # Whether its data is on a disk of its own, which may be full.
    on_own_disk: bool = False

    @classmethod
    def start(cls, folder: Path, *, on_own_disk: bool = False) -> Cluster:
        server = embedded.start(folder, SERVICES, settings=SETTINGS)
        if on_own_disk:
            embedded.stop(folder)
            _move(server.data)
            server = embedded.start(folder, SERVICES, settings=SETTINGS)
        return cls(folder, server, on_own_disk)

    def remove(self) -> None:
        """Nothing of it is left."""
        embedded.stop(self.folder)
        if self.on_own_disk:
            # A session whose server was killed may be in it for a moment longer.
            subprocess.run(["umount", "--lazy", self.server.data], check=True)
        embedded.remove(self.folder)

    @contextmanager
    def full(self) -> Generator[None]:
        """Not a byte is left on its disk, for the length of the block."""
        ballast = self.server.data / BALLAST
        try:
            with ballast.open("wb") as file:
                # Other programs write at the same moment: until nothing more can be had.
                while free := os.statvfs(ballast).f_bfree * BLOCK:
                    try:
                        os.posix_fallocate(file.fileno(), os.fstat(file.fileno()).st_size, free)
                    except OSError:
                        break
            yield
        finally:
            ballast.unlink()

    def addresses(self) -> Addresses:
        """Where the services' databases and the log are; the same after a recovery."""
        urls = {name: self.server.url(name) for name in SERVICES if name != "log"}
        return Addresses(urls, self.server.url("log"))

    def kill(self) -> None:
        """Kill -9 of the postmaster: its sessions end with it, and nothing is written in order."""
        os.kill(self.server.pid, signal.SIGKILL)

    async def recover(self) -> None:
        """Running again, as the next start of the program finds or makes it."""
        self.server = await asyncio.to_thread(embedded.start, self.folder, SERVICES, settings=SETTINGS)

    async def empty(self) -> None:
        """Every database made again, empty."""
        admin = await connect(self.server.admin())
        try:
            for name in SERVICES:
                await admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
        finally:
            await admin.close()
        await self.recover()


def may_mount() -> bool:
    """Whether this process may give a cluster a disk of its own."""
    if os.geteuid() != 0 or shutil.which("mount") is None:
        return False
    with tempfile.TemporaryDirectory() as folder:
        if subprocess.run([*MOUNT, "size=1m", "tmpfs", folder], check=False, capture_output=True).returncode:
            return False
        subprocess.run(["umount", folder], check=True)
    return True


MOUNT = ("mount", "-t", "tmpfs", "-o")


def _move(data: Path) -> None:
    """The data of a stopped server onto a small disk that is mounted where it was."""
    owner, before = data.stat(), data.with_name("before")
    data.rename(before)
    data.mkdir()
    size = f"size={DISK},mode=0700,uid={owner.st_uid},gid={owner.st_gid}"
    subprocess.run([*MOUNT, size, "tmpfs", data], check=True)
    subprocess.run(["cp", "-a", f"{before}/.", data], check=True)
    shutil.rmtree(before)
