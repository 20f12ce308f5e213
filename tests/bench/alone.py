"""What does one referral alone cost, from its POST to its closing, and what does nobody's asking anything cost?

    python -m tests.bench.alone [--json] [--statements] [--referrals 9] [--saturated 150] [--paced 20]

The four services run in one process on one PostgreSQL; referrals come one at a time, and each stage ends when everything
that follows from it is sent, read, delivered and written down. Statements, rows and WAL are medians over the referrals.
The processor's time is of other referrals, at which nobody looks: of this process, and of PostgreSQL; the median of three
rounds. Who asks and who is told are in this process too; what they spend is told.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable
from pathlib import Path
from time import perf_counter
from typing import Any

import uvloop

from loopkeeper.kernel import garbage
from loopkeeper.postgres import embedded
from loopkeeper.postgres.embedded import Server
from tests.bench.counting import Processor, Statements, Wal, as_onlooker, counted, wal_of
from tests.bench.ends import Caller, Endpoint, Spent
from tests.bench.paced import paced, to_offers
from tests.bench.stages import STAGES, Figures, Stage, middle, spent_of, summary, table, texts
from tests.builders.forms import david
from tests.builders.organizations import CLINIC, HARBOR, OPERATIONS, STREET
from tests.databases import SERVICES, Databases
from tests.loop.house import House, house, put_roster

WARM = 4
# By what a desk with many referrals under way knows that it may go on.
FOLLOWS = {
    "offer told": "ecm.notice.offer.v1",
    "acceptance": "ecm.notice.assigned.v1",
    "start and closing": "ecm.notice.closed.v1",
}
# So many that neither the process nor PostgreSQL waits for somebody to ask.
DESKS = 48
# What the processor spends is asked so often, and its median told.
ROUNDS = 3
# Referrals a second whose first webhooks are waited for.
RATES = (20, 50)


class Desk:
    """Who refers, accepts and serves, one member after the other."""

    def __init__(self, opened: House, endpoint: Endpoint) -> None:
        self.opened, self.endpoint = opened, endpoint
        opened.partner = endpoint
        self._ask = Caller(opened.running.app, opened.keys, endpoint.spent).ask
        self._number = 0

    async def furnish(self, members: int) -> None:
        numbers = [f"9002{number:04}S" for number in range(members)]
        born = david()["member"]["birth_date"]
        await put_roster(self.opened, HARBOR, [{"cin": each, "birth_date": born} for each in numbers])
        await self.opened.ask(OPERATIONS, "PUT", f"/v1/providers/{STREET}", {"capacity": 100_000})
        for organization in (CLINIC, STREET, HARBOR):
            await self.opened.subscribe(organization)

    async def refer(self) -> str:
        """The next member's referral; its id."""
        return (await self._ask(CLINIC, "POST", "/v1/referrals", self.form(), 201))["id"]

    def form(self) -> dict[str, Any]:
        """The next member's."""
        self._number += 1
        number = self._number - 1
        member = david()["member"] | {"cin": f"9002{number:04}S", "last_name": f"Number{number}"}
        return david(member=member)

    async def loop(self, until_done: Callable[[str, Callable[[], Awaitable[Any]]], Awaitable[None]]) -> None:
        """One member's whole loop; `until_done` does a stage's request and waits for what follows."""
        referral: list[str] = []

        async def refer() -> str:
            referral.append(await self.refer())
            return referral[0]

        async def accept() -> None:
            offer = await self.endpoint.until_told("ecm.notice.offer.v1", referral[0])
            lead = {"lead": {"person": "luis-ortega", "name": "Luis Ortega"}}
            await self._ask(STREET, "POST", f"/v1/assignments/{offer['assignment']}:accept", lead)

        async def attempt() -> None:
            body = {
                "at": self.opened.clock.now().isoformat(),
                "actor_kind": "street_outreach_worker",
                "modality": "in_person",
                "outcome": "engaged",
            }
            await self._ask(STREET, "POST", f"/v1/outreach/{referral[0]}/attempts", body, 201)

        async def start() -> None:
            path = f"/v1/outreach/{referral[0]}:start-services"
            await self._ask(STREET, "POST", path, {"on": self.opened.today()})

        for name, act in zip(STAGES, (refer, accept, attempt, start), strict=True):
            await until_done(name, act)


