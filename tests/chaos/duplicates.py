"""A hundred thousand facts, a tenth of them twice and in between each other: `python -m tests.chaos.duplicates [messages] [seed]`.

A replica reads them from the log as it does every day. Halfway another takes its place, to whom some are handed once more. Of
each fact there must be one row in the journal, in its stream's order, and nothing may be parked.
"""

from __future__ import annotations

import asyncio
import random
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from loopkeeper.contract import ids
from loopkeeper.contract.envelope import Message
from loopkeeper.event_log.port import LogUnavailable
from loopkeeper.kernel.clock import ManualClock
from loopkeeper.postgres import embedded
from loopkeeper.postgres.connections import connect
from loopkeeper.runtime.service import installed
from tests.builders.facts import made
from tests.databases import SERVICES, Databases
from tests.shared.replica import Replica, site, working
from tests.shared.stores import AT, message

OF_A_STREAM, WINDOW, TWICE = 10, 50, 0.1
AT_ONCE = 500
# Halfway the next replica begins so much before the place where the first one was.
AGAIN = 200


def shuffled(count: int, chance: random.Random) -> Sequence[Message]:
    """So many facts of a tenth as many streams. Each stream's stay in their order; a tenth of all comes once more, later."""
    streams = [ids.new("ref") for _ in range(count // OF_A_STREAM)]
    placed: list[tuple[float, Message]] = []
    for number, stream in enumerate(streams):
        at = float(number * OF_A_STREAM)
        for offer in range(OF_A_STREAM):
            at += chance.uniform(0, WINDOW)
            fact = message(stream, made(assignment=f"asg_{number}_{offer}"), "/assignment")
            placed.append((at, fact))
            if chance.random() < TWICE:
                placed.append((at + chance.uniform(0, 4 * WINDOW), fact))
    return [fact for _, fact in sorted(placed, key=lambda each: each[0])]


async def played(urls: Mapping[str, str], folder: Path, count: int, seed: int) -> Mapping[str, Any]:
    began, chance = time.monotonic(), random.Random(f"duplicates {seed}")
    facts = shuffled(count, chance)
    half = len(facts) // 2
    clock = ManualClock(AT)
    async with site(installed()["intake"], urls["intake"], urls["log"], folder, clock) as here:
        async with here.visited() as first:
            await _told(first, facts[:half])
        looking = await connect(urls["intake"])
        await looking.execute("UPDATE consumed SET next_offset = next_offset - $1, last_id = NULL", AGAIN)
        async with here.visited() as second:
            await _told(second, facts[half:])
        broken = await _broken(looking, facts)
        await looking.close()
    return {
        "messages": len(facts), "twice": len(facts) - len({fact.id for fact in facts}), "handed again": AGAIN,
        "seed": seed, **broken, "seconds": round(time.monotonic() - began, 1),
    }  # fmt: skip


async def _told(desk: Replica, facts: Sequence[Message]) -> None:
    """Publish these and let the replica read to the end, as it does every day: what passes by itself is waited for."""
    async with working(desk.consumer.run):
        for start in range(0, len(facts), AT_ONCE):
            some = facts[start : start + AT_ONCE]
            while some:
                with suppress(LogUnavailable):
                    some = some[await desk.event_log.publish(some) :]
        ends = await desk.event_log.ends()
        while (await desk.consumer.stored_offsets()).get(0, 0) < ends[0]:  # noqa: ASYNC110 a commit is no event here
            await asyncio.sleep(0.05)


async def _broken(looking: Any, facts: Sequence[Message]) -> Mapping[str, int]:
    rows = await looking.fetch("SELECT stream, id FROM journal WHERE NOT own ORDER BY stream, n")
    noted: dict[str, list[Any]] = {}
    for row in rows:
        noted.setdefault(row["stream"], []).append(row["id"])
    due: dict[str, dict[Any, None]] = {}
    for fact in facts:
        due.setdefault(fact.subject, {})[fact.id] = None
    found = {each for stream in noted.values() for each in stream}
    return {
        "lost": len({fact.id for fact in facts} - found),
        "doubled": len(rows) - len(found),
        "out_of_order": sum(noted.get(stream) != list(order) for stream, order in due.items()),
        "parked": await looking.fetchval("SELECT count(*) FROM parked"),
    }


def duplicates(count: int, seed: int) -> Mapping[str, Any]:
    """On a PostgreSQL of its own."""
    with tempfile.TemporaryDirectory() as base:
        folder = Path(base)
        server = embedded.start(folder / "postgres", SERVICES, settings={"fsync": "off"})

        async def all_of_it() -> Mapping[str, Any]:
            databases = Databases(server)
            intake = await databases.make("intake", await databases.template("intake"))
            urls = {"intake": intake, "log": await databases.make("log")}
            found = await played(urls, folder, count, seed)
            await databases.drop()
            return found

        try:
            return asyncio.run(all_of_it())
        finally:
            embedded.remove(folder / "postgres")


def main() -> int:
    count, seed = (int(each) for each in (*sys.argv[1:], "100000", "2026")[:2])
    told = duplicates(count, seed)
    print(told)
    return int(any(told[each] for each in ("lost", "doubled", "out_of_order", "parked")))


if __name__ == "__main__":
    raise SystemExit(main())
