"""How long does a service take that has nothing but the log? `python -m tests.bench.rebuilding [events] [--keep]`: a log of so many events,
three to a stream, two of them the service's own, is read by one whose database is empty; events a second, its processor's time for
each, and how much it grows. Progress is told while it goes on."""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import uvloop

from loopkeeper.contract import ids
from loopkeeper.contract.envelope import Message
from loopkeeper.kernel import garbage
from loopkeeper.kernel.clock import ManualClock
from loopkeeper.postgres import embedded
from loopkeeper.store.journal import START, Entry, chained, read_entry
from tests.bench.proving import forgotten, peak
from tests.databases import SERVICES, Databases
from tests.example.service import example
from tests.kept_runs import keep
from tests.shared.events import REVIEW
from tests.shared.replica import Replica, Site, site
from tests.shared.restoring import begin, send
from tests.shared.stores import reception, withdrawal

EVENTS, AT_ONCE, TOLD_EVERY = 1_000_000, 200, 10.0


def copied(like: list[Entry], key: bytes) -> Iterator[Message]:
    """The events of another stream with the same story."""
    stream, previous = ids.new("ref"), START
    for entry in like:
        fresh = chained(key, previous, replace(entry, stream=stream, id=ids.uuid()))
        previous = fresh.chain
        message = fresh.message()
        yield message if entry.own else replace(message, source=entry.source, chain=entry.origin_chain)


async def written(here: Site, events: int) -> int:
    """A log of copies of one story; how many events it has."""
    async with here.visited() as desk:
        known = reception()
        await desk.store.execute([known])
        await send(here, desk)
        await desk.hear(known.stream, REVIEW)
        await desk.store.execute([withdrawal(known.stream)])
        await send(here, desk)
        await desk.read()
        rows = await desk.pool.fetch("SELECT * FROM journal WHERE stream = $1 ORDER BY n", known.stream)
        like, key = [read_entry(row) for row in rows], desk.bench.sealer.chain_key()
        streams = events // len(like)
        for first in range(0, streams, AT_ONCE):
            some = [[*copied(like, key)] for _ in range(first, min(first + AT_ONCE, streams))]
            # As they would come: many loops at once, each in its order.
            await desk.event_log.publish([m for step in zip(*some, strict=True) for m in step])
        return sum((await desk.event_log.ends()).values())


async def read(desk: Replica, ends: int) -> None:
    begun = told = time.monotonic()
    while (done := await desk.next_offset()) < ends:
        received = await desk.member.poll(timeout=0.1)
        if received:
            await desk.member.acknowledge(await desk.consumer.apply(received))
        if time.monotonic() - told > TOLD_EVERY:
            told = time.monotonic()
            print(f"{done} of {ends} after {told - begun:.0f} s", file=sys.stderr, flush=True)


async def measured(server: embedded.Server, folder: Path, events: int) -> dict[str, float]:
    databases = Databases(server)
    template = await databases.template("example")
    url, log = await databases.make("example", template), await databases.make("log")
    async with site(example, url, log, folder, ManualClock()) as here:
        ends = await written(here, events)
    # Nothing is left but the log and the keys.
    empty = await databases.make("example", template)
    async with site(example, empty, log, folder, ManualClock()) as here, here.visited() as desk:
        # As a program does that has started.
        garbage.settle()
        before, began, spent = forgotten(), time.monotonic(), time.process_time()
        catch_up = await begin(desk, "a server with an empty database")
        await read(desk, ends)
        await catch_up.finish()
        seconds, spent = time.monotonic() - began, time.process_time() - spent
        rows = await desk.bench.count("journal")
        parked = await desk.bench.count("parked")
        grown = peak() - before
    await databases.drop()
    assert (rows, parked) == (ends, 0), (rows, parked, ends)
    return {
        "events": ends, "seconds": round(seconds, 1), "a_second": round(ends / seconds),
        "processor_us_an_event": round(spent / ends * 1e6, 1), "mb_grown": round(grown / 1024, 1),
        "minutes_for_10_million": round(seconds / ends * 10_000_000 / 60, 1),
    }  # fmt: skip


def main() -> None:
    asked = [each for each in sys.argv[1:] if each != "--keep"]
    events = int(asked[0]) if asked else EVENTS
    with tempfile.TemporaryDirectory() as base:
        settings = {"fsync": "off", "max_wal_size": "4GB", "shared_buffers": "512MB"}
        server = embedded.start(Path(base) / "postgres", SERVICES, settings=settings)
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                found = runner.run(measured(server, Path(base) / "home", events))
            print(json.dumps(found), flush=True)
            if "--keep" in sys.argv:
                keep("rebuild", f"python -m tests.bench.rebuilding {events}", found)
        finally:
            embedded.remove(Path(base) / "postgres")


if __name__ == "__main__":
    main()
