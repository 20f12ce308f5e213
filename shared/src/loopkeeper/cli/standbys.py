"""Does each database that a setting names wait for a standby before it answers?"""

from __future__ import annotations

import asyncio

from loopkeeper.postgres.connections import AWAY, connect
from loopkeeper.runtime.service import installed

FIX = "Set synchronous_standby_names there: without it a failover loses what was answered last (docs/operations.md)."


def standbys() -> list[tuple[str, str, str]]:
    """For each service whose database is named: its name, what was found, and what to do where it waits for nobody. One that
    cannot be asked is another check's matter."""
    named = {name: service.settings().database_url() for name, service in installed().items()}
    return asyncio.run(_all({name: url for name, url in named.items() if url is not None}))


async def _all(urls: dict[str, str]) -> list[tuple[str, str, str]]:
    found = await asyncio.gather(*(_one(url) for url in urls.values()))
    return [(name, *each) for name, each in zip(urls, found, strict=True) if each is not None]


async def _one(url: str) -> tuple[str, str] | None:
    try:
        connection = await connect(url)
    except AWAY:
        return None
    try:
        names = await connection.fetchval("SHOW synchronous_standby_names")
    finally:
        await connection.close()
    return (f"waits for {names}", "") if names else ("waits for no standby", FIX)
