"""What intake does with each event: it notes every fact of the loop, and closes where a fact ends it."""

from __future__ import annotations

from collections.abc import Mapping

from loopkeeper.contract.envelope import Message
from loopkeeper.contract.events import PUBLISHERS, Event, ProviderRecorded, by_type, publisher
from loopkeeper.flow.consumer import Reaction
from referral_intake.domain.commands import NoteFact
from referral_intake.persistence.reports import on_entry


def on_fact(event: Event, message: Message) -> NoteFact:
    """Notes the fact in the loop's timeline. What it changes is in `domain/evolve.py`; whether it closes the loop, asks
    the referrer or opens another referral is `domain/rules.note`."""
    return NoteFact(fact=event)


# Every event of another service.
REACTIONS: Mapping[type[Event], Reaction] = {
    **{kind: on_fact for kind in by_type().values() if publisher(kind) != PUBLISHERS["referral"]},
    ProviderRecorded: on_entry,
}
