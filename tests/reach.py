"""`python -m tests.reach [part…]`: the long campaigns, a slice at a time, into docs/reference/reliability.md.

Each slice that was done is kept in `.reach/`, so a run that was stopped goes on where it was; the page says how far it is. A part
is done when it has all its slices. `--list` shows what there is and what is left, `--again` forgets a part first.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.chaos.campaign import FORMS_A_FAULT, Campaign, campaign
from tests.chaos.cluster import Cluster, may_mount
from tests.chaos.duplicates import duplicates
from tests.chaos.lives import Lives
from tests.chaos.points import points
from tests.chaos.soak import soak
from tests.kept_runs import keep
from tests.simulate.campaign import Run, everybody

ROOT = Path(__file__).parents[1]
KEPT = ROOT / ".reach"
FIRST_SEED = 3000
# A service that is put back to before so many referrals lacks more than a thousand events.
DEEP = 240
AT_A_POINT, SET_BACK = "killed at a named point", "a database set back"
Found = Mapping[str, Any]


@dataclass(frozen=True)
class Part:
    """`slice` does one, by its number; `whole` tells of those that were done."""

    slices: int
    slice: Callable[[int], Found]
    whole: Callable[[Sequence[Found]], Found]


# ── faults ────────────────────────────────────────────────────────────────────────────────────────────────


def faults(log: str, count: int, *only: str, forms: int = FORMS_A_FAULT) -> Callable[[int], Found]:
    """A slice of a fault campaign: so many faults under a seed of its own, so many referrals with each."""
    return lambda number: asyncio.run(_faults(log, count, FIRST_SEED + number, frozenset(only), forms))


async def _faults(log: str, count: int, seed: int, only: frozenset[str], forms: int) -> Found:
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as base:
        folder = Path(base)
        cluster = await asyncio.to_thread(Cluster.start, folder / "cluster", on_own_disk=may_mount())
        try:
            async with Lives() as lives:
                made, _ = await campaign(lives, cluster, folder, log, count, seed, only=only, forms=forms)
        finally:
            await asyncio.to_thread(cluster.remove)
    told = made.told(time.monotonic() - began)
    if made.broken or made.stalled or made.starved:
        print(made.story, file=sys.stderr)
    by = [int(found[1]) for each in made.done if (found := re.search(r"by (\d+) events", each.what))]
    return {**told, "took": _took(made), "reached": sorted(_reached(made)), "by": min(by, default=0)}


def _took(made: Campaign) -> Mapping[str, Sequence[float]]:
    found: dict[str, list[float]] = {}
    for each in made.done:
        found.setdefault(each.kind, []).append(round(each.seconds, 2))
    return found


def _reached(made: Campaign) -> set[str]:
    return {each.what for each in made.done if each.kind == AT_A_POINT and "did not come" not in each.what}


def told_of_faults(found: Sequence[Found]) -> Found:
    kinds, took, reached = Counter[str](), dict[str, list[float]](), set[str]()
    for each in found:
        kinds.update(each["kinds"])
        reached |= set(each["reached"])
        for kind, seconds in each["took"].items():
            took.setdefault(kind, []).extend(seconds)
    sums = ("faults", "referrals", "webhooks", "lost", "doubled", "stalled", "starved", "broken")
    return {
        "seeds": f"{found[0]['seed']}–{found[-1]['seed']}", **{name: sum(f[name] for f in found) for name in sums},
        "kinds": dict(sorted(kinds.items())), "points": len(reached),
        "recovery p99": {kind: _p99(seconds) for kind, seconds in sorted(took.items())},
        "seconds": round(sum(each["seconds"] for each in found)),
    }  # fmt: skip


def told_of_depth(found: Sequence[Found]) -> Found:
    """The same, and by how many events of its own the service was put back that was least so."""
    return {**told_of_faults(found), "events at least": min(each["by"] for each in found)}


def _p99(seconds: Sequence[float]) -> float:
    return sorted(seconds)[int(0.99 * (len(seconds) - 1))]


# ── the others ────────────────────────────────────────────────────────────────────────────────────────────

SEEDS = 1_000


def seeds(number: int) -> Found:
    """A thousand seeds of the simulation."""
    began, failed, counts = time.monotonic(), list[int](), Counter[str]()
    with tempfile.TemporaryDirectory() as folder:
        known = everybody(Path(folder))
        for seed in range(number * SEEDS, (number + 1) * SEEDS):
            run = Run(seed, known)
            try:
                run.play()
            except Exception as error:  # noqa: BLE001 whatever broke is told, with its seed
                failed.append(seed)
                print(*error.__notes__, sep="\n", file=sys.stderr)
            counts.update(loops=run.loops, faults=run.faults.count, deadlines=run.faults.deadlines)
    return {"seeds": SEEDS, **counts, "failed": failed, "seconds": time.monotonic() - began}


def told_of_seeds(found: Sequence[Found]) -> Found:
    sums = {name: sum(each[name] for each in found) for name in ("seeds", "loops", "faults", "deadlines")}
    failed = [seed for each in found for seed in each["failed"]]
    return {**sums, "first": 0, "failed": failed, "seconds": round(sum(each["seconds"] for each in found))}


def only(found: Sequence[Found]) -> Found:
    return found[-1]


PARTS: Mapping[str, Part] = {
    "simulate": Part(10, seeds, told_of_seeds),
    "set-backs": Part(5, faults("postgres", 10, SET_BACK), told_of_faults),
    "deep set-backs": Part(4, faults("postgres", 3, SET_BACK, forms=DEEP), told_of_depth),
    "chaos postgres": Part(10, faults("postgres", 100), told_of_faults),
    "chaos kafka": Part(10, faults("kafka", 100), told_of_faults),
    "points": Part(20, faults("postgres", len(points("postgres")), AT_A_POINT), told_of_faults),
    "points kafka": Part(20, faults("kafka", len(points("kafka")), AT_A_POINT), told_of_faults),
    "duplicates": Part(1, lambda _: duplicates(100_000, 2026), only),
    "soak": Part(1, lambda _: soak(3600.0, 20.0), only),
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="make reach")
    parser.add_argument("parts", nargs="*", default=[*PARTS], metavar="part", help=", ".join(PARTS))
    parser.add_argument("--list", action="store_true", help="show what was done and what is left")
    parser.add_argument("--again", action="store_true", help="forget what was done of these parts")
    parser.add_argument("--slices", type=int, default=0, help="do so many more of each, and stop")
    asked = parser.parse_args()
    KEPT.mkdir(exist_ok=True)
    if unknown := [each for each in asked.parts if each not in PARTS]:
        parser.error(f"no part of this name: {', '.join(unknown)}")
    for name in asked.parts:
        if asked.list:
            print(f"{name}: {len(_done(name))} of {PARTS[name].slices}")
            continue
        if asked.again:
            _file(name).unlink(missing_ok=True)
        _go_on(name, asked.slices)
    return 0


def _go_on(name: str, most: int) -> None:
    part, found = PARTS[name], list(_done(name))
    until = min(part.slices, len(found) + most) if most else part.slices
    for number in range(len(found), until):
        found.append({**part.slice(number), "at": _commit()})
        _file(name).write_text(json.dumps(found))
        keep(name, f'make reach ARGS="{_word(name)}"', _told(part, found))
        print(f"{name}: {len(found)} of {part.slices}", flush=True)


def _told(part: Part, found: Sequence[Found]) -> Found:
    whole = {name: value for name, value in part.whole(found).items() if name != "at"}
    return {"slices": f"{len(found)} of {part.slices}", **whole}


def _word(name: str) -> str:
    return f"'{name}'" if " " in name else name


def _done(name: str) -> Sequence[Found]:
    return json.loads(_file(name).read_text()) if _file(name).exists() else []


def _file(name: str) -> Path:
    return KEPT / f"{name.replace(' ', '-')}.json"


def _commit() -> str:
    """Which program was tried."""
    words = ("git", "-C", str(ROOT), "rev-parse", "--short", "HEAD")
    return subprocess.run(words, check=False, capture_output=True, text=True).stdout.strip()


if __name__ == "__main__":
    raise SystemExit(main())
