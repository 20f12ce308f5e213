"""What it costs a service to take a month of attempts in, to judge it and to act on it: one process with one service, on a
database of its own. `python -m tests.bench.files_acting` prints rows, seconds and the process's memory as JSON."""

from __future__ import annotations

import asyncio
import json
import tempfile
import time
from datetime import timedelta
from pathlib import Path

from loopkeeper.plan_files.writing import write_file
from loopkeeper.postgres import embedded
from loopkeeper.postgres.embedded import Server
from loopkeeper.runtime.files.worker import Working
from notification.files.reporting import KINDS
from tests.bench.files import FIRST, most_memory
from tests.databases import SERVICES, Databases
from tests.notification.house import house
from tests.notification.plan_world import furnish, organizations_of
from tests.plan_files.worlds import World

ACTED = 5000
TEXT = {"Content-Type": "text/csv"}


async def act(server: Server, folder: Path) -> tuple[int, float]:
    """A month's attempts, sent to a service and acted on to the last row; how many were accepted or known, and the seconds."""
    world, databases = World("sampleton"), Databases(server)
    url = await databases.make("notification", await databases.template("notification"))
    async with house(url, folder, more=organizations_of(world)) as opened:
        await furnish(opened, world)
        content = attempts(world)
        sender, plan = world.said["sender"]["slug"], world.said["plan"]["id"]
        begun = time.perf_counter()
        async with opened.caller(sender) as caller:
            answer = await caller.post(f"/v1/files/otf?plan={plan}", content=content, headers=TEXT)
            working = Working(opened.context, {each.kind: each for each in KINDS})
            while await working.round():
                pass
            shown = (await caller.get(f"/v1/files/otf/{answer.json()['id']}")).json()
        seconds = time.perf_counter() - begun
    await databases.drop()
    return shown["counts"]["accepted"] + shown["counts"]["unchanged"], seconds


def attempts(world: World) -> bytes:
    """As many attempts as there are rows, of the members whom the sender has accepted, on days and in ways of their own."""
    held = [each for each in world.members.values() if each.state in ("accepted", "outreach", "serving")]
    days = [FIRST + timedelta(days=number) for number in range(28)]
    ways = ("phone", "text", "email", "video", "letter", "in_person")
    rows = [
        {"member.cin": member.cin, "member.name": f"{member.first_name} {member.last_name}",
         "attempt.on": days[number % 28], "attempt.method": ways[number // 28 % 6], "attempt.successful": False,
         "attempt.minutes": number % 60, "plan.number": world.context.plan_number, "provider.npi": world.context.npi,
         "provider.phone": f"555-{number:04}"}
        for number in range(ACTED // len(held) + 1) for member in held
    ]  # fmt: skip
    return write_file("otf", world.layout("otf"), rows[:ACTED])


def measure_acting() -> None:
    with tempfile.TemporaryDirectory() as base:
        server = embedded.start(Path(base), SERVICES, settings={"fsync": "off"})
        try:
            done, seconds = asyncio.run(act(server, Path(base)))
        finally:
            embedded.remove(Path(base))
    print(json.dumps({"rows": ACTED, "done": done, "seconds": round(seconds, 1), "megabytes": most_memory()}))


if __name__ == "__main__":
    measure_acting()
