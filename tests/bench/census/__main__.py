"""`python -m tests.bench.census [copies small] [copies large] [--keep]`: a table in Markdown of every statement and every list,
over few referrals and over many; and how long a writer waits while the largest tables get an index."""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from loopkeeper.postgres import embedded
from loopkeeper.postgres.embedded import Server
from tests.bench.census.builds import Built, builds
from tests.bench.census.census import TIMES, Compared, census
from tests.databases import SERVICES, Databases
from tests.kept_runs import keep

FEW, MANY = 80, 4000


def line(each: Compared) -> str:
    asked = each.example.route or each.statement.short[:110].replace("|", "\\|")
    scans = ", ".join(each.scans)
    few, many = each.small, each.large
    figures = f"{few.rows} → {many.rows} | {few.pages} → {many.pages} | {few.milliseconds:.2f} → {many.milliseconds:.2f}"
    if not many.ran:
        figures = "planned only | |"
    return f"| {each.statement.service} | {asked} | {figures} | {'**' + (scans or 'grows') + '**' if each.grows else ''} |"


async def run(server: Server, folder: Path, few: int, many: int, *, kept: bool) -> None:
    databases = Databases(server)
    begun = time.monotonic()
    async with census(databases, folder) as counted:
        print(
            f"{len(counted.recording.found)} statements after {time.monotonic() - begun:.0f} s",
            file=sys.stderr,
        )
        found, small, large = await counted.compare(few, many, tries=3)
        made = await builds(
            counted.connections, {name: databases.admin(url) for name, url in counted.urls.items()}
        )
    print(f"Over {small} referrals and over {large}.\n")
    print("| service | statement or list | rows looked at | pages | ms | grows |")
    print("|---|---|---|---|---|---|")
    for each in sorted(
        found, key=lambda one: (one.statement.service, one.example.route, one.statement.short)
    ):
        print(line(each))
    print(
        f"\n{sum(each.grows for each in found)} of {len(found)} grow; {time.monotonic() - begun:.0f} s",
        file=sys.stderr,
    )
    print("\n| service | table | rows | index | s | changes meanwhile | longest, ms |")
    print("|---|---|---|---|---|---|---|")
    for each in made:
        print(
            f"| {each.service} | {each.table} | {each.rows} | {each.index} | {each.seconds:.1f} | {len(each.waits)} "
            f"| {each.longest:.1f} |"
        )
    if kept:
        command = f"python -m tests.bench.census {few} {many}"
        keep("census", command, growth(found, small, large))
        keep("index builds", command, {f"{each.index}, {each.rows} rows": _told(each) for each in made})
    await databases.drop()


def growth(found: Sequence[Compared], small: int, large: int) -> dict[str, Any]:
    """How many statements and lists look at more, and at how much more than 1.3 times as much."""
    ran = [each for each in found if each.large.ran]
    more = [each for each in ran if each.large.rows > TIMES * each.small.rows + 1]
    return {
        "referrals": f"{small} → {large}",
        "statements and lists": len(found),
        "tables read from end to end that grow": [
            f"{each.statement.service} {', '.join(each.scans)}" for each in ran if each.scans
        ],
        "that look at more than 1.3 times the rows": len(more),
        "that grow beyond a page": [
            each.example.route or each.statement.short[:60].replace("|", " ") for each in ran if each.grows
        ],
        "the dearest, ms": round(max(each.large.milliseconds for each in ran), 1),
        "median, ms": f"{median(each.small.milliseconds for each in ran):.3f} → "
        f"{median(each.large.milliseconds for each in ran):.3f}",
    }


def _told(each: Built) -> str:
    return f"{each.seconds:.1f} s; {len(each.waits)} changes, the longest {each.longest:.1f} ms"


def main() -> None:
    asked = [each for each in sys.argv[1:] if each != "--keep"]
    few, many = (int(each) for each in (asked or (FEW, MANY)))
    with tempfile.TemporaryDirectory() as base:
        folder = Path(base)
        settings = {
            "fsync": "off",
            "max_connections": "200",
            "shared_buffers": "1GB",
            "jit": "off",
            "max_wal_size": "4GB",
        }
        server = embedded.start(folder / "postgres", SERVICES, settings=settings)
        try:
            asyncio.run(run(server, folder / "house", few, many, kept="--keep" in sys.argv))
        finally:
            embedded.remove(folder / "postgres")


if __name__ == "__main__":
    main()