async def count(desk: Desk, statements: Statements, wal: Wal, referrals: int) -> Figures:
    """The stages of so many referrals, each settled before the next begins."""
    found, opened = Figures(), desk.opened

    async def settled(name: str, act: Callable[[], Awaitable[Any]]) -> None:
        heard = len(opened.partner.requests)
        with as_onlooker():
            place = await wal.place()
        statements.taken()
        began = perf_counter()
        await act()
        with as_onlooker():
            await opened.quiet()
            took = perf_counter() - began
            sent = statements.taken()
            written = await wal.written(place, await wal.place())
        webhooks = len(opened.partner.requests) - heard
        found.stages[name].append(Stage(sent, written, webhooks, took * 1000))

    for _ in range(WARM + referrals):
        await desk.loop(settled)
    for stages in found.stages.values():
        del stages[:WARM]
    return found


async def spend(desk: Desk, processor: Processor, found: Figures, referrals: int) -> dict[str, float]:
    """The processor's time of whole loops, and of each stage, which ends when its webhooks have come."""
    opened, by_stage = desk.opened, defaultdict[str, float](float)
    expected = {name: stages[-1].webhooks for name, stages in found.stages.items()}

    async def told(name: str, act: Callable[[], Awaitable[Any]]) -> None:
        heard, before = len(opened.partner.requests), sum(processor.spent())
        await act()
        await opened.partner.came(heard + expected[name])
        by_stage[spent_of(name)] += sum(processor.spent()) - before

    before, began = processor.spent(), perf_counter()
    for _ in range(referrals):
        await desk.loop(told)
    seconds, after = perf_counter() - began, processor.spent()
    return {
        "process, ms a loop": (after[0] - before[0]) / referrals * 1000,
        "PostgreSQL, ms a loop": (after[1] - before[1]) / referrals * 1000,
        "ms a loop": seconds / referrals * 1000,
        **{name: spent / referrals * 1000 for name, spent in by_stage.items()},
    }


async def saturate(
    desk: Desk, statements: Statements, processor: Processor, found: Figures, referrals: int, desks: int
) -> tuple[dict[str, float], Counter[tuple[str, str]]]:
    """The processor's time of whole loops, many under way at a time, until every webhook of them has come; and what
    was sent for it."""
    numbers, opened = iter(range(referrals)), desk.opened
    webhooks = sum(stages[-1].webhooks for stages in found.stages.values())

    async def one() -> None:
        for _ in numbers:
            referral = ""

            async def told(name: str, act: Callable[[], Awaitable[Any]]) -> None:
                nonlocal referral
                referral = await act() or referral
                if kind := FOLLOWS.get(name):
                    await desk.endpoint.until_told(kind, referral)

            await desk.loop(told)

    heard, ends = len(opened.partner.requests), desk.endpoint.spent.seconds
    statements.taken()
    before, began = processor.spent(), perf_counter()
    await asyncio.gather(*(one() for _ in range(desks)))
    await opened.partner.came(heard + webhooks * referrals)
    seconds, after = perf_counter() - began, processor.spent()
    ends = desk.endpoint.spent.seconds - ends
    sent = statements.taken()
    return {
        "statements a loop": sent.total() / referrals,
        "process, ms a loop": (after[0] - before[0]) / referrals * 1000,
        "of it both ends, ms a loop": ends / referrals * 1000,
        "PostgreSQL, ms a loop": (after[1] - before[1]) / referrals * 1000,
        "loops a second": referrals / seconds,
    }, sent


