"""What does one POST of a referral cost, as a program serves it: intake alone in a process of its own, real sockets?

    python -m tests.bench.requests [--creates 4000] [--clients 32]

Who asks is this process, and is not counted. What is counted is the program and its PostgreSQL, with all that follows in
intake: state, journal, chain, sealing, outbox, log, and reading the own events again.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import quantiles
from typing import Any
from urllib.request import urlopen

import orjson

from loopkeeper.kernel.settings import Settings
from loopkeeper.postgres import embedded
from loopkeeper.postgres.embedded import place as places
from loopkeeper.security import organizations
from tests.bench.counting import spent_of_server
from tests.bench.stages import middle
from tests.builders.forms import david
from tests.builders.organizations import CLINIC, ORGANIZATIONS
from tests.loop.house import POLICY

PORT = 8741
WARM = 500
SERVES_WITHIN = 240.0
ROUNDS = 3
TICKS = os.sysconf("SC_CLK_TCK")


def forms() -> Iterator[bytes]:
    """One after the other, each another member's."""
    member, number = david()["member"], 0
    while True:
        number += 1
        other = {"cin": f"9{number:07}S", "last_name": f"Number{number}"}
        yield orjson.dumps(david(member=member | other))


class Connection(asyncio.Protocol):
    """One client: it asks, and asks again once it is answered."""

    def __init__(self) -> None:
        self._left = b""
        self._answer: asyncio.Future[tuple[int, bytes]] | None = None

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._left += data
        head, found, body = self._left.partition(b"\r\n\r\n")
        if not found or self._answer is None:
            return
        lines = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
        if len(body) >= int(lines[b"content-length"]):
            answer, self._answer, self._left = self._answer, None, b""
            answer.set_result((int(head.split(b" ", 2)[1]), body))

    def connection_lost(self, exc: Exception | None) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(exc or ConnectionError("closed"))

    async def post(self, key: str, body: bytes) -> float:
        """Milliseconds until the referral was there."""
        self._answer = asyncio.get_running_loop().create_future()
        began = time.perf_counter()
        head = (
            f"POST /v1/referrals HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {key}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        self._transport.write(head.encode() + body)
        status, text = await self._answer
        assert status == 201, (status, text)
        return (time.perf_counter() - began) * 1000


async def creates(key: str, bodies: Iterator[bytes], count: int, clients: int) -> list[float]:
    """So many, by so many clients at a time; how long each took."""
    waits, numbers = list[float](), iter(range(count))

    async def client() -> None:
        transport, connection = await asyncio.get_running_loop().create_connection(
            Connection, "127.0.0.1", PORT
        )
        for _ in numbers:
            waits.append(await connection.post(key, next(bodies)))
        transport.close()

    await asyncio.gather(*(client() for _ in range(clients)))
    return waits


def measure(count: int = 2000, clients: int = 32, rounds: int = ROUNDS) -> dict[str, float]:
    """Rate, processor of one in milliseconds, and how long they waited: medians of so many rounds, one after the other."""
    with tempfile.TemporaryDirectory() as base:
        home = Path(base) / "home"
        policy = Path(base) / "policy"
        shutil.copytree(POLICY, policy)
        settings = Settings(home=home)
        made = organizations.import_organizations(settings.config_folder, ORGANIZATIONS)
        key = next(each["key"] for each in made if each["id"] == CLINIC)
        try:
            with up(home, policy) as process:
                return middle(asyncio.run(_measured(process, home, key, count, clients, rounds)))
        finally:
            embedded.remove(home / "postgres")


async def _measured(
    process: subprocess.Popen[Any], home: Path, key: str, count: int, clients: int, rounds: int
) -> list[dict[str, float]]:
    cluster = places.server_folders(home / "postgres").cluster
    postmaster, bodies = int((cluster / "postmaster.pid").read_text().split()[0]), forms()
    await creates(key, bodies, WARM, clients)
    return [await _round(process.pid, postmaster, key, bodies, count, clients) for _ in range(rounds)]


async def _round(
    pid: int, postmaster: int, key: str, bodies: Iterator[bytes], count: int, clients: int
) -> dict[str, float]:
    before, server, began = _spent(pid), spent_of_server(postmaster), time.perf_counter()
    waits = await creates(key, bodies, count, clients)
    seconds = time.perf_counter() - began
    own, its = _spent(pid) - before, spent_of_server(postmaster) - server
    cuts = quantiles(waits, n=100)
    return {
        "creates a second": count / seconds,
        "process, ms": own / count * 1000,
        "PostgreSQL, ms": its / count * 1000,
        "p50, ms": cuts[49],
        "p99, ms": cuts[98],
    }


def _spent(pid: int) -> float:
    """Processor seconds of a process with all its threads."""
    fields: Sequence[str] = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


@contextmanager
def up(home: Path, policy: Path) -> Generator[subprocess.Popen[Any]]:
    """Intake as `loopkeeper up` serves it, ready."""
    said = (home.parent / "log.txt").open("a")
    process = subprocess.Popen(
        [Path(sys.executable).with_name("loopkeeper"), "up", "intake", "--port", str(PORT)],
        stdout=said,
        stderr=said,
        env={
            **os.environ,
            "LOOPKEEPER_HOME": str(home),
            "LOOPKEEPER_POLICY": str(policy),
            "LOOPKEEPER_SYNTHETIC_MEMBERS": "on",
            "LOOPKEEPER_RATE": "1000000",
            "LOOPKEEPER_LOG_LEVEL": "WARNING",
        },
    )
    try:
        until_ready(process, PORT, SERVES_WITHIN)
        yield process
    finally:
        process.terminate()
        process.wait()
        said.close()


def until_ready(process: subprocess.Popen[Any], port: int, within: float) -> None:
    """Raises where it ends, or is not ready in time."""
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        assert process.poll() is None, "the services did not start"
        try:
            with urlopen(f"http://127.0.0.1:{port}/health/ready", timeout=3) as answer:
                if answer.status == 200:
                    return
        except OSError:
            pass
        time.sleep(0.02)
    raise TimeoutError("the services are not ready")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--creates", type=int, default=2000, help="of a round")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--clients", type=int, default=32)
    asked = parser.parse_args()
    found = measure(asked.creates, asked.clients, asked.rounds)
    print(json.dumps({name: round(value, 3) for name, value in found.items()}, indent=1))


if __name__ == "__main__":
    main()
