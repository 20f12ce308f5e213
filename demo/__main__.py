"""`make demo`: sets everything up, plays David's story and two hundred more referrals, and leaves the services running.

ARGS: --once ends when the story does, --json ends with one line of figures, --kafka runs a process for each service with the
log in a real Kafka, --referrals N, --seed N, --port N, --home FOLDER.
Exit code 0 only if nothing was lost, nothing doubled, and nobody readable outside the seal.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shlex
import signal
import sys
import time
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from datetime import date
from pathlib import Path

from rich.console import Console
from rich.live import Live
from rich.table import Table

from demo.broker import Broker, BrokerError, prepare
from demo.caller import Caller, Refused
from demo.crowd import LATER, Town
from demo.david import DAVID, NEIGHBOUR, Story
from demo.figures import Figures, counted, outcomes, readable
from demo.house import House, HouseError
from demo.partner import NotHeard, Partner
from demo.people import Person, members
from demo.ports import NoPort, free_port
from demo.providers import CLINIC, HARBOR, HOSPITAL, OPERATIONS, PLANS, SHELTER, STREET, organizations
from demo.sheets import REPORTED, Sheets, forty
from demo.stage import Stage
from demo.visitors import people as people_of_the_story
from demo.visitors import refer_more

# Where nobody watches, lines are not broken.
WIDE = 200
HOME = Path(__file__).parents[1] / ".loopkeeper"
STEPS = (
    ("received", "referral.received"),
    ("authorized", "authorization.approved"),
    ("denied", "authorization.denied"),
    ("pended", "authorization.pended"),
    ("offered", "assignment.made"),
    ("declined", "assignment.declined"),
    ("accepted", "assignment.accepted"),
    ("reached out", "outreach.attempted"),
    ("closed", "referral.closed"),
    ("told", "notice.delivered"),
)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("--once", action="store_true", help="end when the story does")
    parser.add_argument("--json", action="store_true", help="end with one JSON line of figures")
    parser.add_argument("--kafka", action="store_true", help="a process for each service, the log in Kafka")
    parser.add_argument("--referrals", type=int, default=200)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--port", type=int, default=8600)
    parser.add_argument("--home", type=Path, default=HOME)
    return parser.parse_args()


class Show:
    """Where the story is told: on the terminal, or with --json on standard error."""

    def __init__(self, *, quiet: bool) -> None:
        self.console = Console(stderr=quiet, highlight=False)
        if not self.console.is_terminal:
            self.console = Console(stderr=quiet, highlight=False, width=WIDE)
        self._began = time.monotonic()

    def step(self, text: str) -> None:
        self.console.print(f"[dim]{time.monotonic() - self._began:5.1f} s[/dim]  {text}")

    def line(self, who: str, what: str) -> None:
        self.console.print(f"  [bold]{who:<26}[/bold] {what}", soft_wrap=True)

    def told(self, on: date, who: str, what: str) -> None:
        self.console.print(f"  [dim]{on:%b %d, %Y}[/dim]  [bold]{who:<26}[/bold] {what}", soft_wrap=True)

    def heading(self, text: str) -> None:
        self.console.print(f"\n{text}\n", style="bold")


def board(stage: Stage) -> Table:
    """How many referrals have come how far, as everybody's endpoints heard."""
    counts = Counter(kind for _, kind in {(d.referral, d.type) for d in stage.partner.received})
    table = Table(box=None, pad_edge=False)
    for name, _ in STEPS:
        table.add_column(name, justify="right")
    table.add_row(*(str(counts[kind]) for _, kind in STEPS))
    return table


@asynccontextmanager
async def watched(stage: Stage, show: Show, given: argparse.Namespace) -> AsyncGenerator[None]:
    """The board, live where there is a terminal, else once at the end."""
    if not show.console.is_terminal or given.json:
        yield
        show.console.print(board(stage))
        return
    with Live(board(stage), console=show.console, refresh_per_second=8) as view:

        async def watch() -> None:
            while True:
                view.update(board(stage))
                await asyncio.sleep(0.12)

        watching = asyncio.create_task(watch())
        try:
            yield
        finally:
            watching.cancel()
            await asyncio.wait([watching])
            view.update(board(stage))


