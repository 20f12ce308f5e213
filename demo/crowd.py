"""Fifty more referrals, and everybody who answers for them: they learn of their work by webhook only, and act."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from demo.caller import Refused
from demo.david import LOS_ANGELES
from demo.partner import Delivery
from demo.people import COUNTY, HOSPITAL, PLANS, PROVIDERS, REFERRERS, SHELTER, STREET, Crowd
from demo.stage import Stage

# As many forms as are being sent at the same time.
AT_ONCE = 8
LEADS = ("Luis Ortega", "Mei Tran", "Grace Holloway", "Sam Whitfield")


@dataclass
class Town:
    """The people of the story. Each referral's fate is drawn from the seed and its number, so a story can be repeated."""

    stage: Stage
    seed: int
    posted_at: dict[str, float] = field(default_factory=dict[str, float])
    keys: dict[str, str] = field(default_factory=dict[str, str])
    # A second answer to the same key that named another referral: must stay empty.
    doubled_keys: list[str] = field(default_factory=list[str])
    refused: int = 0
    mishaps: list[str] = field(default_factory=list[str])
    _numbers: dict[str, int] = field(default_factory=dict[str, int])
    _acting: set[asyncio.Task[None]] = field(default_factory=set[asyncio.Task[None]])

    def listen(self) -> None:
        """From now on plans decide and providers answer when their endpoint hears of something."""
        for plan in PLANS:
            self.stage.partner.listeners[plan].append(self._plan_hears)
        for provider in PROVIDERS:
            self.stage.partner.listeners[provider[0]].append(self._provider_hears)

    async def refer(self, members: Mapping[str, list[dict[str, Any]]], count: int) -> None:
        """Send this many referrals, a few at a time; every tenth is sent twice, as a shaky line would."""
        crowd = Crowd(self.seed + 1, datetime.now(LOS_ANGELES).date())
        forms = [
            (number, plan, member)
            for number, (plan, member) in enumerate((p, m) for p in PLANS for m in members[p])
        ][:count]
        random.Random(self.seed).shuffle(forms)
        gate = asyncio.Semaphore(AT_ONCE)

        async def one(number: int, plan: str, member: dict[str, Any]) -> None:
            async with gate:
                await self._refer_one(number, crowd.referral(plan, member))

        await asyncio.gather(*(one(*form) for form in forms))

    async def _refer_one(self, number: int, form: dict[str, Any]) -> None:
        who = (HOSPITAL, SHELTER, COUNTY, STREET)[number % 4]
        key = f"story-{self.seed}-{number}"
        began = time.monotonic()
        made = await self.stage.caller.ask(who, "POST", "/v1/referrals", form, key=key)
        referral: str = made["id"]
        self.posted_at[referral], self._numbers[referral], self.keys[key] = began, number, referral
        if number % 10 == 0:
            again = await self.stage.caller.ask(who, "POST", "/v1/referrals", form, key=key)
            if again["id"] != referral:
                self.doubled_keys.append(key)
        if number % 25 == 7 and who in REFERRERS:
            await self._withdraw(who, referral)

    async def _withdraw(self, who: str, referral: str) -> None:
        body = {"by": "referrer", "acted_by": {"person": "desk"}}
        try:
            await self.stage.caller.ask(who, "POST", f"/v1/referrals/{referral}:withdraw", body)
        except Refused as refused:
            # Authorized in the meantime: then only the member withdraws.
            if refused.slug not in ("already-authorized", "already-closed"):
                raise

    # ── who acts ──────────────────────────────────────────────────────────────────────────────────────────

    def _plan_hears(self, delivery: Delivery) -> None:
        if delivery.type == "authorization.review_opened" and delivery.data.get("needs_person"):
            self._act(self._decide, delivery)
        if delivery.type == "assignment.plan_asked":
            self._act(self._by_hand, delivery)

    def _provider_hears(self, delivery: Delivery) -> None:
        if delivery.type == "notice.offer":
            self._act(self._answer, delivery)

    def _act(self, how: Callable[[Delivery], Awaitable[None]], delivery: Delivery) -> None:
        async def acting() -> None:
            try:
                await how(delivery)
            except Refused as refused:
                # Somebody else was faster, or the loop closed meanwhile: that is what refusals are for.
                if refused.status not in (404, 409):
                    self.mishaps.append(str(refused))

        task = asyncio.create_task(acting())
        self._acting.add(task)
        task.add_done_callback(self._acting.discard)

    async def idle(self) -> None:
        """Until nobody is acting any more."""
        while self._acting:
            await asyncio.gather(*self._acting)

    def _fate(self, referral: str, step: str) -> random.Random:
        return random.Random(f"{self.seed}:{self._numbers.get(referral, -1)}:{step}")

    async def _decide(self, delivery: Delivery) -> None:
        chance = self._fate(delivery.referral, "decide").random()
        path = f"/v1/authorizations/{delivery.data['authorization']}"
        person = {"person": "maria-chen", "title": "Medical director", "licence": "A-12345"}
        if chance < 0.15:
            body = {"acted_by": person, "reason": "criteria_not_met"}
            await self.stage.caller.ask(delivery.to, "POST", f"{path}:deny", body)
        else:
            await self.stage.caller.ask(delivery.to, "POST", f"{path}:approve", {"acted_by": person})

    async def _by_hand(self, delivery: Delivery) -> None:
        """Nobody was left: now and then a person of the plan finds somebody after all."""
        if delivery.data["reason"] != "none_left" or self._fate(delivery.referral, "by hand").random() < 0.5:
            return
        for provider in PROVIDERS:
            if delivery.to in provider[7] and provider[6] > 9:
                body = {
                    "referral": delivery.referral,
                    "provider": provider[0],
                    "acted_by": {"person": "omar-diaz", "title": "Care coordinator"},
                }
                try:
                    await self.stage.caller.ask(delivery.to, "POST", "/v1/assignments", body)
                    return
                except Refused as refused:
                    if refused.slug not in ("not-eligible", "no-capacity"):
                        raise

    async def _answer(self, delivery: Delivery) -> None:
        fate = self._fate(delivery.referral, f"answer {delivery.to}")
        chance, path = fate.random(), f"/v1/assignments/{delivery.data['assignment']}"
        if delivery.referral not in self._numbers or chance < 0.04:
            return
        if chance < 0.2:
            await self.stage.caller.ask(delivery.to, "POST", f"{path}:decline", {"reason": "no_capacity"})
            return
        lead = fate.choice(LEADS)
        body = {"lead": {"person": lead.lower().replace(" ", "-"), "name": lead}}
        await self.stage.caller.ask(delivery.to, "POST", f"{path}:accept", body)
        await self._sees(delivery.to, delivery.referral)
        await self._reach(delivery.to, delivery.referral)

    async def _sees(self, provider: str, referral: str) -> None:
        """Until the outreach service has heard of the acceptance: it learns of it from the log, like everybody."""
        for _ in range(100):
            try:
                await self.stage.caller.ask(provider, "GET", f"/v1/outreach/{referral}")
                return
            except Refused as refused:
                if refused.status != 404:
                    raise
                await asyncio.sleep(0.05)

    async def _reach(self, provider: str, referral: str) -> None:
        fate = self._fate(referral, "reach")
        ends = fate.choices(("served", "declined", "open"), (80, 10, 10))[0]
        for number in range(fate.randint(1, 3)):
            last = number == 2 or ends != "open"
            attempt = {
                "at": datetime.now(UTC).isoformat(),
                "actor_kind": "community_health_worker",
                "modality": fate.choice(("phone", "in_person", "text")),
                "outcome": "reached" if last and ends != "open" else "no_answer",
            }
            await self.stage.caller.ask(provider, "POST", f"/v1/outreach/{referral}/attempts", attempt)
        today = datetime.now(LOS_ANGELES).date().isoformat()
        if ends == "served":
            await self.stage.caller.ask(
                provider, "POST", f"/v1/outreach/{referral}:start-services", {"on": today}
            )
        elif ends == "declined":
            body = {"on": today, "how": "in_person"}
            await self.stage.caller.ask(provider, "POST", f"/v1/outreach/{referral}:member-declined", body)
