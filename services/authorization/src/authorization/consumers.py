"""What authorization does with each event: a referral opens a review, an amendment may complete it, a closing ends
what was not decided or asks for a judgement of what was."""

from __future__ import annotations

from collections.abc import Mapping

from authorization.domain.commands import Amend, NoteFact, OpenReview
from authorization.domain.evolve import FOLD
from loopkeeper.contract.envelope import Message
from loopkeeper.contract.events import (
    PUBLISHERS,
    Event,
    ProviderRecorded,
    ReferralAmended,
    ReferralReceived,
    publisher,
)
from loopkeeper.flow.reactions import Reaction
from loopkeeper.store.provider_copy import on_provider_recorded


def on_referral_received(event: ReferralReceived, message: Message) -> OpenReview:
    return OpenReview(fact=event)


def on_referral_amended(event: ReferralAmended, message: Message) -> Amend:
    return Amend(fact=event)


def on_fact(event: Event, message: Message) -> NoteFact:
    """Notes what changes a request: `domain/evolve.FOLD` says how. A closing may end a grant, and so may the notice of
    a decision that its provider has heard (`domain/rules.decide`)."""
    return NoteFact(fact=event)


# Every event of another service that changes a request.
REACTIONS: Mapping[type[Event], Reaction] = {
    **{kind: on_fact for kind in FOLD if publisher(kind) != PUBLISHERS["authorization"]},
    ReferralReceived: on_referral_received,
    ReferralAmended: on_referral_amended,
    ProviderRecorded: on_provider_recorded,
}
