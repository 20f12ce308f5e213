"""What exists before the story begins: keys, directory, contracts, rosters, a verified endpoint for everybody; and time."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from demo.caller import Caller
from demo.house import House
from demo.partner import Partner
from demo.people import roster_row
from demo.providers import OPERATIONS, PLANS, contracts, entries, organizations

LOS_ANGELES = ZoneInfo("America/Los_Angeles")
# Deadlines that lie closer together than this are passed in one step: retries of a webhook are minutes apart.
STEP = timedelta(hours=3)
SERVICES = ("intake", "authorization", "assignment", "notification")


@dataclass
class Stage:
    """The running product, everybody's keys, and the endpoint they all listen on."""

    house: House
    keys: Mapping[str, str]
    caller: Caller
    partner: Partner

    async def directory(self) -> int:
        """Operations write the entries, each plan its contracts."""
        written = list(entries())
        await asyncio.gather(
            *(self.caller.ask(OPERATIONS, "PUT", f"/v1/providers/{slug}", entry) for slug, entry in written)
        )
        for plan in PLANS:
            await asyncio.gather(
                *(
                    self.caller.ask(plan, "PUT", f"/v1/providers/{slug}", {"contracts": [contract]})
                    for slug, contract in contracts(plan)
                )
            )
        return len(written)

    async def roster(self, plan: str, members: Sequence[dict[str, Any]]) -> int:
        """A plan's roster of these members."""
        text = "\n".join(json.dumps(roster_row(member)) for member in members)
        result = await self.caller.ask(plan, "PUT", "/v1/roster", text=text)
        return result["accepted"]

    async def subscribe(self) -> int:
        """Everybody subscribes and answers the challenge."""

        async def one(who: str) -> None:
            made = await self.caller.ask(
                who, "POST", "/v1/subscriptions", {"url": f"{self.partner.url}/{who}"}
            )
            self.partner.secrets[who] = made["secret"]
            await self.caller.ask(who, "POST", f"/v1/subscriptions/{made['id']}:verify")

        everybody = [entry["id"] for entry in organizations()]
        await asyncio.gather(*(one(who) for who in everybody))
        return len(everybody)

    async def standing(self) -> list[Any]:
        """Where each service is."""
        return [
            await self.caller.ask(OPERATIONS, "GET", f"/v1/operations/{name}/status") for name in SERVICES
        ]

    async def quiet(self) -> list[Any]:
        """Until nothing is unsent, unread, due or under way in any service; where they are then."""
        calm = 0
        while True:
            standing = await self.standing()
            busy = any(s["outbox"] or s["lag"] or s["timers_due"] or s["working"] for s in standing)
            calm = 0 if busy else calm + 1
            if calm == 2:
                return standing
            await asyncio.sleep(0.05)

    # ── time ──────────────────────────────────────────────────────────────────────────────────────────────

    async def now(self) -> datetime:
        """What the house's clock shows."""
        return datetime.fromisoformat((await self.standing())[0]["now"])

    async def today(self) -> date:
        return (await self.now()).astimezone(LOS_ANGELES).date()

    async def pass_time(self, by: timedelta) -> None:
        """Move the clock from deadline to deadline, letting everything settle at each."""
        target = await self.now() + by
        while True:
            standing = await self.quiet()
            now = datetime.fromisoformat(standing[0]["now"])
            if now >= target:
                return
            due = [datetime.fromisoformat(s["next_timer_at"]) for s in standing if s["next_timer_at"]]
            following = min((at for at in due if at > now), default=target)
            goal = min(target, max(following, now + STEP))
            seconds = max((goal - now).total_seconds(), 0.001)
            await self.caller.ask(
                OPERATIONS, "POST", "/v1/operations/intake/clock:advance", {"seconds": seconds}
            )
