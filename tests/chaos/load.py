"""Who keeps the loops going while services die? A clinic that refers, a plan that decides, providers that answer.

They learn of their work by webhook only, and do each thing once, however often they are told. What becomes of a
referral is drawn from the seed and its number before it is sent: so its end is known, and can be asked for.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any, Self

from loopkeeper.contract.calendar import la_date
from loopkeeper.kernel.clock import SystemClock
from loopkeeper.testing.partner import Taken
from tests.builders.forms import UNMET, david
from tests.builders.organizations import CLINIC, HARBOR, NAVIGATORS, OPERATIONS, STREET
from tests.chaos.town import Town
from tests.loop.house import put_roster

# Forms that are being sent at the same time.
CLIENTS = 6
SETTLES_WITHIN = 240.0
PERSON = {"person": "maria-chen", "title": "Medical director", "licence": "A-12345"}
LEAD = {"lead": {"person": "luis-ortega", "name": "Luis Ortega"}}
# So many adults have a birthday of their own; those after them another name.
BIRTHDAYS = 18_000
SURNAMES = ("", "-Ames", "-Bell", "-Cole", "-Dorn", "-Ebbe")
FIRST_NAMES = ("Marisol", "Andre", "Thanh", "Rosa", "Calvin", "Lupe", "Denise", "Omar", "Ivy", "Samuel")


@dataclass(frozen=True)
class Fate:
    """What people do with one referral, and where it then ends: its status, and its outcome or the next actor.

    `decides`: what a person of the plan does where the roster does not know the member. `declines`: so many providers
    say no before one accepts. `then`: what happens on the street.
    """

    ends: tuple[str, str]
    weight: int = 1
    covered: bool = True
    decides: str = ""
    declines: int = 0
    accepts: bool = True
    then: str = ""
    withdrawn: bool = False


SERVED = ("closed", "services_received")
FATES = (
    Fate(SERVED, weight=10, then="start-services"),
    Fate(SERVED, weight=2, declines=1, then="start-services"),
    Fate(SERVED, weight=2, covered=False, decides="approve", then="start-services"),
    Fate(("closed", "declined_by_member"), weight=2, then="member-declined"),
    Fate(("closed", "not_authorized"), covered=False, decides="deny"),
    Fate(("closed", "withdrawn"), covered=False, withdrawn=True),
    Fate(("outreach_initiated", "provider")),
    Fate(("assigned", "provider"), accepts=False),
    Fate(("authorized", "plan"), declines=2),
    Fate(("pending_authorization", "plan"), covered=False),
)


@dataclass(frozen=True)
class Form:
    """One referral as the clinic sends it: the same under the same number."""

    seed: int
    number: int

    @property
    def key(self) -> str:
        return f"form-{self.seed}-{self.number}"

    @property
    def fate(self) -> Fate:
        chance = random.Random(self.key)
        return chance.choices(FATES, [fate.weight for fate in FATES])[0]

    @property
    def member(self) -> dict[str, Any]:
        member, century = david()["member"], self.number // BIRTHDAYS
        changed = {
            "first_name": FIRST_NAMES[self.number % len(FIRST_NAMES)],
            "last_name": member["last_name"] + SURNAMES[century],
            "cin": f"9{1000 + self.number:07d}S",
            "birth_date": (date(1950, 1, 1) + timedelta(days=self.number % BIRTHDAYS)).isoformat(),
        }
        return {**member, **changed}


@dataclass
class People:
    """Everybody who acts, while it is entered. `referred`: the form of every referral that was answered with 201.
    `attempts`: how often somebody tried to reach its member, and was told that it is recorded."""

    town: Town
    seed: int
    referred: dict[str, Form] = field(default_factory=dict[str, Form])
    attempts: Counter[str] = field(default_factory=Counter[str])
    mishaps: list[str] = field(default_factory=list[str])
    released: int = 0
    _sent: int = 0
    _news: asyncio.Condition = field(default_factory=asyncio.Condition)
    _heard: set[tuple[str, str]] = field(default_factory=set[tuple[str, str]])
    _acting: set[asyncio.Task[None]] = field(default_factory=set[asyncio.Task[None]])
    _working: list[asyncio.Task[None]] = field(default_factory=list[asyncio.Task[None]])

    async def __aenter__(self) -> Self:
        for organization in (CLINIC, STREET, NAVIGATORS, HARBOR):
            await self.town.subscribe(organization)
        # What is counted here is what gets lost, not who is full.
        for provider in (STREET, NAVIGATORS):
            await self.town.ask(OPERATIONS, "PUT", f"/v1/providers/{provider}", {"capacity": 100_000})
        self._working = [asyncio.create_task(self._clinic()) for _ in range(CLIENTS)]
        self._working.append(asyncio.create_task(self._listen()))
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in (*self._working, *self._acting):
            task.cancel()
        await asyncio.gather(*self._working, *self._acting, return_exceptions=True)

    async def expect(self, forms: int) -> None:
        """The plan knows the members of so many forms, but for those it is not to know."""
        coming = [Form(self.seed, number) for number in range(forms)]
        known = [form.member for form in coming if form.fate.covered]
        rows = [{"cin": member["cin"], "birth_date": member["birth_date"]} for member in known]
        await put_roster(self.town, HARBOR, rows)

    async def release(self, forms: int) -> None:
        """The clinic has so many more to send."""
        async with self._news:
            self.released += forms
            self._news.notify_all()

    async def referred_at_least(self, count: int) -> None:
        """Until so many were answered."""
        async with self._news:
            await self._news.wait_for(lambda: len(self.referred) >= count)

    async def settled(self) -> None:
        """Until everything released is answered, nobody has anything left to do, and every service is quiet."""
        try:
            async with asyncio.timeout(SETTLES_WITHIN):
                await self._settled()
        except TimeoutError:
            raise AssertionError(f"{len(self._acting)} still act; {self.mishaps}") from None

    async def _settled(self) -> None:
        await self.referred_at_least(self.released)
        heard = -1
        while heard != len(self._heard):
            heard = len(self._heard)
            await self.town.quiet()
            while self._acting:
                await asyncio.gather(*self._acting)

    # ── the clinic ────────────────────────────────────────────────────────────────────────────────────────

    async def _clinic(self) -> None:
        while True:
            async with self._news:
                await self._news.wait_for(lambda: self._sent < self.released)
                form = Form(self.seed, self._sent)
                self._sent += 1
            await self._try(self._refer(form))

    async def _refer(self, form: Form) -> None:
        referral = await self._post(form)
        async with self._news:
            self.referred[referral] = form
            self._news.notify_all()
        if form.number % 5 == 0 and (again := await self._post(form)) != referral:
            self.mishaps.append(f"{form.key}: answered with {referral}, then with {again}")
        if form.fate.withdrawn:
            body = {"by": "referrer", "acted_by": {"person": "desk"}}
            await self.town.ask(CLINIC, "POST", f"/v1/referrals/{referral}:withdraw", body)

    async def _post(self, form: Form) -> str:
        answer = await self.town.as_(CLINIC).post(
            "/v1/referrals", json=david(member=form.member), headers={"Idempotency-Key": form.key}
        )
        assert answer.status_code == 201, f"{form.key}: {answer.status_code} {answer.text}"
        return answer.json()["id"]

    # ── who hears of it ───────────────────────────────────────────────────────────────────────────────────

    async def _listen(self) -> None:
        seen = 0
        while True:
            with suppress(TimeoutError):
                requests = await self.town.partner.came(seen + 1)
                for taken in requests[seen:]:
                    self._hear(taken)
                seen = len(requests)

    def _hear(self, taken: Taken) -> None:
        told = (taken.path, taken.webhook_id)
        if not taken.signed:
            self.mishaps.append(f"{taken.webhook_id} is not signed")
        if told in self._heard:
            return
        self._heard.add(told)
        event = taken.json()
        data, organization = event["data"], taken.path.removeprefix("/")
        match event["type"]:
            case "ecm.authorization.review_opened.v1" if organization == HARBOR and data["needs_person"]:
                self._begin(self._decide(data))
            case "ecm.notice.offer.v1":
                self._begin(self._answer(organization, data))
            case "ecm.notice.assigned.v1":
                self._begin(self._reach(data["provider"], data["referral"]))
            case _:
                pass

    def _begin(self, deed: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(self._try(deed))
        self._acting.add(task)
        task.add_done_callback(self._acting.discard)

    async def _try(self, deed: Coroutine[Any, Any, None]) -> None:
        """No refusal is expected: what people do here is always still allowed."""
        try:
            await deed
        except Exception as error:  # noqa: BLE001 whatever it was, the test that asks for mishaps shows it
            self.mishaps.append(f"{type(error).__name__}: {error}")

    async def _fate(self, referral: str) -> Fate:
        """Its webhooks may come before the answer to its POST, which may have been lost with its service."""
        async with self._news:
            await self._news.wait_for(lambda: referral in self.referred)
        return self.referred[referral].fate

    async def _decide(self, review: Mapping[str, Any]) -> None:
        fate = await self._fate(review["referral"])
        if not fate.decides:
            return
        body: dict[str, Any] = {"acted_by": PERSON}
        if fate.decides == "deny":
            body |= {"reason": "criteria_not_met", "unmet": UNMET}
        path = f"/v1/authorizations/{review['authorization']}:{fate.decides}"
        await self.town.ask(HARBOR, "POST", path, body)

    async def _answer(self, provider: str, offer: Mapping[str, Any]) -> None:
        fate = await self._fate(offer["referral"])
        path = f"/v1/assignments/{offer['assignment']}"
        # The street team is always asked first: its type is the specialist's.
        if fate.declines > (STREET, NAVIGATORS).index(provider):
            await self.town.ask(provider, "POST", f"{path}:decline", {"reason": "no_capacity"})
        elif fate.accepts:
            await self.town.ask(provider, "POST", f"{path}:accept", LEAD)

    async def _reach(self, provider: str, referral: str) -> None:
        fate = await self._fate(referral)
        for number in range(1 + self.referred[referral].number % 2):
            outcome = "engaged" if number else "no_answer"
            # The wall's time: the town's clock runs ahead, and nobody may have tried in the future.
            body = {
                "at": SystemClock().now().isoformat(),
                "actor_kind": "street_outreach_worker",
                "modality": "in_person",
                "outcome": outcome,
            }
            await self.town.ask(provider, "POST", f"/v1/outreach/{referral}/attempts", body, 201)
            self.attempts[referral] += 1
        today = la_date(SystemClock().now()).isoformat()
        if fate.then:
            body = {"on": today} | ({"how": "in_person"} if fate.then == "member-declined" else {})
            await self.town.ask(provider, "POST", f"/v1/outreach/{referral}:{fate.then}", body)
