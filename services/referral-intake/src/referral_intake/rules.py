"""What may be done with a referral: received, asked about, amended, merged, split, withdrawn, closed once.

Intake decides these; every other step is a fact it notes. How a referral then stands is in standing.py, what two of
one member learn of each other in joining.py, and what the lead care manager asks for beside it in supports.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from loopkeeper.decider import Command, Decider, Elsewhere, Refused
from loopkeeper.events import (
    ActedBy,
    AuthorizationDenied,
    AuthorizationPended,
    Event,
    Linked,
    OutreachMemberDeclined,
    OutreachServicesStarted,
    OutreachUnableToReach,
    Question,
    ReferralAmended,
    ReferralClosed,
    ReferralOverdue,
    ReferralQuestionsAsked,
    ReferralReceived,
    ReferralSetAside,
)
from loopkeeper.vocabulary.outcomes import clr_reason
from referral_intake.commands import (
    AnswerQuestions,
    Asking,
    ChooseProvider,
    CloseReferral,
    Keys,
    MeetDeadline,
    MergeReferral,
    NoteFact,
    ReadAgain,
    ReceiveReferral,
    RecordReleaseDate,
    Reopening,
    WithdrawReferral,
)
from referral_intake.joining import added, joined, served
from referral_intake.standing import (
    AMENDABLE,
    PROVIDER_CHANGE,
    RECEIVED_FIELDS,
    REDIRECT,
    Referral,
    Status,
    evolve,
    status,
)
from referral_intake.supports import AskSupport, MoveSupport, ask_support, move_support
from referral_intake.turn import NextStep, next_step, timers

Made = Sequence[Event | Elsewhere]


# ── decide ────────────────────────────────────────────────────────────────────────────────────────────────


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


def _must_be_open(referral: Referral) -> None:
    if referral.closing is not None:
        raise Refused("already-closed", "This referral's loop is already closed.", allowed=allowed(referral))


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
    return [received, *_ask(command.at, questions, command.asking), *beside]


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
        _must_be_open(before)
        text = f"redirected to {command.received.plan}"
        return [Elsewhere(again.old, close(before, "other", command.at, acted_by=again.acted_by, text=text))]
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


def _ask(at: datetime, questions: tuple[Question, ...], asking: Asking) -> list[Event]:
    """The questions; only a blocking one has a time by which it is asked again and given up."""
    if not questions:
        return []
    times = asking if any(q.blocking for q in questions) else Asking()
    return [
        ReferralQuestionsAsked(
            occurred_at=at, questions=questions, due_at=times.due_at, remind_at=times.remind_at
        )
    ]


# ── answers ───────────────────────────────────────────────────────────────────────────────────────────────


def answer(referral: Referral, command: AnswerQuestions) -> Made:
    """Only what changed is published; what is asked anew is asked."""
    _must_be_open(referral)
    _must_be_asked(referral, command.answered)
    if command.based_on != referral.sealed.get("form", ""):
        raise Refused("stale", "Somebody else answered in the meantime.", status=412)
    questions = _still_open(referral, command)
    changes = _changed(referral, command.revised)
    if questions != referral.questions:
        changes["questions"] = questions
    if command.match.possible is not None and referral.linked is None:
        changes["linked"] = command.match.possible
    if not changes:
        return []
    amended = ReferralAmended(
        occurred_at=command.at,
        acted_by=command.acted_by,
        policy=command.revised.policy if "populations" in changes else (),
        cause=command.cause,
        **changes,
    )
    before = {q.id for q in referral.questions}
    anew = any(q.id not in before for q in questions)
    return [amended, *(_ask(command.at, questions, command.asking) if anew else [])]


def _must_be_asked(referral: Referral, answered: Sequence[str]) -> None:
    unknown = sorted(set(answered) - {q.id for q in referral.questions})
    if unknown:
        raise Refused(
            "no-such-question",
            f"{unknown[0]} is not asked of this referral.",
            fix="Answer an open question, or send other fields under `corrections`.",
            allowed=tuple(q.id for q in referral.questions),
        )


def _still_open(referral: Referral, command: AnswerQuestions) -> tuple[Question, ...]:
    """What the form still leaves open, and what was asked beside the form and is not answered. A redirect falls away
    with the answer that changed who the member is or where."""
    moved = bool(command.keys.member or command.keys.roster) or command.revised.county != referral.county
    kept = [
        q
        for q in referral.questions
        if q.id not in command.answered
        and (q.id in referral.asked_by_plan or (q.id.startswith(REDIRECT) and not moved))
    ]
    ids = {q.id for q in (*kept, *command.match.redirect)}
    return (*(q for q in command.questions if q.id not in ids), *kept, *command.match.redirect)


def _changed(referral: Referral, revised: ReferralReceived) -> dict[str, Any]:
    beside = {"kind", "linked", "questions"}
    if referral.joined:
        # What a second referral brought stays, whatever the first one's form now says.
        revised = revised.model_copy(update=added(revised, referral))
    changes = {
        name: value
        for name in AMENDABLE
        if name not in beside and (value := getattr(revised, name)) != getattr(referral, name)
    }
    sealed = {part: text for part, text in revised.sealed.items() if referral.sealed.get(part) != text}
    changes |= {"sealed": sealed} if sealed else {}
    return {name: value for name, value in changes.items() if value is not None}


def choose_provider(referral: Referral, command: ChooseProvider) -> Made:
    """The wish is recorded on the loop through which the member is served; assignment then makes the change."""
    _must_be_asked(referral, (PROVIDER_CHANGE,))
    left = tuple(q for q in referral.questions if q.id != PROVIDER_CHANGE)
    chosen = (command.provider,) if command.wishes and command.provider else None
    return [
        ReferralAmended(
            occurred_at=command.at, acted_by=command.acted_by, cause="answered", questions=left, chosen=chosen
        )
    ]


def record_release(referral: Referral, command: RecordReleaseDate) -> Made:
    _must_be_open(referral)
    if referral.release_on == command.release_on:
        return []
    return [
        ReferralAmended(
            occurred_at=command.at,
            acted_by=command.acted_by,
            cause="release_date",
            release_on=command.release_on,
        )
    ]


def meet_deadline(referral: Referral | None, command: MeetDeadline) -> Made:
    """Unless it no longer stands: ask again, say that it is getting late, and at the end go on with what is there."""
    if referral is None or timers(referral).get(command.kind) != command.due_at:
        return []
    end = referral.questions_due_at
    if command.kind == "information" or end is None:
        return _given_up(referral, command)
    number = int(command.kind.removeprefix("remind-"))
    again = ReferralQuestionsAsked(
        occurred_at=command.at, questions=referral.questions, due_at=end, reminder=number
    )
    late = ReferralOverdue(occurred_at=command.at, clock="information", due_at=end, state="at_risk")
    return [again, late] if number == len(referral.remind_at) else [again]


def _given_up(referral: Referral, command: MeetDeadline) -> Made:
    redirect = next((q for q in referral.questions if q.id.startswith(REDIRECT)), None)
    if redirect is not None:
        text = "redirected: another plan is the right one, and nobody said to send it there"
        return [close(referral, "other", command.at, text=text)]
    return [
        ReferralOverdue(occurred_at=command.at, clock="information", due_at=command.due_at, state="breached")
    ]


# ── one member, two referrals ─────────────────────────────────────────────────────────────────────────────


def merge(referral: Referral, command: MergeReferral) -> Made:
    _must_be_open(referral)
    survivor = command.match.other
    if survivor is None or survivor.plan != referral.plan or command.into == command.match.own:
        raise Refused(
            "not-same-plan",
            "The other referral is not another one of this plan.",
            fix="Name another open referral of the plan.",
        )
    _must_be_open(survivor)
    closed = close(
        referral, "merged", command.at, acted_by=command.acted_by, text=OVER_AT_ONCE["merged"]
    ).model_copy(update={"merged_into": command.into})
    second = joined(command.at, command.match, as_received(referral, command.at))
    return [closed, Elsewhere(command.into, second.model_copy(update={"acted_by": command.acted_by}))]


def as_received(referral: Referral, at: datetime) -> ReferralReceived:
    """The referral as it would come in now."""
    fields = {name: getattr(referral, name) for name in RECEIVED_FIELDS}
    return ReferralReceived(occurred_at=at, **fields)


# ── endings ───────────────────────────────────────────────────────────────────────────────────────────────


def withdraw(referral: Referral, command: WithdrawReferral) -> Made:
    _must_be_open(referral)
    if command.by == "referrer" and referral.approval is not None:
        raise Refused(
            "already-authorized",
            "The plan has authorized the service, so only the member can withdraw now.",
            fix="If the member wishes to withdraw, send `by: member`.",
            allowed=("withdraw as the member",),
        )
    return [close(referral, "withdrawn", command.at, acted_by=command.acted_by, text=f"by the {command.by}")]


# What a named person of the plan may close a loop as; every other outcome has a route or a fact of its own.
BY_HAND = frozenset(
    {"provider_declined", "no_longer_eligible", "unable_to_reach", "declined_by_member", "other"}
)


def close_by_hand(referral: Referral, command: CloseReferral) -> Made:
    _must_be_open(referral)
    if command.outcome not in BY_HAND:
        raise Refused(
            "not-by-hand",
            "This outcome comes from what happens, not from a person's word.",
            fix="Withdraw, merge or decide it on its own route, or name an outcome a plan can close as.",
            allowed=tuple(sorted(BY_HAND)),
        )
    if command.outcome == "unable_to_reach" and _attempts(referral) < command.least_attempts:
        raise Refused(
            "attempts-missing",
            f"The plan's policy wants {command.least_attempts} attempts on record first.",
            fix="Record the attempts, or close it otherwise.",
        )
    said = f" on {command.on.isoformat()}, {command.how}" if command.on and command.how else ""
    return [close(referral, command.outcome, command.at, acted_by=command.acted_by, text=command.text + said)]


def _attempts(referral: Referral) -> int:
    return referral.offer.attempts if referral.offer else 0


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
        return _ask_for_plan(referral, fact, command)
    outcome = ENDINGS.get(type(fact))
    if outcome is None:
        return []
    return [close(referral, outcome, command.at, assignment=getattr(fact, "assignment", None))]


def _ask_for_plan(referral: Referral, fact: AuthorizationPended, command: NoteFact) -> Made:
    """The plan's questions hold the loop until they are answered; what was asked before stays asked."""
    held = {q.id: q for q in referral.questions}
    asked = {name: Question(id=name, pointer=pointer_of(name), blocking=True) for name in fact.asks}
    times = Asking(due_at=fact.by, remind_at=tuple(at for at in command.asking.remind_at if at < fact.by))
    return _ask(command.at, tuple({**held, **asked}.values()), times)


