"""Act in a town of four processes, and read what each database has."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

from loopkeeper.postgres.connections import connect
from tests.builders.forms import david
from tests.builders.organizations import CLINIC, HARBOR
from tests.loop.apart import Apart

SERVICES = ("intake", "authorization", "assignment", "notification")
TABLES = {
    "intake": ("referral", "member", "identity"),
    "authorization": ("referral", "lookup"),
    "assignment": ("referral", "assignment", "provider"),
    "notification": ("referral", "notice"),
}


def member(number: int) -> Mapping[str, Any]:
    """Somebody else than all the others."""
    return {**david()["member"], "first_name": f"David {number}", "cin": f"9{number:07}S"}


async def decide(town: Apart) -> None:
    """What a rule may not approve (one in twenty is drawn for a person) a person does."""
    await town.quiet()
    queue = await town.ask(HARBOR, "GET", "/v1/authorizations?status=pending&limit=200")
    person = {"acted_by": {"person": "maria-chen", "title": "UM nurse"}}
    for each in queue["items"]:
        await town.ask(HARBOR, "POST", f"/v1/authorizations/{each['id']}:approve", person)
    await town.quiet()


async def turn(town: Apart, referral: str) -> Mapping[str, Any]:
    """Whose turn it is with this referral."""
    found = await town.ask(HARBOR, "GET", "/v1/assignments?limit=200")
    return next(each for each in found["items"] if each["referral"] == referral)


async def accept(town: Apart, referral: str) -> None:
    offer = await turn(town, referral)
    lead = {"lead": {"person": "luis-ortega", "name": "Luis Ortega"}}
    await town.ask(offer["provider"], "POST", f"/v1/assignments/{offer['id']}:accept", lead)


async def journal(town: Apart, service: str) -> list[tuple[Any, ...]]:
    connection = await connect(town.at.databases[service])
    try:
        rows = await connection.fetch(
            "SELECT stream, n, id, own, sequence, chain FROM journal ORDER BY stream, n"
        )
    finally:
        await connection.close()
    return [tuple(row) for row in rows]


async def kept(town: Apart, service: str) -> set[str]:
    """The rows of this service's own tables, whole."""
    connection = await connect(town.at.databases[service])
    try:
        rows = [
            f"{table} {row['row']}"
            for table in TABLES[service]
            for row in await connection.fetch(f'SELECT to_jsonb(t) AS row FROM "{table}" t')
        ]
    finally:
        await connection.close()
    return set(rows)


NUMBERS = itertools.count(1)


async def refer(town: Apart) -> str:
    return await town.refer(CLINIC, david(member=member(next(NUMBERS))))
