"""What assignment does with each event: authorization asks for a provider, its end or a closing takes one back, and
what changes of the member changes here too."""

from __future__ import annotations

from collections.abc import Mapping

from assignment.domain.offers import NoteFact
from loopkeeper.contract.envelope import Message
from loopkeeper.contract.events import (
    AuthorizationApproved,
    AuthorizationEnded,
    AuthorizationExtended,
    AuthorizationPresumptiveEnded,
    AuthorizationPresumptiveGranted,
    AuthorizationReauthorizationRequested,
    Event,
    OutreachContactChanged,
    ReferralAmended,
    ReferralClosed,
    ReferralReceived,
)
from loopkeeper.flow.consumer import Reaction
from loopkeeper.runtime.service import Equipment


def reactions(equipment: Equipment) -> Mapping[type[Event], Reaction]:
    return {
        ReferralReceived: on_referral_received,
        ReferralAmended: on_referral_amended,
        ReferralClosed: on_referral_closed,
        AuthorizationPresumptiveGranted: on_presumptive_granted,
        AuthorizationPresumptiveEnded: on_presumptive_ended,
        AuthorizationApproved: on_approved,
        AuthorizationExtended: on_extended,
        AuthorizationReauthorizationRequested: on_reauthorization_requested,
        AuthorizationEnded: on_authorization_ended,
        OutreachContactChanged: on_contact_changed,
    }


def on_referral_received(event: ReferralReceived, message: Message) -> NoteFact:
    return NoteFact(fact=event)


def on_referral_amended(event: ReferralAmended, message: Message) -> NoteFact:
    return NoteFact(fact=event)


def on_referral_closed(event: ReferralClosed, message: Message) -> NoteFact:
    return NoteFact(fact=event)


def on_presumptive_granted(event: AuthorizationPresumptiveGranted, message: Message) -> NoteFact:
    return NoteFact(fact=event)


def on_presumptive_ended(event: AuthorizationPresumptiveEnded, message: Message) -> NoteFact:
    return NoteFact(fact=event)


def on_approved(event: AuthorizationApproved, message: Message) -> NoteFact:
    return NoteFact(fact=event)


def on_extended(event: AuthorizationExtended, message: Message) -> NoteFact:
    return NoteFact(fact=event)


def on_reauthorization_requested(event: AuthorizationReauthorizationRequested, message: Message) -> NoteFact:
    return NoteFact(fact=event)


def on_authorization_ended(event: AuthorizationEnded, message: Message) -> NoteFact:
    return NoteFact(fact=event)


def on_contact_changed(event: OutreachContactChanged, message: Message) -> NoteFact:
    return NoteFact(fact=event)