async def crowd(stage: Stage, town: Town, show: Show, people: list[Person]) -> None:
    """Everybody is referred. In the middle one endpoint fails, and all services are killed at once and come back; in
    Kafka's story they are restarted one after the other instead."""
    stage.partner.failing.add(SHELTER)
    referring = asyncio.create_task(town.refer(people))
    await town.half_way.wait()
    began = time.monotonic()
    if stage.house.broker is not None:
        await stage.house.roll()
        show.step(f"a rolling restart in the middle, service by service: {time.monotonic() - began:.1f} s")
    else:
        await stage.house.kill()
        show.step(f"kill -9 of all four services in the middle: back after {time.monotonic() - began:.1f} s")
    await referring
    stage.partner.failing.discard(SHELTER)
    await town.settled()
    show.step(f"the shelter's endpoint failed {stage.partner.failed} times and answers again")


async def weeks_later(stage: Stage, town: Town, show: Show) -> None:
    """The clock moves from deadline to deadline; who could not be reached is given up by the plan's policy."""
    await stage.pass_time(LATER)
    await town.settled()
    await town.give_up()
    await town.settled()
    show.step(f"{LATER.days} days later, deadline by deadline: it is {await stage.today():%B %d, %Y}")


async def story(given: argparse.Namespace, show: Show) -> int:
    home = given.home.absolute()
    broker = Broker(home / "kafka") if given.kafka else None
    if broker is not None:
        show.step("Kafka from Maven Central, on Java 17 or newer; fetched once")
        await asyncio.to_thread(prepare, install=True)
    house = House(home, free_port(given.port), broker)
    await house.wipe()
    show.step("keys for two plans, eighteen providers and their referrers, from the command line")
    everybody = [
        *organizations(),
        {"id": OPERATIONS, "name": "Operations", "kind": "operations", "roles": ["operations"]},
    ]
    keys = await house.keys(everybody)
    show.step(
        "loopkeeper up: PostgreSQL, four services and the console, one port"
        if broker is None
        else "Kafka, PostgreSQL, and loopkeeper up, once for each of the four services and for the console"
    )
    partner = Partner()
    await partner.start()
    caller = Caller(house.url_of, keys)
    stage = Stage(house, keys, caller, partner)
    try:
        await house.start()
        await house.people(people_of_the_story())
        show.console.print(
            f"\n  [bold]Open {house.console}[/bold] and be somebody of the story\n", soft_wrap=True
        )
        return await _play(stage, given, show)
    finally:
        await caller.close()
        await partner.stop()
        await house.stop()


async def _play(stage: Stage, given: argparse.Namespace, show: Show) -> int:
    people = members(given.seed, given.referrals, await stage.today())
    providers = await stage.directory()
    covered = 0
    in_sheets = forty(await stage.today())
    for plan in PLANS:
        known = [person.member for person in people if person.plan == plan]
        covered += await stage.roster(plan, [*known, *([DAVID, NEIGHBOUR] if plan == HARBOR else in_sheets)])
    listening = await stage.subscribe()
    show.step(
        f"{providers} providers in the directory, {covered} members on two rosters, {listening} verified endpoints"
    )
    show.heading("David")
    david = await Story(stage, show.told).play()
    show.heading("Spreadsheets")
    reported = await Sheets(stage, show.step).play()
    show.heading(f"{given.referrals} more")
    town = Town(stage, given.seed)
    town.listen()
    began, cpu = time.monotonic(), stage.house.cpu_seconds()
    async with watched(stage, show, given):
        await crowd(stage, town, show, people)
        seconds, used = time.monotonic() - began, stage.house.cpu_seconds() - cpu
        await weeks_later(stage, town, show)
    seen = readable(stage, [DAVID, *(person.member for person in people), *in_sheets])
    figures = await counted(stage, town, seconds, seen)
    _report(show, figures, await outcomes(stage, town), used, stage.house, town)
    if given.json:
        sys.stdout.write(json.dumps(figures.document()) + "\n")
        sys.stdout.flush()
    if not given.once:
        waiting = await refer_more(stage, given.seed)
        show.step(f"{waiting} more came in just now, and wait for people")
        await _stay(stage, show, david)
    well = (
        figures.lost == figures.doubled == figures.readable == 0 and not town.mishaps and reported == REPORTED
    )
    return 0 if well else 1


