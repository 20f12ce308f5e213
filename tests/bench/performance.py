"""Measure what the product costs, next to PostgreSQL alone, and write it into docs/reference/performance.md.

    python -m tests.bench.performance [--quick]

A quick run, within three minutes, is only compared with the page: what it tells is of one round, and of a process that has not
come to rest.
Counts (statements, rows, bytes of WAL) do not depend on the machine; processor, rates and memory are this machine's, and are
told next to what PostgreSQL's own pgbench does on it in the same run.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from loopkeeper.postgres import embedded
from tests.bench import newcomer, requests
from tests.bench.counting import spent_of_process, spent_of_server
from tests.bench.newcomer import FirstLoop
from tests.bench.requests import until_ready
from tests.bench.sizes import ALL, LOGS, Asked, Size, on_each
from tests.bench.stages import spent_of
from tests.bench.yardsticks import Yardsticks, measured

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "performance.md"
SERVES_WITHIN = 240.0


@dataclass(frozen=True)
class Much:
    """How much is done: warm starts of each kind; how long a process is left to come to rest, and is watched then, seconds;
    loops on each log; POSTs of a round, and rounds; and the words of `tests.bench.alone`."""

    starts: int
    comes_to_rest: float
    rests: float
    by_log: Asked
    creates: int
    rounds: int
    words: tuple[str, ...] = ()


# PostgreSQL's own workers look after the tables that a start fills, for most of a minute.
WHOLE = Much(3, 60.0, 30.0, Asked(loops=200, rounds=3, processes=(1,)), 2000, 3)
QUICK = Much(
    1, 3.0, 5.0, Asked(loops=40, rounds=1, processes=(1,)), 1000, 1,
    ("--referrals", "5", "--saturated", "60", "--paced", "4", "--idle", "6", "--rounds", "1"),
)  # fmt: skip


@dataclass(frozen=True)
class Weighed:
    """One process with some services: megabytes of memory once it rests, and its processor then with its PostgreSQL's,
    milliseconds a second; seconds from a later start until it is ready, where its PostgreSQL starts with it and where
    that runs already; and the processor of such a start."""

    memory: float
    idle: float
    start: float
    start_alone: float
    processor: float


def weight(folder: Path, services: Sequence[str], much: Much) -> Weighed:
    """Start these services on databases of their own: the first start makes the tables. The last is watched once it has come
    to rest."""
    home = folder / "home"
    home.mkdir(parents=True)
    try:
        with _up(home, services):
            pass
        both, alone = list[float](), list[float]()
        memory = spent = resting = 0.0
        for number in range(much.starts):
            with _up(home, services) as up:
                both.append(up.seconds)
            server = embedded.start(home / "postgres", [*services, "log"])
            with _up(home, services) as up:
                alone.append(up.seconds)
                spent = _spent(up.pid)
                if number < much.starts - 1:
                    continue
                time.sleep(much.comes_to_rest)
                before = spent_of_process(up.pid) + spent_of_server(server.pid)
                time.sleep(much.rests)
                resting = spent_of_process(up.pid) + spent_of_server(server.pid) - before
                rollup = Path(f"/proc/{up.pid}/smaps_rollup").read_text()
                found = re.search(r"^Rss:\s+(\d+)", rollup, re.M)
                assert found is not None, rollup
                memory = int(found[1]) / 1024
        return Weighed(memory, resting / much.rests * 1000, median(both), median(alone), spent)
    finally:
        embedded.remove(home / "postgres")


@dataclass(frozen=True)
class Up:
    """A process that is ready, and how long it took."""

    pid: int
    seconds: float


def _spent(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def _up(home: Path, services: Sequence[str]) -> Generator[Up]:
    """Ready."""
    with (home.parent / "log.txt").open("a") as said:
        began = time.monotonic()
        process = subprocess.Popen(
            [Path(sys.executable).with_name("loopkeeper"), "up", *services, "--port", "8739"],
            stdout=said,
            stderr=said,
            env={**os.environ, "LOOPKEEPER_HOME": str(home), "LOOPKEEPER_LOG_LEVEL": "WARNING"},
        )
        try:
            until_ready(process, 8739, SERVES_WITHIN)
            yield Up(process.pid, time.monotonic() - began)
        finally:
            process.terminate()
            process.wait()


def alone(words: Sequence[str]) -> Mapping[str, Any]:
    """What one referral costs, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.alone", "--json", *words],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return json.loads(done.stdout[done.stdout.index("{\n") :])


def page(
    found: Mapping[str, Any],
    created: Mapping[str, float],
    beside: Yardsticks,
    weights: Mapping[str, Weighed],
    first: FirstLoop,
    by_log: Mapping[str, Sequence[Size]],
) -> str:
    """The page, in Markdown."""
    w2 = beside.w2
    create = created["process, ms"] + created["PostgreSQL, ms"]
    loop, offer = found["loop"], found["stages"]["offer told"]
    saturated, single, idle = found["saturated"], found["alone"], found["idle"]
    busy = saturated["process, ms a loop"] + saturated["PostgreSQL, ms a loop"]
    lonely = single["process, ms a loop"] + single["PostgreSQL, ms a loop"]
    offers = found["to offers"]["process, ms"] + found["to offers"]["PostgreSQL, ms"]
    logs = {log: median(each.services + each.postgres for each in rounds) for log, rounds in by_log.items()}
    broker = median(each.broker for each in by_log["kafka"])
    rows = [
        ("a", "whole loop, saturated: processor, ms", f"{busy:.1f} ({busy / w2.milliseconds:.0f} × W2)"),
        ("a", "the same: loops a second", f"{saturated['loops a second']:.1f}"),
        ("b", "from POST to the offer told, saturated: processor, ms", f"{offers:.1f} ({offers / w2.milliseconds:.0f} × W2)"),
        ("b", "the same: a second", f"{found['to offers']['a second']:.1f}"),
        ("c", "a referral alone, whole loop: statements", f"{loop['statements']:.0f}"),
        ("c", "the same: rows written; rows locked", f"{loop['rows written']:.0f}; {loop['rows locked']:.0f}"),
        ("c", "the same: commits; WAL, kB", f"{loop['commits']:.0f}; {loop['WAL bytes'] / 1000:.0f}"),
        ("c", "the same: processor, ms", f"{lonely:.0f} ({lonely / w2.milliseconds:.0f} × W2)"),
        ("d", "to the offer told, alone: statements; rows; WAL, kB",
         f"{offer['statements']:.0f}; {offer['rows written']:.0f}; {offer['WAL bytes'] / 1000:.0f}"),
        ("e", "create, one process, 32 clients: processor, ms", f"{create:.2f} ({create / w2.milliseconds:.1f} × W2)"),
        ("e", "the same: a second", f"{created['creates a second']:.0f} ({created['creates a second'] / w2.rate:.2f} × W2)"),
        *(("f", f"from POST to the first webhook at {rate}: p50; p99, ms", f"{waits['p50, ms']:.0f}; {waits['p99, ms']:.0f}")
          for rate, waits in found["paced"].items()),
        ("g", "whole loop, 16 under way at a time: processor on Kafka, its broker apart; on PostgreSQL's log; the broker, ms",
         f"{logs['kafka']:.1f}; {logs['postgres']:.1f}; {broker:.1f}"),
        ("h", "idle, four services in one process: statements a second", f"{idle['statements a second']:.1f}"),
        *(("h", f"idle, {name}: processor with its PostgreSQL, ms a second", f"{each.idle:.1f}") for name, each in weights.items()),
        *(("i", f"memory, {name}, MB", f"{each.memory:.0f}") for name, each in weights.items()),
        *(("k", f"warm start until ready, {name}: with its PostgreSQL; without; processor, s",
           f"{each.start:.2f}; {each.start_alone:.2f}; {each.processor:.2f}") for name, each in weights.items()),
        ("k", "clean clone to the first closed loop, s: whole; what is fetched and installed; the first start",
         f"{first.whole:.1f}; {first.setup:.1f}; {first.start:.1f}"),
        ("naive", "whole loop, 16 under way at a time: processor, ms; a second",
         f"{beside.naive['closed, ms']:.1f} ({beside.naive['closed, ms'] / busy:.1f} × ours); {beside.naive['closed a second']:.1f}"),
        ("naive", "to the offer told, 16 under way at a time: processor, ms; a second",
         f"{beside.naive['offered, ms']:.1f} ({beside.naive['offered, ms'] / offers:.1f} × ours); {beside.naive['offered a second']:.1f}"),
        ("aiohttp", "a plain signed POST and its answer, both ends: processor, ms", f"{beside.webhook:.2f}"),
        ("W2", "two inserts, 16 clients: a second; processor, ms", f"{w2.rate:.0f}; {w2.milliseconds:.3f}"),
    ]  # fmt: skip
    table = "\n".join(f"| {key} | {name} | {value} |" for key, name, value in rows)
    figures = ",\n".join(
        f" {json.dumps([key, name, _numbers(value)], ensure_ascii=False)}" for key, name, value in rows
    )
    stages = {**found["stages"], "whole loop": loop}
    shares = [each["statements by service"] for each in stages.values()]
    shown = ("statements", "rows written", "commits", "WAL bytes", "webhooks")
    by_stage = "\n".join(
        f"| {name} | {' | '.join(f'{each[name]:.0f}' for each in stages.values())} |" for name in shown
    )
    by_service = "\n".join(
        f"| statements, {name} | {' | '.join(f'{each.get(name, 0):.0f}' for each in shares)} |"
        for name in shares[-1]
    )
    spent = [single[spent_of(name)] for name in found["stages"]]
    of_processor = f"| processor, ms | {' | '.join(f'{each:.0f}' for each in (*spent, lonely))} |"
    made = f"{datetime.now(UTC).date().isoformat()}, {os.cpu_count()} cores ({processor_name()}), load {os.getloadavg()[0]:.1f}"
    return (
        HEAD.format(made=made, python=platform.python_version(), version=beside.version)
        + f"""
| | measure | figure |
|---|---|---|
{table}

## By stage

| | {" | ".join(stages)} |
|---|{"---|" * len(stages)}
{by_stage}
{by_service}
{of_processor}

A stage's processor is told until its webhooks have come; what follows them falls to the next one, and to the loop.

## As JSON

Key, measure, and the numbers as they are in the table.

```json
[
{figures}
]
```
"""
    )


def _numbers(value: str) -> list[float]:
    """What a figure says, without what it is a multiple of."""
    return [float(each) for each in re.findall(r"[\d.]+", re.sub(r"\(.*?\)", "", value))]


HEAD = """<!-- Written by `make bench`; change tests/bench/performance.py instead. -->

# Performance

{made}.
Python {python}, PostgreSQL {version} with its log flushed at every commit.

The four services run in one process on one PostgreSQL and its log. A loop is one referral from its POST to its closing
(four requests: POST, acceptance, attempt, start of services) with fifteen webhooks to a referrer, a provider and a
plan, each delivered, recorded and written down as told. Everything an installation has by default is on: durability,
validation, screening, sealing, journal and chain, traces.

- **Alone**: one referral at a time. Statements are counted in the process, each a round trip; rows, commits and bytes
  in the WAL, without images of whole pages. Medians. A stage ends when nothing is unsent, unread, due or under way, so
  a few statements of quiet sweeps are among them.
- **Processor**: of the process, which is also who asks (over ASGI) and who is told (over HTTP), and of PostgreSQL with
  all its sessions; the median of three rounds. On a machine shared with others it moves by a third; counts do not.
- **Saturated**: 48 loops under way at a time (16 of the naive version, which has enough with them).
- **Create**: a POST of a referral as a program serves it: intake alone in its process, over sockets, asked by another
  process, which is not counted; the median of three rounds.
- **W2** is the least that a referral with an outbox costs PostgreSQL: pgbench with two inserts a transaction, in the
  same run. Between machines it tells how fast PostgreSQL runs, and nothing of Python: of two that had the same W2, one
  took 1.65 times as long for the naive version, and two and a half times for a plain POST of aiohttp.
- **Naive** is the same loop as most would write it first (`tests/bench/naive.py`): an ORM session for each request,
  message and webhook, one at a time, on one database; as many requests and webhooks, and none of the rules, seals,
  journals, chains, traces or deadlines. Its ratio to ours can be compared between machines.
- **On each log** the four services run in one process as a program serves them, asked and told by another. Statements,
  lists and leases over 200 000 referrals are in [reliability.md](reliability.md#growth); two replicas instead of one,
  and what others lose by one who takes much, there too.
- **Idle** is a program at rest, watched for half a minute, a minute after its start: until then PostgreSQL's own
  workers still look after the tables that the start filled.
- **aiohttp** is a webhook without a service: signed, sent over a kept connection, taken by a server of the same
  process.
"""


# What counts rows and statements moves by a few of a quiet sweep; what measures the machine by what else it does.
NOISE, NOISE_OF_COUNTS = 0.3, 0.03
COUNTED = ("statements", "rows", "commits", "WAL")
# What tells of the machine, and not of us.
NOT_OURS = ("naive", "aiohttp", "W2")
KEPT = re.compile(r"^```json\n(.+?)^```", re.M | re.S)


def compared(kept: str, written: str, *, at_rest: bool = True) -> str:
    """Each figure of a page next to the one kept: better, the same within noise, or worse. Times and rates are judged as they
    would be on the machine of the kept run, as far as the naive version tells; an idle process only if it was `at_rest`."""
    before = {(key, name): values for key, name, values in figures_of(kept)}
    slower = _of_naive(written) / _of_naive(kept)
    lines = [
        f"This machine spends {slower:.2f} times the kept run's on the naive version; times are judged by that."
    ]
    for key, name, values in figures_of(written):
        for old, new in zip(before.get((key, name), ()), values, strict=False):
            judged = _judged(name, old, new, 1.0 if key in NOT_OURS else slower)
            if key == "h" and not at_rest:
                judged = "not judged"
            lines.append(f"{key:<3} {name:<72} {old:>8g} → {new:>8g}  {judged}")
    return "\n".join(lines)


def figures_of(page: str) -> Sequence[tuple[str, str, Sequence[float]]]:
    """The figures of a page: key, measure, numbers."""
    found = KEPT.search(page)
    assert found is not None, "the page has no figures as JSON"
    return [(key, name, numbers) for key, name, numbers in json.loads(found[1])]


def _of_naive(written: str) -> float:
    """Milliseconds of a naive loop."""
    return next(numbers[0] for key, _, numbers in figures_of(written) if key == "naive")


def _judged(name: str, old: float, new: float, slower: float) -> str:
    counted = any(word in name for word in COUNTED)
    is_rate = (
        "a second" in name
        and not name.startswith("idle")
        and "processor" not in name
        and "from POST" not in name
    )
    if not counted and "MB" not in name:
        old = old / slower if is_rate else old * slower
    if abs(new - old) <= (NOISE_OF_COUNTS if counted else NOISE) * old:
        return "same"
    return "better" if (new > old) == is_rate else "worse"


def processor_name() -> str:
    found = re.search(r"model name\s*: (.+)", Path("/proc/cpuinfo").read_text())
    return found[1] if found else platform.machine()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--quick", action="store_true", help="fewer referrals, one round; compared, not written"
    )
    asked = parser.parse_args()
    much = QUICK if asked.quick else WHOLE
    with tempfile.TemporaryDirectory() as base:
        folder = Path(base)
        beside = measured(folder, quick=asked.quick)
        weights = {
            "one service (intake)": weight(folder / "one", ["intake"], much),
            "four services in one process": weight(folder / "four", ALL, much),
        }
        by_log = {log: found[1] for log, found in on_each(LOGS, folder / "logs", much.by_log)}
        first = newcomer.first_loop(folder / "newcomer")
    kept = PAGE.read_text()
    created = requests.measure(much.creates, rounds=much.rounds)
    written = page(alone(much.words), created, beside, weights, first, by_log)
    print(compared(kept, written, at_rest=not asked.quick))
    if asked.quick:
        print("a quick run: docs/reference/performance.md stays as it is; a run without --quick writes it")
        return
    PAGE.write_text(written)
    print(f"written: {PAGE}")


if __name__ == "__main__":
    main()
