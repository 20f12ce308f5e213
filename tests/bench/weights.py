"""What do processes weigh while they work, and when they have come to rest? Resident memory, sampled over the run."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Collection
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

# The kernel walks a process's pages for each sample: seldom enough to cost nothing.
EVERY = 0.5
# Samples at rest: what is told as settled is in the middle of them.
RESTING = 6


@dataclass
class Weights:
    """Of some processes, which may change: each one's samples, in MB. `rss` counts what forked processes share once for
    each of them, as it would weigh in a pod of its own; `pss` counts that once in all."""

    rss: dict[int, list[float]] = field(default_factory=dict[int, list[float]])
    pss: dict[int, list[float]] = field(default_factory=dict[int, list[float]])

    def take(self, pids: Collection[int]) -> None:
        for pid in pids:
            # One that has just ended weighs nothing any more.
            with suppress(FileNotFoundError, ProcessLookupError):
                fields = dict(
                    line.split(":", 1)
                    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
                )
                for name, kept in (("Rss", self.rss), ("Pss", self.pss)):
                    kept.setdefault(pid, []).append(int(fields[name].split()[0]) / 1024)

    def told(self) -> str:
        """Of the heaviest process: its peak, and its weight at rest."""
        peak = max(max(each) for each in self.rss.values())
        settled = max(median(each[-RESTING:]) for each in self.rss.values())
        return f"{peak:.0f} / {settled:.0f} MB"

    def shared(self) -> str:
        """Of all of them together, at rest."""
        return f"{sum(median(each[-RESTING:]) for each in self.pss.values()):.0f} MB"


@asynccontextmanager
async def weighed(pids: Callable[[], Collection[int]]) -> AsyncGenerator[Weights]:
    """Sample these processes for the length of the block, which ends at work, and a little longer, at rest."""
    found = Weights()

    async def watch() -> None:
        while True:
            found.take(pids())
            await asyncio.sleep(EVERY)

    watching = asyncio.create_task(watch())
    try:
        yield found
        await asyncio.sleep(RESTING * EVERY)
    finally:
        watching.cancel()
        await asyncio.wait([watching])
