"""The whole house for a test: four services on real databases and the real log, partners on webhooks, one clock."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from pydantic import SecretStr

from loopkeeper.contract.calendar import la_date
from loopkeeper.event_log.port import LogUnavailable
from loopkeeper.kernel.clock import Clock, ManualClock
from loopkeeper.kernel.settings import Settings
from loopkeeper.runtime.backlog import waiting
from loopkeeper.runtime.run import Addresses, Running
from loopkeeper.runtime.service import RunningService, installed
from loopkeeper.security import organizations
from loopkeeper.testing.partner import Partner, Taken
from tests.builders.forms import david
from tests.builders.organizations import HARBOR, NAVIGATORS, OPERATIONS, ORGANIZATIONS, PROVIDERS, STREET
from tests.databases import Databases
from tests.kafka import PARTITIONS

POLICY = Path(__file__).parents[2] / "demo" / "policy"
QUIET_WITHIN = 120.0


@dataclass
class House:
    """The running services, as their users see them."""

    running: Running
    clock: ManualClock
    keys: Mapping[str, str]
    partner: Partner
    home: Path
    # Where its databases and its log are; None where they are not this process's to open.
    addresses: Addresses | None = None
    _callers: dict[str, httpx.AsyncClient] = field(default_factory=dict[str, httpx.AsyncClient])

    def as_(self, organization: str) -> httpx.AsyncClient:
        """An HTTP client with this organization's key; empty for none."""
        if organization not in self._callers:
            headers = {"Authorization": f"Bearer {self.keys[organization]}"} if organization else {}
            transport = httpx.ASGITransport(app=self.running.app)
            self._callers[organization] = httpx.AsyncClient(
                transport=transport, base_url="http://loop.test", headers=headers
            )
        return self._callers[organization]

    async def ask(
        self, organization: str, method: str, path: str, body: Any = None, status: int = 200
    ) -> Any:
        """One request that must be answered with this status; its body."""
        answer = await self.as_(organization).request(method, path, json=body)
        assert answer.status_code == status, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    def today(self) -> str:
        """The day in California: what people there call today, whatever day it is in UTC (loop.md 8.2)."""
        return la_date(self.clock.now()).isoformat()

    def contexts(self) -> Sequence[RunningService]:
        """The running services."""
        return [self.running.contexts[name] for name in self.running.services]

    async def quiet(self) -> None:
        """Until nothing is unsent, unread, due or under way anywhere."""
        calm = 0
        async with asyncio.timeout(QUIET_WITHIN):
            while calm < 2:
                calm = 0 if await self._busy() else calm + 1
                await asyncio.sleep(0.01)

    async def settled(self) -> None:
        """Quiet, and how far each service has read is stored and shown: what brought it nothing is within two seconds."""
        await self.quiet()
        async with asyncio.timeout(QUIET_WITHIN):
            while not await self._shown():  # noqa: ASYNC110 what another session shows is no event here
                await asyncio.sleep(0.02)

    async def _shown(self) -> bool:
        for context in self.contexts():
            ends, stored = await context.event_log.ends(), await context.consumer.stored_offsets()
            shown = await context.event_log.positions(context.name)
            if any(not end == stored.get(p, 0) == shown.get(p, 0) for p, end in ends.items() if end):
                return False
        return True

    async def _busy(self) -> bool:
        """Whether any service has something to do; the first that has is answer enough. Asked often, so not over HTTP."""
        now = self.clock.now()
        for context in self.contexts():
            found = await waiting(context, now)
            if found.outbox or found.timers_due or (await context.work_ahead())[0] or await unread(context):
                return True
        return False

    async def _status(self, service: str) -> Any:
        return await self.ask(OPERATIONS, "GET", f"/v1/operations/{service}/status")

    async def pass_time(self, by: timedelta) -> None:
        """Move the clock from deadline to deadline, letting everything settle at each."""
        target = self.clock.now() + by
        while True:
            await self.quiet()
            if self.clock.now() >= target:
                return
            due = await self._next_deadline()
            self.clock.set(min(target, max(due, self.clock.now())) if due else target)

    async def _next_deadline(self) -> datetime | None:
        times: list[datetime] = []
        for name in self.running.services:
            status = await self._status(name)
            if status["next_timer_at"]:
                times.append(datetime.fromisoformat(status["next_timer_at"]))
        later = [at for at in times if at > self.clock.now()]
        return min(later, default=None)

    # ── what people of the story do ───────────────────────────────────────────────────────────────────────

    async def refer(self, organization: str, body: Any) -> str:
        receipt = await self.ask(organization, "POST", "/v1/referrals", body, 201)
        return receipt["id"]

    async def referral(self, organization: str, referral: str) -> Any:
        return await self.ask(organization, "GET", f"/v1/referrals/{referral}")

    async def timeline(self, referral: str, organization: str = HARBOR) -> list[str]:
        """The types of the loop's events, in order."""
        found = await self.ask(organization, "GET", f"/v1/referrals/{referral}/timeline")
        return [event["type"] for event in found["items"]]

    async def offer(self, provider: str) -> Any:
        """This provider's newest open offer."""
        found = await self.ask(provider, "GET", "/v1/assignments?status=offered")
        return found["items"][-1]

    async def accept(self, provider: str) -> Any:
        """This provider accepts its newest open offer; outreach has heard of it, and may begin."""
        offer = await self.offer(provider)
        lead = {"lead": {"person": "luis-ortega", "name": "Luis Ortega"}}
        accepted = await self.ask(provider, "POST", f"/v1/assignments/{offer['id']}:accept", lead)
        await self.quiet()
        return accepted

    async def attempt(self, provider: str, referral: str, modality: str, outcome: str) -> Any:
        body = {
            "at": self.clock.now().isoformat(),
            "actor_kind": "street_outreach_worker",
            "modality": modality,
            "outcome": outcome,
        }
        return await self.ask(provider, "POST", f"/v1/outreach/{referral}/attempts", body, 201)

    async def subscribe(self, organization: str) -> str:
        """A verified subscription whose deliveries the partner takes under the organization's name."""
        url = f"http://127.0.0.1:{self.partner.port}/{organization}"
        made = await self.ask(organization, "POST", "/v1/subscriptions", {"url": url}, 201)
        self.partner.secrets.append(made["secret"])
        await self.ask(organization, "POST", f"/v1/subscriptions/{made['id']}:verify")
        return made["id"]

    def heard(self, organization: str, kind: str = "") -> list[Taken]:
        """What this organization's endpoint took, but for challenges; of one kind, if named."""
        taken = [t for t in self.partner.requests if t.path == f"/{organization}"]
        found = [t for t in taken if t.json()["type"] != "ecm.endpoint.challenge.v1"]
        return [t for t in found if t.json()["type"] == f"ecm.{kind}.v1"] if kind else found

    async def close(self) -> None:
        for caller in self._callers.values():
            await caller.aclose()


