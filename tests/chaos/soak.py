"""A town at work for a long time, and nothing is done to it: does a process grow, does anybody wait or hear later at the end?
`python -m tests.chaos.soak [seconds] [referrals a second]`."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from statistics import linear_regression, median, quantiles
from typing import Any

from loopkeeper.contract.events import OutreachAttempted
from loopkeeper.postgres.connections import connect
from tests.bench.weights import Weights
from tests.builders.organizations import OPERATIONS
from tests.chaos import invariants
from tests.chaos.cluster import Cluster
from tests.chaos.hearing import not_as_given, unheard
from tests.chaos.lives import Lives
from tests.chaos.load import People
from tests.chaos.points import SERVICES
from tests.chaos.town import Town, town

SEED, EVERY = 2026, 5.0
# How long the webhook that waits longest has been due, seconds.
LATE = """SELECT coalesce(extract(epoch FROM now() - min(next_attempt_at)), 0)::float FROM delivery
          WHERE state = 'pending' AND next_attempt_at <= now()"""
# A process fills its caches first: what it weighs is compared from here on, and from the half on.
WARM, HALF = 0.25, 0.5


async def soaked(folder: Path, seconds: float, rate: float) -> Mapping[str, Any]:
    cluster = await asyncio.to_thread(Cluster.start, folder / "cluster")
    try:
        async with (
            Lives() as lives,
            town(lives, cluster, folder / "town", *((name,) for name in SERVICES)) as place,
            People(place, SEED) as people,
        ):
            await people.expect(int(seconds * rate) + 1)
            weights, at, waits, late = Weights(), list[float](), list[float](), list[float]()
            notification = await connect(place.where.databases["notification"])
            began = time.monotonic()
            while (now := time.monotonic() - began) < seconds:
                await people.release(max(0, int(now * rate) - people.released))
                weights.take([life.pid for life in place.living.values()])
                at.append(now)
                asked = time.monotonic()
                await place.ask(OPERATIONS, "GET", "/v1/referrals?limit=50")
                waits.append(time.monotonic() - asked)
                late.append(await notification.fetchval(LATE))
                await asyncio.sleep(EVERY)
            await notification.close()
            answered, kept_up = len(people.referred), len(people.referred) / (time.monotonic() - began)
            await people.settled()
            broken = [
                *await standing(place, people),
                *unheard(await invariants.feeds(place.where), place),
                *people.mishaps,
            ]
            verified = await asyncio.to_thread(verify, place)
    finally:
        await asyncio.to_thread(cluster.remove)
    return {
        "seconds": round(seconds), "asked_a_second": rate, "answered_a_second": round(kept_up, 2),
        "referrals": answered, "mb_an_hour": _slopes(at, weights, WARM),
        "mb_an_hour_in_the_second_half": _slopes(at, weights, HALF), "page_p99_ms": _halves(waits),
        "webhooks_late_p99_ms": _halves(late),
        "verify": f"{verified['seconds']} s, {verified['mb']} MB at its peak",
        "broken": len(broken) + verified["findings"],
    }  # fmt: skip


async def standing(place: Town, people: People) -> Sequence[str]:
    """What did not come to the end that its people gave it."""
    where = place.where.databases
    intake, notification = await connect(where["intake"]), await connect(where["notification"])
    try:
        rows = await intake.fetch("SELECT id, status, outcome, next_actor, told_at FROM referral")
        tried = await notification.fetch(
            "SELECT stream, count(*) AS n FROM journal WHERE own AND type = $1 GROUP BY stream",
            OutreachAttempted.wire_type(),
        )
    finally:
        for each in (intake, notification):
            await each.close()
    known = {row["id"]: dict(row) for row in rows}
    return list(not_as_given(known, {row["stream"]: row["n"] for row in tried}, people))


def verify(place: Town) -> Mapping[str, Any]:
    """What the reconciler finds over all databases and the log, in a process of its own; how long it takes, and what it
    weighs."""
    began = time.monotonic()
    with tempfile.TemporaryFile() as said:
        child = subprocess.Popen(
            [Path(sys.executable).with_name("loopkeeper"), "verify", "--databases", "--json"],
            env=place.environment(), stdout=said,
        )  # fmt: skip
        peak = 0
        # What the system says of a child that has ended counts what it was begun from, too: this process.
        while child.poll() is None:
            peak = max(peak, _peak(child.pid))
            time.sleep(0.1)
        said.seek(0)
        told = json.loads(said.read())
    for each in told["findings"]:
        print(each, file=sys.stderr)
    return {
        "seconds": round(time.monotonic() - began),
        "mb": peak // 1024,
        "findings": told["count"],
    }


def _peak(pid: int) -> int:
    """The most memory that this process has had so far, in kB."""
    with suppress(OSError):
        if found := re.search(r"^VmHWM:\s+(\d+)", Path(f"/proc/{pid}/status").read_text(), re.M):
            return int(found[1])
    return 0


def _slopes(at: Sequence[float], weights: Weights, begins: float) -> Mapping[str, float]:
    """By how much each process grew, by a line through its weights from this part of the run on."""
    first = int(len(at) * begins)
    return {
        name: round(3600 * linear_regression(at[first:], found[first:]).slope, 1)
        for name, found in zip(SERVICES, weights.rss.values(), strict=True)
        if len(found) == len(at) > first + 2
    }


def _halves(waits: Sequence[float]) -> Mapping[str, float]:
    """In the first half and in the second."""
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
