"""What stands before the story begins: keys, directory, contracts, rosters, and a verified endpoint for everybody."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from demo.caller import Caller
from demo.house import House
from demo.partner import Partner
from demo.people import PLANS, Crowd, contracts, entries, organizations, roster_row

OPERATIONS = "operations"


@dataclass
class Stage:
    """The running product, everybody's keys, and the endpoint they all listen on."""

    house: House
    keys: Mapping[str, str]
    caller: Caller
    partner: Partner

    async def directory(self) -> int:
        """Operations write the entries, each plan its contracts."""
        written = [(slug, entry) for slug, entry in entries()]
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

    async def quiet(self) -> None:
        """Until nothing is unsent, unread, due or under way in any service."""
        calm = 0
        while calm < 2:
            standing = [
                await self.caller.ask(OPERATIONS, "GET", f"/v1/operations/{name}/status")
                for name in ("intake", "authorization", "assignment", "notification")
            ]
            busy = any(s["outbox"] or s["lag"] or s["timers_due"] or s["working"] for s in standing)
            calm = 0 if busy else calm + 1
            await asyncio.sleep(0.05)


def members(seed: int, count: int, today: date) -> Mapping[str, list[dict[str, Any]]]:
    """Invented members of each plan, two thirds of them Harbor's."""
    crowd = Crowd(seed, today)
    found: dict[str, list[dict[str, Any]]] = {plan: [] for plan in PLANS}
    for number in range(count):
        plan = PLANS[0] if number % 3 else PLANS[1]
        found[plan].append(crowd.member(plan))
    return found
