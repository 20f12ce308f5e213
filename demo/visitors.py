"""Who of the story may be played in the console, and what waits there for a visitor: forms that only people answer."""

from __future__ import annotations

import asyncio
from typing import Any

from demo.people import Crowd, members
from demo.providers import CLINIC, COUNTY, HARBOR, HOSPITAL, OPERATIONS, SHELTER, STREET, VALLEY
from demo.stage import Stage

# So many forms come in once the story is over; nobody but a person answers them.
WAITING = 18


def people() -> list[dict[str, Any]]:
    """For `loopkeeper person import --invented`."""
    return [
        _person(OPERATIONS, "Noor Haddad", "Operations", ["operations"], admin=True),
        _person(HARBOR, "Maria Chen", "UM nurse", ["plan"], licence="RN 841182", admin=True),
        _person(HARBOR, "Dev Patel", "Care coordinator", ["plan"]),
        _person(VALLEY, "Grace Lindqvist", "Medical director", ["plan"], licence="A 12345", admin=True),
        _person(STREET, "Luis Ortega", "Lead care manager", ["provider", "referrer"], admin=True),
        _person(CLINIC, "Rosa Diaz", "Nurse practitioner", ["provider", "referrer"], admin=True),
        _person("mission-health-workers", "Tam Nguyen", "Community health worker", ["provider"], admin=True),
        _person(SHELTER, "Ana Reyes", "Shelter worker", ["referrer"], admin=True),
        _person(HOSPITAL, "Imani Brooks", "Discharge planner", ["referrer"], admin=True),
    ]


def _person(
    organization: str, name: str, title: str, roles: list[str], *, licence: str = "", admin: bool = False
) -> dict[str, Any]:
    address = f"{name.casefold().replace(' ', '.')}@{organization}.example"
    return {
        "organization": organization,
        "name": name,
        "email": address,
        "roles": roles,
        "title": title,
        "licence": licence,
        "admin": admin,
    }


async def refer_more(stage: Stage, seed: int) -> int:
    """Forms of members whom no roster has: a person must decide each."""
    today = await stage.today()
    crowd, found = Crowd(seed + 2, today), members(seed + 2, WAITING, today)
    senders = (SHELTER, HOSPITAL, COUNTY)

    async def one(number: int) -> None:
        form = crowd.referral(found[number])
        form["urgency"] = "expedited" if number % 6 == 0 else "routine"
        await stage.caller.ask(
            senders[number % 3], "POST", "/v1/referrals", form, key=f"waits-{seed}-{number}"
        )

    await asyncio.gather(*(one(number) for number in range(WAITING)))
    return WAITING
