"""What is asked of a referral, who answers it by when, and what an answer changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from loopkeeper.contract.calendar import la_date
from loopkeeper.contract.decider import EventOn, Plain, Refused
from loopkeeper.contract.events import (
    AuthorizationPended,
    AuthorizationPresumptiveRefused,
    Eligibility,
    Event,
    Question,
    ReferralAmended,
    ReferralBackInCustody,
    ReferralOverdue,
    ReferralQuestionsAsked,
    ReferralReceived,
)
from referral_intake.domain.closing import Made, close, must_be_open
from referral_intake.domain.commands import (
    AnswerQuestions,
    ChooseProvider,
    LearnCoverage,
    MeetDeadline,
    RecordCustody,
    RecordReleaseDate,
)
from referral_intake.domain.contexts import (
    AnswerContext,
    AnswerTimes,
    ChooseContext,
    CoverageContext,
    JudgedContext,
    PendedContext,
)
from referral_intake.domain.deadlines import timers
from referral_intake.domain.duplicates import added, with_those
from referral_intake.domain.form.overlaps import choice_of
from referral_intake.domain.state import (
    AMENDABLE,
    OTHER_BIRTH_DATE,
    PRE_RELEASE,
    PROVIDER_CHANGE,
    REDIRECT,
    Referral,
)

# Why a claim is refused where another provider serves the member, or was granted.
OTHER_PROVIDER = "other_provider"


def ask(at: datetime, questions: tuple[Question, ...], asking: AnswerTimes) -> list[Event]:
    """The questions; only a blocking one has a time by which it is asked again and given up."""
    if not questions:
        return []
    if not any(q.blocking for q in questions):
        return [ReferralQuestionsAsked(occurred_at=at, questions=questions)]
    return [
        ReferralQuestionsAsked(
            occurred_at=at, questions=questions, due_at=asking.due_at, remind_at=asking.remind_at
        )
    ]


def answer(referral: Referral, command: AnswerQuestions, context: AnswerContext) -> Made:
    """Only what changed is published; what is asked again is asked. A loop whose member is served takes one thing still:
    what the member chooses between ECM and another program (loop.md 4.4)."""
    if not (referral.in_ecm and only_a_choice(referral, command)):
        must_be_open(referral)
    must_be_asked(referral, command.answered)
    if command.based_on != referral.sealed.get("form", ""):
        raise Refused("stale", "Somebody else answered in the meantime.", status=412)
    # Of a loop that is over nothing is asked.
    questions = () if referral.closing is not None else _still_open(referral, command, context)
    populations = with_those(command.revised.populations, context.authorized_there)
    who = {"member": context.member, "eligibility": context.eligibility, "populations": populations}
    changes = _changed(referral, command.revised.model_copy(update=who))
    if questions != referral.questions:
        changes["questions"] = questions
    if context.possible is not None and referral.linked is None:
        changes["linked"] = context.possible
    if not changes:
        return []
    amended = ReferralAmended(
        occurred_at=context.at,
        acted_by=command.acted_by,
        policy=command.revised.policy if "populations" in changes else (),
        cause=command.cause,
        **changes,
    )
    before = {q.id for q in referral.questions}
    asks_more = any(q.id not in before for q in questions)
    return [amended, *(ask(context.at, questions, context.asking) if asks_more else [])]


def only_a_choice(referral: Referral, command: AnswerQuestions) -> bool:
    """Whether nothing but the member's choice of programs changes."""
    changes = _changed(referral, command.revised.model_copy(update={"member": referral.member}))
    unchanged = {"flags", "sealed", "eligibility"} >= changes.keys() and not command.keys.cin
    others = [
        {flag for flag in flags if not flag.startswith("chose_")}
        for flags in (referral.flags, command.revised.flags)
    ]
    return unchanged and others[0] == others[1] and referral.flags != command.revised.flags


def must_be_asked(referral: Referral, answered: Sequence[str]) -> None:
    unknown = sorted(set(answered) - {q.id for q in referral.questions})
    if unknown:
        raise Refused(
            "no-such-question",
            f"{unknown[0]} is not asked of this referral.",
            fix="Answer an open question, or send other fields under `corrections`.",
            allowed=tuple(q.id for q in referral.questions),
        )


