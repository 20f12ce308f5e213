"""Does one organization hold up another's webhooks? From a commit to the endpoint, for organizations whose endpoints answer:
alone, and next to 200 endpoints of one organization that hang and one dead endpoint for which 100 000 deliveries wait.
`python -m tests.bench.starving [rounds] [waiting]`; every round measures both."""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from statistics import median, quantiles

import orjson
from aiohttp import web

from loopkeeper.kernel.clock import SystemClock
from loopkeeper.kernel.supervisor import Heartbeat
from loopkeeper.postgres import embedded
from loopkeeper.postgres.connections import Connection
from loopkeeper.store.transient import transient
from notification.delivery.ssrf_guard import Allow
from notification.delivery.webhook import Sender, new_secret
from notification.persistence import feed
from notification.persistence.feed import News, Subscription
from notification.persistence.subscriptions import SEALED_PART, Wanted, create
from notification.workers import Deliverer
from tests.databases import SERVICES, Databases
from tests.notification.house import House, house

HEALTHY, HANGING = 40, 200
EACH, SECONDS = 0.02, 12.0
SHOUTER = "shouting-plan"
# Rows that one statement writes: no longer than a statement of the store may take, on a machine that does more.
AT_ONCE = 2_000


@dataclass
class Town:
    """One server for all addresses of the loopback network: which address is called says how it answers."""

    house: House
    arrived: dict[str, float] = field(default_factory=dict[str, float])
    port: int = 0

    async def answer(self, request: web.Request) -> web.Response:
        if request.path == "/hang":
            await asyncio.sleep(60)
        try:
            body = orjson.loads(await request.read())
        except ConnectionResetError:
            # The caller gave up long ago.
            return web.Response(status=204)
        self.arrived[body["data"]["referral"]] = time.perf_counter()
        return web.Response(status=204)

    async def subscribe(self, name: str, organization: str, url: str) -> None:
        """An endpoint that has proved itself."""
        sealed = self.house.context.sealer.seal("system", name, SEALED_PART, {"secret": new_secret()})
        made = create(name, organization, Wanted(url, ""), sealed, "epoch", most=1000).change(
            None, self.house.context.clock.now()
        )
        assert made is not None
        row = {**made.row, "id": name, "state": "enabled", "enabled_at": made.row["at"]}
        await self.house.context.store.transact(lambda c: feed.insert(c, "subscription", [row]))

    async def tell(self, subscription: str, organization: str, referral: str, sequence: int) -> None:
        now = self.house.context.clock.now()
        news = News(organization, f"evt_{referral}", "ecm.referral.closed.v1", referral, now, {})
        standing = Subscription(subscription, organization, "https://", sequence - 1)
        await self.house.context.store.transact(
            lambda c: feed.write(c, feed.rows_of([standing], [news], now))
        )


@asynccontextmanager
async def town(url: str, folder: Path) -> AsyncGenerator[Town]:
    async with house(url, folder) as opened:
        opened.context.store.clock = SystemClock()
        real = replace(opened, context=replace(opened.context, clock=SystemClock()))
        made = Town(real)
        app = web.Application()
        app.router.add_post("/{tail:.*}", made.answer)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "0.0.0.0", 0, backlog=4096)  # noqa: S104 the whole loopback network
        await site.start()
        made.port = runner.addresses[0][1]
        try:
            yield made
        finally:
            await runner.cleanup()


WAITING = """
INSERT INTO {table} SELECT (jsonb_populate_record(NULL::{table}, to_jsonb(o) || jsonb_build_object(
  'subscription', $1::text, 'sequence', 10 + i, 'id', {id}, 'referral', 'ref_dead_' || i % ($2 / 5 + 1)))).*
FROM generate_series($3::int, $4::int) i, (SELECT * FROM {table} WHERE subscription = $1 LIMIT 1) o
"""


async def shout(made: Town, waiting: int) -> None:
    """Two hundred endpoints that hang, fifty webhooks for each; and a dead one."""
    for number in range(HANGING):
        name = f"sub_hang_{number:03}"
        await made.subscribe(name, SHOUTER, f"http://127.1.0.{number + 1}:{made.port}/hang")
        await made.tell(name, SHOUTER, f"ref_hang_{number}", 1)
        await more(made, name, 50)
    await made.subscribe("sub_dead", "dead-plan", "http://127.2.0.1:8/")
    await made.tell("sub_dead", "dead-plan", "ref_dead_0", 1)
    await more(made, "sub_dead", waiting)
    async with made.house.context.pool.acquire() as connection:
        await connection.execute("ANALYZE")


