"""Which organizations have nearly as many of something as they may have?"""

from __future__ import annotations

import asyncio

from loopkeeper.kernel.settings import read
from loopkeeper.postgres.connections import AWAY, connect
from loopkeeper.runtime.service import Service, installed

# From this share of a bound on an organization is named.
NEAR = 0.8


def near_bounds() -> list[tuple[str, str, bool]]:
    """For each bound of a service whose database is named: what it bounds, what was found, and whether anybody is near. A
    database that cannot be asked is another check's matter."""
    return asyncio.run(_all([each for each in installed().values() if each.bounds]))


async def _all(services: list[Service]) -> list[tuple[str, str, bool]]:
    found = await asyncio.gather(*(_of(service) for service in services))
    return [line for lines in found for line in lines]


async def _of(service: Service) -> list[tuple[str, str, bool]]:
    settings = read(service.settings)
    url = settings.database_url()
    if url is None:
        return []
    try:
        connection = await connect(url)
    except AWAY:
        return []
    try:
        lines: list[tuple[str, str, bool]] = []
        for bound in service.bounds:
            most = getattr(settings, bound.setting)
            rows = await connection.fetch(bound.query)
            near = sorted((row["n"], row["organization"]) for row in rows if row["n"] >= NEAR * most)
            named = ", ".join(f"{organization} has {n}" for n, organization in reversed(near))
            lines.append(
                (bound.what, f"{named}, of {most}" if named else f"nobody is near {most}", bool(near))
            )
        return lines
    finally:
        await connection.close()
