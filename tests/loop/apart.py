"""The house with every service run by itself, so that one can be stopped, put back to an earlier day and started again
while the others go on."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import httpx
from pydantic import SecretStr

from loopkeeper.cli.http_client import owner
from loopkeeper.kernel.clock import ManualClock
from loopkeeper.kernel.settings import Settings
from loopkeeper.runtime.run import Addresses, Running
from loopkeeper.runtime.service import RunningService, installed
from loopkeeper.security import organizations
from loopkeeper.store.gate import Gate
from loopkeeper.testing.partner import Partner
from tests.builders.organizations import ORGANIZATIONS
from tests.databases import Databases
from tests.kafka import PARTITIONS
from tests.loop.house import House, furnish, policy_in


class ByService(httpx.AsyncBaseTransport):
    """Each request goes to the one program that serves its path; to one that is down nobody answers."""

    def __init__(self, programs: dict[str, Running]) -> None:
        self._programs = programs

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        program = self._programs.get(owner(request.url.path))
        if program is None:
            raise httpx.ConnectError("nobody is there", request=request)
        return await httpx.ASGITransport(app=program.app).handle_async_request(request)


@dataclass(frozen=True)
class Together:
    """What a house asks of what runs: here the names of all."""

    services: Any


@dataclass
class Apart(House):
    """A house of four programs."""

    settings: Settings | None = None
    programs: dict[str, Running] = field(default_factory=dict[str, Running])

    def as_(self, organization: str) -> httpx.AsyncClient:
        if organization not in self._callers:
            self._callers[organization] = httpx.AsyncClient(
                transport=ByService(self.programs),
                base_url="http://loop.test",
                headers={"Authorization": f"Bearer {self.keys[organization]}"},
            )
        return self._callers[organization]

    @property
    def at(self) -> Addresses:
        assert self.addresses is not None
        return self.addresses

    def contexts(self) -> Sequence[RunningService]:
        return [self.programs[name].contexts[name] for name in self.running.services]

    async def start(self, service: str) -> None:
        self.programs[service] = await self.another(service, "0")

    async def another(self, service: str, replica: str) -> Running:
        """One more replica of this service, to which nobody's requests go."""
        assert self.settings is not None
        settings = self.settings.model_copy(update={"replica": replica})
        program = Running(settings, {service: installed()[service]}, clock=self.clock)
        await program.start(self.at)
        return program

    def gate(self, service: str) -> Gate:
        return self.programs[service].contexts[service].store.gate

    async def stop(self, service: str) -> None:
        await self.programs.pop(service).stop()


@asynccontextmanager
async def apart(databases: Databases, folder: Path, event_log: str) -> AsyncGenerator[Apart]:
    """Four programs on fresh databases and this log, furnished as the story's house is."""
    settings = Settings(
        home=folder / "home", policy=policy_in(folder), webhook_allow="127.0.0.1", synthetic_members="on",
        log_level="ERROR", kafka_partitions=PARTITIONS, bus=SecretStr(event_log), replica="0",
    )  # fmt: skip
    made = organizations.import_organizations(settings.config_folder, ORGANIZATIONS)
    urls = {name: await databases.make(name, await databases.template(name)) for name in installed()}
    addresses = Addresses(urls, event_log)
    keys = {str(entry["id"]): str(entry["key"]) for entry in made}
    clock = ManualClock()
    async with Partner(clock=clock) as partner, AsyncExitStack() as stack:
        together = cast("Running", Together(installed()))
        opened = Apart(together, clock, keys, partner, settings.home, addresses, settings=settings)
        for name in installed():
            await opened.start(name)
        stack.push_async_callback(opened.close)
        await furnish(opened, roster=True)
        try:
            yield opened
        finally:
            for name in list(opened.programs):
                await opened.stop(name)
