"""`python -m tests.bench.census [copies small] [copies large]`: a table in Markdown of every statement and every list, over
few referrals and over many."""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from pathlib import Path

from loopkeeper.postgres import embedded
from loopkeeper.postgres.embedded import Server
from tests.bench.census.census import Compared, census
from tests.databases import SERVICES, Databases

FEW, MANY = 80, 4000


def line(each: Compared) -> str:
    asked = each.example.route or each.statement.short[:110].replace("|", "\\|")
    scans = ", ".join(each.scans)
    few, many = each.small, each.large
    figures = f"{few.rows} → {many.rows} | {few.pages} → {many.pages} | {few.milliseconds:.2f} → {many.milliseconds:.2f}"
    if not many.ran:
        figures = "planned only | |"
    return f"| {each.statement.service} | {asked} | {figures} | {'**' + (scans or 'grows') + '**' if each.grows else ''} |"


async def run(server: Server, folder: Path, few: int, many: int) -> None:
    databases = Databases(server)
    begun = time.monotonic()
    async with census(databases, folder) as counted:
        print(
            f"{len(counted.recording.found)} statements after {time.monotonic() - begun:.0f} s",
            file=sys.stderr,
        )
        found, small, large = await counted.compare(few, many, tries=3)
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
    await databases.drop()


def main() -> None:
    few, many = (int(each) for each in (sys.argv[1:] or (FEW, MANY)))
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
            asyncio.run(run(server, folder / "house", few, many))
        finally:
            embedded.remove(folder / "postgres")


if __name__ == "__main__":
    main()
