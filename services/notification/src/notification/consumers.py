"""What notification does with each event: it notes every fact of the loop, and copies the provider directory."""

from __future__ import annotations

from collections.abc import Mapping

from loopkeeper.contract.envelope import Message
from loopkeeper.contract.events import PUBLISHERS, Event, ProviderRecorded, by_type, publisher
from loopkeeper.flow.consumer import Reaction
from loopkeeper.runtime.service import Equipment
from loopkeeper.store.provider_copy import on_provider_recorded
from notification.domain.outreach.commands import NoteFact


def reactions(equipment: Equipment) -> Mapping[type[Event], Reaction]:
    """Every event of another service: whatever happens to a referral, its plan must hear of it."""
    foreign = [kind for kind in by_type().values() if publisher(kind) != PUBLISHERS["outreach"]]
    facts: dict[type[Event], Reaction] = {kind: on_fact for kind in foreign}
    return {**facts, ProviderRecorded: on_provider_recorded}


def on_fact(event: Event, message: Message) -> NoteFact:
    return NoteFact(fact=event)
