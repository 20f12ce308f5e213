"""`python -m tests.simulate --seeds N --first K --json`: so many runs; the first that fails tells its story and its seed."""

from __future__ import annotations

import argparse
import json
import tempfile
import time
import traceback
from pathlib import Path

from tests.kept_runs import keep
from tests.simulate.campaign import Run, everybody


def main() -> int:
    parser = argparse.ArgumentParser(prog="make simulate")
    parser.add_argument("--seeds", type=int, default=1000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="only the last line, as JSON")
    parser.add_argument("--keep", action="store_true", help="write it into docs/reference/reliability.md")
    asked = parser.parse_args()
    begun, loops, faults, deadlines, failed = time.monotonic(), 0, 0, 0, list[int]()
    with tempfile.TemporaryDirectory() as folder:
        known = everybody(Path(folder))
        for seed in range(asked.first, asked.first + asked.seeds):
            run = Run(seed, known)
            try:
                run.play()
            except Exception:  # noqa: BLE001 whatever broke is told, with its seed
                failed.append(seed)
                if not asked.json and len(failed) == 1:
                    traceback.print_exc()
            loops += run.loops
            faults += run.faults.count
            deadlines += run.faults.deadlines
    told = {
        "seeds": asked.seeds, "first": asked.first, "loops": loops, "faults": faults, "deadlines": deadlines,
        "failed": failed, "seconds": round(time.monotonic() - begun, 1),
    }  # fmt: skip
    if asked.keep:
        keep("simulate", f'make simulate ARGS="--seeds {asked.seeds} --first {asked.first}"', told)
    print(json.dumps(told))
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
