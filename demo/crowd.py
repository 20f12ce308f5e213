"""Two hundred more referrals, and everybody who answers for them: they learn of their work by webhook only, and act."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from demo.caller import Refused
from demo.partner import Delivery
from demo.people import Crowd, Person
from demo.providers import COUNTY, HOSPITAL, PLANS, PROVIDERS, REFERRERS, SHELTER, STREET
from demo.stage import Stage

# As many forms as are being sent at the same time.
AT_ONCE = 8
LEADS = ("Luis Ortega", "Mei Tran", "Grace Holloway", "Sam Whitfield")
# Of a hundred referrals so many are second ones of the same member, sent by somebody else a little later.
SECOND = 6
# Longer than the 30 days over which an unreachable member must have been tried.
LATER = timedelta(days=32)


def unmet(shown: dict[str, Any]) -> list[dict[str, str]]:
    """What a named person finds not met of each population asked for: the first criterion of its own row."""
    met = [each for each in shown["populations"] if each["result"] == "met"]
    asked = met or [each for each in shown["populations"] if each["claimed"]] or shown["populations"][:1]
    return [
        {
            "population": each["code"],
            "criterion": (each["criteria"] or [""])[0],
            "why": "The records say otherwise.",
        }
        for each in asked
    ]


@dataclass
class Town:
    """The people of the story. Each referral's fate is drawn from the seed and its number, so a story can be repeated."""

    stage: Stage
    seed: int
    posted_at: dict[str, float] = field(default_factory=dict[str, float])
    keys: dict[str, str] = field(default_factory=dict[str, str])
    people: dict[str, Person] = field(default_factory=dict[str, Person])
    # A second answer to the same key that named another referral: must stay empty.
    doubled_keys: list[str] = field(default_factory=list[str])
    did: Counter[str] = field(default_factory=Counter[str])
    mishaps: list[str] = field(default_factory=list[str])
    unreached: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    half_way: asyncio.Event = field(default_factory=asyncio.Event)
    _numbers: dict[str, int] = field(default_factory=dict[str, int])
    _half: int = 0
    _handed: set[str] = field(default_factory=set[str])
    _acting: set[asyncio.Task[None]] = field(default_factory=set[asyncio.Task[None]])

    def listen(self) -> None:
        """From now on plans decide, referrers and providers answer when their endpoint hears of something."""
        for plan in PLANS:
            self.stage.partner.listeners[plan].append(self._plan_hears)
        for provider in PROVIDERS:
            self.stage.partner.listeners[provider.id].append(self._provider_hears)
        for referrer in (*REFERRERS, STREET):
            self.stage.partner.listeners[referrer].append(self._referrer_hears)

    async def refer(self, people: list[Person]) -> None:
        """Send a form for each, a few at a time; every tenth is sent twice, as a shaky line would, and now and then a
        second organization refers the same member."""
        crowd = Crowd(self.seed + 1, await self.stage.today())
        self._half = len(people) // 2
        second = len(people) * SECOND // 100
        firsts = people[: len(people) - second]
        gate = asyncio.Semaphore(AT_ONCE)

        async def one(number: int, person: Person) -> None:
            async with gate:
                await self._refer_one(number, person, crowd.referral(person))

        await asyncio.gather(*(one(*each) for each in enumerate(firsts)))
        again = enumerate(firsts[:: max(1, len(firsts) // max(second, 1))][:second], start=len(firsts))
        await asyncio.gather(*(one(*each) for each in again))

    async def _refer_one(self, number: int, person: Person, form: dict[str, Any]) -> None:
        who = (HOSPITAL, SHELTER, COUNTY, STREET)[number % 4]
        key = f"story-{self.seed}-{number}"
        began = time.monotonic()
        made = await self.stage.caller.ask(who, "POST", "/v1/referrals", form, key=key)
        referral: str = made["id"]
        self.posted_at[referral], self._numbers[referral], self.keys[key] = began, number, referral
        self.people[referral] = person
        if len(self.posted_at) >= self._half:
            self.half_way.set()
        if number % 10 == 0:
            again = await self.stage.caller.ask(who, "POST", "/v1/referrals", form, key=key)
            if again["id"] != referral:
                self.doubled_keys.append(key)
        if number % 50 == 7 and who in REFERRERS:
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
        if delivery.type == "authorization.resumed":
            self._act(self._approve, delivery)
        if delivery.type == "assignment.plan_asked":
            self._act(self._by_hand, delivery)

    def _provider_hears(self, delivery: Delivery) -> None:
        if delivery.type == "notice.offer":
            self._act(self._answer, delivery)

    def _referrer_hears(self, delivery: Delivery) -> None:
        if delivery.type == "notice.pended":
            self._act(self._tell_what_is_asked, delivery)

    def _act(self, how: Callable[[Delivery], Awaitable[None]], delivery: Delivery) -> None:
        if delivery.referral not in self._numbers and delivery.type != "notice.offer":
            return

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

    async def settled(self) -> None:
        """Until nobody is acting any more and nothing is under way."""
        while True:
            await self.stage.quiet()
            if not self._acting:
                return
            await asyncio.gather(*self._acting)

    def _fate(self, referral: str, step: str) -> random.Random:
        return random.Random(f"{self.seed}:{self._numbers.get(referral, -1)}:{step}")

    async def _decide(self, delivery: Delivery) -> None:
        """A named person: some are denied, some pended for an answer, the rest approved."""
        chance = self._fate(delivery.referral, "decide").random()
        path = f"/v1/authorizations/{delivery.data['authorization']}"
        person = {"person": "maria-chen", "title": "Medical director", "licence": "A-12345"}
        if chance < 0.08:
            shown = await self.stage.caller.ask(delivery.to, "GET", path)
            body = {"acted_by": person, "reason": "criteria_not_met", "unmet": unmet(shown)}
            await self.stage.caller.ask(delivery.to, "POST", f"{path}:deny", body)
        elif chance < 0.24:
            asked = {"acted_by": person, "asks": ["relationship"]}
            await self.stage.caller.ask(delivery.to, "POST", f"{path}:pend", asked)
            self.did["pended"] += 1
        else:
            await self._approve(delivery)

    async def _approve(self, delivery: Delivery) -> None:
        body = {"acted_by": {"person": "maria-chen", "title": "Medical director"}}
        path = f"/v1/authorizations/{delivery.data['authorization']}:approve"
        await self.stage.caller.ask(delivery.to, "POST", path, body)

    async def _tell_what_is_asked(self, delivery: Delivery) -> None:
        answers = {"answers": {"relationship": "social_service"}}
        await self.stage.caller.ask(delivery.to, "POST", f"/v1/referrals/{delivery.referral}:answer", answers)

    async def _by_hand(self, delivery: Delivery) -> None:
        """Nobody was left: a person of the plan finds somebody after all, now and then, and once."""
        given_up = (
            self._fate(delivery.referral, "by hand").random() < 0.5 or delivery.referral in self._handed
        )
        if delivery.data["reason"] != "none_left" or given_up:
            return
        self._handed.add(delivery.referral)
        population = self.people[delivery.referral].need.population
        for provider in PROVIDERS:
            if delivery.to in provider.plans and population in provider.populations:
                body = {
                    "referral": delivery.referral,
                    "provider": provider.id,
                    "acted_by": {"person": "omar-diaz", "title": "Care coordinator"},
                }
                try:
                    await self.stage.caller.ask(delivery.to, "POST", "/v1/assignments", body)
                    return
                except Refused as refused:
                    if refused.slug not in ("not-eligible", "no-capacity", "reason-required"):
                        raise

    async def _answer(self, delivery: Delivery) -> None:
        fate = self._fate(delivery.referral, f"answer {delivery.to}")
        chance, path = fate.random(), f"/v1/assignments/{delivery.data['assignment']}"
        if delivery.referral not in self._numbers or chance < 0.03:
            return
        if chance < 0.2:
            await self.stage.caller.ask(delivery.to, "POST", f"{path}:decline", {"reason": "no_capacity"})
            self.did["declined once"] += 1
            return
        lead = fate.choice(LEADS)
        body = {"lead": {"person": lead.lower().replace(" ", "-"), "name": lead}}
        await self.stage.caller.ask(delivery.to, "POST", f"{path}:accept", body)
        await self._sees(delivery.to, delivery.referral)
        await self._reach(delivery.to, delivery.referral)

    async def _sees(self, provider: str, referral: str) -> None:
        """Until the outreach service has heard of the acceptance: it learns of it from the log, like everybody."""
        for _ in range(200):
            try:
                await self.stage.caller.ask(provider, "GET", f"/v1/outreach/{referral}")
                return
            except Refused as refused:
                if refused.status != 404:
                    raise
                await asyncio.sleep(0.1)

    async def _reach(self, provider: str, referral: str) -> None:
        fate = self._fate(referral, "reach")
        ends = fate.choices(("served", "declined", "unreached", "open"), (72, 8, 12, 8))[0]
        tries = [fate.choice(("phone", "text")) for _ in range(fate.randint(0, 2))]
        if ends in ("served", "declined"):
            for modality in tries:
                await self._try(provider, referral, modality, "no_answer")
            await self._try(provider, referral, "in_person", "reached")
            await self._end(provider, referral, ends)
        elif ends == "unreached":
            for modality in ("phone", "phone", "text"):
                await self._try(provider, referral, modality, "no_answer")
            self.unreached.append((provider, referral))
        else:
            await self._try(provider, referral, "phone", "voicemail")

    async def _try(self, provider: str, referral: str, modality: str, outcome: str) -> None:
        attempt = {
            "at": (await self.stage.now()).isoformat(),
            "actor_kind": "community_health_worker",
            "modality": modality,
            "outcome": outcome,
        }
        await self.stage.caller.ask(provider, "POST", f"/v1/outreach/{referral}/attempts", attempt)

    async def _end(self, provider: str, referral: str, how: str) -> None:
        on = (await self.stage.today()).isoformat()
        if how == "served":
            await self.stage.caller.ask(
                provider, "POST", f"/v1/outreach/{referral}:start-services", {"on": on}
            )
        else:
            body = {"on": on, "how": "in_person"}
            await self.stage.caller.ask(provider, "POST", f"/v1/outreach/{referral}:member-declined", body)

    async def give_up(self) -> None:
        """Weeks later: two more tries each, one at the member's place, and then nobody could be reached."""
        for provider, referral in self.unreached:
            try:
                for modality in ("in_person", "phone"):
                    await self._try(
                        provider, referral, modality, "not_there" if modality == "in_person" else "no_answer"
                    )
                on = (await self.stage.today()).isoformat()
                await self.stage.caller.ask(
                    provider, "POST", f"/v1/outreach/{referral}:unable-to-reach", {"on": on}
                )
                self.did["unreachable"] += 1
            except Refused as refused:
                if refused.status not in (404, 409):
                    self.mishaps.append(str(refused))
