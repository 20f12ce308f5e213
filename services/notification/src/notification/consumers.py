"""What notification does with each event: it notes every fact of the loop, and copies the provider directory."""

from __future__ import annotations

from collections.abc import Mapping

from loopkeeper.contract.envelope import Message
from loopkeeper.contract.events import PUBLISHERS, Event, ProviderRecorded, by_type, publisher
from loopkeeper.flow.reactions import Reaction
from loopkeeper.store.provider_copy import on_provider_recorded
from notification.domain.outreach.commands import NoteFact


def on_fact(event: Event, message: Message) -> NoteFact:
    """Notes the fact: whatever happens to a referral, its plan must hear of it. Who is told what of it is written in
    the same transaction by `persistence/projections.py`; how it changes the state is in `domain/outreach/evolve.py`."""
    return NoteFact(fact=event)


# Every event of another service.
REACTIONS: Mapping[type[Event], Reaction] = {
    **{kind: on_fact for kind in by_type().values() if publisher(kind) != PUBLISHERS["outreach"]},
    ProviderRecorded: on_provider_recorded,
}
