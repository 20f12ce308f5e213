"""What the store does with one stream, without a database: claims, evolve-then-decide for facts, the view, and the
journal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from loopkeeper.contract.decider import Command, Decider
from loopkeeper.contract.events import Event
from loopkeeper.store.definition import Change, Submission, View


@dataclass
class PureStream:
    """One stream of one service. `journal` holds own and noted events in order; a claim id has one effect. Streams
    that share a `view` share what it knows beyond their rows."""

    decider: Decider[Any]
    notes_all: bool = False
    name: str = ""
    view: View[Any] = field(default_factory=lambda: View[Any]())
    state: Any = None
    journal: list[Event] = field(default_factory=list[Event])
    published: list[Event] = field(default_factory=list[Event])
    claims: set[UUID] = field(default_factory=set[UUID])
    at: datetime | None = None

    def give(self, command: Command, claim: UUID, at: datetime) -> Sequence[Event]:
        """Apply a command once; a repeated claim yields nothing. A refusal claims nothing."""
        if claim in self.claims:
            return []
        now = max(at, self.at) if self.at else at
        command = command.model_copy(update={"at": now, "seed": claim})
        state, written = self.state, list[Event]()
        if command.fact is not None:
            state = self.decider.evolve(state, command.fact)
            if state != self.state or self.notes_all:
                written.append(command.fact)
        command = self.view.complete(self.name, state, command)
        # What a rule writes into another stream is that stream's to take.
        made = [event for event in self.decider.decide(state, command) if isinstance(event, Event)]
        for event in made:
            state = self.decider.evolve(state, event)
        self.claims.add(claim)
        self.view.note(Change(self.name, Submission(claim, self.name, command), self.state, state, (), now))
        self.state, self.at = state, now
        self.journal += [*written, *made]
        self.published += made
        return made

    def folded(self) -> Any:
        return self.decider.fold(self.journal)
