"""One replica as the log sees it, in a process of its own that can be stopped and killed: it reads its share of the
topic and writes down when it had handled what. `python -m tests.bench.reader URL GROUP SESSION` says that it is there once
its code is in memory, and begins when a line of its input names its replica; from then on each line of its output is a
partition and a moment of the machine's clock."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress

from loopkeeper.event_log.port import LogUnavailable, Position
from loopkeeper.kernel.settings import Settings
from loopkeeper.runtime.run import make_event_log
from tests.kafka import PARTITIONS

THERE = "there"


async def main(url: str, group: str, session: float, replica: str) -> None:
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    event_log = make_event_log(
        url, Settings(kafka_partitions=PARTITIONS, replica=replica, kafka_session=session)
    )

    async def stored(partitions: Sequence[int]) -> Mapping[int, Position]:
        """The group's own positions represent the database, which all replicas of a service share."""
        found = await event_log.positions(group)
        return {partition: Position(found.get(partition, 0)) for partition in partitions}

    member = await event_log.join(group, stored)
    while not stopped.is_set():
        with suppress(LogUnavailable):
            received = await member.poll(timeout=0.2)
            await member.acknowledge({one.partition: one.offset + 1 for one in received})
            now = time.monotonic()
            sys.stdout.write("".join(f"{one.partition} {now}\n" for one in received))
            sys.stdout.flush()
    await event_log.close()


if __name__ == "__main__":
    print(THERE, flush=True)
    _, url, group, session = sys.argv
    asyncio.run(main(url, group, float(session), sys.stdin.readline().strip()))
