"""What assignment does with each event: authorization asks for a provider, its end or a closing takes one back."""

from __future__ import annotations

from collections.abc import Mapping

from assignment.rules import NoteFact
from loopkeeper.consumer import Reaction
from loopkeeper.events import (
    AuthorizationApproved,
    AuthorizationPresumptiveEnded,
    AuthorizationPresumptiveGranted,
    Event,
    ReferralClosed,
    ReferralReceived,
)
from loopkeeper.message import Message
from loopkeeper.service import Equipment


def reactions(equipment: Equipment) -> Mapping[type[Event], Reaction]:
    return {
        ReferralReceived: on_referral_received,
        ReferralClosed: on_referral_closed,
        AuthorizationPresumptiveGranted: on_presumptive_granted,
        AuthorizationPresumptiveEnded: on_presumptive_ended,
        AuthorizationApproved: on_approved,
    }


def on_referral_received(event: ReferralReceived, message: Message) -> NoteFact:
    return NoteFact(fact=event)


def on_referral_closed(event: ReferralClosed, message: Message) -> NoteFact:
    return NoteFact(fact=event)


def on_presumptive_granted(event: AuthorizationPresumptiveGranted, message: Message) -> NoteFact:
    return NoteFact(fact=event)


def on_presumptive_ended(event: AuthorizationPresumptiveEnded, message: Message) -> NoteFact:
    return NoteFact(fact=event)


def on_approved(event: AuthorizationApproved, message: Message) -> NoteFact:
    return NoteFact(fact=event)
