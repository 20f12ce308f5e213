"""How a test reads a rule: `given(DECIDER, *facts).when(command, …).then("referral.closed")`, without a database.

A command may come alone, where its rule needs nothing but time and seed, or with its context. Time and seed are the
test's to say in one place, so that builders of contexts need not.
"""

from __future__ import annotations

from collections.abc import Sequence
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
    """The state after what has happened."""

    decider: Decider[S, Any]
    state: S | None

    def when(self, asking: AskedCommand, at: datetime = MONDAY) -> Answered:
        """Ask this; what follows is looked at by `then` or `refused`."""
        try:
            return Answered(decided(self.decider, self.state, asking, at), None)
        except Refused as refused:
            return Answered((), refused)


@dataclass(frozen=True)
class Answered:
    """What a rule answered: events, or a refusal."""

    events: Sequence[Event | EventOn]
    refusal: Refused | None

    def then(self, *names: str) -> Sequence[Event | EventOn]:
        """Exactly these events followed, named as on the wire (`referral.closed`); returns them."""
        if self.refusal is not None:
            raise AssertionError(f"refused: {self.refusal.slug}") from self.refusal
        found = tuple((each if isinstance(each, Event) else each.event).wire for each in self.events)
        if found != names:
            raise AssertionError(f"{found} followed, not {names}")
        return self.events

    def refused(self, slug: str) -> Refused:
        """It was refused, for this; returns the refusal."""
        if self.refusal is None or self.refusal.slug != slug:
            raise AssertionError(f"not refused as {slug}: {self.refusal or self.events}")
        return self.refusal


def given(decider: Decider[S, Any], *facts: Event) -> Given[S]:
    """A stream to which these events happened, in this order."""
    return Given(decider, decider.fold(facts))
