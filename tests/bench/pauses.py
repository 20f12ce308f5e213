"""For how long is a partition not read when its group changes? From the last event that was handled before to the
first that was handled after, by whichever replica has the partition then: of all partitions the longest."""

from __future__ import annotations

import asyncio
import itertools
import signal
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from statistics import median

from loopkeeper.event_log.kafka import partition_of
from loopkeeper.event_log.port import EventLog
from loopkeeper.kernel.settings import Settings
from loopkeeper.runtime.run import make_event_log
from tests.bench.reader import THERE
from tests.kafka import PARTITIONS
from tests.shared.event_log_contract import message

ROOT = Path(__file__).parents[2]
REPEATS = 5
# Each partition gets an event this often; a pause is not told finer than that.
EVERY = 0.02
# Everything is read and by whom it should be, all through this time: only then comes the next change.
CALM = 1.5
# A missed session, a rebalance, and a busy machine.
CALM_WITHIN = 60.0

JOINS = "a replica joins"
RESTARTS = "a replica with a name is stopped and started again"
KILLED = "a replica with a name is killed and does not come back"
LEAVES = "a replica without a name is stopped"
# Until the pod that takes the place of one that was stopped reads: it is placed, its program loads, it looks at its tables.
POD_AWAY = 8.0
PODS = 3
# How a group may know its members when their pods are replaced: by a name and for how long it waits for it, or not at all.
MEMBERSHIPS = {
    "with a name and 6 s": ("1", 6.0),
    "with a name and 30 s": ("1", 30.0),
    "without a name": ("", 6.0),
}


@dataclass
class Group:
    """The replicas that live, and what each has handled: moments by partition."""

    url: str
    name: str
    session: float = 6.0
    living: dict[str, Process] = field(default_factory=dict[str, Process])
    handled: list[tuple[float, int, str]] = field(default_factory=list[tuple[float, int, str]])
    _waiting: Process | None = None
    _following: set[asyncio.Task[None]] = field(default_factory=set[asyncio.Task[None]])
    _numbers: itertools.count[int] = field(default_factory=itertools.count)

    async def prepare(self) -> None:
        """A process that has its code in memory waits to be begun: what a start costs the interpreter is no pause."""
        if self._waiting is not None:
            return
        words = (sys.executable, "-m", "tests.bench.reader", self.url, self.name, str(self.session))
        self._waiting = process = await asyncio.create_subprocess_exec(
            *words, stdin=PIPE, stdout=PIPE, cwd=ROOT
        )
        assert process.stdout is not None
        assert (await process.stdout.readline()).strip() == THERE.encode()

    async def begin(self, replica: str) -> str:
        """The one that waits begins as this replica; under which name its moments are kept."""
        await self.prepare()
        process, self._waiting = self._waiting, None
        assert process is not None
        assert process.stdin is not None
        label = f"{replica or 'nameless'}-{next(self._numbers)}"
        self.living[label] = process
        following = asyncio.create_task(self._follow(label, process))
        self._following.add(following)
        following.add_done_callback(self._following.discard)
        process.stdin.write(f"{replica}\n".encode())
        return label

    async def end(self, label: str, how: signal.Signals) -> None:
        process = self.living.pop(label)
        process.send_signal(how)
        await process.wait()

    async def calm(self) -> None:
        """Until all that live read, nobody else does, and no partition is left out."""
        async with asyncio.timeout(CALM_WITHIN):
            since = time.monotonic()
            while time.monotonic() - since < CALM:
                await asyncio.sleep(EVERY)
                recent = [one for one in self.handled[-400:] if one[0] > time.monotonic() - CALM / 3]
                whole = {one[1] for one in recent} == set(range(PARTITIONS))
                if not whole or {one[2] for one in recent} != self.living.keys():
                    since = time.monotonic()

    def longest(self, since: float) -> float:
        """The longest pause of any partition that ended after this moment."""
        found = 0.0
        for partition in range(PARTITIONS):
            moments = sorted(one[0] for one in self.handled if one[1] == partition)
            found = max(found, *(late - early for early, late in pairwise(moments) if late > since))
        return found

    def moves(self, since: float) -> int:
        """How often a partition went from one replica to another since this moment. A replica that comes back under its
        name is the same one."""
        found = 0
        for partition in range(PARTITIONS):
            hands = [_known(one[2]) for one in sorted(self.handled) if one[1] == partition and one[0] > since]
            found += sum(before != after for before, after in pairwise(hands))
        return found

    async def close(self) -> None:
        if self._waiting is not None:
            self.living["waiting"] = self._waiting
        for label in list(self.living):
            await self.end(label, signal.SIGKILL)
        await asyncio.gather(*self._following)

    async def _follow(self, label: str, process: Process) -> None:
        assert process.stdout is not None
        async for line in process.stdout:
            partition, moment = line.split()
            self.handled.append((float(moment), int(partition), label))