# Where on the form the answer to a question stands, by its id; the criteria's stand under /answers.
POINTERS: Mapping[str, str] = {
    "cin": "/member/cin",
    "birth-date": "/member/birth_date",
    "name": "/member/last_name",
    "language": "/member/language_spoken",
    "county": "/member/county",
    "way-to-reach": "/member/phone",
    "caregiver": "/member/caregiver",
    "consent-holder": "/member/consent_holder",
    "referrer-contact": "/referrer/email",
    "relationship": "/referrer/relationship",
    "npi": "/referrer/npi",
    "referral-date": "/referral_date",
    "populations": "/populations",
    "presumptive-population": "/presumptive/population",
    "attestation": "/attestation/attested",
    "programs": "/programs",
    "race-ethnicity": "/member/race_ethnicity",
    "release-date": "/release_on",
}


def pointer_of(question: str) -> str:
    """The place of a question's answer on the form."""
    if question.startswith("answer-"):
        return f"/answers/{question.removeprefix('answer-')}"
    return POINTERS.get(question, "/comments")


def close(
    referral: Referral,
    outcome: str,
    at: datetime,
    *,
    acted_by: ActedBy | None = None,
    text: str = "",
    assignment: str | None = None,
) -> ReferralClosed:
    held = referral.offer.assignment if referral.offer else None
    return ReferralClosed(
        occurred_at=at,
        acted_by=acted_by,
        outcome=outcome,
        clr_reason=clr_reason(outcome),
        text=text,
        assignment=assignment or held,
        authorized=referral.approval is not None,
    )


def allowed(referral: Referral) -> tuple[str, ...]:
    """What a person may still do with this referral."""
    if referral.closing is not None:
        return ("contest",)
    return ("withdraw",) if referral.approval is None else ("withdraw as the member",)


DECIDER: Decider[Referral] = Decider("referral", Referral, decide, evolve)

__all__ = [
    "BY_HAND", "DECIDER", "ENDINGS", "AnswerQuestions", "Asking", "ChooseProvider", "CloseReferral", "Keys", "Linked",
    "MeetDeadline", "MergeReferral", "NextStep", "NoteFact", "ReadAgain", "ReceiveReferral", "RecordReleaseDate", "Referral",
    "Reopening", "Status", "WithdrawReferral", "must_be_contestable",
    "must_be_merged", "next_step", "status", "timers",
]  # fmt: skip
