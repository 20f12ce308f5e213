"""How a rule is written: `decide(state, (command, context)) -> events`, `evolve(state, event) -> state`, both pure.

A command says what was asked, its context what the rule may know beyond the state; a service's rules take a closed
union of such pairs. A command from a person may raise `Refused`. A command that carries a `fact` (another service's
event) first has the fact folded into the state by `evolve`, is then decided, and never raises: it applies, or it is
stale and yields nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from loopkeeper.contract.events import Event


class State(BaseModel):
    """A row's truth: frozen, everything optional until a fact or an own event fills it."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Command(BaseModel):
    """An imperative: what was asked, and nothing else. `fact` is the event of another service that it takes note of."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    fact: Event | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What one command's rule may know beyond the state of its stream: a frozen value without defaults, made by the
    service's `Loaded` under all locks, after the command's fact was folded.

    `at` is the time of the decision, never before the row's last one. `seed` is the command's own id, from which a rule
    derives the ids of what it creates, so that a repetition derives the same ones.
    """

    at: datetime
    seed: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class Plain(Context):
    """The context of a command whose rule needs nothing but time and seed."""


class InvariantBroken(Exception):
    """A rule met what no event or command can make, or the program would break its own law (publish another's event,
    write an unknown table): a defect of the program, never the caller's mistake."""


class Refused(Exception):
    """A person asked for what cannot be. `slug` is for programs, `sentence` for people, `fix` says what to do."""

    def __init__(
        self, slug: str, sentence: str, *, fix: str = "", allowed: Sequence[str] = (), status: int = 409
    ) -> None:
        super().__init__(sentence)
        self.slug = slug
        self.sentence = sentence
        self.fix = fix
        self.allowed = tuple(allowed)
        self.status = status


S = TypeVar("S", bound=State)
# What a service's rules are asked: a closed union of pairs of a command and its context.
A = TypeVar("A")


@dataclass(frozen=True, slots=True)
class EventOn:
    """An event of another stream that the same decision makes: one whose row the command has had locked, or, with
    `opens`, one that begins with it."""

    stream: str
    event: Event
    opens: bool = False


@dataclass(frozen=True, slots=True)
class Decider(Generic[S, A]):
    """The two functions of one service, and the name people see in journals and parked lists."""

    name: str
    state: type[S]
    decide: Callable[[S | None, A], Sequence[Event | EventOn]]
    evolve: Callable[[S | None, Event], S | None]

    def fold(self, events: Iterable[Event], state: S | None = None) -> S | None:
        """The state after these events, own and noted, in journal order."""
        for event in events:
            state = self.evolve(state, event)
        return state
