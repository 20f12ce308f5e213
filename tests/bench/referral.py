"""What does one referral alone cost, from its POST until everybody knows of the offer? The statements of the services'
writing transactions and the processor time of the one process they run in. `python -m tests.bench.referral [how many]`.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections import Counter
from contextvars import ContextVar
from pathlib import Path
from statistics import median
from time import perf_counter, process_time
from typing import Any

import asyncpg

from loopkeeper.postgres import embedded
from loopkeeper.postgres.embedded import Server
from loopkeeper.store.store import Store
from tests.conftest import SERVICES, Databases
from tests.loop.house import CLINIC, HARBOR, House, david, house, put_roster

WARM, USUAL = 5, 40
# Received, opened, approved, offered: what notification has noted when the offer is out.
FACTS = 4
writing: ContextVar[str] = ContextVar("writing", default="")
counted: Counter[str] = Counter()


def count_statements() -> None:
    """Every statement that a store's transaction sends counts for its service."""
    transact: Any = Store._transact  # pyright: ignore[reportPrivateUsage]
    execute: Any = asyncpg.Connection.execute
    prepared: Any = asyncpg.Connection._execute  # pyright: ignore[reportPrivateUsage]

    async def within(self: Store[Any], *args: Any, **options: Any) -> Any:
        token = writing.set(self.domain.service)
        try:
            return await transact(self, *args, **options)
        finally:
            writing.reset(token)

    async def plain(self: Any, query: str, *args: Any, **options: Any) -> Any:
        if not args:
            counted[writing.get()] += 1
        return await execute(self, query, *args, **options)

    async def with_values(self: Any, *args: Any, **options: Any) -> Any:
        counted[writing.get()] += 1
        return await prepared(self, *args, **options)

    Store._transact = within  # pyright: ignore[reportPrivateUsage]
    asyncpg.Connection.execute = plain
    asyncpg.Connection._execute = with_values  # pyright: ignore[reportPrivateUsage]


async def told(opened: House, referral: str) -> None:
    """Until notification has noted the offer."""
    notification = opened.running.contexts["notification"]
    bell = notification.store.bell()
    query = "SELECT count(*) FROM journal WHERE stream = $1"
    while (await notification.pool.fetchval(query, referral)) < FACTS:
        await bell.wait()
        bell.clear()


async def measure(opened: House, how_many: int) -> None:
    numbers = [f"9002{number:04}S" for number in range(WARM + how_many)]
    born = david()["member"]["birth_date"]
    await put_roster(opened, HARBOR, [{"cin": number, "birth_date": born} for number in numbers])
    await opened.quiet()
    spent, took, statements = list[float](), list[float](), list[Counter[str]]()
    for number in numbers:
        await opened.quiet()
        body = david(member=david()["member"] | {"cin": number, "last_name": f"Number{number}"})
        counted.clear()
        begun, clock = process_time(), perf_counter()
        referral = await opened.refer(CLINIC, body)
        await told(opened, referral)
        spent.append(process_time() - begun)
        took.append(perf_counter() - clock)
        statements.append(Counter({name: n for name, n in counted.items() if name}))
    print(f"processor time of one referral: {1000 * median(spent[WARM:]):.1f} ms (median of {how_many})")
    print(f"from POST to the offer: {1000 * median(took[WARM:]):.1f} ms")
    for service in sorted({name for each in statements for name in each}):
        print(f"statements of {service}: {median(each[service] for each in statements[WARM:]):.0f}")
    print(f"statements in all: {median(each.total() for each in statements[WARM:]):.0f}")


async def run(server: Server, folder: Path, how_many: int) -> None:
    databases = Databases(server)
    async with house(databases, folder) as opened:
        await measure(opened, how_many)
    await databases.drop()


def main() -> None:
    how_many = int(sys.argv[1]) if len(sys.argv) > 1 else USUAL
    count_statements()
    with tempfile.TemporaryDirectory() as base:
        folder = Path(base)
        server = embedded.start(
            folder / "postgres", SERVICES, settings={"fsync": "off", "max_connections": "200"}
        )
        try:
            asyncio.run(run(server, folder / "house", how_many))
        finally:
            embedded.remove(folder / "postgres")


if __name__ == "__main__":
    main()
