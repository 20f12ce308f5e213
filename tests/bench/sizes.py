"""How large must an installation be? Loops a second, and the processor and memory of a loop, by the number of processes.

    python -m tests.bench.sizes [--log postgres --log kafka] [--loops 100] [--desks 16] [--rounds 3]

The four services run in one process, in two (notification apart), and in four. Desks refer, accept and start services as fast
as they are answered. The people who ask and the endpoints that are told share the machine and are not counted; how much of all
its cores was busy says whether the machine was the bound. Rounds take turns, and medians are told. What it tells is in
docs/guides/sizing.md, with the sums that follow.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from time import perf_counter

from demo.broker import Broker
from loopkeeper.postgres import embedded
from tests.bench.bench import Ears, form, whole_loop
from tests.bench.counting import Processor
from tests.builders.organizations import CLINIC, HARBOR, OPERATIONS, STREET
from tests.chaos.cluster import Cluster
from tests.chaos.lives import Lives
from tests.chaos.town import Town, town
from tests.kafka import Kafka, guarded
from tests.loop.house import put_roster

ALL = ("intake", "authorization", "assignment", "notification")
# By the number of processes: what is in each. What is split first is what costs most.
SPLITS: Mapping[int, Sequence[tuple[str, ...]]] = {
    1: (ALL,),
    2: (ALL[:3], ALL[3:]),
    4: tuple((name,) for name in ALL),
}
WARM = 8
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Size:
    """One round. Processor in milliseconds a loop; `busy`: which share of the machine's cores ran anything at all."""

    rate: float
    processes: Mapping[str, float]
    postgres: float
    broker: float
    busy: float
    memory: float

    @property
    def services(self) -> float:
        return sum(self.processes.values())


def _spent(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def _machine() -> tuple[float, float]:
    """Seconds in which the cores ran something, and all seconds of theirs."""
    ticks = [int(each) for each in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    return (sum(ticks) - ticks[3] - ticks[4]) / TICKS, sum(ticks) / TICKS


def _held(pids: Collection[int]) -> float:
    """Megabytes of these processes together; what they share counts once."""
    total = 0
    for pid in pids:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        total += next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total / 1024


async def measured(opened: Town, cluster: Cluster, broker: Broker | None, loops: int, desks: int) -> Size:
    """So many loops of so many desks."""
    known = [form(number)["member"] for number in range(loops + WARM)]
    await put_roster(opened, HARBOR, [{"cin": m["cin"], "birth_date": m["birth_date"]} for m in known])
    # What is measured is not who is full.
    await opened.ask(OPERATIONS, "PUT", f"/v1/providers/{STREET}", {"capacity": 100_000})
    for organization in (CLINIC, STREET, HARBOR):
        await opened.subscribe(organization)
    ears = Ears(opened)
    await _played(opened, ears, range(loops, loops + WARM), desks)
    await opened.quiet()
    pids = {"+".join(services): life.pid for services, life in opened.living.items()}
    processor = Processor(cluster.server)
    before = {name: _spent(pid) for name, pid in pids.items()}
    server, brokers, machine = processor.spent()[1], _spent(broker.pid) if broker else 0.0, _machine()
    began = perf_counter()
    await _played(opened, ears, range(loops), desks)
    seconds, after = perf_counter() - began, _machine()
    await opened.quiet()
    each = 1000 / loops
    return Size(
        rate=loops / seconds,
        processes={name: (_spent(pid) - before[name]) * each for name, pid in pids.items()},
        postgres=(processor.spent()[1] - server) * each,
        broker=(_spent(broker.pid) - brokers) * each if broker else 0.0,
        busy=(after[0] - machine[0]) / (after[1] - machine[1]),
        memory=_held(pids.values()),
    )


async def _played(opened: Town, ears: Ears, numbers: range, desks: int) -> None:
    left = iter(numbers)

    async def desk() -> None:
        for number in left:
            await whole_loop(opened, ears, number)

    await asyncio.gather(*(desk() for _ in range(desks)))


@dataclass(frozen=True)
class Asked:
    """How much is played: rounds of so many loops of so many desks, with the services in so many processes."""

    loops: int = 100
    desks: int = 16
    rounds: int = 3
    processes: Sequence[int] = tuple(SPLITS)


async def sizes(
    cluster: Cluster, folder: Path, broker: Broker | None, asked: Asked
) -> Mapping[int, Sequence[Size]]:
    """Rounds of each split, in turn."""
    found: dict[int, list[Size]] = {count: [] for count in asked.processes}
    async with Lives() as lives:
        for number in range(asked.rounds):
            for count, processes in ((each, SPLITS[each]) for each in asked.processes):
                await cluster.empty()
                url = f"kafka://{broker.servers}/{await Kafka(broker.servers, '').topic()}" if broker else ""
                where = folder / f"{number}-{count}"
                async with town(lives, cluster, where, *processes, event_log=url) as opened:
                    found[count].append(await measured(opened, cluster, broker, asked.loops, asked.desks))
    return found


def table(log: str, found: Mapping[int, Sequence[Size]]) -> str:
    """Medians by the number of processes."""
    titles = ("loops a second", "services, ms a loop", "PostgreSQL, ms a loop", "broker, ms a loop",
              "all, ms a loop", "cores busy, %", "memory of the services, MB")  # fmt: skip
    rows = [f"| log in {log}: processes | {' | '.join(titles)} |", f"|---|{'---|' * len(titles)}"]
    for count, rounds in found.items():
        values = (
            f"{median(each.rate for each in rounds):.1f}",
            f"{median(each.services for each in rounds):.1f}",
            f"{median(each.postgres for each in rounds):.1f}",
            f"{median(each.broker for each in rounds):.1f}" if log == "kafka" else "–",
            f"{median(s.services + s.postgres + s.broker for s in rounds):.1f}",
            f"{100 * median(each.busy for each in rounds):.0f}",
            f"{median(each.memory for each in rounds):.0f}",
        )  # fmt: skip
        rows.append(f"| {count} | {' | '.join(values)} |")
    apart = found[max(found)]
    shares = {name: median(each.processes[name] for each in apart) for name in apart[0].processes}
    costly = sorted(shares.items(), key=lambda item: -item[1])
    rows += ["", f"Each alone, ms a loop: {', '.join(f'{name} {cost:.1f}' for name, cost in costly)}."]
    return "\n".join(rows)


LOGS = ("postgres", "kafka")


def on_each(
    logs: Sequence[str], folder: Path, asked: Asked
) -> Iterator[tuple[str, Mapping[int, Sequence[Size]]]]:
    """The same on each of these logs, one after the other."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    cluster = Cluster.start(folder / "cluster")
    try:
        for log in logs:
            broker = Broker(folder / "kafka") if log == "kafka" else None
            if broker:
                broker.start()
                guarded(broker)
            try:
                yield log, asyncio.run(sizes(cluster, folder / log, broker, asked))
            finally:
                if broker:
                    broker.kill()
    finally:
        embedded.remove(folder / "cluster")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--log", action="append", choices=LOGS, help="both without it")
    parser.add_argument("--loops", type=int, default=100)
    parser.add_argument("--desks", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    load, cores = os.getloadavg()[0], os.cpu_count()
    print(f"{datetime.now(UTC).date().isoformat()}, {cores} cores, load {load:.1f} before the run\n")
    with tempfile.TemporaryDirectory() as made:
        much = Asked(asked.loops, asked.desks, asked.rounds)
        for log, found in on_each(asked.log or LOGS, Path(made), much):
            print(table(log, found), end="\n\n", flush=True)


if __name__ == "__main__":
    main()
