"""What does a service do whose database or tables are not there yet? It waits where everybody can see it: it lives, is not
ready, names what it waits for, and asks every request to come back."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

from loopkeeper.http.health import Health, Ready
from loopkeeper.kernel.logs import get
from loopkeeper.postgres import migrations
from loopkeeper.postgres.connections import AWAY, reason, unreachable

log = get("waiting")
# So short that nobody notices the difference, so long that it costs nothing for an hour.
LOOK_EVERY = 0.5
TOLD = {"database": "the database is waited for", "migrations": "the tables are waited for"}


class WentAway(Exception):
    """A database was there at the first look, and is not any more: the start begins again. Its text is a kind of error."""


@dataclass(frozen=True, slots=True)
class Requirement:
    """One service's database, and which setting names it. `package`: whose tables must be in it already; empty where
    this program makes them."""

    url: str = field(repr=False)
    setting: str
    package: str = ""


@dataclass(frozen=True, slots=True)
class Missing:
    """What one service has to wait for, under the name that probes have for it, and what fixes it."""

    what: str
    detail: str
    sentence: str
    fix: str


async def missing(needs: Mapping[str, Requirement]) -> Mapping[str, Missing]:
    """Which of these services cannot start yet, and why. Raises `StartError` where waiting would not help."""
    found = await asyncio.gather(*(_missing(name, need) for name, need in needs.items()))
    return {name: lack for name, lack in zip(needs, found, strict=True) if lack}


async def _missing(name: str, need: Requirement) -> Missing | None:
    if not need.package:
        why = await unreachable(need.url)
        return _away(name, need, why) if why else None
    try:
        tables = await migrations.tables(name, need.url, need.package)
    except AWAY as error:
        return _away(name, need, reason(error))
    if not tables.missing:
        return None
    what = f"at revision {tables.found}, needed is {tables.needed}" if tables.found else "not there yet"
    job = f"`loopkeeper migrate {name}`"
    return Missing(
        "migrations",
        f"the tables are {what}: run {job}",
        f"The tables of {name} are {what}.",
        f"Run {job}; the service goes on by itself then.",
    )


def _away(name: str, need: Requirement, why: str) -> Missing:
    return Missing(
        "database",
        why,
        f"The database of {name} cannot be reached: {why}.",
        f"Start it, or correct {need.setting}.",
    )


class Wait:
    """The wait of services that cannot start yet, told once in the log and to every probe."""

    def __init__(self, needs: Mapping[str, Requirement], missing: Mapping[str, Missing]) -> None:
        self._needs = needs
        self._missing: Mapping[str, Missing] = {}
        self._tell(missing)

    async def over(self) -> None:
        """Until all of them can start. Raises `StartError` where waiting would not help any more."""
        while self._missing:
            await self.look_again()

    async def look_again(self) -> None:
        """A little later. Raises `StartError` where waiting would not help any more."""
        await asyncio.sleep(LOOK_EVERY)
        self._tell(await missing(self._needs))

    def ready(self, name: str) -> Ready:
        """The probe of one of them meanwhile."""
        return lambda: _told(self._missing.get(name))

    def _tell(self, missing: Mapping[str, Missing]) -> None:
        """Say once of each service what it waits for now."""
        for name in self._missing.keys() | missing.keys():
            before, now = self._missing.get(name), missing.get(name)
            if now is None:
                log.info("what was waited for is there", service=name)
            elif before is None or before.what != now.what:
                log.warning(TOLD[now.what], service=name, reason=now.detail)
        self._missing = missing


async def begins() -> Mapping[str, Health]:
    """The probe of a service that has not looked yet for what it needs."""
    return {"start": Health(ok=False, detail="it has just begun")}


async def _told(lack: Missing | None) -> Mapping[str, Health]:
    if lack is None:
        return {
            "database": Health(ok=True),
            "start": Health(ok=False, detail="another service is waited for"),
        }
    start = Health(ok=False, detail=TOLD[lack.what])
    return {"database": Health(ok=True), lack.what: Health(ok=False, detail=lack.detail), "start": start}