async def more(made: Town, name: str, count: int) -> None:
    async def steps(connection: Connection, first: int) -> None:
        last = min(first + AT_ONCE - 1, count)
        for table, id in (("feed", "o.id || '.' || i"), ("delivery", "o.id || '.' || i")):
            await connection.execute(WAITING.format(table=table, id=id), name, count, first, last)

    for first in range(1, count + 1, AT_ONCE):
        await made.house.context.store.transact(partial(steps, first=first))


async def measured(made: Town, label: str, sequence: int) -> list[float]:
    """From each commit to its endpoint, in seconds; a webhook that has not arrived at the end counts as a minute."""
    sent: dict[str, float] = {}
    until, number = time.perf_counter() + SECONDS, 0
    while time.perf_counter() < until:
        begun = time.perf_counter()
        referral = f"ref_{label}_{number}"
        which = number % HEALTHY
        await made.tell(f"sub_well_{which:03}", f"well-{which}", referral, sequence + number)
        sent[referral] = begun
        number += 1
        await asyncio.sleep(max(0.0, EACH - (time.perf_counter() - begun)))
    await asyncio.sleep(2.0)
    return [made.arrived.get(each, begun + 60.0) - begun for each, begun in sent.items()]


async def enabled(made: Town, on: bool) -> None:
    state = "enabled" if on else "disabled"
    await made.house.context.store.transact(partial(_state, state))


async def _state(state: str, connection: Connection) -> None:
    await connection.execute(
        "UPDATE subscription SET state = $1 WHERE id LIKE 'sub_hang%' OR id = 'sub_dead'", state
    )


def shown(found: list[float]) -> Mapping[str, float]:
    cuts = quantiles(found, n=100)
    return {"p50": 1000 * cuts[49], "p99": 1000 * cuts[98], "most": 1000 * max(found)}


async def run(url: str, folder: Path, rounds: int, waiting: int) -> Mapping[str, float]:
    async with town(url, folder) as made:
        for number in range(HEALTHY):
            await made.subscribe(
                f"sub_well_{number:03}", f"well-{number}", f"http://127.3.0.{number + 1}:{made.port}/well"
            )
        await shout(made, waiting)
        await enabled(made, False)
        async with Sender(Allow.parse("127.0.0.0/8,127.2.0.1:8"), made.house.context.clock) as sender:
            delivering = asyncio.create_task(
                Deliverer(made.house.context, sender).run(Heartbeat(time.monotonic, transient))
            )
            ratios: list[float] = []
            figures: dict[str, list[float]] = {"alone": [], "beside": []}
            for each in range(rounds):
                alone = shown(await measured(made, f"alone{each}", 1 + each * 10_000))
                await enabled(made, True)
                await asyncio.sleep(3.0)
                beside = shown(await measured(made, f"beside{each}", 5_001 + each * 10_000))
                await enabled(made, False)
                ratios.append(beside["p99"] / alone["p99"])
                for label, found in (("alone", alone), ("beside", beside)):
                    figures[label].append(found["p99"])
                    shown_as = ", ".join(f"{name} {value:.1f} ms" for name, value in found.items())
                    print(label, shown_as, file=sys.stderr, flush=True)
                await asyncio.sleep(16.0)
            delivering.cancel()
            await asyncio.wait([delivering])
    return compared(figures["alone"], figures["beside"], ratios)


def compared(before: Sequence[float], after: Sequence[float], ratios: Sequence[float]) -> Mapping[str, float]:
    """Medians over the rounds: of the p99 in milliseconds, before and after, and of how many times the one is the other."""
    return {
        "p99_before_ms": round(median(before), 1),
        "p99_then_ms": round(median(after), 1),
        "times": round(median(ratios), 2),
        "rounds": len(ratios),
    }


def measure(rounds: int, waiting: int) -> Mapping[str, float]:
    """On a PostgreSQL of its own."""
    with tempfile.TemporaryDirectory() as base:
        folder = Path(base)
        server = embedded.start(folder / "postgres", SERVICES, settings={"shared_buffers": "512MB"})

        async def all_of_it() -> Mapping[str, float]:
            databases = Databases(server)
            url = await databases.make("notification")
            (folder / "home").mkdir()
            found = await run(url, folder / "home", rounds, waiting)
            await databases.drop()
            return found

        try:
            return asyncio.run(all_of_it())
        finally:
            embedded.remove(folder / "postgres")


def main() -> None:
    rounds, waiting = (int(each) for each in (sys.argv[1:] or ("3", "100000")))
    print(measure(rounds, waiting))


if __name__ == "__main__":
    main()