def _still_open(referral: Referral, command: AnswerQuestions, context: AnswerContext) -> tuple[Question, ...]:
    """What the form still leaves open, and what was asked apart from the form and is not answered. A redirect ends
    with the answer that changed who the member is or where."""
    moved = bool(command.keys.member or command.keys.roster) or command.revised.county != referral.county
    kept = [
        q
        for q in referral.questions
        if q.id not in command.answered
        and (
            q.id in referral.asked_by_plan
            or (q.id.startswith(REDIRECT) and not moved)
            or (q.id == OTHER_BIRTH_DATE and context.eligibility.state == "other_birth_date")
        )
    ]
    ids = {q.id for q in (*kept, *context.redirect)}
    form = (q for q in (*command.questions, *context.choices) if q.id not in ids)
    return once((*form, *kept, *context.redirect))


def once(questions: Sequence[Question]) -> tuple[Question, ...]:
    """Each question once, where form and roster both ask it."""
    return tuple({q.id: q for q in reversed(questions)}.values())[::-1]


def _changed(referral: Referral, revised: ReferralReceived) -> dict[str, Any]:
    apart = {"kind", "linked", "questions"}
    if referral.joined or (referral.linked is not None and referral.linked.why == "plan_change"):
        # What a second referral or the plan before brought stays, whatever the first one's form now says.
        revised = revised.model_copy(update=added(revised, referral))
    changes = {
        name: value
        for name in AMENDABLE
        if name not in apart and (value := getattr(revised, name)) != getattr(referral, name)
    }
    sealed = {part: text for part, text in revised.sealed.items() if referral.sealed.get(part) != text}
    changes |= {"sealed": sealed} if sealed else {}
    return {name: value for name, value in changes.items() if value is not None}


def learn_coverage(referral: Referral | None, command: LearnCoverage, context: CoverageContext) -> Made:
    """The roster's newest answer, where it is another one; what it asks about the member is asked then (loop.md 2.5), of a
    program that it newly names too; of one that it names no more, the choice is over (4.4).
    Coverage that moved to another plan asks whether to send it there; back under this one, nothing does (2.14)."""
    if referral is None or referral.received_at is None or command.eligibility == referral.eligibility:
        return []
    covered = command.eligibility.state in ("confirmed", "begins_later")
    left = set(referral.eligibility.programs) - set(command.eligibility.programs)
    over = {choice_of(program).id for program in left if f"program_{program}" not in referral.flags}
    known = tuple(
        q
        for q in referral.questions
        if q.id not in {OTHER_BIRTH_DATE, *over} and not (covered and q.id.startswith(REDIRECT))
    )
    asks: tuple[Question, ...] = ()
    if referral.closing is None:
        chooses = (q for q in context.choices if q not in known)
        asks = (*who_is_it(command.eligibility), *_moved_to(command.elsewhere, known), *chooses)
    questions = (*known, *asks)
    changed = questions if questions != referral.questions else None
    learned = ReferralAmended(
        occurred_at=context.at, cause="roster", eligibility=command.eligibility, questions=changed
    )
    asks_more = [q for q in asks if q not in referral.questions]
    if not asks_more:
        return [learned]
    # What waits for an answer keeps its time; a new question that holds the loop has its own.
    new = any(q.blocking for q in asks_more)
    asked = ReferralQuestionsAsked(occurred_at=context.at, questions=questions)
    if new or referral.blocked:
        asking = context.asking if new else None
        times = {
            "due_at": asking.due_at if asking is not None else referral.questions_due_at,
            "remind_at": asking.remind_at if asking is not None else referral.remind_at,
        }
        asked = asked.model_copy(update=times)
    return [learned, asked]


def _moved_to(plan: str, known: Sequence[Question]) -> tuple[Question, ...]:
    """Whether to send it to the plan that covers the member now; asked once."""
    if not plan or any(q.id.startswith(REDIRECT) for q in known):
        return ()
    return (Question(id=f"{REDIRECT}-{plan}", pointer="/plan", blocking=True),)


def who_is_it(eligibility: Eligibility) -> tuple[Question, ...]:
    """The roster has another birth date under this number: whom the referral is about, is asked."""
    if eligibility.state != "other_birth_date":
        return ()
    return (Question(id=OTHER_BIRTH_DATE, pointer="/member/birth_date"),)


def ask_for_change(at: datetime, others: Sequence[Question] = ()) -> ReferralQuestionsAsked:
    """Whether the member, whom another provider serves, wishes to change to the one that referred. It has no time of
    its own: the change is made within 30 days once somebody says that the member wishes it (loop.md 5.7)."""
    question = Question(id=PROVIDER_CHANGE, pointer="/preference/provider")
    return ReferralQuestionsAsked(occurred_at=at, questions=(*others, question))


