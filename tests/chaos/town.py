"""The house of the story with its services in processes of their own: reached over HTTP, killed, stopped, started again.

A client here does not give up: a broken line and a 503 are answered by the same request under the same
Idempotency-Key, as partners are told to do.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from uuid import uuid4

import aiohttp
import httpx
from yarl import URL

from demo.ports import free_port
from loopkeeper.event_log import kafka_plans
from loopkeeper.event_log.kafka_access import Users
from loopkeeper.event_log.kafka_config import kafka_config
from loopkeeper.kernel.clock import FileClock
from loopkeeper.kernel.settings import Settings
from loopkeeper.runtime.run import Addresses, Running
from loopkeeper.runtime.service import installed
from loopkeeper.security import organizations
from loopkeeper.testing.partner import Partner
from tests.builders.organizations import HARBOR, OPERATIONS, ORGANIZATIONS, VALLEY
from tests.chaos.cluster import Cluster
from tests.chaos.lives import SERVES_WITHIN, Life, Lives
from tests.kafka import PARTITIONS
from tests.loop.house import POLICY, House, furnish
from tests.security.declared import of_service

# Often enough to be there when a new life begins, seldom enough to leave it the processor.
ASK_AGAIN = 0.05
# A stopped or paused service answers no more; the same request under the same key is then the better one.
LONGEST_ANSWER = 20.0
# What a quiet house has none of.
WAITING = ("outbox", "lag", "timers_due", "working")
STUCK_AFTER = 15.0
LOOK_EVERY = 0.05


@dataclass
class Town(House):
    """`living`: the newest life of each process; `places`: the base URL of each service that serves. `under_way`:
    requests sent and not answered yet; `broken`: lines that broke with a request on them."""

    lives: Lives = field(default_factory=Lives)
    cluster: Cluster | None = None
    # The log's address, where it is not the cluster's.
    event_log: str = ""
    # Whether each service is started by uvicorn itself instead of `loopkeeper up`.
    plain: bool = False
    # What the lives that begin from now on are given instead of their own.
    through: dict[str, str] = field(default_factory=dict[str, str])
    living: dict[tuple[str, ...], Life] = field(default_factory=dict[tuple[str, ...], Life])
    places: dict[str, str] = field(default_factory=dict[str, str])
    under_way: int = 0
    broken: int = 0
    # Set by the first answer after a death.
    answers: asyncio.Event = field(default_factory=asyncio.Event)
    _ports: dict[tuple[str, ...], int] = field(default_factory=dict[tuple[str, ...], int])
    _news: asyncio.Condition = field(default_factory=asyncio.Condition)

    @property
    def where(self) -> Addresses:
        """The services' databases and the log."""
        assert self.cluster is not None
        addresses = self.cluster.addresses()
        return Addresses(addresses.databases, self.event_log or addresses.event_log)

    async def begin(self, *services: str) -> Life:
        """One process of these services (none named: all four), at the port these had before. Serving when this returns."""
        port = self._ports.get(services)
        # As a pod would: what the first start migrated, the later ones find.
        migrate = "start" if port is None else "never"
        port = self._ports[services] = port or free_port()
        life = self.living[services] = await self.lives.begin(
            self.words(port, *services),
            {
                **self.environment(*services),
                "LOOPKEEPER_PORT": str(port),
                "LOOPKEEPER_MIGRATE": migrate,
                **self.through,
            },
            self.home / f"{'-'.join(services) or 'all'}.log",
        )
        await life.serves(port)
        async with self._news:
            self.places |= dict.fromkeys(services or self.running.services, f"http://127.0.0.1:{port}")
            self._news.notify_all()
        return life

    def port_of(self, *services: str) -> int:
        """At which port these have served, and will."""
        return self._ports[services]

    def words(self, port: int, *services: str) -> list[str]:
        """How these services are started."""
        if not self.plain:
            return ["up", *(services or self.running.services)]
        (name,) = services
        return uvicorn_of(self.running.services[name].package, port)

    async def kill(self, *services: str) -> None:
        """Kill -9 of this process. Its clients wait for its next life from now on: to try without success would only
        take the processor from that."""
        life = self.living[services]
        life.kill()
        self.answers.clear()
        code = await self.ended(*services)
        assert code == -signal.SIGKILL, f"it ended by itself with {code}: {life.said()}"

    async def stop(self, *services: str) -> int:
        """Ask this process to stop, as an orchestrator does; its exit code."""
        self.living[services].ask_to_stop()
        return await self.ended(*services)

    async def ended(self, *services: str) -> int:
        for name in services or self.running.services:
            del self.places[name]
        return await self.living.pop(services).ended()

    def environment(self, *services: str) -> dict[str, str]:
        """What a process of these services is given: their own databases, the log, and nothing of anybody else."""
        addresses = self.where
        own = services or tuple(self.running.services)
        return {
            "PATH": os.defpath,
            "LOOPKEEPER_HOME": str(self.home),
            "LOOPKEEPER_POLICY": str(POLICY),
            "LOOPKEEPER_CLOCK": "movable",
            "LOOPKEEPER_SYNTHETIC_MEMBERS": "on",
            "LOOPKEEPER_WEBHOOK_ALLOW": "127.0.0.1",
            "LOOPKEEPER_LOG_LEVEL": "WARNING",
            "LOOPKEEPER_BUS": addresses.event_log,
            "LOOPKEEPER_KAFKA_PARTITIONS": str(PARTITIONS),
            # By its name the broker knows it again at once, when it was killed.
            "LOOPKEEPER_REPLICA": "0",
            **{f"LOOPKEEPER_{name.upper()}_DATABASE": addresses.databases[name] for name in own},
        }

    def as_(self, organization: str) -> httpx.AsyncClient:
        if organization not in self._callers:
            headers = {"Authorization": f"Bearer {self.keys[organization]}"} if organization else {}
            self._callers[organization] = httpx.AsyncClient(
                transport=Insistent(self), base_url="http://loop.test", headers=headers
            )
        return self._callers[organization]

    async def quiet(self) -> None:
        """As the house has it, of all that serve; after a campaign it takes as long as there is progress."""
        calm, before, since = 0, None, time.monotonic()
        while calm < 2:
            standing = {
                name: await self.ask(OPERATIONS, "GET", f"/v1/operations/{name}/status")
                for name in self.places
            }
            waits = {name: [s[what] for what in WAITING] for name, s in standing.items()}
            calm = calm + 1 if not any(map(any, waits.values())) else 0
            if waits != before:
                before, since = waits, time.monotonic()
            assert time.monotonic() - since < STUCK_AFTER, await self._why(waits)
            await asyncio.sleep(LOOK_EVERY)

    async def _why(self, waits: Mapping[str, Sequence[int]]) -> str:
        """What is stopped, and what the services say of it."""
        said = [f"{', '.join(WAITING)} stand still: {waits}"]
        for name in self.places:
            base = f"/v1/operations/{name}"
            tasks = (await self.ask(OPERATIONS, "GET", f"{base}/status"))["tasks"]
            said += [f"{task}: {how}" for task, how in tasks.items() if how != "running"]
            parked = (await self.ask(OPERATIONS, "GET", f"{base}/parked"))["items"]
            said += [f"{name} parked {one['stream']}: {one['error']}" for one in parked]
        return "\n".join(said)

    async def place_of(self, path: str) -> str:
        """The base URL of the service whose path this is, as soon as it has one; TimeoutError where nobody begins it."""
        name = self._service_of(path)
        async with asyncio.timeout(SERVES_WITHIN), self._news:
            await self._news.wait_for(lambda: name in self.places)
        return self.places[name]

    def _service_of(self, path: str) -> str:
        if path.startswith("/v1/operations/"):
            return path.split("/")[3]
        return self._nouns[_noun(path)]

    @cached_property
    def _nouns(self) -> dict[str, str]:
        """Which service answers the paths of each noun."""
        return {
            _noun(each.path): name
            for name, service in self.running.services.items()
            for each in of_service(service)
            if "/operations/" not in each.path
        }


