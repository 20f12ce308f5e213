"""What authorization does with each event: a referral opens a review, a closing ends what was not decided."""

from __future__ import annotations

from collections.abc import Mapping

from authorization.rules import NoteFact, OpenReview
from loopkeeper.consumer import Reaction
from loopkeeper.events import (
    AssignmentAccepted,
    AssignmentEnded,
    Event,
    ProviderRecorded,
    ReferralClosed,
    ReferralReceived,
)
from loopkeeper.message import Message
from loopkeeper.provider_copy import on_provider_recorded
from loopkeeper.service import Equipment


def reactions(equipment: Equipment) -> Mapping[type[Event], Reaction]:
    return {
        ReferralReceived: on_referral_received,
        ReferralClosed: on_referral_closed,
        AssignmentAccepted: on_assignment_accepted,
        AssignmentEnded: on_assignment_ended,
        ProviderRecorded: on_provider_recorded,
    }


def on_referral_received(event: ReferralReceived, message: Message) -> OpenReview:
    return OpenReview(fact=event)


def on_referral_closed(event: ReferralClosed, message: Message) -> NoteFact:
    return NoteFact(fact=event)


def on_assignment_accepted(event: AssignmentAccepted, message: Message) -> NoteFact:
    """Who serves under the term: a later claim of another provider then knows of it."""
    return NoteFact(fact=event)


def on_assignment_ended(event: AssignmentEnded, message: Message) -> NoteFact:
    return NoteFact(fact=event)
