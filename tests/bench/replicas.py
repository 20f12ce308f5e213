"""Are two replicas slower than one? From the answer of a POST, on either replica in turn, until the provider is assigned: with
one replica of each service and with two, interleaved. `python -m tests.bench.replicas [rounds] [referrals]`."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import quantiles
from time import perf_counter

import httpx

from loopkeeper.postgres import embedded
from loopkeeper.postgres.connections import connect
from loopkeeper.postgres.embedded import Server
from loopkeeper.runtime.run import Running
from loopkeeper.runtime.service import installed
from tests.bench.starving import compared
from tests.builders.forms import david
from tests.builders.organizations import CLINIC, HARBOR
from tests.databases import SERVICES, Databases
from tests.loop.house import House, house, put_roster

APART = 0.1


class Both:
    """A house and, while it is open, a second replica of its services over the same databases and log."""

    def __init__(self, opened: House) -> None:
        self.opened = opened
        self.number = 0

    async def measured(self, doors: Sequence[House], count: int) -> list[float]:
        assert self.opened.addresses is not None
        looking = await connect(self.opened.addresses.databases["assignment"])
        taken: list[float] = []
        for _ in range(count):
            self.number += 1
            member = david()["member"] | {
                "cin": f"9002{self.number:04}S",
                "last_name": f"Number{self.number}",
            }
            door = doors[self.number % len(doors)]
            begun = perf_counter()
            referral = await door.refer(CLINIC, david(member=member))
            while not await looking.fetchval("SELECT 1 FROM assignment WHERE referral = $1", referral):  # noqa: ASYNC110 a commit in a database is no event here
                await asyncio.sleep(0.002)
            taken.append(perf_counter() - begun)
            await asyncio.sleep(APART)
        await looking.close()
        return taken


def shown(found: list[float]) -> tuple[float, float]:
    cuts = quantiles(found, n=100)
    return 1000 * cuts[49], 1000 * cuts[98]


async def run(server: Server, folder: Path, rounds: int, count: int) -> Mapping[str, float]:
    databases = Databases(server)
    async with house(databases, folder) as opened:
        total = rounds * (2 * count + 10) + 10
        born = david()["member"]["birth_date"]
        await put_roster(
            opened, HARBOR, [{"cin": f"9002{n:04}S", "birth_date": born} for n in range(total + 1)]
        )
        assert opened.addresses is not None
        directory = await connect(opened.addresses.databases["assignment"])
        await directory.execute("UPDATE provider SET entry = jsonb_set(entry, '{capacity}', '100000')")
        await directory.close()
        await opened.quiet()
        both, ones, twos = Both(opened), list[float](), list[float]()
        await both.measured([opened], 10)
        settings = opened.running.settings.model_copy(update={"replica": "1"})
        for _ in range(rounds):
            one = shown(await both.measured([opened], count))
            async with Running(settings, installed(), clock=opened.clock) as running:
                assert opened.addresses is not None
                await running.start(opened.addresses)
                other = replace(opened, running=running, _callers=dict[str, httpx.AsyncClient]())
                await both.measured([other, opened], 10)
                two = shown(await both.measured([opened, other], count))
                await other.close()
            ones.append(one[1])
            twos.append(two[1])
            for label, (p50, p99) in (("one replica", one), ("two replicas", two)):
                print(f"{label}: p50 {p50:.0f} ms, p99 {p99:.0f} ms", file=sys.stderr, flush=True)
    await databases.drop()
    return compared(ones, twos, [two / one for one, two in zip(ones, twos, strict=True)])


def measure(rounds: int, count: int) -> Mapping[str, float]:
    """On a PostgreSQL of its own."""
    with tempfile.TemporaryDirectory() as base:
        folder = Path(base)
        server = embedded.start(folder / "postgres", SERVICES, settings={"max_connections": "200"})
        try:
            return asyncio.run(run(server, folder / "house", rounds, count))
        finally:
            embedded.remove(folder / "postgres")


def main() -> None:
    rounds, count = (int(each) for each in (sys.argv[1:] or ("3", "60")))
    print(measure(rounds, count))


if __name__ == "__main__":
    main()
