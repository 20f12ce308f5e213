"""What does the product do on this machine, on each of its two logs? Prints a table in Markdown and asserts nothing:
`make logs`. Services run as the story's do on Kafka, each alone, on either log; two replicas where one is taken away."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from statistics import quantiles
from time import perf_counter
from typing import Any, cast

from demo.broker import Broker
from loopkeeper.contract.calendar import la_date
from loopkeeper.event_log.port import EventLog, GroupMember
from loopkeeper.kernel.settings import Settings
from loopkeeper.postgres import embedded
from loopkeeper.runtime.run import make_event_log
from loopkeeper.runtime.service import installed
from tests.bench.pauses import pauses, replaced
from tests.bench.weights import weighed
from tests.builders.forms import david
from tests.builders.organizations import CLINIC, HARBOR, OPERATIONS, STREET
from tests.chaos.cluster import Cluster
from tests.chaos.lives import Lives
from tests.chaos.pairs import REPLICAS, Pairs, pairs
from tests.chaos.town import Town
from tests.kafka import PARTITIONS, Kafka, guarded
from tests.loop.house import put_roster
from tests.shared.event_log_contract import Offsets, message

WAKES, WAKES_PER_SECOND = 600, 200
# So many referrals at a time: what one clinic's desk and its neighbours send.
REFERRALS, DESKS = 100, 8
TICK = 0.02
TICKS = os.sysconf("SC_CLK_TCK")
LEAD = {"lead": {"person": "luis-ortega", "name": "Luis Ortega"}}
Figures = dict[str, str]


def spent(town: Town) -> float:
    """Processor seconds of all services so far."""
    total = 0.0
    for life in town.living.values():
        fields = Path(f"/proc/{life.pid}/stat").read_text().rpartition(")")[2].split()
        total += (int(fields[11]) + int(fields[12])) / TICKS
    return total


def log_at(url: str, replica: str) -> EventLog:
    return make_event_log(url, Settings(kafka_partitions=PARTITIONS, replica=replica))


async def joined(event_log: EventLog, group: str, offsets: Offsets) -> GroupMember:
    member = await event_log.join(group, offsets)
    while not member.holds():
        await member.poll(timeout=0.1)
    return member


async def wakes(url: str) -> str:
    """From before a publish to after the poll that has it, at a steady rate."""
    sender, reader, offsets = log_at(url, "s"), log_at(url, "r"), Offsets()
    offsets.stored = dict(await sender.ends())
    member = await joined(reader, "bench-wake", offsets)
    sent: dict[int, float] = {}
    taken: list[float] = []

    async def listen() -> None:
        while len(taken) < WAKES:
            received = await member.poll()
            now = perf_counter()
            taken.extend(now - sent[one.message.sequence] for one in received if one.message)

    listening = asyncio.create_task(listen())
    for number in range(WAKES):
        sent[number] = perf_counter()
        await sender.publish([message("ref_1", number)])
        await asyncio.sleep(max(0.0, 1 / WAKES_PER_SECOND - (perf_counter() - sent[number])))
    await listening
    for event_log in (sender, reader):
        await event_log.close()
    cuts = quantiles(taken, n=100)
    return f"{cuts[49] * 1000:.1f} / {cuts[98] * 1000:.1f} ms"


def form(number: int) -> dict[str, Any]:
    born = date(1950, 1, 1) + timedelta(days=number)
    return david(
        member={**david()["member"], "cin": f"9{5000 + number:07d}S", "birth_date": born.isoformat()}
    )


@dataclass
class Ears:
    """What the endpoints were told of each referral, by kind; each request is read once."""

    town: Town
    told: dict[tuple[str, str], Any] = field(default_factory=dict[tuple[str, str], Any])
    _seen: int = 0

    async def until_told(self, kind: str, referral: str) -> Any:
        while (kind, referral) not in self.told:
            requests = self.town.partner.requests
            for taken in requests[self._seen :]:
                event = taken.json()
                self.told[event["type"], event["data"].get("referral", "")] = event["data"]
            self._seen = len(requests)
            await asyncio.sleep(TICK)
        return self.told[kind, referral]


async def whole_loop(town: Town, ears: Ears, number: int) -> None:
    """One referral, from its form to its closing, with nobody waiting longer than they must."""
    referral = await town.refer(CLINIC, form(number))
    offer = await ears.until_told("ecm.notice.offer.v1", referral)
    await town.ask(STREET, "POST", f"/v1/assignments/{offer['assignment']}:accept", LEAD)
    await ears.until_told("ecm.notice.assigned.v1", referral)
    today = la_date(town.clock.now()).isoformat()
    await town.ask(STREET, "POST", f"/v1/outreach/{referral}:start-services", {"on": today})
    await ears.until_told("ecm.notice.closed.v1", referral)


async def loops(town: Town, ears: Ears, broker: Broker | None) -> Figures:
    known = [form(number)["member"] for number in range(REFERRALS + 4)]
    await put_roster(town, HARBOR, [{"cin": each["cin"], "birth_date": each["birth_date"]} for each in known])
    # What is measured is not who is full.
    await town.ask(OPERATIONS, "PUT", f"/v1/providers/{STREET}", {"capacity": 100_000})
    for organization in (CLINIC, STREET):
        await town.subscribe(organization)
    await town.quiet()
    numbers = iter(range(REFERRALS))

    async def desk() -> None:
        for number in numbers:
            await whole_loop(town, ears, number)

    brokers = (broker.pid,) if broker is not None else ()
    async with (
        weighed(lambda: brokers) as log,
        weighed(lambda: [life.pid for life in town.living.values()]) as own,
    ):
        before, began = spent(town), perf_counter()
        await asyncio.gather(*(desk() for _ in range(DESKS)))
        seconds = perf_counter() - began
        await town.quiet()
        busy = spent(town) - before
    return {
        f"referrals closed, {DESKS} desks": f"{REFERRALS / seconds:.1f} a second",
        "processor per referral, all services": f"{busy / REFERRALS * 1000:.0f} ms",
        "resident memory of the heaviest service, peak / at rest": own.told(),
        f"memory of all {len(own.rss)} services at rest, what they share counted once": own.shared(),
        **({"resident memory of the broker, peak / at rest": log.told()} if brokers else {}),
    }


async def offered_after(town: Pairs, ears: Ears, number: int, began: float) -> str:
    """Seconds from `began` to the offer of a referral that is sent now."""
    referral = await town.refer(CLINIC, form(REFERRALS + number))
    await ears.until_told("ecm.notice.offer.v1", referral)
    return f"{perf_counter() - began:.1f} s"


async def disturbed(town: Pairs, ears: Ears, broker: Broker | None) -> Figures:
    found: Figures = {}
    await town.kill("authorization", "0")
    began = perf_counter()
    await town.begin("authorization", "0")
    found["service killed and started again: its replica ready"] = await ready_after(town, began)
    found["the same: first referral offered"] = await offered_after(town, ears, 0, began)
    began = perf_counter()
    await town.kill("authorization", "0")
    found["service killed for good: offered by the replica left"] = await offered_after(town, ears, 1, began)
    began = perf_counter()
    await town.begin("authorization", "0")
    found["another replica joins: offered, its start included"] = await offered_after(town, ears, 2, began)
    if broker is not None:
        await town.quiet()
        await asyncio.to_thread(broker.kill)
        await asyncio.to_thread(broker.start)
        guarded(broker)
        began = perf_counter()
        found["broker killed and started again: first referral offered"] = await offered_after(
            town, ears, 3, began
        )
    return found


async def ready_after(town: Pairs, began: float) -> str:
    await town.until_ready("authorization", "0")
    return f"{perf_counter() - began:.1f} s"


async def on(lives: Lives, cluster: Cluster, folder: Path, url: str, broker: Broker | None) -> Figures:
    bare = url if broker is None else f"kafka://{broker.servers}/{await Kafka(broker.servers, '').topic()}"
    found: Figures = {}
    tell(found, {f"publish to receive at {WAKES_PER_SECOND} a second, p50 / p99": await wakes(bare)})
    if broker is not None:
        # In PostgreSQL one member reads and the others wait: nothing is moved.
        tell(found, await pauses(bare))
        tell(found, await replaced(bare))
    await cluster.empty()
    async with pairs(lives, cluster, folder, url) as town:
        ears = Ears(town)
        tell(found, await loops(town, ears, broker))
        tell(found, await disturbed(town, ears, broker))
    return found


def tell(found: Figures, more: Mapping[str, str]) -> None:
    """Add these, so that the waiting person sees that it goes on."""
    found |= more
    for figure in more.items():
        print(*figure, file=sys.stderr, flush=True)


def table(columns: Mapping[str, Figures]) -> str:
    rows = list(dict.fromkeys(name for figures in columns.values() for name in figures))
    lines = [f"| | {' | '.join(columns)} |", f"|---|{'---|' * len(columns)}"]
    lines += [f"| {row} | {' | '.join(each.get(row, '–') for each in columns.values())} |" for row in rows]
    return "\n".join(lines)


async def bench(folder: Path, logs: Sequence[str]) -> None:
    columns: dict[str, Figures] = {}
    cluster = await asyncio.to_thread(Cluster.start, folder / "cluster")
    try:
        async with Lives() as lives:
            if "postgres" in logs:
                columns["log in PostgreSQL"] = await on(
                    lives, cluster, folder / "postgres", cluster.addresses().event_log, None
                )
            if "kafka" in logs:
                broker = Broker(folder / "kafka")
                await asyncio.to_thread(broker.start)
                guarded(broker)
                try:
                    url = f"kafka://{broker.servers}/{await Kafka(broker.servers, '').topic()}"
                    columns["log in Kafka"] = await on(lives, cluster, folder / "pairs", url, broker)
                finally:
                    broker.kill()
    finally:
        await asyncio.to_thread(embedded.remove, folder / "cluster")
    print(
        f"{datetime.now(UTC).date().isoformat()}, {os.cpu_count()} cores, {len(installed()) * len(REPLICAS)} processes"
    )
    print(table(columns))


def main() -> None:
    # Readers that come and go are what is measured: the library warns of each.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    with tempfile.TemporaryDirectory() as made:
        asyncio.run(bench(Path(made), cast("Sequence[str]", sys.argv[1:] or ("postgres", "kafka"))))


if __name__ == "__main__":
    main()
