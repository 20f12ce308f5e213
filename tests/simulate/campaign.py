"""One seed's run: everybody acts, anything may be lost in between, then all is quiet and a year passes. What is broken?"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from loopkeeper.contract.decider import Refused
from loopkeeper.contract.events import ReferralSetAside
from loopkeeper.kernel.settings import Settings
from loopkeeper.policy.reading import installed as packages
from loopkeeper.policy.reading import load
from loopkeeper.runtime.service import installed
from loopkeeper.security.keyring import Keyring
from loopkeeper.security.sealing import Sealer
from loopkeeper.store.definition import Submission
from loopkeeper.testing.rules import MONDAY
from tests.builders.facts import entry
from tests.builders.organizations import CLINIC, HARBOR, NAVIGATORS, STREET
from tests.chaos import invariants
from tests.chaos.invariants import DOMAINS, Found, Kept
from tests.simulate.loading import Known
from tests.simulate.people import MEMBERS, People
from tests.simulate.world import PARTITIONS, Cell, Log

POLICY = Path(__file__).parents[2] / "demo" / "policy"
# So many steps are taken before everybody goes home, and nobody but the clock acts.
STEPS = 110
# After a year every term is over; a month has the clocks of the beginning, and takes a third of the time.
YEAR, MONTH = timedelta(days=400), timedelta(days=31)
SERVICES = installed()
# More deadlines than a few loops can have: one that fires forever shows by it.
MOST_DEADLINES = 400
MOST_ROUNDS = 500


class Broken(AssertionError):
    """A promise is not kept; the words say which, and how it came."""


@dataclass
class Faults:
    """What was done to them."""

    relays_died: int = 0
    replies_lost: int = 0
    stepped_back: int = 0
    said_twice: int = 0
    deadlines: int = 0

    @property
    def count(self) -> int:
        return self.relays_died + self.replies_lost + self.stepped_back + self.said_twice


@dataclass
class Run:
    """One seed. `story` is what happened, in order, by ids and codes alone."""

    seed: int
    known: Known
    now: datetime = MONDAY
    log: Log = field(default_factory=Log)
    faults: Faults = field(default_factory=Faults)
    story: list[str] = field(default_factory=list[str])

    def __post_init__(self) -> None:
        self.chance = random.Random(f"loop {self.seed}")
        services = SERVICES
        self.cells: Mapping[str, Cell] = {
            name: Cell(services[name], replace(domain), self.known, services[name].on_timer(EQUIPMENT))
            for name, domain in DOMAINS.items()
        }
        for number in range(MEMBERS - 1):
            # Of the last one nothing is known.
            self.cells["intake"].beside.roster[f"{HARBOR}:{number}"] = {
                "plan": HARBOR, "birth_key": str(number), "covered_from": MONDAY.date() - timedelta(days=300),
                "covered_through": None, "left_on": None, "programs": [],
            }  # fmt: skip
        self.people = People(self.cells, self.chance)

    @property
    def loops(self) -> int:
        return len(self.cells["intake"].rows)

    def play(self) -> None:
        """Raises `Broken`, or whatever a rule raised, with the story in its notes."""
        try:
            self._play()
        except Exception as error:
            error.add_note("\n".join((f"seed {self.seed}", *self.story[-60:])))
            raise

    def _play(self) -> None:
        for _ in range(3):
            self._ask(self.people.refer(self.now))
        for _ in range(STEPS):
            self.chance.choices(self._steps, self._weights)[0]()
        self._settle()
        self._check("when everything is quiet")
        self._pass_time(MONTH if self.seed % 3 else YEAR)
        self._check("when time has passed")

    # ── steps ─────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def _steps(self) -> Sequence[Any]:
        return (self._act, self._relay, self._consume, self._time, self._fire, self._hear, self._step_back)

    _weights = (22, 26, 36, 5, 5, 6, 2)

    def _act(self) -> None:
        said = self.people.act(self.now)
        if said is not None:
            self._ask(said)

    def _ask(self, said: tuple[str, Submission]) -> None:
        service, submission = said
        cell = self.cells[service]
        known = submission.id in cell.claims
        self.faults.said_twice += known
        before = {name: row.state for name, row in cell.rows.items()}
        outcome: Refused | None = cell.execute([submission], self.now)[submission.id]
        verdict = f"refused: {outcome.slug}" if outcome is not None else "again" if known else "taken"
        self._note(f"{service} {submission.stream[-6:]} {submission.label}: {verdict}")
        if outcome is not None or known:
            if before != {name: row.state for name, row in cell.rows.items()}:
                raise Broken(f"{service}: {submission.label} was {verdict}, and changed something")
        elif self.chance.random() < 0.1:
            # The answer was lost: the same is asked again.
            self.faults.replies_lost += 1
            cell.execute([submission], self.now)

    def _relay(self) -> None:
        cell = self._cell()
        dies = self.chance.random() < 0.1
        sent = cell.relay(self.log, self.chance.randrange(1, 6), dies=dies)
        if sent:
            self.faults.relays_died += dies
            self._note(f"{cell.name} publishes {sent}{', dies before it deletes them' if dies else ''}")

    def _consume(self) -> None:
        cell, partition = self._cell(), self.chance.randrange(PARTITIONS)
        count = cell.consume(self.log, partition, self.chance.randrange(1, 8), self.now)
        if count:
            self._note(f"{cell.name} reads {count} of partition {partition}")

    def _step_back(self) -> None:
        """Who reads is handed again what it has read: it was killed before it could say so."""
        cell, partition = self._cell(), self.chance.randrange(PARTITIONS)
        back = min(cell.read[partition], self.chance.randrange(1, 10))
        if back:
            cell.read[partition] -= back
            self.faults.stepped_back += 1
            self._note(f"{cell.name} is at {cell.read[partition]} of partition {partition} again")

    def _time(self) -> None:
        self.now += timedelta(hours=self.chance.choice((1, 5, 30, 80, 200)))
        self._note(f"it is {self.now:%Y-%m-%d %H:%M}")

    def _fire(self) -> None:
        cell = self._cell()
        due = [each for each in cell.due() if each[0] <= self.now and cell.may_fire(each[1], self.log)]
        if due:
            self._let(cell, *self.chance.choice(due))

    def _let(self, cell: Cell, at: datetime, stream: str, kind: str) -> None:
        cell.fire(stream, kind, at, self.now)
        self.faults.deadlines += 1
        self._note(f"{cell.name} {stream[-6:]} {kind.partition(' ')[0]} is over")
        if (at, stream, kind) in cell.due():
            raise Broken(
                f"{cell.name}: the deadline {kind.partition(' ')[0]} of {stream} is met and lives on"
            )

    def _hear(self) -> None:
        heard = self.people.hear(self.now)
        if heard is not None:
            self._ask(heard)

    def _cell(self) -> Cell:
        return self.chance.choice(list(self.cells.values()))

    def _note(self, what: str) -> None:
        self.story.append(what)

    # ── quiet ─────────────────────────────────────────────────────────────────────────────────────────────

    def _settle(self) -> None:
        """Everybody publishes and reads to the end, and meets what is due."""
        for _ in range(MOST_ROUNDS):
            moved = 0
            for cell in self.cells.values():
                moved += cell.relay(self.log, len(cell.unsent), dies=False)
                moved += sum(
                    cell.consume(self.log, partition, 256, self.now) for partition in range(PARTITIONS)
                )
            if moved:
                continue
            due = [
                (each, cell) for cell in self.cells.values() for each in cell.due()[:1] if each[0] <= self.now
            ]
            if not due:
                return
            for each, cell in due:
                self._let(cell, *each)
        raise Broken("it never becomes quiet")

    def _pass_time(self, by: timedelta) -> None:
        """From deadline to deadline, and nobody does anything."""
        until = self.now + by
        for _ in range(MOST_DEADLINES):
            ahead = [found[0][0] for cell in self.cells.values() if (found := cell.due())]
            self.now = max(self.now, min([*ahead, until]))
            self._settle()
            if self.now >= until:
                return
        raise Broken("more deadlines come than there can be")

    def _check(self, when: str) -> None:
        broken = list(broken_in(self.cells, self.log))
        if broken:
            raise Broken("\n".join((f"{when}:", *broken)))


# ── what must hold ────────────────────────────────────────────────────────────────────────────────────────


def broken_in(cells: Mapping[str, Cell], log: Log) -> Iterator[str]:
    """The same promises as after a campaign against real processes (`tests/chaos/invariants`), and those of rows."""
    found = found_in(cells, log)
    yield from invariants.disordered(found.log)
    yield from invariants.unnoted(found)
    yield from invariants.disagreeing(found)
    yield from invariants.stalled(found)
    yield from invariants.closed_twice(found)
    yield from unfolded(cells)
    yield from served_twice(cells)


def found_in(cells: Mapping[str, Cell], log: Log) -> Found:
    services: dict[str, Kept] = {}
    for name, cell in cells.items():
        states = dict(cell.states)
        rows = {each: {"id": each, **cell.domain.columns(state)} for each, state in states.items()}
        # What is kept for a reviewer alone is told to nobody.
        journals = {
            each: [entry for entry, event in row.entries if not isinstance(event, ReferralSetAside)]
            for each, row in cell.rows.items()
        }
        services[name] = Kept(cell.domain, rows, states, journals)
    ordered = sorted(
        (record.message for partition in log.partitions for record in partition),
        key=lambda each: each.subject,
    )
    return Found(services, ordered)


def unfolded(cells: Mapping[str, Cell]) -> Iterator[str]:
    """Rows that their journals do not give."""
    for name, cell in cells.items():
        for stream, row in cell.rows.items():
            if cell.domain.decider.fold(event for _, event in row.entries) != row.state:
                yield f"{name}: the journal of {stream} folds to another state"


def served_twice(cells: Mapping[str, Cell]) -> Iterator[str]:
    """Members with two live assignments of which the plan was not told."""
    holders: dict[str, list[Any]] = {}
    for state in cells["assignment"].states.values():
        if state.live is not None and state.member:
            holders.setdefault(state.member, []).append(state)
    for member, states in holders.items():
        if len(states) > 1 and not any(state.asked for state in states):
            yield f"{member} is served twice, and nobody is asked"


# ── what everybody knows ──────────────────────────────────────────────────────────────────────────────────


class Equipment:
    """Nothing is open: a deadline's command is made of nothing."""


EQUIPMENT: Any = Equipment()


@cache
def everybody(home: Path) -> Known:
    """The demo's policy, and three providers: one full, one with a single place."""
    providers = {
        STREET: entry(STREET, types=("street_medicine",), capacity=3),
        NAVIGATORS: entry(NAVIGATORS, capacity=1),
        CLINIC: entry(CLINIC, capacity=0),
    }
    sealer = Sealer(Keyring.open(Settings(home=home).config_folder))
    return Known(load(packages(), POLICY), providers, sealer)
