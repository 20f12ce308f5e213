"""What intake does with each event: it notes every fact of the loop, and closes where a fact ends it."""

from __future__ import annotations

from collections.abc import Mapping

from loopkeeper.contract.envelope import Message
from loopkeeper.contract.events import PUBLISHERS, Event, ProviderRecorded, by_type, publisher
from loopkeeper.flow.consumer import Reaction
from loopkeeper.runtime.service import Equipment
from loopkeeper.store.provider_copy import on_provider_recorded
from referral_intake.domain.commands import NoteFact


def reactions(equipment: Equipment) -> Mapping[type[Event], Reaction]:
    """Every event that another service publishes: noted if it is about a referral, kept if about a provider."""
    foreign = [kind for kind in by_type().values() if publisher(kind) != PUBLISHERS["referral"]]
    return {**dict.fromkeys(foreign, on_fact), ProviderRecorded: on_provider_recorded}


def on_fact(event: Event, message: Message) -> NoteFact:
    return NoteFact(fact=event)
