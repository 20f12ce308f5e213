"""`make demo`: sets everything up, plays David's loop and fifty more referrals, and leaves the services running.

ARGS: --once ends when the story does, --json ends with one line of figures, --referrals N, --seed N, --port N, --home FOLDER.
Exit code 0 only if nothing was lost and nothing doubled.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
import time
from collections import Counter
from contextlib import nullcontext
from datetime import datetime
from pathlib import Path

from rich.console import Console
from rich.live import Live
from rich.table import Table

from demo.caller import Caller, Refused
from demo.crowd import Town
from demo.david import DAVID, LOS_ANGELES, NEIGHBOUR, play
from demo.figures import Figures, counted, outcomes
from demo.house import House, HouseError, free_port
from demo.partner import NotHeard, Partner
from demo.people import CLINIC, HARBOR, HOSPITAL, STREET, organizations
from demo.stage import OPERATIONS, Stage, members

# Where nobody watches, lines are not broken.
WIDE = 200
HOME = Path(__file__).parents[1] / ".loopkeeper"
STEPS = (
    ("received", "referral.received"),
    ("authorized", "authorization.approved"),
    ("denied", "authorization.denied"),
    ("offered", "assignment.made"),
    ("accepted", "assignment.accepted"),
    ("declined", "assignment.declined"),
    ("reached out", "outreach.attempted"),
    ("closed", "referral.closed"),
    ("told", "notice.delivered"),
)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("--once", action="store_true", help="end when the story does")
    parser.add_argument("--json", action="store_true", help="end with one JSON line of figures")
    parser.add_argument("--referrals", type=int, default=50)
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


def board(stage: Stage, town: Town) -> Table:
    """How many referrals have come how far, as the plans' endpoints heard."""
    counts = Counter(kind for _, kind in {(d.referral, d.type) for d in stage.partner.received})
    table = Table(box=None, pad_edge=False)
    for name, _ in STEPS:
        table.add_column(name, justify="right")
    table.add_row(*(str(counts[kind]) for _, kind in STEPS))
    return table


async def crowd(
    stage: Stage,
    town: Town,
    show: Show,
    given: argparse.Namespace,
    people: dict[str, list[dict[str, object]]],
) -> None:
    """Fifty more, watched live where there is a terminal."""
    live = show.console.is_terminal and not given.json
    with (
        Live(board(stage, town), console=show.console, refresh_per_second=8)
        if live
        else nullcontext() as view
    ):
        done = asyncio.Event()

        async def watch() -> None:
            while not done.is_set():
                if view is not None:
                    view.update(board(stage, town))
                await asyncio.sleep(0.12)

        watching = asyncio.create_task(watch())
        await town.refer(people, given.referrals)
        for _ in range(3):
            await stage.quiet()
            await town.idle()
        await stage.quiet()
        done.set()
        await watching
    if not live:
        show.console.print(board(stage, town))


async def story(given: argparse.Namespace, show: Show) -> int:
    house = House(given.home.absolute(), free_port(given.port))
    await house.wipe()
    show.step("keys for two plans, twelve providers and their referrers, from the command line")
    everybody = [
        *organizations(),
        {"id": OPERATIONS, "name": "Operations", "kind": "operations", "roles": ["operations"]},
    ]
    keys = await house.keys(everybody)
    show.step("loopkeeper up: PostgreSQL, four services, one port")
    partner = Partner()
    await partner.start()
    await house.start()
    caller = Caller(house.url, keys)
    stage = Stage(house, keys, caller, partner)
    try:
        return await _play(stage, given, show)
    finally:
        await caller.close()
        await partner.stop()
        await house.stop()


async def _play(stage: Stage, given: argparse.Namespace, show: Show) -> int:
    today = datetime.now(LOS_ANGELES).date()
    people = {plan: list(each) for plan, each in members(given.seed, given.referrals, today).items()}
    providers = await stage.directory()
    covered = [
        await stage.roster(plan, [*each, DAVID, NEIGHBOUR] if plan == HARBOR else each)
        for plan, each in people.items()
    ]
    listening = await stage.subscribe()
    show.step(
        f"{providers} providers in the directory, {sum(covered)} members on two rosters, {listening} verified endpoints"
    )
    town = Town(stage, given.seed)
    show.console.print("\nDavid\n", style="bold")
    david = await play(stage, show.line)
    show.console.print(f"\n{given.referrals} more\n", style="bold")
    town.listen()
    began, cpu = time.monotonic(), stage.house.cpu_seconds()
    await crowd(stage, town, show, given, people)
    seconds = time.monotonic() - began
    used = stage.house.cpu_seconds() - cpu
    figures = await counted(stage, town, seconds)
    _report(show, figures, await outcomes(stage, town), used, stage.house.memory_bytes(), town)
    if given.json:
        sys.stdout.write(json.dumps(figures.document()) + "\n")
    if not given.once:
        await _stay(stage, show, david)
    return 0 if figures.lost == figures.doubled == 0 and not town.mishaps else 1


def _report(show: Show, figures: Figures, found: Counter[str], cpu: float, memory: int, town: Town) -> None:
    show.console.print()
    for name, count in found.most_common():
        show.line(name.replace("_", " "), str(count))
    each = 1000 * cpu / max(figures.referrals, 1)
    show.console.print(
        f"\n{figures.referrals} referrals in {figures.seconds:.1f} s: {figures.closed} closed, "
        f"{figures.told} of {figures.closed} told, {figures.open} open, each with somebody who must act\n"
        f"POST to first webhook: p50 {figures.p50_ms:.0f} ms, p99 {figures.p99_ms:.0f} ms · "
        f"{each:.0f} ms of processor a referral · {memory / 2**20:.0f} MB of memory\n"
        f"[bold]lost {figures.lost} · doubled {figures.doubled}[/bold]"
    )
    for mishap in town.mishaps:
        show.console.print(f"went wrong: {mishap}", style="red")


async def _stay(stage: Stage, show: Show, david: str) -> None:
    url, keys, home = stage.house.url, stage.keys, stage.house.home
    example, form = home / "example.json", await stage.house.document("example", "adult")
    form["member"] |= NEIGHBOUR
    example.write_text(json.dumps(form, indent=1))
    lines = (
        f"curl -s {url}/v1/referrals/{david}/timeline -H 'Authorization: Bearer {keys[HARBOR]}'",
        f"curl -s -X POST {url}/v1/referrals -H 'Authorization: Bearer {keys[HOSPITAL]}' "
        f"-H 'Content-Type: application/json' --data @{example}",
        f"curl -s '{url}/v1/providers?county=alameda&population=homelessness'",
    )
    show.console.print("\nIt stays up. Three lines to paste:\n", style="bold")
    for line in lines:
        show.console.print(f"  {line}\n", soft_wrap=True)
    command = f"LOOPKEEPER_HOME={home} LOOPKEEPER_URL={url} {stage.house.command}"
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
    await stopped.wait()


def main() -> int:
    given = arguments()
    show = Show(quiet=given.json)
    try:
        return asyncio.run(story(given, show))
    except (HouseError, NotHeard, Refused) as error:
        show.console.print(f"The story broke off: {error}", style="red", markup=False)
        return 1


sys.exit(main())
