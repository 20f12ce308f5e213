"""How a test reads a rule: `given(DECIDER, *facts).when(command).then("referral.closed")`, without a database. What it looks
at more closely is in `.events`, `.state` and `.refusal`.

A command may come alone, where its rule needs nothing but time and seed, or with its context. Time and seed are the
test's to say in one place, so that builders of contexts need not.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar
from uuid import UUID

from loopkeeper.contract.decider import Command, Context, Decider, EventOn, Plain, Refused, State
from loopkeeper.contract.events import Event

S = TypeVar("S", bound=State)

# Monday, nine in the morning in Los Angeles; and the id of every command that has none of its own.
MONDAY = datetime(2026, 3, 2, 17, 0, tzinfo=UTC)
SEED = UUID(int=7)
# A command, alone or with its context.
AskedCommand = Command | tuple[Command, Context]


def command_of(asking: AskedCommand) -> Command:
    return asking if isinstance(asking, Command) else asking[0]


def asked_at(asking: AskedCommand, at: datetime, seed: UUID = SEED) -> tuple[Command, Context]:
    """The command with its context, at this time and under this id."""
    if isinstance(asking, Command):
        return asking, Plain(at=at, seed=seed)
    command, context = asking
    return command, replace(context, at=at, seed=seed)


def decided(
    decider: Decider[S, Any], state: S | None, asking: AskedCommand, at: datetime = MONDAY, seed: UUID = SEED
) -> list[Event | EventOn]:
    """What the store does with a command: its fact is folded in first, then the rule decides."""
    asked = asked_at(asking, at, seed)
    if (fact := asked[0].fact) is not None:
        state = decider.evolve(state, fact)
    return list(decider.decide(state, asked))


@dataclass(frozen=True)
class Given(Generic[S]):
    """A stream to which something happened. `state` is what its events fold to; None before the first."""

    decider: Decider[S, Any]
    state: S | None

    def when(self, asking: AskedCommand, at: datetime = MONDAY) -> Answered[S]:
        """Ask this, at this time."""
        try:
            events = decided(self.decider, self.state, asking, at)
        except Refused as refused:
            return Answered(self, asking, (), refused)
        return Answered(self, asking, tuple(events), None)


@dataclass(frozen=True)
class Answered(Generic[S]):
    """What a rule answered: `events`, or a `refusal`. To read the one where there is the other fails the test."""

    given: Given[S]
    asking: AskedCommand
    made: tuple[Event | EventOn, ...]
    refused_by: Refused | None

    @property
    def events(self) -> list[Event | EventOn]:
        if self.refused_by is not None:
            raise AssertionError(f"refused: {self.refused_by.slug}") from self.refused_by
        return list(self.made)

    @property
    def refusal(self) -> Refused:
        if self.refused_by is None:
            raise AssertionError(f"not refused: {self.made}")
        return self.refused_by

    @property
    def state(self) -> S | None:
        """The stream's state after it: the command's fact, and the events that are its own."""
        fact = command_of(self.asking).fact
        own = [event for event in self.events if isinstance(event, Event)]
        return self.given.decider.fold([*([fact] if fact is not None else []), *own], self.given.state)

    def then(self, *names: str) -> list[Event | EventOn]:
        """Exactly these events follow, named as on the wire (`referral.closed`); returns them."""
        found = tuple((each if isinstance(each, Event) else each.event).wire for each in self.events)
        if found != names:
            raise AssertionError(f"{found} followed, not {names}")
        return self.events

    def refused(self, slug: str) -> Refused:
        """It is refused, for this; returns the refusal."""
        if self.refusal.slug != slug:
            raise AssertionError(f"refused as {self.refusal.slug}, not as {slug}")
        return self.refusal


def given(decider: Decider[S, Any], *facts: Event, state: S | None = None) -> Given[S]:
    """A stream to which these events happened, in this order; behind `state`, where it is told."""
    return Given(decider, decider.fold(facts, state))
