"""A town at work for a long time, and nothing is done to it: does a process grow, does anybody wait longer at the end?
`python -m tests.chaos.soak [seconds] [referrals a second]`."""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import linear_regression, median, quantiles
from typing import Any

from tests.bench.weights import Weights
from tests.builders.organizations import OPERATIONS
from tests.chaos import invariants
from tests.chaos.cluster import Cluster
from tests.chaos.hearing import unheard, unkept
from tests.chaos.lives import Lives
from tests.chaos.load import People
from tests.chaos.points import SERVICES
from tests.chaos.town import town

SEED, EVERY = 2026, 5.0
# A process fills its caches first: what it weighs is compared from here on.
WARM = 0.25


async def soaked(folder: Path, seconds: float, rate: float) -> Mapping[str, Any]:
    cluster = await asyncio.to_thread(Cluster.start, folder / "cluster")
    try:
        async with (
            Lives() as lives,
            town(lives, cluster, folder / "town", *((name,) for name in SERVICES)) as place,
            People(place, SEED) as people,
        ):
            await people.expect(int(seconds * rate) + 1)
            weights, at, waits = Weights(), list[float](), list[float]()
            began = time.monotonic()
            while (now := time.monotonic() - began) < seconds:
                await people.release(max(0, int(now * rate) - people.released))
                weights.take([life.pid for life in place.living.values()])
                at.append(now)
                asked = time.monotonic()
                await place.ask(OPERATIONS, "GET", "/v1/referrals?limit=50")
                waits.append(time.monotonic() - asked)
                await asyncio.sleep(EVERY)
            answered, kept_up = len(people.referred), len(people.referred) / (time.monotonic() - began)
            await people.settled()
            found = await invariants.look(place.where)
            broken = [
                *await invariants.everything_broken(place.where, place.home / "config"),
                *unkept(found, people),
                *unheard(await invariants.feeds(place.where), place),
                *people.mishaps,
            ]
    finally:
        await asyncio.to_thread(cluster.remove)
    return {
        "seconds": round(seconds), "asked_a_second": rate, "answered_a_second": round(kept_up, 2),
        "referrals": answered, "mb_an_hour": _slopes(at, weights), "page_p99_ms": _halves(waits),
        "broken": len(broken),
    }  # fmt: skip


def _slopes(at: Sequence[float], weights: Weights) -> Mapping[str, float]:
    """By how much each process grew, by a line through its weights once it was warm."""
    first = int(len(at) * WARM)
    return {
        name: round(3600 * linear_regression(at[first:], found[first:]).slope, 1)
        for name, found in zip(SERVICES, weights.rss.values(), strict=True)
        if len(found) == len(at) > first + 2
    }


def _halves(waits: Sequence[float]) -> Mapping[str, float]:
    """Of a page of a list, in the first half and in the second."""
    half = len(waits) // 2
    parts = {"first half": waits[:half], "second half": waits[half:]}
    return {
        name: round(1000 * (quantiles(part, n=100)[98] if len(part) > 1 else median(part or [0])), 1)
        for name, part in parts.items()
    }


def soak(seconds: float, rate: float) -> Mapping[str, Any]:
    """With processes and a PostgreSQL of its own."""
    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(soaked(Path(folder), seconds, rate))


def main() -> int:
    seconds, rate = (float(each) for each in (*sys.argv[1:], *("3600", "20")[len(sys.argv) - 1 :]))
    told = soak(seconds, rate)
    print(told)
    return int(bool(told["broken"]))


if __name__ == "__main__":
    raise SystemExit(main())