def _report(show: Show, figures: Figures, found: Counter[str], cpu: float, house: House, town: Town) -> None:
    show.heading(f"What came of {figures.referrals}")
    for name, count in found.most_common():
        show.line(name.replace("_", " "), str(count))
    for name, count in town.did.most_common():
        show.line(f"on the way: {name}", str(count))
    counts = ("populations", "forms", "languages")
    said = [f"{figures.shares[name]:.0f} {name}" for name in counts]
    said += [f"{name} {share:.1f} %" for name, share in figures.shares.items() if name not in counts]
    show.line("of a hundred", ", ".join(said))
    each = 1000 * cpu / max(figures.referrals, 1)
    held = f"{house.memory_bytes() / 2**20:.0f} MB of memory"
    middle = "the kill"
    if house.broker is not None:
        held = f"{held} in four processes, the broker {house.broker_bytes() / 2**20:.0f} MB"
        middle = "the rolling restart"
    waiting = sum(count for name, count in found.items() if name.startswith("open"))
    show.console.print(
        f"\nPOST to first webhook: p50 {figures.p50_ms:.0f} ms, p99 {figures.p99_ms:.0f} ms, {middle} included · "
        f"{each:.0f} ms of processor a referral · {held}\n"
        f"closed {figures.closed} (denied {figures.denied}, merged {figures.merged}) → told {figures.told} of "
        f"{figures.closed}\nopen {waiting}, each with a next actor\n"
        f"[bold]lost {figures.lost} · doubled {figures.doubled} · readable identities outside the seal "
        f"{figures.readable}[/bold]",
        soft_wrap=True,
    )
    for mishap in town.mishaps:
        show.console.print(f"went wrong: {mishap}", style="red")


async def _stay(stage: Stage, show: Show, david: str) -> None:
    url, keys, home = stage.house.url, stage.keys, stage.house.home
    example, form = home / "for-you" / "example.json", await stage.house.document("example", "adult")
    form["member"] |= NEIGHBOUR
    example.parent.mkdir(exist_ok=True)
    example.write_text(json.dumps(form, indent=1))
    lines = (
        f"curl -s {url}/v1/referrals/{david}/timeline -H 'Authorization: Bearer {keys[HARBOR]}'",
        f"curl -s -X POST {url}/v1/referrals -H 'Authorization: Bearer {keys[HOSPITAL]}' "
        f"-H 'Content-Type: application/json' --data @{example}",
        f"curl -s '{stage.house.url_of('/v1/providers')}/v1/providers?county=alameda&population=homelessness'",
    )
    show.console.print(
        f"\nIt stays up. Open {stage.house.console} and be somebody of the story.", style="bold"
    )
    show.console.print("\nThree lines to paste:\n", style="bold")
    for line in lines:
        show.console.print(f"  {line}\n", soft_wrap=True)
    where = " ".join(f"{name}={shlex.quote(value)}" for name, value in stage.house.addresses().items())
    command = f"LOOPKEEPER_HOME={home} {where} {stage.house.command}"
    facts = {
        "API reference": f"{url}/docs",
        "why David": f"{command} explain {david}",
        "his trace": f"{command} trace {david}",
        "keys": f"{CLINIC} {keys[CLINIC]}\n{'':16}{STREET} {keys[STREET]}\n{'':16}{HARBOR} {keys[HARBOR]}",
        "data": str(home),
        "stop": "Ctrl-C; `make clean` removes the data",
    }
    for name, value in facts.items():
        show.console.print(f"  [bold]{name:<14}[/bold]{value}", soft_wrap=True)
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    staying = asyncio.create_task(_revive(stage.house, show))
    stopping = asyncio.create_task(stopped.wait())
    await asyncio.wait({staying, stopping}, return_when=asyncio.FIRST_COMPLETED)
    staying.cancel()
    stopping.cancel()
    with suppress(asyncio.CancelledError):
        await staying


async def _revive(house: House, show: Show) -> None:
    """Somebody may try what `kill -9` does: what was killed is started again, as a platform would."""
    while True:
        await house.one_ended()
        began = time.monotonic()
        await house.revive()
        show.step(f"a process of the services was killed: back after {time.monotonic() - began:.1f} s")


def main() -> int:
    given = arguments()
    show = Show(quiet=given.json)
    try:
        return asyncio.run(story(given, show))
    except (BrokerError, HouseError, NoPort, NotHeard, Refused) as error:
        show.console.print(f"The story broke off: {error}", style="red", markup=False)
        return 1


sys.exit(main())
