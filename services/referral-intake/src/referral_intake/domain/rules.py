"""What may be done with a referral: received, asked about, amended, merged, split, withdrawn, closed once.

Intake decides these; every other step is a fact it notes. What is known of a referral is in state.py, what is asked and
answered in questions.py, how a loop ends in closing.py, what two of one member learn of each other in duplicates.py,
and what the lead care manager asks for as well in supports.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import assert_never

from loopkeeper.contract.decider import Decider, EventOn, InvariantBroken, Refused
from loopkeeper.contract.events import (
    AuthorizationDenied,
    AuthorizationPended,
    AuthorizationPresumptiveRefused,
    Event,
    OutreachMemberDeclined,
    OutreachServicesStarted,
    OutreachUnableToReach,
    ReferralAmended,
    ReferralClosed,
    ReferralReceived,
    ReferralSetAside,
)
from loopkeeper.contract.vocabulary.outcomes import clr_reason
from referral_intake.domain.closing import (
    Made,
    close,
    close_by_hand,
    confirm_death,
    end_of_term,
    goes_on,
    must_be_open,
    take_back_death,
    tell_death,
    withdraw,
)
from referral_intake.domain.commands import (
    AnswerQuestions,
    AskSupport,
    ChooseProvider,
    CloseReferral,
    ConfirmDeath,
    EndOfTerm,
    LearnCoverage,
    MeetDeadline,
    MergeReferral,
    MoveSupport,
    NoteFact,
    ReceiveReferral,
    RecordCustody,
    RecordReleaseDate,
    Reopening,
    TakeBackDeath,
    TellDeath,
    WithdrawReferral,
)
from referral_intake.domain.contexts import (
    Asked,
    EndingContext,
    MergeContext,
    Noted,
    OverturnedContext,
    PendedContext,
    ReceiveContext,
)
from referral_intake.domain.duplicates import (
    AlreadyServed,
    Apart,
    Joins,
    asks_for_change,
    joined,
    served,
    with_those,
)
from referral_intake.domain.evolve import evolve
from referral_intake.domain.questions import (
    answer,
    ask,
    ask_for_change,
    ask_for_plan,
    choose_provider,
    learn_coverage,
    meet_deadline,
    once,
    record_custody,
    record_release,
    wish_to_be_asked,
)
from referral_intake.domain.state import RECEIVED_FIELDS, START_WITHOUT_FORM, Referral
from referral_intake.domain.supports import ask_support, move_support


def decide(referral: Referral | None, asked: Asked) -> Made:
    match asked:
        case (ReceiveReferral() as command, context):
            return receive(command, context)
        case (NoteFact() as command, context):
            return note(referral, command.fact, context)
        case (EndOfTerm() as command, context):
            return end_of_term(referral, command, context)
        case (LearnCoverage() as command, context):
            return learn_coverage(referral, command, context)
        case (MeetDeadline() as command, context):
            return meet_deadline(referral, command, context)
        case (AnswerQuestions() as command, context):
            return answer(_known(referral), command, context)
        case (ChooseProvider() as command, context):
            return choose_provider(_known(referral), command, context)
        case (WithdrawReferral() as command, context):
            return withdraw(_known(referral), command, context)
        case (CloseReferral() as command, context):
            return close_by_hand(_known(referral), command, context)
        case (RecordCustody() as command, context):
            return record_custody(_known(referral), command, context)
        case (TellDeath() as command, context):
            return tell_death(_known(referral), command, context)
        case (ConfirmDeath() as command, context):
            return confirm_death(_known(referral), command, context)
        case (TakeBackDeath() as command, context):
            return take_back_death(_known(referral), command, context)
        case (MergeReferral() as command, context):
            return merge(_known(referral), command, context)
        case (RecordReleaseDate() as command, context):
            return record_release(_known(referral), command, context)
        case (AskSupport() as command, context):
            return ask_support(_known(referral), command, context)
        case (MoveSupport() as command, context):
            return move_support(_known(referral), command, context)
        case _:
            assert_never(asked)


def _known(referral: Referral | None) -> Referral:
    if referral is None or referral.received_at is None:
        raise Refused("not-found", "There is no such referral.", status=404)
    return referral


def receive(command: ReceiveReferral, context: ReceiveContext) -> Made:
    """A true duplicate, or a member already served, is over as it arrives: nothing but its closing is published."""
    at, own = context.at, context.own
    received = command.received.model_copy(
        update={
            "occurred_at": at,
            "member": context.member,
            "eligibility": context.eligibility,
            "linked": command.received.linked or context.moved_from,
            "populations": with_those(command.received.populations, context.authorized_there),
        }
    )
    reopening_events = _reopened(received.plan, command.reopening, context)
    match context.match:
        case Joins(survivor=survivor, state=first):
            word = joined(at, first, own, received, context.resealed)
            return [*_over("merged", received, at, survivor), EventOn(survivor, word), *reopening_events]
        case AlreadyServed(through=through) as found:
            over = _over("already_in_ecm", received, at, through)
            asked = [ask_for_change(at)] if asks_for_change(found, received) else []
            return [*over, *asked, EventOn(through, served(at, own, found, received)), *reopening_events]
        case Apart(possible=possible):
            received = received.model_copy(update={"linked": received.linked or possible})
            questions = once((*command.questions, *context.choices, *context.redirect))
            return [received, *ask(at, questions, context.asking), *reopening_events]


def _over(outcome: str, received: ReferralReceived, at: datetime, other: str) -> list[Event]:
    closed = ReferralClosed(
        occurred_at=at,
        outcome=outcome,
        clr_reason=clr_reason(outcome),
        text=OVER_AT_ONCE[outcome],
        merged_into=other,
    )
    return [ReferralSetAside(occurred_at=at, received=received), closed]


# What the second referrer reads: nothing of the first.
OVER_AT_ONCE: Mapping[str, str] = {
    "merged": "the plan has an open referral of this member, and its notices come to you too",
    "already_in_ecm": "the member already receives Enhanced Care Management, and the lead care manager is told",
}


def _reopened(plan: str, again: Reopening | None, context: ReceiveContext) -> list[EventOn]:
    """What becomes of the old referral: a contested one stays closed, a redirected one is closed, a split one leaves
    the loop it was merged into."""
    if again is None:
        return []
    if context.before is None:
        raise InvariantBroken("a referral carries another over that was not looked for")
    before = _known(context.before.state)
    if again.why == "redirected":
        must_be_open(before)
        sent_on = close(
            before, "other", context.at, acted_by=again.acted_by, text=f"redirected to {plan}",
            detail="redirected", right_plan=plan,
        )  # fmt: skip
        return [EventOn(again.old, sent_on)]
    if again.why == "contested":
        must_be_contestable(before, context.before.until, context.at)
        return []
    must_be_merged(before)
    if not context.before.into:
        raise not_merged()
    apart = ReferralAmended(
        occurred_at=context.at,
        acted_by=again.acted_by,
        cause="split",
        joined=again.old,
        joined_referrer=before.referrer,
    )
    return [EventOn(context.before.into, apart)]


def must_be_contestable(before: Referral, until: datetime | None, at: datetime) -> None:
    if before.closing is None:
        raise Refused("not-closed", "This loop is open; there is nothing to contest.")
    if before.closing.outcome == "merged":
        raise Refused(
            "not-closed", "This referral goes on in another one.", fix="The plan can split the two."
        )
    if until is not None and at >= until:
        raise Refused("too-late", "A closing can be contested for 30 days.", fix="Send a new referral.")


def must_be_merged(before: Referral) -> None:
    if before.closing is None or before.closing.outcome != "merged":
        raise not_merged()


def not_merged() -> Refused:
    return Refused("not-merged", "This referral was not merged into another one.")


def merge(referral: Referral, command: MergeReferral, context: MergeContext) -> Made:
    must_be_open(referral)
    survivor, at = context.survivor, context.at
    if survivor is None or survivor.plan != referral.plan or command.into == context.own:
        raise Refused(
            "not-same-plan",
            "The other referral is not another one of this plan.",
            fix="Name another open referral of the plan.",
        )
    must_be_open(survivor)
    text = OVER_AT_ONCE["merged"]
    closed = close(referral, "merged", at, acted_by=command.acted_by, text=text)
    word = joined(at, survivor, context.own, as_received(referral, at), {})
    return [
        closed.model_copy(update={"merged_into": command.into}),
        EventOn(command.into, word.model_copy(update={"acted_by": command.acted_by})),
    ]


def as_received(referral: Referral, at: datetime) -> ReferralReceived:
    """The referral as it would come in now."""
    fields = {name: getattr(referral, name) for name in RECEIVED_FIELDS}
    return ReferralReceived(occurred_at=at, **fields)


# The facts that end a loop, and its outcome (loop.md 7.1).
ENDINGS: Mapping[type[Event], str] = {
    OutreachServicesStarted: "services_received",
    OutreachMemberDeclined: "declined_by_member",
    OutreachUnableToReach: "unable_to_reach",
    AuthorizationDenied: "not_authorized",
}


def note(referral: Referral | None, fact: Event | None, context: Noted) -> Made:
    """What a fact of another service brings about here: a closing, the plan's questions, a referral opened again."""
    if isinstance(context, OverturnedContext) and context.opens is not None:
        return [EventOn(*context.opens, opens=True)]
    if referral is None or referral.received_at is None:
        return []
    if isinstance(fact, AuthorizationPresumptiveRefused):
        return wish_to_be_asked(referral, fact, context.at)
    if referral.closing is not None:
        return []
    if isinstance(fact, AuthorizationPended):
        if not isinstance(context, PendedContext):
            raise InvariantBroken("the plan's questions came without their times")
        return ask_for_plan(referral, fact, context)
    if isinstance(context, EndingContext):
        return goes_on(referral, context, START_WITHOUT_FORM)
    outcome = ENDINGS.get(type(fact)) if fact is not None else None
    if outcome is None:
        return []
    return [close(referral, outcome, context.at, assignment=getattr(fact, "assignment", None))]


DECIDER: Decider[Referral, Asked] = Decider("referral", Referral, decide, evolve)