async def idle(
    statements: Statements, processor: Processor, found: Figures, seconds: float
) -> Counter[tuple[str, str]]:
    """What is done while nobody asks anything."""
    await asyncio.sleep(2.0)
    statements.taken()
    before = processor.spent()
    await asyncio.sleep(seconds)
    after, sent = processor.spent(), statements.taken()
    found.idle = {
        "statements a second": sent.total() / seconds,
        "process, ms a second": (after[0] - before[0]) / seconds * 1000,
        "PostgreSQL, ms a second": (after[1] - before[1]) / seconds * 1000,
    }
    return sent


async def run(server: Server, folder: Path, asked: argparse.Namespace) -> None:
    databases = Databases(server)
    with counted() as statements:
        async with (
            wal_of(server) as wal,
            house(databases, folder) as opened,
            Endpoint(Spent()) as endpoint,
        ):
            desk, processor = Desk(opened, endpoint), Processor(server)
            apace = round(sum(RATES) * asked.paced)
            await desk.furnish(
                WARM + (1 + asked.rounds) * asked.referrals + 2 * asked.rounds * asked.saturated + apace + 10
            )
            # As a program does that has started.
            garbage.settle()
            found = await count(desk, statements, wal, asked.referrals)
            found.processor = middle(
                [await spend(desk, processor, found, asked.referrals) for _ in range(asked.rounds)]
            )
            for rate in RATES if asked.paced else ():
                found.paced[f"{rate} a second"] = await paced(desk, rate, asked.paced)
                with as_onlooker():
                    # Whose webhooks are still to come are not the next one's.
                    await opened.quiet()
            busy = Counter[tuple[str, str]]()
            if asked.saturated:
                webhooks, rounds = found.stages["offer told"][-1].webhooks, list[dict[str, float]]()
                for _ in range(asked.rounds):
                    figures, sent = await saturate(
                        desk, statements, processor, found, asked.saturated, asked.desks
                    )
                    rounds.append(figures)
                    busy += sent
                found.saturated = middle(rounds)
                found.to_offers = middle(
                    [
                        await to_offers(desk, processor, asked.saturated, webhooks, asked.desks)
                        for _ in range(asked.rounds)
                    ]
                )
            with as_onlooker():
                # Of what the last round left.
                await opened.quiet()
            resting = await idle(statements, processor, found, asked.idle)
    await databases.drop()
    made = summary(found)
    print(json.dumps(made, indent=1) if asked.json else table(made))
    if asked.statements:
        for name, stages in found.stages.items():
            sent = sum((stage.statements for stage in stages), Counter[tuple[str, str]]())
            print(texts(f"\n{name}, statements a referral", sent, len(stages)))
            rows = sum((stage.written.rows for stage in stages), Counter[tuple[str, str]]())
            print(texts(f"\n{name}, rows a referral", rows, len(stages)))
        print(texts("\nsaturated, statements a loop", busy, asked.rounds * asked.saturated or 1))
        print(texts("\nidle, statements a second", resting, asked.idle))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument(
        "--statements", action="store_true", help="print each statement and how often it was sent"
    )
    parser.add_argument("--referrals", type=int, default=9)
    parser.add_argument(
        "--saturated", type=int, default=150, help="loops a round, many at a time; 0 for none"
    )
    parser.add_argument(
        "--rounds", type=int, default=ROUNDS, help="of what the processor spends; the median is told"
    )
    parser.add_argument("--desks", type=int, default=DESKS, help="how many loops are under way at a time")
    parser.add_argument("--paced", type=float, default=20.0, help="seconds at each steady rate; 0 for none")
    parser.add_argument("--idle", type=float, default=20.0, help="seconds")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as base:
        folder = Path(base)
        settings = {"max_connections": "200", "autovacuum": "off"}
        server = embedded.start(folder / "postgres", SERVICES, settings=settings)
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(run(server, folder / "house", asked))
        finally:
            embedded.remove(folder / "postgres")


if __name__ == "__main__":
    main()
