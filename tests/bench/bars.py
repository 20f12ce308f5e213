"""How much do others lose by one who takes much? `python -m tests.bench.bars [name…] --rounds N --keep`: each bar is measured
before and then, in turns, on this machine; `times` is the median of the rounds' quotients of p99, and must not pass the bar.

Times say something on a machine that does nothing else: two processors, and no other program at work.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tests.bench import floods, replicas, snapshots, starving
from tests.kept_runs import keep


@dataclass(frozen=True)
class Bar:
    """`most`: how many times as long others may wait."""

    most: float
    what: str
    measure: Callable[[int], Mapping[str, float]]


BARS: Mapping[str, Bar] = {
    "starving": Bar(
        1.5,
        "200 endpoints of one organization hang, and 100 000 deliveries wait for a dead one: others' webhooks",
        lambda rounds: starving.measure(rounds, 100_000),
    ),
    "readers": Bar(2.0, "300 readers of one key on its dearest lists: another's page", floods.measure),
    "replicas": Bar(
        1.3,
        "two replicas of each service instead of one: from POST to the assignment",
        lambda rounds: replicas.measure(rounds, 60),
    ),
    "snapshots": Bar(
        1.5,
        "a snapshot in every database that is older than 200 referrals: the first webhook",
        lambda rounds: snapshots.measure(rounds, 200),
    ),
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="make bars")
    parser.add_argument("names", nargs="*", default=[*BARS], help=", ".join(BARS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--keep", action="store_true", help="write each into docs/reference/reliability.md")
    asked = parser.parse_args()
    passed = True
    for name in asked.names:
        bar = BARS[name]
        told = {"what": bar.what, **bar.measure(asked.rounds), "bar": bar.most}
        passed &= told["times"] <= bar.most
        if asked.keep:
            keep(f"bar {name}", f'make bars ARGS="{name} --rounds {asked.rounds}"', told)
        print(json.dumps({"name": name, **told}), flush=True)
    return 0 if passed else 1


if __name__ == "__main__":
    raise SystemExit(main())
