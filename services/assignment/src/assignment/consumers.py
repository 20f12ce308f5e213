"""What assignment does with each event: authorization asks for a provider, its end or a closing takes one back, and
what changes of the member changes here too."""

from __future__ import annotations

from collections.abc import Mapping

from assignment.domain.commands import NoteFact
from assignment.domain.evolve import FOLD
from loopkeeper.contract.envelope import Message
from loopkeeper.contract.events import PUBLISHERS, Event, publisher
from loopkeeper.flow.consumer import Reaction


def on_fact(event: Event, message: Message) -> NoteFact:
    """Notes the fact: `domain/evolve.FOLD` says what it changes; `domain/rules.settle` what follows, an offer to the
    next provider or one taken back."""
    return NoteFact(fact=event)


# Every event of another service that changes what an assignment needs.
REACTIONS: Mapping[type[Event], Reaction] = {
    kind: on_fact for kind in FOLD if publisher(kind) != PUBLISHERS["assignment"]
}
