"""What intake's rules are asked, and what they may know: which loop a referral finds, what it carries over, by when answers
are due. Its constants are one referral of the street team's, fact by fact."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

from loopkeeper.contract.events import (
    ActedBy,
    AuthorizationOverturned,
    AuthorizationPended,
    Eligibility,
    Event,
    Linked,
    Question,
    ReferralReceived,
    ScreenedPopulation,
)
from loopkeeper.testing.rules import MONDAY, SEED, AskedCommand
from referral_intake.domain import contexts
from referral_intake.domain.commands import (
    AnswerQuestions,
    ChooseProvider,
    CloseReferral,
    MergeReferral,
    NoteFact,
    ReceiveReferral,
    Reopening,
)
from referral_intake.domain.duplicates import AlreadyServed, Apart, Joins, Match
from referral_intake.domain.state import Referral
from tests.builders import facts
from tests.builders.facts import HOMELESS
from tests.builders.organizations import STREET

RECEIVED = facts.received(referrer=STREET, populations=(HOMELESS,), attested=True)
REVIEW = facts.review_opened()
APPROVED = facts.approved(authorization="auth_1")
MADE = facts.made()
ACCEPTED = facts.accepted()
SERVED = facts.closed("services_received", clr_reason="services_received", assignment="asg_1")
CLOSED = facts.closed("unable_to_reach", clr_reason="unable_to_reach_member")

TIMES: dict[str, Any] = {"at": MONDAY, "seed": SEED}
DUE = MONDAY + timedelta(days=14)
AGAIN = (MONDAY + timedelta(days=5), MONDAY + timedelta(days=10))
ASKING = contexts.AnswerTimes(due_at=DUE, remind_at=AGAIN)


@dataclass(frozen=True)
class Found:
    """What a referral finds of its member: a loop to join, one that serves, or nothing certain."""

    own: str = "ref_2"
    survivor: str = ""
    served: str = ""
    state: Referral = field(default_factory=Referral)
    serves_itself: bool = False
    resealed: Mapping[str, str] = field(default_factory=dict[str, str])
    moved_from: Linked | None = None
    authorized_there: tuple[ScreenedPopulation, ...] = ()

    def match(self) -> Match:
        if self.survivor:
            return Joins(survivor=self.survivor, state=self.state)
        if self.served:
            return AlreadyServed(through=self.served, state=self.state, offers=self.serves_itself)
        return Apart(possible=None)


@dataclass(frozen=True)
class Carried:
    """An old referral that a new one carries over, as it is found."""

    why: Literal["contested", "split", "redirected"]
    old: str
    before: Referral | None = None
    into: str = ""
    until: datetime | None = None
    acted_by: ActedBy | None = None


def receive(
    received: ReferralReceived,
    *,
    match: Found | None = None,
    reopening: Carried | None = None,
    questions: tuple[Question, ...] = (),
    choices: tuple[Question, ...] = (),
) -> AskedCommand:
    found, again, before = match or Found(), None, None
    if reopening is not None:
        again = Reopening(why=reopening.why, old=reopening.old, acted_by=reopening.acted_by)
        before = contexts.Before(state=reopening.before, into=reopening.into, until=reopening.until)
    context = contexts.ReceiveContext(
        **TIMES,
        own=found.own,
        member=received.member,
        eligibility=received.eligibility,
        moved_from=found.moved_from,
        authorized_there=found.authorized_there,
        match=found.match(),
        resealed=found.resealed,
        redirect=(),
        choices=choices,
        asking=ASKING,
        before=before,
    )
    return ReceiveReferral(received=received, questions=questions, reopening=again), context


def answer(
    command: AnswerQuestions, possible: Linked | None = None, choices: tuple[Question, ...] = ()
) -> AskedCommand:
    """The answer, with who the member is then known to be: as its revised form says."""
    revised = command.revised
    eligibility: Eligibility = revised.eligibility
    context = contexts.AnswerContext(
        **TIMES,
        member=revised.member,
        eligibility=eligibility,
        possible=possible,
        redirect=(),
        choices=choices,
        asking=ASKING,
        authorized_there=(),
    )
    return command, context


def merge(into: str, own: str, survivor: Referral | None, acted_by: ActedBy) -> AskedCommand:
    context = contexts.MergeContext(**TIMES, own=own, survivor=survivor)
    return MergeReferral(into=into, acted_by=acted_by), context


def choose(provider: str, *, wishes: bool = True, serving: str | None = None) -> AskedCommand:
    context = contexts.ChooseContext(**TIMES, serving=serving)
    return ChooseProvider(wishes=wishes, provider=provider), context


def close(outcome: str, acted_by: ActedBy, least_attempts: int = 1) -> AskedCommand:
    context = contexts.CloseContext(**TIMES, least_attempts=least_attempts)
    return CloseReferral(outcome=outcome, acted_by=acted_by), context


def note(fact: Event, opens: tuple[str, ReferralReceived] | None = None) -> AskedCommand:
    match fact:
        case AuthorizationPended():
            return NoteFact(fact=fact), contexts.PendedContext(**TIMES, asking=ASKING)
        case AuthorizationOverturned():
            return NoteFact(fact=fact), contexts.OverturnedContext(**TIMES, opens=opens)
        case _:
            return NoteFact(fact=fact)
