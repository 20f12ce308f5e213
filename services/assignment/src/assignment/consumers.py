"""What assignment does with each event: authorization asks for a provider, its end or a closing takes one back, and
what changes of the member changes here too."""

from __future__ import annotations

from collections.abc import Mapping

from assignment.domain.commands import Accept, ChangeLead, Decline, NoteFact
from assignment.domain.evolve import FOLD
from loopkeeper.contract.decider import Command
from loopkeeper.contract.envelope import Message
from loopkeeper.contract.events import PUBLISHERS, ActedBy, Event, Lead, OutreachAnswered, publisher
from loopkeeper.flow.reactions import Reaction


def on_fact(event: Event, message: Message) -> NoteFact:
    """Notes the fact: `domain/evolve.FOLD` says what it changes; `domain/rules.settle` what follows, an offer to the
    next provider or one taken back."""
    return NoteFact(fact=event)


def on_answered(event: OutreachAnswered, message: Message) -> Command:
    """A provider's answer in its file: the command of its route, decided by the same rule. Where the rule refuses it,
    that is said (`assignment.answer_refused`)."""
    match event.answer:
        case "accepted":
            return Accept(fact=event, assignment=event.assignment, provider=event.provider, lead=event.lead)
        case "declined":
            return Decline(
                fact=event, assignment=event.assignment, provider=event.provider, reason=event.reason
            )
        case "lead_changed":
            by = event.acted_by or ActedBy(organization=event.provider)
            lead = event.lead or Lead(person="lead", name="")
            return ChangeLead(
                fact=event, assignment=event.assignment, provider=event.provider, lead=lead, acted_by=by
            )


# Every event of another service that changes what an assignment needs, and a provider's answer in its file.
REACTIONS: Mapping[type[Event], Reaction] = {
    **{kind: on_fact for kind in FOLD if publisher(kind) != PUBLISHERS["assignment"]},
    OutreachAnswered: on_answered,
}
