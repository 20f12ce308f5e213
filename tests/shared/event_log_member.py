"""A member of a group in a process of its own, for tests that stop and kill it. It reads the log's URL from its
input, says `holds` when it reads for the group `intake`, and on another line of input acknowledges what it never
read: it then says whether it believes that it still holds."""

from __future__ import annotations

import asyncio
import sys

from loopkeeper.event_log.postgres import PostgresLog
from tests.shared.event_log_contract import Offsets, until_holding

ABSURD = 1_000_000


async def main() -> None:
    event_log = PostgresLog(sys.stdin.readline().strip())
    member = await event_log.join("intake", Offsets())
    await until_holding(member)
    print("holds", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    await member.acknowledge({0: ABSURD})
    print(f"holds: {member.holds()}", flush=True)
    await event_log.close()


if __name__ == "__main__":
    asyncio.run(main())
