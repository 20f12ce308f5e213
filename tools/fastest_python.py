"""Which of this machine's Pythons shall the environment be made of? Prints its path.

    python3 tools/fastest_python.py

Builds of one version differ by a fifth: those of distributions are optimized, one compiled by a version manager
often is not. Asked are those of the version of the Python that runs this, the only ones that are sure to be as tested, each
with a moment of what services do most. Needs nothing installed.
"""

import os
import subprocess
import sys

VERSION = "{}.{}".format(*sys.version_info)

# Dictionaries, small strings, calls and JSON; the best of many is what other programs disturbed least.
TRIED = """
import json, sys, time
class Row:
    def __init__(self, number):
        self.number, self.name = number, f"row {number}"
    def later(self, others):
        return [each for each in others if each.number > self.number]
def once():
    begun = time.process_time()
    for _ in range(40):
        rows = [Row(i) for i in range(60)]
        sum(len(each.later(rows)) for each in rows)
        json.loads(json.dumps({each.name: each.number for each in rows}))
    return time.process_time() - begun
print("%d.%d" % sys.version_info[:2], min(once() for _ in range(20)), sys.executable)
"""
LONGEST = 30
ROUNDS = 2
# Another one is taken only where it is clearly faster: the next setup shall find the same.
CLEARLY = 0.9


def tried(python: str) -> tuple[str, float]:
    """Which Python a name leads to, and what it took. Infinite for one of another version, or that does not run."""
    try:
        run = subprocess.run(
            [python, "-I", "-c", TRIED], capture_output=True, text=True, timeout=LONGEST, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return python, float("inf")
    version, took, executable = run.stdout.rstrip("\n").split(" ", 2)
    return os.path.realpath(executable), float(took) if version == VERSION else float("inf")


def main() -> None:
    own = os.path.realpath(sys.executable)
    folders = [*os.environ.get("PATH", "").split(os.pathsep), "/usr/bin", "/usr/local/bin"]
    names = {os.path.realpath(os.path.join(folder, f"python{VERSION}")) for folder in folders if folder}
    took = dict(map(tried, [own, *filter(os.path.exists, names - {own})]))
    # In turns: what else the machine does takes from each of them.
    for _ in range(ROUNDS):
        took = {python: min(least, tried(python)[1]) for python, least in took.items()}
    best = min(took, key=took.__getitem__)
    print(best if took[best] < CLEARLY * took[own] else own)


if __name__ == "__main__":
    main()
