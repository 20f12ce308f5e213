"""The town with two replicas of every service, each in a process of its own, and their log in a Kafka of their own."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from demo.ports import free_port
from loopkeeper.kernel.clock import FileClock
from loopkeeper.kernel.settings import Settings
from loopkeeper.runtime.run import Running
from loopkeeper.runtime.service import installed
from loopkeeper.security import organizations
from loopkeeper.testing.partner import Partner
from tests.builders.organizations import ORGANIZATIONS
from tests.chaos.cluster import Cluster
from tests.chaos.lives import Life, Lives, until
from tests.chaos.town import Town, prepare_log
from tests.loop.house import furnish

REPLICAS = ("0", "1")
# Eight processes begin at once on two cores.
READY_WITHIN = 40.0


@dataclass
class Pairs(Town):
    """A process is named by its service and its replica."""

    doors: dict[tuple[str, ...], str] = field(default_factory=dict[tuple[str, ...], str])
    _turn: Iterator[int] = field(default_factory=itertools.count)

    async def begin(self, *services: str) -> Life:
        service, _ = services
        port = self._ports[services] = self._ports.get(services) or free_port()
        life = self.living[services] = await self.lives.begin(
            ["up", service],
            {**self.environment(*services), "LOOPKEEPER_PORT": str(port)},
            self.home / f"{'-'.join(services)}.log",
        )
        await life.serves(port)
        async with self._news:
            self.doors[services] = self.places[service] = f"http://127.0.0.1:{port}"
            self._news.notify_all()
        return life

    async def ended(self, *services: str) -> int:
        service, _ = services
        del self.doors[services]
        if not self._open(service):
            del self.places[service]
        return await self.living.pop(services).ended()

    def environment(self, *services: str) -> dict[str, str]:
        service, replica = services
        return {
            **super().environment(service),
            "LOOPKEEPER_REPLICA": replica,
        }

    async def place_of(self, path: str) -> str:
        """One of the replicas that serve this path, in turn."""
        await super().place_of(path)
        doors = self._open(self._service_of(path))
        return doors[next(self._turn) % len(doors)]

    async def readiness(self, *services: str) -> httpx.Response:
        """What a probe of this process hears."""
        async with httpx.AsyncClient(timeout=60.0, base_url=self.doors[services]) as probe:
            return await probe.get("/health/ready")

    async def ready(self) -> None:
        """Until every process says that it is."""
        await asyncio.gather(*(self.until_ready(*each) for each in self.doors))

    async def until_ready(self, *services: str) -> None:
        async def well() -> bool:
            return (await self.readiness(*services)).status_code == 200

        try:
            await until(well, READY_WITHIN)
        except TimeoutError:
            answer = await self.readiness(*services)
            raise AssertionError(
                f"{services} is not ready: {answer.text} {self.living[services].said()}"
            ) from None

    def _open(self, service: str) -> list[str]:
        return [door for each, door in self.doors.items() if each[0] == service]


@asynccontextmanager
async def pairs(lives: Lives, cluster: Cluster, folder: Path, event_log: str) -> AsyncGenerator[Pairs]:
    """Eight processes, furnished and quiet."""
    home = folder / "home"
    settings = Settings(home=home)
    made = organizations.import_organizations(settings.config_folder, ORGANIZATIONS)
    keys = {entry["id"]: entry["key"] for entry in made}
    await prepare_log(home, event_log)
    async with Partner() as partner:
        named = Running(settings, installed())
        clock = FileClock(home / "clock.json")
        opened = Pairs(named, clock, keys, partner, home, lives=lives, cluster=cluster, event_log=event_log)  # pyright: ignore[reportArgumentType]
        try:
            await asyncio.gather(*(opened.begin(name, each) for name in installed() for each in REPLICAS))
            await opened.ready()
            await furnish(opened, roster=True)
            yield opened
        finally:
            await opened.close()
            await lives.end_all()
