"""How the product is started for the story: a home of its own, organizations and keys by the command line, `up`."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import aiohttp

from demo.broker import Broker
from demo.ports import free_ports

HERE = Path(__file__).parent
SERVICES = ("intake", "authorization", "assignment", "notification")
PROGRAMS = (*SERVICES, "console")
# Which service answers which noun, and which kind of file, where each has an address of its own; the last one answers all
# others.
NOUNS: Mapping[str, str] = {
    "referrals": "intake",
    "files/referrals": "intake",
    "roster": "intake",
    "supports": "intake",
    "reports": "intake",
    "organizations": "intake",
    "now": "intake",
    "authorizations": "authorization",
    "files/decisions": "authorization",
    "assignments": "assignment",
    "providers": "assignment",
}
# Every service answers these, under its own name.
BY_NAME = frozenset({"operations", "openings", "policy"})
# A cold start sets PostgreSQL up and makes every table; a warm one takes two seconds.
STARTS_WITHIN = 180.0


class HouseError(Exception):
    """The product did not do what the story needs; the text says what it said."""


class Process:
    """One `loopkeeper up`: all services, or one of them. Its own words go to a file in the home."""

    def __init__(self, command: str, words: Sequence[str], port: int, log: Path) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self._words = (command, "up", *words, "--port", str(port))
        self._log = log
        self._process: asyncio.subprocess.Process | None = None
        # Processor time of processes that are gone.
        self._spent = 0.0

    async def start(self, environment: Mapping[str, str]) -> None:
        """Begin; `ready` says when it serves."""
        log = self._log.open("ab")
        self._process = await asyncio.create_subprocess_exec(
            *self._words, env=environment, stdout=log, stderr=log
        )
        log.close()

    async def ready(self, session: aiohttp.ClientSession) -> None:
        """Until it says that it is ready. Raises `HouseError` if it ends, or takes too long."""
        process = self._process
        if process is None:
            raise HouseError("nothing was started that could be ready")
        deadline = asyncio.get_running_loop().time() + STARTS_WITHIN
        while asyncio.get_running_loop().time() < deadline:
            if process.returncode is not None:
                raise HouseError(f"`loopkeeper up` ended: see {self._log}")
            if await _ready(session, f"{self.url}/health/ready"):
                return
            await asyncio.sleep(0.1)
        raise HouseError(f"the services are not ready after {STARTS_WITHIN:.0f} s: see {self._log}")

    async def ended(self) -> None:
        """Until it is gone."""
        if self._process is not None:
            await self._process.wait()

    async def kill(self) -> None:
        if self._process is not None:
            self._spent = self.cpu_seconds()
            self._process.kill()
            await self._process.wait()

    async def stop(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._spent = self.cpu_seconds()
            self._process.send_signal(signal.SIGTERM)
            await self._process.wait()

    def is_gone(self) -> bool:
        return self._process is not None and self._process.returncode is not None

    def memory_bytes(self) -> int:
        """What it holds in memory now; 0 where the system does not tell."""
        return _memory(self._process.pid) if self._process is not None else 0

    def cpu_seconds(self) -> float:
        """Processor time used so far, with that of those before it; 0 where the system does not tell."""
        if self._process is None or self._process.returncode is not None:
            return self._spent
        try:
            fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return self._spent
        return self._spent + (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class House:
    """One running installation: all services in one process, their log in PostgreSQL; or, with a `broker`, a process
    for each and the log in Kafka. `command` is the console script of this very environment."""

    def __init__(self, home: Path, port: int, broker: Broker | None = None) -> None:
        self.home = home
        self.broker = broker
        self.command = str(Path(sys.executable).with_name("loopkeeper"))
        if broker is None:
            self.processes = {"": Process(self.command, (), port, home / "up.log")}
        else:
            ports = [port, *free_ports(len(PROGRAMS) - 1)]
            self.processes = {
                name: Process(self.command, (name,), each, home / f"up-{name}.log")
                for name, each in zip(PROGRAMS, ports, strict=True)
            }
        self.url = next(iter(self.processes.values())).url

    def url_of(self, path: str) -> str:
        """Where the service is that answers this path."""
        _, version, noun, *rest = path.partition("?")[0].split("/")
        if self.broker is None or version != "v1":
            return self.url
        if noun in BY_NAME:
            return self.processes[rest[0]].url
        asked = f"files/{rest[0]}" if noun == "files" else noun
        return self.processes[NOUNS.get(asked.partition(":")[0], SERVICES[-1])].url

    @property
    def environment(self) -> Mapping[str, str]:
        """What the story sets: its own home, a movable clock, invented members, partners on this machine. The plans'
        choices are in the home itself, where every later command finds them too."""
        return {
            **os.environ,
            "LOOPKEEPER_HOME": str(self.home),
            "LOOPKEEPER_PORT": self.url.rpartition(":")[2],
            "LOOPKEEPER_CLOCK": "movable",
            "LOOPKEEPER_SYNTHETIC_MEMBERS": "on",
            "LOOPKEEPER_CONSOLE_URL": self.console,
            "LOOPKEEPER_CONSOLE_PICKER": "on",
            "LOOPKEEPER_CONSOLE_OPERATIONS": "on",
            "LOOPKEEPER_WEBHOOK_ALLOW": "127.0.0.1",
            **self.addresses(),
        }

    def addresses(self) -> Mapping[str, str]:
        """Where the services are, and, in Kafka, their log, as the command line's settings."""
        if self.broker is None:
            return {"LOOPKEEPER_URL": self.url}
        return {
            "LOOPKEEPER_URLS": json.dumps({name: self.processes[name].url for name in SERVICES}),
            "LOOPKEEPER_BUS": f"kafka://{self.broker.servers}",
            "LOOPKEEPER_KAFKA_REPLICATION": "1",
            # One replica of each: its name makes a restart move nobody's partitions.
            "LOOPKEEPER_REPLICA": "0",
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

    async def people(self, invented: Sequence[Mapping[str, Any]]) -> None:
        """Let these be chosen at the console's door: everybody of the story is invented."""
        file = self.home / "people-of-the-story.json"
        file.write_text(json.dumps(invented))
        await self.run("person", "import", str(file), "--invented")
        file.unlink()

    @property
    def console(self) -> str:
        """Where people go. Passkeys are bound to a name, so it is no number."""
        own = self.processes.get("console", self.processes[next(iter(self.processes))])
        return f"http://localhost:{own.url.rpartition(':')[2]}"

    async def start(self) -> None:
        """Start everything that is stopped, until it is ready: the log's topic first, then all services at once."""
        if self.broker is not None:
            await asyncio.to_thread(self.broker.start)
            await self.run("topics", "create")
        for process in self.processes.values():
            await process.start(self.environment)
        async with aiohttp.ClientSession() as session:
            await asyncio.gather(*(process.ready(session) for process in self.processes.values()))

    def operations_key(self) -> str:
        return (self.home / "config" / "operations.key").read_text().strip()

    def memory_bytes(self) -> int:
        """What the processes of the services hold in memory now; 0 where the system does not tell."""
        return sum(process.memory_bytes() for process in self.processes.values())

    def broker_bytes(self) -> int:
        return _memory(self.broker.pid) if self.broker is not None else 0

    def cpu_seconds(self) -> float:
        """Processor time the services have used so far; 0 where the system does not tell."""
        return sum(process.cpu_seconds() for process in self.processes.values())

    async def kill(self) -> None:
        """`kill -9` of all services at once, in the middle of whatever they do, and start them again."""
        await asyncio.gather(*(process.kill() for process in self.processes.values()))
        async with aiohttp.ClientSession() as session:
            for process in self.processes.values():
                await process.start(self.environment)
            await asyncio.gather(*(process.ready(session) for process in self.processes.values()))

    async def one_ended(self) -> None:
        """Until one of the processes is gone."""
        ends = [asyncio.create_task(process.ended()) for process in self.processes.values()]
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for end in ends:
                end.cancel()

    async def revive(self) -> None:
        """Start again what has ended, until it is ready."""
        async with aiohttp.ClientSession() as session:
            for process in self.processes.values():
                if process.is_gone():
                    await process.start(self.environment)
                    await process.ready(session)

    async def roll(self) -> None:
        """A rolling restart: one service after the other is asked to stop, starts again, and is ready."""
        async with aiohttp.ClientSession() as session:
            for process in self.processes.values():
                await process.stop()
                await process.start(self.environment)
                await process.ready(session)

    async def stop(self) -> None:
        """Ask the services to stop, and PostgreSQL and the broker with them; the data stays."""
        await asyncio.gather(*(process.stop() for process in self.processes.values()))
        if self.broker is not None:
            await asyncio.to_thread(self.broker.stop)

    async def wipe(self) -> None:
        """Remove what an earlier story left in this home."""
        if self.home.exists():
            await self.run("reset", "--yes")
            shutil.rmtree(self.home, ignore_errors=True)


def _memory(pid: int) -> int:
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


async def _ready(session: aiohttp.ClientSession, url: str) -> bool:
    try:
        async with session.get(url, timeout=aiohttp.ClientTimeout(total=3)) as answer:
            return answer.status == 200
    except (aiohttp.ClientError, TimeoutError):
        return False