def _known(label: str) -> str:
    """What the group knows this replica by: its name, or nothing but its one life."""
    return label if label.startswith("nameless") else label.rpartition("-")[0]


@asynccontextmanager
async def speaking(url: str) -> AsyncGenerator[None]:
    """Events come to every partition all the time."""
    sender: EventLog = make_event_log(url, Settings(kafka_partitions=PARTITIONS))
    keys = {partition_of(f"ref_{n}", PARTITIONS): f"ref_{n}" for n in range(20 * PARTITIONS)}

    async def speak() -> None:
        for number in itertools.count():
            began = time.monotonic()
            await sender.publish([message(key, number) for key in keys.values()])
            await asyncio.sleep(max(0.0, EVERY - (time.monotonic() - began)))

    speaker = asyncio.create_task(speak())
    try:
        yield
        assert not speaker.done(), speaker.exception()
    finally:
        speaker.cancel()
        await asyncio.wait([speaker])
        await sender.close()


async def pauses(url: str) -> Mapping[str, str]:
    """Median and worst of each change, of a group of one replica and of two."""
    found: dict[str, list[float]] = {
        JOINS: [],
        LEAVES: [],
        RESTARTS: [],
        KILLED: [],
    }
    async with speaking(url):
        group = Group(url, "bench-pauses")
        try:
            await group.begin("0")
            await group.calm()
            for _ in range(REPEATS):
                for changed, pause in (await _round(group)).items():
                    found[changed].append(pause)
        finally:
            await group.close()
    return {
        f"a partition unread when {changed}, median / worst of {len(each)}": (
            f"{median(each):.2f} / {max(each):.2f} s"
        )
        for changed, each in found.items()
    }


async def replaced(url: str) -> Mapping[str, str]:
    """A rollout, by each membership: one of two pods is stopped, and another takes its place."""
    found: dict[str, str] = {}
    for number, (membership, (replica, session)) in enumerate(MEMBERSHIPS.items()):
        async with speaking(url):
            group = Group(url, f"bench-pods-{number}", session)
            try:
                await group.begin("0" if replica else "")
                second = await group.begin(replica)
                await group.calm()
                unread: list[float] = []
                moves = 0
                for _ in range(PODS):
                    await group.prepare()
                    began = time.monotonic()
                    await group.end(second, signal.SIGTERM)
                    await asyncio.sleep(POD_AWAY)
                    second = await group.begin(replica)
                    await group.calm()
                    unread.append(group.longest(began))
                    moves += group.moves(began)
            finally:
                await group.close()
        found[f"a pod {membership} is replaced: a partition unread, median / worst of {PODS}; moves each"] = (
            f"{median(unread):.1f} / {max(unread):.1f} s; {moves / PODS:.0f}"
        )
    return found


async def _round(group: Group) -> Mapping[str, float]:
    """Every change once; behind the last one the group is what it was before the first."""
    found: dict[str, float] = {}

    async def pause(changed: str, since: float) -> None:
        await group.calm()
        found[changed] = group.longest(since)
        await group.prepare()

    await group.prepare()
    began = time.monotonic()
    second = await group.begin("1")
    await pause(JOINS, began)
    began = time.monotonic()
    await group.end(second, signal.SIGTERM)
    second = await group.begin("1")
    await pause(RESTARTS, began)
    began = time.monotonic()
    await group.end(second, signal.SIGKILL)
    await pause(KILLED, began)
    second = await group.begin("")
    await group.calm()
    began = time.monotonic()
    await group.end(second, signal.SIGTERM)
    await pause(LEAVES, began)
    return found