def uvicorn_of(package: str, port: int) -> list[str]:
    """The words by which any ASGI server's user would start this service."""
    bounded = ["--http", "loopkeeper.http.protocol:BoundedBySettings"]
    return ["uvicorn", "--factory", f"{package}.service:create_app", "--port", str(port), *bounded]


def _noun(path: str) -> str:
    return path.split("/")[2].partition(":")[0]


class Insistent(httpx.AsyncBaseTransport):
    """Sends each request to the service its path names, until it is answered. Over aiohttp, which costs a fifth of the
    processor that httpx's own connections do: it belongs to the services."""

    def __init__(self, town: Town) -> None:
        self._town = town
        self._lines = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=LONGEST_ANSWER))

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        body = await request.aread()
        if request.method != "GET":
            request.headers.setdefault("Idempotency-Key", uuid4().hex)
        while True:
            answer = await self._answer(request, body)
            if answer is not None and answer.status_code != 503:
                return answer
            await asyncio.sleep(ASK_AGAIN)

    async def _answer(self, request: httpx.Request, body: bytes) -> httpx.Response | None:
        """One try. None for a line that could not be had, or broke."""
        url = URL(await self._town.place_of(request.url.path) + request.url.raw_path.decode(), encoded=True)
        headers = {name: value for name, value in request.headers.items() if name != "host"}
        self._town.under_way += 1
        try:
            async with self._lines.request(request.method, url, headers=headers, data=body) as found:
                answer = httpx.Response(found.status, headers=found.headers, content=await found.read())
        except aiohttp.ClientConnectorError:
            return None
        except (aiohttp.ClientError, OSError):
            self._town.broken += 1
            return None
        finally:
            self._town.under_way -= 1
        self._town.answers.set()
        return answer

    async def aclose(self) -> None:
        await self._lines.close()


async def prepare_log(home: Path, event_log: str) -> None:
    """The plans' own topics, where the log is Kafka."""
    if event_log.startswith("kafka://"):
        line = kafka_config(event_log, Settings(home=home, kafka_partitions=PARTITIONS))
        await kafka_plans.create(line, 1, Users([HARBOR, VALLEY], {}))


@asynccontextmanager
async def town(
    lives: Lives,
    cluster: Cluster,
    folder: Path,
    *processes: tuple[str, ...],
    plain: bool = False,
    event_log: str = "",
) -> AsyncGenerator[Town]:
    """The story's town, running in these processes (none named: one of all services), furnished and quiet."""
    home = folder / "home"
    settings = Settings(home=home)
    made = organizations.import_organizations(settings.config_folder, ORGANIZATIONS)
    keys = {entry["id"]: entry["key"] for entry in made}
    await prepare_log(home, event_log)
    async with Partner() as partner:
        # Never started: it only says which services there are.
        named = Running(settings, installed())
        clock = FileClock(home / "clock.json")
        opened = Town(
            named, clock, keys, partner, home, lives=lives, cluster=cluster, plain=plain, event_log=event_log  # pyright: ignore[reportArgumentType]
        )  # fmt: skip
        try:
            await asyncio.gather(*(opened.begin(*services) for services in processes or ((),)))
            await furnish(opened, roster=True)
            yield opened
        finally:
            await opened.close()
            await lives.end_all()
