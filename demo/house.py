"""How the product is started for the story: a home of its own, organizations and keys by the command line, `up`."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import aiohttp

HERE = Path(__file__).parent
# A cold start sets PostgreSQL up and makes every table; a warm one takes two seconds.
STARTS_WITHIN = 180.0


class HouseError(Exception):
    """The product did not do what the story needs; the text says what it said."""


def free_port(wanted: int) -> int:
    """This port if it is free, else any other."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return probe.getsockname()[1]
    raise HouseError("no port is free")


class House:
    """One running installation. `command` is the console script of this very environment."""

    def __init__(self, home: Path, port: int) -> None:
        self.home = home
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self.command = str(Path(sys.executable).with_name("loopkeeper"))
        self._process: asyncio.subprocess.Process | None = None
        # Processor time of services that were killed.
        self._spent = 0.0

    @property
    def environment(self) -> Mapping[str, str]:
        """What the story sets: its own home, a movable clock, invented members, partners on this machine. The plans'
        choices stand in the home itself, where every later command finds them too."""
        return {
            **os.environ,
            "LOOPKEEPER_HOME": str(self.home),
            "LOOPKEEPER_PORT": str(self.port),
            "LOOPKEEPER_CLOCK": "movable",
            "LOOPKEEPER_SYNTHETIC_MEMBERS": "on",
            "LOOPKEEPER_WEBHOOK_ALLOW": "127.0.0.1",
        }

    async def run(self, *words: str) -> Any:
        """Run one command of the product with --json; its document, None if it prints none."""
        return await self.document(*words, "--json")

    async def document(self, *words: str) -> Any:
        """Run one command of the product that prints a document by itself."""
        process = await asyncio.create_subprocess_exec(
            self.command, *words,
            env=self.environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        out, err = await process.communicate()
        if process.returncode:
            raise HouseError(f"loopkeeper {' '.join(words)}: {err.decode().strip() or out.decode().strip()}")
        return json.loads(out) if out.strip() else None

    async def keys(self, organizations: Sequence[Mapping[str, Any]]) -> Mapping[str, str]:
        """Make these organizations known, with their plans' choices, and give each a key."""
        file = self.home / "organizations-of-the-story.json"
        shutil.copytree(HERE / "policy", self.home / "policy", dirs_exist_ok=True)
        file.write_text(json.dumps(organizations))
        made = await self.run("org", "import", str(file))
        file.unlink()
        return {entry["id"]: entry["key"] for entry in made}

    async def start(self) -> None:
        """`loopkeeper up`, until it is ready. Its own words go to up.log in the home."""
        log = (self.home / "up.log").open("ab")
        self._process = await asyncio.create_subprocess_exec(
            self.command, "up", "--port", str(self.port), env=self.environment, stdout=log, stderr=log
        )
        log.close()
        deadline = asyncio.get_running_loop().time() + STARTS_WITHIN
        async with aiohttp.ClientSession() as session:
            while asyncio.get_running_loop().time() < deadline:
                if self._process.returncode is not None:
                    raise HouseError(f"`loopkeeper up` ended: see {self.home / 'up.log'}")
                if await _ready(session, f"{self.url}/health/ready"):
                    return
                await asyncio.sleep(0.1)
        raise HouseError(
            f"the services are not ready after {STARTS_WITHIN:.0f} s: see {self.home / 'up.log'}"
        )

    def operations_key(self) -> str:
        return (self.home / "config" / "operations.key").read_text().strip()

    def memory_bytes(self) -> int:
        """What the process of the services holds in memory now; 0 where the system does not tell."""
        if self._process is None:
            return 0
        try:
            pages = int(Path(f"/proc/{self._process.pid}/statm").read_text().split()[1])
        except (OSError, ValueError, IndexError):
            return 0
        return pages * os.sysconf("SC_PAGE_SIZE")

    def cpu_seconds(self) -> float:
        """Processor time the services have used so far; 0 where the system does not tell."""
        if self._process is None:
            return self._spent
        try:
            fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return self._spent
        return self._spent + (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    async def kill(self) -> None:
        """`kill -9` of all services at once, in the middle of whatever they do."""
        if self._process is not None:
            self._spent = self.cpu_seconds()
            self._process.kill()
            await self._process.wait()

    async def stop(self) -> None:
        """Ask the services to stop, and PostgreSQL with them; the data stays."""
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(signal.SIGTERM)
            await self._process.wait()

    async def wipe(self) -> None:
        """Remove what an earlier story left in this home."""
        if self.home.exists():
            await self.run("reset", "--yes")
            shutil.rmtree(self.home, ignore_errors=True)


async def _ready(session: aiohttp.ClientSession, url: str) -> bool:
    try:
        async with session.get(url, timeout=aiohttp.ClientTimeout(total=3)) as answer:
            return answer.status == 200
    except (aiohttp.ClientError, TimeoutError):
        return False
