"""What the PostgreSQL log does on this machine: append and read rates, wake-up latency, and how soon a group is
served again. Prints figures and asserts nothing: `python -m tests.bench.bench_event_log`, or with the URL of an empty
database; without one an embedded PostgreSQL is started for it, durable as in production."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import tempfile
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import quantiles
from time import perf_counter

from loopkeeper.contract.envelope import Message
from loopkeeper.event_log.postgres import PostgresLog
from loopkeeper.postgres import embedded
from tests.shared.event_log_contract import Offsets, message, read, until_holding

PUBLISHERS = 4
# Enough for a steady rate, short enough that the whole bench ends within a minute.
SECONDS = 2.0
# The rate at which protocols.md §6 tells the wake-up's latency.
WAKES, WAKES_PER_SECOND = 600, 200
ROOT = Path(__file__).parents[2]
# About what a referral's event with its sealed parts weighs.
BYTES = 1200


def say(name: str, figure: str) -> None:
    print(f"{name:<44}{figure:>28}", flush=True)


def weighty(key: str, number: int) -> Message:
    one = message(key, number)
    return Message(one.id, one.type, one.source, key, one.time, one.data.ljust(BYTES), sequence=number)


async def appends(url: str, size: int) -> None:
    """Four publishers at once, each round of this many messages awaited."""
    buses = [PostgresLog(url) for _ in range(PUBLISHERS)]
    await asyncio.gather(*(event_log.ends() for event_log in buses))
    began = perf_counter()

    async def publish(number: int, event_log: PostgresLog) -> int:
        count = 0
        while perf_counter() - began < SECONDS:
            count += await event_log.publish([weighty(f"ref_{number}", count + n) for n in range(size)])
        return count

    counts = await asyncio.gather(*(publish(number, event_log) for number, event_log in enumerate(buses)))
    say(
        f"append, {PUBLISHERS} publishers, {size} at a time",
        f"{sum(counts) / (perf_counter() - began):,.0f}/s",
    )
    for event_log in buses:
        await event_log.close()


async def reads(url: str) -> None:
    event_log = PostgresLog(url)
    count = (await event_log.ends())[0]
    member = await event_log.join("bench-read", Offsets())
    await until_holding(member)
    began = perf_counter()
    received = await read(member, count - member._next, 60.0)  # pyright: ignore[reportPrivateUsage]
    say("read by a member, 256 at a time", f"{len(received) / (perf_counter() - began):,.0f}/s")
    began, count = perf_counter(), 0
    async for _ in event_log.history():
        count += 1
    say("history", f"{count / (perf_counter() - began):,.0f}/s")
    await event_log.close()


async def wakes(url: str) -> None:
    """From before the publish to after the poll, at a steady rate."""
    sender, reader = PostgresLog(url), PostgresLog(url)
    offsets = Offsets()
    offsets.stored = dict(await sender.ends())
    member = await reader.join("bench-wake", offsets)
    await until_holding(member)
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
        await sender.publish([weighty("ref_1", number)])
        await asyncio.sleep(max(0.0, 1 / WAKES_PER_SECOND - (perf_counter() - sent[number])))
    await listening
    cuts = quantiles(taken, n=100)
    say(
        f"publish to poll at {WAKES_PER_SECOND}/s, p50 / p99",
        f"{cuts[49] * 1000:.1f} / {cuts[98] * 1000:.1f} ms",
    )
    for event_log in (sender, reader):
        await event_log.close()


@asynccontextmanager
async def holder(url: str) -> AsyncIterator[Process]:
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.shared.event_log_member", stdin=PIPE, stdout=PIPE, cwd=ROOT
    )
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdin.write(f"{url}\n".encode())
    await child.stdout.readline()
    yield child
    child.kill()
    await child.wait()
    child.stdin.close()


async def takes_over(url: str, name: str, number: signal.Signals) -> None:
    event_log, offsets = PostgresLog(url), Offsets()
    offsets.stored = dict(await event_log.ends())
    async with holder(url) as child:
        member = await event_log.join("intake", offsets)
        await member.poll(timeout=0.1)
        began = perf_counter()
        os.kill(child.pid, number)
        await until_holding(member, seconds=30.0)
        say(f"served again after {name}", f"{perf_counter() - began:.2f} s")
    await event_log.close()


async def bench(url: str) -> None:
    for size in (1, 10, 100, 500):
        await appends(url, size)
    await reads(url)
    await wakes(url)
    await takes_over(url, "kill -9", signal.SIGKILL)
    await takes_over(url, "SIGSTOP", signal.SIGSTOP)


def main() -> None:
    if len(sys.argv) > 1:
        asyncio.run(bench(sys.argv[1]))
        return
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made) / "postgres"
        server = embedded.start(folder, ["log"])
        try:
            asyncio.run(bench(server.url("log")))
        finally:
            embedded.remove(folder)


if __name__ == "__main__":
    main()
