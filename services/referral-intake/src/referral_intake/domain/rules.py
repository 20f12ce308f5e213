"""What may be done with a referral: received, asked about, amended, merged, split, withdrawn, closed once.

Intake decides these; every other step is a fact it notes. How a referral then stands is in state.py, what is asked
and answered in questions.py, how a loop ends in closing.py, what two of one member learn of each other in duplicates.py,
and what the lead care manager asks for beside it in supports.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from loopkeeper.contract.decider import Command, Decider, Elsewhere, Refused
from loopkeeper.contract.events import (
    AuthorizationDenied,
    AuthorizationPended,
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
from referral_intake.domain.closing import Made, close, close_by_hand, must_be_open, withdraw
from referral_intake.domain.commands import (
    AnswerQuestions,
    ChooseProvider,
    CloseReferral,
    MeetDeadline,
    MergeReferral,
    NoteFact,
    ReceiveReferral,
    RecordReleaseDate,
    Reopening,
    WithdrawReferral,
)
from referral_intake.domain.duplicates import joined, served
from referral_intake.domain.evolve import evolve
from referral_intake.domain.questions import (
    answer,
    ask,
    ask_for_plan,
    choose_provider,
    meet_deadline,
    record_release,
)
from referral_intake.domain.state import RECEIVED_FIELDS, Referral
from referral_intake.domain.supports import AskSupport, MoveSupport, ask_support, move_support


def decide(referral: Referral | None, command: Command) -> Made:
    match command:
        case ReceiveReferral():
            return receive(command)
        case NoteFact(fact=Event() as fact):
            return note(referral, fact, command)
        case MeetDeadline():
            return meet_deadline(referral, command)
        case _:
            return _act(_known(referral), command)


def _act(referral: Referral, command: Command) -> Made:
    match command:
        case AnswerQuestions():
            return answer(referral, command)
        case ChooseProvider():
            return choose_provider(referral, command)
        case WithdrawReferral():
            return withdraw(referral, command)
        case CloseReferral():
            return close_by_hand(referral, command)
        case MergeReferral():
            return merge(referral, command)
        case RecordReleaseDate():
            return record_release(referral, command)
        case AskSupport():
            return ask_support(referral, command)
        case MoveSupport():
            return move_support(referral, command)
        case _:
            raise TypeError(f"intake has no rule for {type(command).__name__}")


def _known(referral: Referral | None) -> Referral:
    if referral is None or referral.received_at is None:
        raise Refused("not-found", "There is no such referral.", status=404)
    return referral


def receive(command: ReceiveReferral) -> Made:
    """A true duplicate, or a member already served, is over as it arrives: nothing but its closing is published."""
    received, found, again = command.received, command.match, command.reopening
    beside = _reopened(command, again) if again is not None else []
    if found.survivor is not None:
        over = _over("merged", command, found.survivor)
        return [*over, Elsewhere(found.survivor, joined(command.at, found, received)), *beside]
    if found.served is not None:
        over = _over("already_in_ecm", command, found.served)
        words = (Elsewhere(found.served, event) for event in served(command.at, found, received))
        return [*over, *words, *beside]
    if found.possible is not None and received.linked is None:
        received = received.model_copy(update={"linked": found.possible})
    questions = (*command.questions, *found.redirect)
    return [received, *ask(command.at, questions, command.asking), *beside]


def _over(outcome: str, command: ReceiveReferral, other: str) -> list[Event]:
    closed = ReferralClosed(
        occurred_at=command.at,
        outcome=outcome,
        clr_reason=clr_reason(outcome),
        text=OVER_AT_ONCE[outcome],
        merged_into=other,
    )
    return [ReferralSetAside(occurred_at=command.at, received=command.received), closed]


# What the second referrer reads: nothing of the first.
OVER_AT_ONCE: Mapping[str, str] = {
    "merged": "the plan has an open referral of this member, and its notices come to you too",
    "already_in_ecm": "the member already receives Enhanced Care Management, and the lead care manager is told",
}


def _reopened(command: ReceiveReferral, again: Reopening) -> list[Elsewhere]:
    """What becomes of the old referral: a contested one stays closed, a redirected one is closed, a split one leaves
    the loop it was merged into."""
    before = _known(again.before)
    if again.why == "redirected":
        must_be_open(before)
        plan = command.received.plan
        sent_on = close(
            before, "other", command.at, acted_by=again.acted_by, text=f"redirected to {plan}",
            detail="redirected", right_plan=plan,
        )  # fmt: skip
        return [Elsewhere(again.old, sent_on)]
    if again.why == "contested":
        must_be_contestable(before, again.until, command.at)
        return []
    must_be_merged(before)
    if not again.into:
        raise not_merged()
    apart = ReferralAmended(
        occurred_at=command.at,
        acted_by=again.acted_by,
        cause="split",
        joined=again.old,
        joined_referrer=before.referrer,
    )
    return [Elsewhere(again.into, apart)]


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


def merge(referral: Referral, command: MergeReferral) -> Made:
    must_be_open(referral)
    survivor = command.match.other
    if survivor is None or survivor.plan != referral.plan or command.into == command.match.own:
        raise Refused(
            "not-same-plan",
            "The other referral is not another one of this plan.",
            fix="Name another open referral of the plan.",
        )
    must_be_open(survivor)
    closed = close(
        referral, "merged", command.at, acted_by=command.acted_by, text=OVER_AT_ONCE["merged"]
    ).model_copy(update={"merged_into": command.into})
    second = joined(command.at, command.match, as_received(referral, command.at))
    return [closed, Elsewhere(command.into, second.model_copy(update={"acted_by": command.acted_by}))]


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


def note(referral: Referral | None, fact: Event, command: NoteFact) -> Made:
    """What a fact of another service brings about here: a closing, the plan's questions, a referral opened again."""
    if command.reopened is not None:
        return [Elsewhere(*command.reopened, opens=True)]
    if referral is None or referral.received_at is None or referral.closing is not None:
        return []
    if isinstance(fact, AuthorizationPended):
        return ask_for_plan(referral, fact, command)
    outcome = ENDINGS.get(type(fact))
    if outcome is None:
        return []
    return [close(referral, outcome, command.at, assignment=getattr(fact, "assignment", None))]


DECIDER: Decider[Referral] = Decider("referral", Referral, decide, evolve)
