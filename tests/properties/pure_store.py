"""What the store does with one stream, without a database: claims, evolve-then-decide for facts, contexts, and the
journal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from loopkeeper.contract.decider import Decider, Plain
from loopkeeper.contract.events import Event
from loopkeeper.store.definition import Change, Loaded, Submission
from loopkeeper.testing.rules import AskedCommand, asked_at, command_of


@dataclass
class PureStream:
    """One stream of one service. `journal` holds own and noted events in order; a claim id has one effect. Streams
    that share `loaded` share what is known beyond their rows; without it a command comes with its own context."""

    decider: Decider[Any, Any]
    notes_all: bool = False
    name: str = ""
    loaded: Loaded[Any, Any] | None = None
    state: Any = None
    journal: list[Event] = field(default_factory=list[Event])
    published: list[Event] = field(default_factory=list[Event])
    processed: set[UUID] = field(default_factory=set[UUID])
    at: datetime | None = None

    def give(self, asking: AskedCommand, command_id: UUID, at: datetime) -> Sequence[Event]:
        """Apply a command once; a repeated claim yields nothing. A refusal claims nothing."""
        if command_id in self.processed:
            return []
        now = max(at, self.at) if self.at else at
        command = command_of(asking)
        state, written = self.state, list[Event]()
        if command.fact is not None:
            state = self.decider.evolve(state, command.fact)
            if state != self.state or self.notes_all:
                written.append(command.fact)
        asked: Any = asked_at(asking, now, command_id)
        if self.loaded is not None:
            asked = self.loaded.with_context(self.name, state, command, Plain(at=now, seed=command_id))
        # What a rule writes into another stream is that stream's to take.
        made = [event for event in self.decider.decide(state, asked) if isinstance(event, Event)]
        for event in made:
            state = self.decider.evolve(state, event)
        self.processed.add(command_id)
        if self.loaded is not None:
            submission = Submission(command_id, self.name, command)
            self.loaded.observe(Change(self.name, submission, self.state, state, (), now))
        self.state, self.at = state, now
        self.journal += [*written, *made]
        self.published += made
        return made

    def folded(self) -> Any:
        return self.decider.fold(self.journal)
