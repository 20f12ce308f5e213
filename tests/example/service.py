"""The register as the chassis runs it."""

from __future__ import annotations

from collections.abc import Mapping

from loopkeeper.contract.envelope import Message
from loopkeeper.contract.events import PUBLISHERS, Event, by_type, publisher
from loopkeeper.flow.reactions import Reaction
from loopkeeper.kernel.settings import ServiceSettings
from loopkeeper.runtime.service import Service
from loopkeeper.store.definition import Domain
from tests.example.domain import DECIDER, Case, Note
from tests.example.persistence import MemberLoader, MemberProjection, columns

PUBLISHER = PUBLISHERS["referral"]


def register(_: object = None) -> Domain[Case, object]:
    """It needs nothing to know what it must."""
    return Domain(
        PUBLISHER, DECIDER, columns, loader=MemberLoader(), projection=MemberProjection(), notes_all=True
    )


def on_fact(event: Event, message: Message) -> Note:
    """Notes the fact; what it changes is in the rules."""
    return Note(fact=event)


# Every event of another service.
REACTIONS: Mapping[type[Event], Reaction] = {
    kind: on_fact for kind in by_type().values() if publisher(kind) != PUBLISHER
}

example = Service(
    name=PUBLISHER, package="tests.example", settings=ServiceSettings, domain=register, reactions=REACTIONS
)
