"""What callers who shout cost the others: `python -m tests.bench.floods` prints one line of JSON for each.

A house of four services on one loop, asked over real sockets by one quiet client, first alone and then while others send
heads that do not end, bodies that are slow to refuse, or read without a pause with one key.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from loopkeeper.http.protocol import Door
from loopkeeper.kernel import garbage
from loopkeeper.postgres import embedded
from tests.bench.asking import Asking, Callers, quiet
from tests.bench.starving import compared
from tests.builders.forms import david
from tests.builders.organizations import CLINIC, HARBOR
from tests.databases import SERVICES, Databases
from tests.loop.house import House, house
from tests.shared.web_calls import serving

READERS = 300
SECONDS = 8.0
REFERRALS = 200
# Each is refused, and each was dear to refuse.
DEAR: dict[str, bytes] = {
    "small objects": b"[" + b",".join([b'{"a":1}'] * 30_000) + b"]",
    "unknown fields": b"{" + b",".join(b'"f%d":1' % each for each in range(20_000)) + b"}",
    "wrong entries": b'{"populations":[' + b",".join([b"1"] * 60_000) + b"]}",
    "deep": b"[" * 100_000 + b"]" * 100_000,
    "long number": b'{"a":' + b"9" * 250_000 + b"}",
    "long fraction": b'{"a":0.' + b"1" * 250_000 + b"}",
    "escapes": b'{"a":"' + rb"\u0041" * 40_000 + b'"}',
    "nul": b'{"a":"' + rb"\u0000" * 40_000 + b'"}',
    "just within": b'{"populations":[' + b",".join([b'{"a":1}'] * 2_400) + b"]}",
}


def p99(took: list[float]) -> float:
    return round(statistics.quantiles(took, n=100)[98] * 1000, 2) if len(took) > 1 else 0.0


@asynccontextmanager
async def noise(make: Callable[[], Awaitable[None]], count: int) -> AsyncGenerator[None]:
    tasks = [asyncio.ensure_future(make()) for _ in range(count)]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def calm(place: House) -> None:
    """Until nothing of a round is worked off any more."""
    while not place.running.app.state.serving.slices.idle:
        await place.quiet()
    await asyncio.sleep(2.0)


async def readers(place: House, port: int) -> list[tuple[float, float]]:
    """READERS readers of one key on its dearest lists against one other caller: its p99 in milliseconds, alone and then.
    Both live in processes of their own."""
    found: list[tuple[float, float]] = []
    for path in ("/v1/referrals?limit=200", "/v1/authorizations?limit=200"):
        one = Callers(port, place.keys[CLINIC], "/v1/referrals?limit=10")
        await calm(place)
        alone = await one.seconds(SECONDS)
        async with Callers(port, place.keys[HARBOR], path, READERS).asking() as greedy:
            await asyncio.sleep(3.0)
            beside = await one.seconds(SECONDS)
        told(
            "readers", path=path, p99_alone_ms=p99(alone.took), p99_beside_ms=p99(beside.took),
            times=round(p99(beside.took) / p99(alone.took), 2), others=beside.statuses, greedy=greedy.statuses,
        )  # fmt: skip
        found.append((p99(alone.took), p99(beside.took)))
    return found


async def heads(port: int) -> None:
    """Four heads that do not end, and the slowest answer of `/health/live` meanwhile."""

    async def endless() -> None:
        while True:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                writer.write(b"GET / HTTP/1.1\r\nX: ")
                while True:
                    writer.write(b"y" * 65536)
                    await writer.drain()
            except ConnectionError:
                writer.close()

    async with noise(endless, 4):
        await asyncio.sleep(0.5)
        live = await quiet(port, "", "/health/live", SECONDS)
    told("heads", p99_ms=p99(live.took), slowest_ms=round(max(live.took) * 1000, 2), statuses=live.statuses)


async def bodies(place: House, port: int) -> None:
    """Each dear body, and the most of its processor that the loop spent in one turn while it was refused."""
    for name, raw in DEAR.items():
        gap = 0.0

        async def watch() -> None:
            nonlocal gap
            while True:
                begun = time.thread_time()
                await asyncio.sleep(0)
                gap = max(gap, time.thread_time() - begun)

        asking, status = Asking(port, place.keys[CLINIC]), 0
        # Written before the watch: the sender lives in this loop too.
        async with noise(watch, 1):
            for _ in range(5):
                status = await asking("POST", "/v1/referrals", raw)
        await asking.close()
        told("body", name=name, bytes=len(raw), status=status, loop_ms=round(gap * 1000, 1))


def told(what: str, **found: object) -> None:
    print(json.dumps({"what": what, **found}), file=sys.stderr, flush=True)


@asynccontextmanager
async def served() -> AsyncGenerator[tuple[House, int]]:
    """A house with some referrals, and the port at which it is asked."""
    with tempfile.TemporaryDirectory(prefix="floods") as folder:
        where = Path(folder)
        server = await asyncio.to_thread(
            embedded.start, where / "pg", SERVICES, settings={"fsync": "off", "max_connections": "200"}
        )
        try:
            async with (
                house(Databases(server), where) as place,
                serving(place.running.app, Door(4_000, 4_000)) as port,
            ):
                member = david()["member"]
                for each in range(REFERRALS):
                    await place.refer(CLINIC, david(member={**member, "cin": f"9{each + 1000:07}S"}))
                await place.quiet()
                # As the program does once it has begun.
                garbage.settle()
                yield place, port
        finally:
            await asyncio.to_thread(embedded.remove, where / "pg")


async def main() -> None:
    wanted = sys.argv[1:] or ["heads", "bodies", "readers"]
    async with served() as (place, port):
        if "heads" in wanted:
            await heads(port)
        if "bodies" in wanted:
            await bodies(place, port)
        if "readers" in wanted:
            await readers(place, port)


def measure(rounds: int) -> Mapping[str, float]:
    """What 300 readers of one key cost another caller."""

    async def all_of_it() -> Mapping[str, float]:
        async with served() as (place, port):
            pairs = [each for _ in range(rounds) for each in await readers(place, port)]
        return compared([a for a, _ in pairs], [b for _, b in pairs], [b / a for a, b in pairs])

    return asyncio.run(all_of_it())


if __name__ == "__main__":
    asyncio.run(main())
