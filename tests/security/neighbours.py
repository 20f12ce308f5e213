"""Two plans' referrals side by side, and organizations that have nothing to do with either: who asks for whose?

The referral that others ask for went as far as it can: authorized, declined once, accepted, reached, its clinic
subscribed, its notices written. Another has only an offer. A third, of another plan, is parked on its way.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from loopkeeper.security import organizations
from tests.builders.forms import david
from tests.builders.organizations import CLINIC, HARBOR, HOSPITAL, OPERATIONS, STREET, VALLEY
from tests.databases import Databases
from tests.loop.house import House, house, put_roster
from tests.security import kept
from tests.security.declared import Route, address, called, good_body, routes

# Who asks, by the role it holds: each organization has one role and no part in any referral.
STRANGERS = {
    "referrer": {
        "id": "elsewhere-shelter",
        "name": "Elsewhere Shelter",
        "kind": "referrer",
        "roles": ["referrer"],
    },
    "provider": {
        "id": "elsewhere-clinic",
        "name": "Elsewhere Clinic",
        "kind": "provider",
        "roles": ["provider"],
    },
    "plan": {"id": "elsewhere-plan", "name": "Elsewhere Plan", "kind": "plan", "roles": ["plan"]},
    "partner": {"id": "elsewhere-county", "name": "Elsewhere County", "kind": "county", "roles": ["partner"]},
}
# A partner that is none of them, and holds no key.
PARTNER = {"id": "next-county", "name": "Next County", "kind": "county"}
NOBODY, REVOKED = "none", "revoked"
NO_VALLEY = f"ALTER TABLE referral ADD CONSTRAINT no_row CHECK (plan_id <> '{VALLEY}')"
# Whose lists show the nouns of the story.
OWNERS = (CLINIC, STREET, HARBOR)
# Nouns that no list shows, or not today: the service's table that has them.
TABLES = {"deliveries": "delivery", "notices": "notice", "mailbox": "notice"}


@dataclass
class Neighbours:
    """The house, its strangers' callers by role, and what is called how: of the accepted and of the offered referral
    by noun, and the one of another plan that is parked in authorization."""

    house: House
    callers: Mapping[str, httpx.AsyncClient]
    accepted: Mapping[str, str]
    offered: Mapping[str, str]
    parked: str
    _ids: dict[str, str] = field(default_factory=dict[str, str])

    def id_of(self, route: Route) -> str:
        """The id of something that is there, as this route names it."""
        return self._ids[_noun(route)]

    async def find_ids(self) -> None:
        """For every route that names something, before anybody asks for it."""
        every = routes(self.house)
        for route in every:
            if route.parameters and not route.public and _noun(route) not in self._ids:
                self._ids[_noun(route)] = await self._found(_noun(route), route, every)
        await self.house.quiet()

    async def _found(self, noun: str, route: Route, every: list[Route]) -> str:
        match noun:
            case "operations":
                return self.parked
            case "partners":
                return PARTNER["id"]
            case "providers":
                return STREET
            case "referrals" | "outreach":
                return self.accepted["referral"]
            case "assignments" | "authorizations":
                return self.accepted[noun[:-1]]
        if noun.startswith("files/"):
            return await self._sent(noun)
        if noun == "reports":
            asked = {"kind": "measures", "period": self.house.today()[:7]}
            return (await self.house.ask(HARBOR, "POST", "/v1/reports", asked, 202))["id"]
        for owner in OWNERS:
            listed = await self.house.as_(owner).get(f"/v1/{noun}")
            if listed.status_code == 200 and listed.json()["items"]:
                return listed.json()["items"][-1]["id"]
        if made := await self._made(noun, every):
            return made
        assert noun in TABLES, f"{called(route)}: tell this test where an id of {noun} is found"
        pool = self.house.running.contexts[route.service].pool
        found = await pool.fetchval(f"SELECT id FROM {TABLES[noun]} ORDER BY id LIMIT 1")
        assert found, f"the story leaves nothing that {called(route)} could name"
        return found

    async def _sent(self, noun: str) -> str:
        """A file of this kind, from somebody who may send it, or one that a plan tells a provider by."""
        if noun == "files/mif":
            by_file = {"answers_by": "file"}
            await self.house.ask(OPERATIONS, "PUT", f"/v1/providers/{STREET}", by_file)
            await self.house.quiet()
            path = f"/v1/files/mif:write?plan={HARBOR}"
            return (await self.house.ask(STREET, "POST", path, status=201))["id"]
        sender = {"files/referrals": CLINIC, "files/decisions": HARBOR}.get(noun, STREET)
        answer = await self.house.as_(sender).post(
            f"/v1/{noun}?plan={HARBOR}",
            content=b"CIN,Last Name\r\n90000001S,Rivera\r\n",
            headers={"Content-Type": "text/csv"},
        )
        assert answer.status_code == 202, answer.text
        return answer.json()["id"]

    async def _made(self, noun: str, every: list[Route]) -> str:
        """One that an owner makes of the accepted referral, where a route makes such things."""
        for route in every:
            if route.method == "POST" and route.parameters and route.path.endswith(f"/{noun}"):
                for owner in OWNERS:
                    made = await self.house.as_(owner).post(
                        address(route, self.id_of(route)), json=route.example or good_body(route)
                    )
                    if made.status_code == 201:
                        return made.json()["id"]
        return ""


def _noun(route: Route) -> str:
    first, *rest = (part.partition(":")[0] for part in route.path.split("/")[2:])
    # Each kind of file is its own service's.
    return f"{first}/{rest[0]}" if first == "files" else first


# How these organizations' files are laid out.
PROFILES = Path(__file__).parents[1] / "loop" / "files"


@asynccontextmanager
async def neighbours(databases: Databases, folder: Path) -> AsyncGenerator[Neighbours]:
    """All of them, and everything quiet."""
    config = folder / "home" / "config"
    shutil.copytree(PROFILES, folder / "policy" / "files")
    made = organizations.import_organizations(config, [*STRANGERS.values(), PARTNER])
    keys = dict(zip(STRANGERS, (entry["key"] for entry in made), strict=True))
    gone, keys[REVOKED] = organizations.add_client(config, STRANGERS["provider"]["id"], ["provider"])
    organizations.revoke_client(config, gone.id)
    async with house(databases, folder, roster=False) as opened:
        accepted, offered, parked = await _story(opened)
        callers = {role: _caller(opened, key) for role, key in {**keys, NOBODY: ""}.items()}
        callers["operations"] = opened.as_(OPERATIONS)
        found = Neighbours(opened, callers, accepted, offered, parked)
        await found.find_ids()
        yield found
        await asyncio.gather(*(caller.aclose() for caller in callers.values()))


def _caller(opened: House, key: str) -> httpx.AsyncClient:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    transport = httpx.ASGITransport(app=opened.running.app)
    return httpx.AsyncClient(transport=transport, base_url="http://loop.test", headers=headers)


async def _story(opened: House) -> tuple[Mapping[str, str], Mapping[str, str], str]:
    assert opened.addresses is not None
    await kept.ran(opened.addresses.databases["authorization"], [NO_VALLEY])
    for organization in OWNERS:
        await opened.subscribe(organization)
    first = david()
    second = david(member={**first["member"], "cin": "90000002S"})
    people = [
        {"cin": each["member"]["cin"], "birth_date": each["member"]["birth_date"]} for each in (first, second)
    ]
    await put_roster(opened, HARBOR, people)
    referral = await opened.refer(CLINIC, first)
    await opened.quiet()
    assignment = (await opened.accept(STREET))["id"]
    await opened.quiet()
    await opened.attempt(STREET, referral, "in_person", "engaged")
    other = await opened.refer(HOSPITAL, second)
    parked = await opened.refer(HOSPITAL, david(plan=VALLEY))
    await opened.quiet()
    offer = await opened.offer(STREET)
    reviews = await opened.ask(HARBOR, "GET", "/v1/authorizations")
    authorization = next(each["id"] for each in reviews["items"] if each["referral"] == referral)
    accepted = {"referral": referral, "assignment": assignment, "authorization": authorization}
    return accepted, {"referral": other, "assignment": offer["id"]}, parked
