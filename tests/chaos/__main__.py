"""`python -m tests.chaos --log postgres|kafka --faults N --seed S --json`: faults of every kind in a town at work.

The seed draws which faults, whom they hit, in which order and when: the same seed does the same again. Each is told as
it is done, and the last line is JSON; the exit code is 1 where a promise was broken.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
from pathlib import Path

from loopkeeper.postgres import embedded
from tests.chaos.campaign import campaign
from tests.chaos.cluster import Cluster
from tests.chaos.lives import Lives
from tests.kept_runs import keep


async def run(log: str, faults: int, seed: int, as_json: bool, kept: bool) -> int:
    def said(text: str) -> None:
        if not as_json:
            print(text, flush=True)

    with tempfile.TemporaryDirectory() as base:
        folder = Path(base)
        cluster = await asyncio.to_thread(Cluster.start, folder / "cluster")
        try:
            async with Lives() as lives:
                made, seconds = await campaign(lives, cluster, folder, log, faults, seed, said)
        finally:
            await asyncio.to_thread(embedded.remove, folder / "cluster")
    for each in made.broken:
        print(each, file=sys.stderr)
    told = made.told(seconds)
    if kept:
        keep(f"chaos {log}", f'make chaos ARGS="--log {log} --faults {faults} --seed {seed}"', told)
    print(json.dumps(told))
    return 1 if made.broken or made.stalled or made.starved else 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="make chaos")
    parser.add_argument("--log", choices=["postgres", "kafka"], default="postgres")
    parser.add_argument("--faults", type=int, default=100)
    parser.add_argument("--seed", type=int, default=2026)
    parser.add_argument("--json", action="store_true", help="only the last line, as JSON")
    parser.add_argument("--keep", action="store_true", help="write it into docs/reference/reliability.md")
    asked = parser.parse_args()
    code = asyncio.run(run(asked.log, asked.faults, asked.seed, asked.json, asked.keep))
    return code


if __name__ == "__main__":
    raise SystemExit(main())
