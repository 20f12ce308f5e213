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

from tests.chaos.campaign import FORMS_A_FAULT, OFTEN, Campaign, campaign
from tests.chaos.cluster import Cluster, may_mount
from tests.chaos.lives import Lives
from tests.kept_runs import keep


async def run(
    log: str, faults: int, seed: int, as_json: bool, kept: bool, only: frozenset[str], forms: int
) -> int:
    def said(text: str) -> None:
        if not as_json:
            print(text, flush=True)

    with tempfile.TemporaryDirectory() as base:
        folder = Path(base)
        cluster = await asyncio.to_thread(Cluster.start, folder / "cluster", on_own_disk=may_mount())
        try:
            async with Lives() as lives:
                made, seconds = await campaign(lives, cluster, folder, log, faults, seed, said, only, forms)
        finally:
            await asyncio.to_thread(cluster.remove)
    told = made.told(seconds)
    if failed(made):
        print(made.story, file=sys.stderr)
    if kept:
        keep(f"chaos {log}", f'make chaos ARGS="--log {log} --faults {faults} --seed {seed}"', told)
    print(json.dumps(told))
    return int(failed(made))


def failed(made: Campaign) -> bool:
    """Whether a promise was broken."""
    return bool(made.broken or made.stalled or made.starved)


def main() -> int:
    parser = argparse.ArgumentParser(prog="make chaos")
    parser.add_argument("--log", choices=["postgres", "kafka"], default="postgres")
    parser.add_argument("--faults", type=int, default=100)
    parser.add_argument("--seed", type=int, default=2026)
    parser.add_argument(
        "--only", action="append", choices=[*OFTEN], default=[], help="do this kind; may be given again"
    )
    parser.add_argument(
        "--forms", type=int, default=FORMS_A_FAULT, help="so many referrals come with each fault"
    )
    parser.add_argument("--json", action="store_true", help="only the last line, as JSON")
    parser.add_argument("--keep", action="store_true", help="write it into docs/reference/reliability.md")
    asked = parser.parse_args()
    return asyncio.run(
        run(asked.log, asked.faults, asked.seed, asked.json, asked.keep, frozenset(asked.only), asked.forms)
    )


if __name__ == "__main__":
    raise SystemExit(main())
