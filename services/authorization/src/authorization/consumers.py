"""What authorization does with each event: a referral opens a review, an amendment may complete it, a closing ends
what was not decided or asks for a judgement of what was."""

from __future__ import annotations

from collections.abc import Mapping

from authorization.domain.commands import Amend, NoteFact, OpenReview
from loopkeeper.contract.envelope import Message
from loopkeeper.contract.events import (
    AssignmentAccepted,
    AssignmentEnded,
    Event,
    NoticeDelivered,
    OutreachServiceEnded,
    ProviderRecorded,
    ReferralAmended,
    ReferralClosed,
    ReferralReceived,
)
from loopkeeper.flow.consumer import Reaction
from loopkeeper.runtime.service import Equipment
from loopkeeper.store.provider_copy import on_provider_recorded


def reactions(equipment: Equipment) -> Mapping[type[Event], Reaction]:
    return {
        ReferralReceived: on_referral_received,
        ReferralAmended: on_referral_amended,
        ReferralClosed: on_referral_closed,
        AssignmentAccepted: on_assignment_accepted,
        AssignmentEnded: on_assignment_ended,
        OutreachServiceEnded: on_service_ended,
        NoticeDelivered: on_notice_delivered,
        ProviderRecorded: on_provider_recorded,
    }


def on_referral_received(event: ReferralReceived, message: Message) -> OpenReview:
    return OpenReview(fact=event)


def on_referral_amended(event: ReferralAmended, message: Message) -> Amend:
    return Amend(fact=event)


def on_referral_closed(event: ReferralClosed, message: Message) -> NoteFact:
    return NoteFact(fact=event)


def on_assignment_accepted(event: AssignmentAccepted, message: Message) -> NoteFact:
    """Who serves under the term: a later claim of another provider then knows of it."""
    return NoteFact(fact=event)


def on_assignment_ended(event: AssignmentEnded, message: Message) -> NoteFact:
    return NoteFact(fact=event)


def on_service_ended(event: OutreachServiceEnded, message: Message) -> NoteFact:
    """The provider ends services under a term: a person of the plan judges whether the term ends."""
    return NoteFact(fact=event)


def on_notice_delivered(event: NoticeDelivered, message: Message) -> NoteFact:
    """A grant's provider hears of the decision: the day counts."""
    return NoteFact(fact=event)