async def unread(service: RunningService) -> bool:
    """Whether the service has something to read yet; a log that is away is not read."""
    try:
        return await service.lag() > 0
    except LogUnavailable:
        return True


@asynccontextmanager
async def house(
    databases: Databases,
    folder: Path,
    *,
    clock: Clock | None = None,
    roster: bool = True,
    event_log: str = "",
) -> AsyncGenerator[House]:
    """Four services on fresh databases, the story's organizations, its directory and Harbor's roster. `bus`: where the
    log is; none: in a database of its own."""
    home = folder / "home"
    settings = Settings(
        home=home,
        policy=policy_in(folder),
        webhook_allow="127.0.0.1",
        synthetic_members="on",
        log_level="WARNING",
        kafka_partitions=PARTITIONS,
        bus=SecretStr(event_log) if event_log else None,
        # Named, so that nobody waits for a group to form again.
        replica="0",
    )
    made = organizations.import_organizations(settings.config_folder, ORGANIZATIONS)
    hand = clock or ManualClock()
    urls = {name: await databases.make(name, await databases.template(name)) for name in installed()}
    addresses = Addresses(urls, event_log or await databases.make("log"))
    async with Partner(clock=hand) as partner, Running(settings, installed(), clock=hand) as running:
        await running.start(addresses)
        opened = House(running, hand, {entry["id"]: entry["key"] for entry in made}, partner, home, addresses)  # pyright: ignore[reportArgumentType]
        await furnish(opened, roster=roster)
        yield opened
        await opened.close()


def policy_in(folder: Path) -> Path:
    """The plans' own rows, in a folder that the test may edit."""
    target = folder / "policy"
    shutil.copytree(POLICY, target, dirs_exist_ok=True)
    return target


async def furnish(opened: House, *, roster: bool) -> None:
    for slug, (kind, populations) in PROVIDERS.items():
        entry = {
            "name": slug.replace("-", " ").title(), "phone": "555-0120", "types": [kind], "populations": populations,
            "counties": ["alameda"], "languages": ["en", "es"], "capacity": 20,
        }  # fmt: skip
        await opened.ask(OPERATIONS, "PUT", f"/v1/providers/{slug}", entry, 201)
    for slug in (STREET, NAVIGATORS):
        contract = {"plan": HARBOR, "populations": PROVIDERS[slug][1], "from": "2025-01-01"}
        await opened.ask(HARBOR, "PUT", f"/v1/providers/{slug}", {"contracts": [contract]})
    if roster:
        member = david()["member"]
        await put_roster(opened, HARBOR, [{"cin": member["cin"], "birth_date": member["birth_date"]}])
    await opened.quiet()


async def put_roster(opened: House, plan: str, members: Sequence[Mapping[str, Any]]) -> Any:
    """A plan's roster of these members, covered in Alameda since 2025."""
    usual = {"county": "alameda", "covered_from": "2025-01-01"}
    text = "\n".join(json.dumps({**usual, **member}) for member in members)
    answer = await opened.as_(plan).put(
        "/v1/roster?confirm_removals=true", content=text, headers={"Content-Type": "application/x-ndjson"}
    )
    assert answer.status_code == 200, answer.text
    return answer.json()