def wish_to_be_asked(referral: Referral, fact: AuthorizationPresumptiveRefused, at: datetime) -> Made:
    """A claim refused because another provider serves opens the way on, under the claimant's own referral, also where
    that is over (loop.md 3.3)."""
    known = {q.id for q in referral.questions}
    if fact.reason != OTHER_PROVIDER or fact.claimed_by or PROVIDER_CHANGE in known:
        return []
    times = {"due_at": referral.questions_due_at, "remind_at": referral.remind_at}
    asked = ask_for_change(at, referral.questions)
    return [asked.model_copy(update=times) if referral.blocked else asked]


def choose_provider(referral: Referral, command: ChooseProvider, context: ChooseContext) -> Made:
    """The wish is recorded on the loop through which the member is served; assignment then makes the change. A referral
    that is over records only that it was answered."""
    must_be_asked(referral, (PROVIDER_CHANGE,))
    left = tuple(q for q in referral.questions if q.id != PROVIDER_CHANGE)
    wished = (command.provider,) if command.wishes and command.provider else None
    here = context.serving is None
    answered = ReferralAmended(
        occurred_at=context.at,
        acted_by=command.acted_by,
        cause="answered",
        questions=left,
        chosen=wished if here else None,
    )
    if here or wished is None or context.serving is None:
        return [answered]
    wish = ReferralAmended(occurred_at=context.at, acted_by=command.acted_by, cause="answered", chosen=wished)
    return [answered, EventOn(context.serving, wish)]


def record_release(referral: Referral, command: RecordReleaseDate, context: Plain) -> Made:
    """The plan of its own member; facility and provider only of one who received pre-release services, as somebody
    attested (ECMG26 p106 note 74)."""
    must_be_open(referral)
    if command.acted_by.organization != referral.plan and PRE_RELEASE not in referral.flags:
        raise Refused(
            "not-pre-release",
            "No attested form says that the member received pre-release services.",
            fix="Answer pre_release_services on the form and attest it; or tell the plan.",
        )
    if referral.release_on == command.release_on:
        return []
    return [
        ReferralAmended(
            occurred_at=context.at,
            acted_by=command.acted_by,
            cause="release_date",
            release_on=command.release_on,
        )
    ]


def record_custody(referral: Referral, command: RecordCustody, context: JudgedContext) -> Made:
    """Also of a closed loop: who is served through it is inside. Said again, it is no news."""
    if referral.custody_due_at is not None:
        return []
    if command.on > la_date(context.at):
        raise Refused("in-the-future", "This has not happened yet.", fix="Send the day on which it happened.")
    return [
        ReferralBackInCustody(
            occurred_at=context.at,
            acted_by=command.acted_by,
            policy=context.refs,
            on=command.on,
            due_at=context.due_at,
        )
    ]


def meet_deadline(referral: Referral | None, command: MeetDeadline, context: Plain) -> Made:
    """Unless it no longer applies: ask again, say that it is getting late, and at the end go on with what is there."""
    if referral is None or timers(referral).get(command.kind) != command.due_at:
        return []
    end = referral.questions_due_at
    if command.kind == "information" or end is None:
        return _given_up(referral, command, context.at)
    number = int(command.kind.removeprefix("remind-"))
    again = ReferralQuestionsAsked(
        occurred_at=context.at, questions=referral.questions, due_at=end, reminder=number
    )
    late = ReferralOverdue(occurred_at=context.at, clock="information", due_at=end, state="at_risk")
    return [again, late] if number == len(referral.remind_at) else [again]


def _given_up(referral: Referral, command: MeetDeadline, at: datetime) -> Made:
    redirect = next((q for q in referral.questions if q.id.startswith(REDIRECT)), None)
    if redirect is not None:
        text = "redirected: another plan is the right one, and nobody said to send it there"
        plan = redirect.id.removeprefix(REDIRECT).removeprefix("-") or None
        return [close(referral, "other", at, text=text, detail="redirect_unanswered", right_plan=plan)]
    return [ReferralOverdue(occurred_at=at, clock="information", due_at=command.due_at, state="breached")]


def ask_for_plan(referral: Referral, fact: AuthorizationPended, context: PendedContext) -> Made:
    """The plan's questions hold the loop until they are answered; what was asked before stays asked."""
    held = {q.id: q for q in referral.questions}
    asked = {name: Question(id=name, pointer=pointer_of(name), blocking=True) for name in fact.asks}
    times = AnswerTimes(
        due_at=fact.by, remind_at=tuple(at for at in context.asking.remind_at if at < fact.by)
    )
    return ask(context.at, tuple({**held, **asked}.values()), times)


# Where on the form the answer to a question is, by its id; the criteria's are under /answers.
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
