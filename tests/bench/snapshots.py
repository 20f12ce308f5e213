"""What does an old snapshot cost, as a backup holds one for an hour? From a referral's POST to the first webhook of it: without
one, and while every database has one that is older than much work. `python -m tests.bench.snapshots [rounds] [referrals]`."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from statistics import quantiles
from time import perf_counter

from loopkeeper.postgres import embedded
from loopkeeper.postgres.connections import connect
from loopkeeper.postgres.embedded import Server
from loopkeeper.store.row_access import one_moment
from tests.bench.starving import compared
from tests.builders.forms import david
from tests.builders.organizations import CLINIC, HARBOR
from tests.databases import SERVICES, Databases
from tests.loop.house import House, house, put_roster

# As many at a time as keep both processors at work: rows that die under the snapshot are what it costs.
AT_ONCE, AGES = 6, 200
NUMBERS = "9003{:04}S"


class Asked:
    """Referrals, each somebody else's, and how long each took to its first webhook."""

    def __init__(self, opened: House) -> None:
        self._opened = opened
        self._number = 0
        self._heard: dict[str, float] = {}

    async def listen(self) -> None:
        seen = 0
        while True:
            requests = self._opened.partner.requests
            for taken in requests[seen:]:
                self._heard.setdefault(taken.json()["data"].get("referral", ""), perf_counter())
            seen = len(requests)
            await asyncio.sleep(0.002)

    async def measured(self, count: int) -> list[float]:
        numbers, took = iter(range(count)), list[float]()

        async def desk() -> None:
            for _ in numbers:
                self._number += 1
                begun = perf_counter()
                member = david()["member"] | {
                    "cin": NUMBERS.format(self._number), "last_name": f"Number{self._number}",
                }  # fmt: skip
                referral = await self._opened.refer(CLINIC, david(member=member))
                while referral not in self._heard:  # noqa: ASYNC110 what comes to an endpoint is no event here
                    await asyncio.sleep(0.002)
                took.append(self._heard[referral] - begun)

        await asyncio.gather(*(desk() for _ in range(AT_ONCE)))
        return took


@asynccontextmanager
async def old_snapshots(opened: House, asked: Asked) -> AsyncGenerator[None]:
    """A snapshot of every database, older than the work of so many referrals."""
    assert opened.addresses is not None
    urls = [*opened.addresses.databases.values(), opened.addresses.event_log]
    async with AsyncExitStack() as held:
        for url in urls:
            connection = await connect(url)
            held.push_async_callback(connection.close)
            await connection.execute("SET idle_in_transaction_session_timeout = 0")
            await held.enter_async_context(one_moment(connection))
            await connection.execute("SELECT 1")
        await asked.measured(AGES)
        yield


def p99(found: list[float]) -> float:
    return 1000 * quantiles(found, n=100)[98]


async def run(server: Server, folder: Path, rounds: int, count: int) -> Mapping[str, float]:
    databases = Databases(server)
    async with house(databases, folder) as opened:
        total = rounds * (2 * count + AGES) + 50
        born = david()["member"]["birth_date"]
        rows = [{"cin": NUMBERS.format(n), "birth_date": born} for n in range(total)]
        await put_roster(opened, HARBOR, rows)
        await opened.subscribe(CLINIC)
        asked = Asked(opened)
        listening = asyncio.create_task(asked.listen())
        await asked.measured(20)
        before, after = list[float](), list[float]()
        for _ in range(rounds):
            before.append(p99(await asked.measured(count)))
            async with old_snapshots(opened, asked):
                after.append(p99(await asked.measured(count)))
            print(f"p99 {before[-1]:.0f} ms, under it {after[-1]:.0f} ms", file=sys.stderr, flush=True)
        listening.cancel()
        await asyncio.wait([listening])
        await opened.quiet()
    await databases.drop()
    return compared(before, after, [then / first for first, then in zip(before, after, strict=True)])


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
    rounds, count = (int(each) for each in (sys.argv[1:] or ("3", "200")))
    print(measure(rounds, count))


if __name__ == "__main__":
    main()
