"""Which PostgreSQL may a test kill? One of its own, with fresh databases in it.

Without fsync: a killed process leaves behind what it has written, since the system holds it; only a system that dies
itself would lose that. With fsync a recovery would first flush every file of the cluster, for seconds, and be no other.
"""

from __future__ import annotations

import asyncio
import os
import signal
from dataclasses import dataclass
from pathlib import Path

from loopkeeper.postgres import embedded
from loopkeeper.postgres.connections import connect
from loopkeeper.postgres.embedded import Server
from loopkeeper.runtime.run import Addresses
from tests.databases import SERVICES

SETTINGS = {"fsync": "off"}


@dataclass
class Cluster:
    """The embedded server of this folder. As in production every database is closed to all roles but its own."""

    folder: Path
    server: Server

    @classmethod
    def start(cls, folder: Path) -> Cluster:
        return cls(folder, embedded.start(folder, SERVICES, settings=SETTINGS))

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
