"""What an event says to a person: one plain sentence each, with nothing in it that the reader may not see.

`whole` readers (the plan) hear the population; a referrer or provider never does (loop.md 6.3): what they are
told says what happened, who acts next, and by when.
"""

from __future__ import annotations

from datetime import date, datetime

from loopkeeper.calendar import la_date
from loopkeeper.events import (
    AssignmentAccepted,
    AssignmentDeclined,
    AssignmentEnded,
    AssignmentMade,
    AssignmentPlanAsked,
    AssignmentWithdrawn,
    AuthorizationApproved,
    AuthorizationDenied,
    AuthorizationPresumptiveEnded,
    AuthorizationPresumptiveGranted,
    AuthorizationPresumptiveRefused,
    AuthorizationReviewOpened,
    Event,
    NoticeDelivered,
    OutreachAttempted,
    OutreachMemberDeclined,
    OutreachServicesStarted,
    OutreachUnableToReach,
    ProviderRecorded,
    ReferralClosed,
    ReferralQuestionsAsked,
    ReferralReceived,
)


def sentence(event: Event, *, whole: bool = False) -> str:
    """One sentence, ending with a full stop. Dates are Los Angeles days."""
    match event:
        case ReferralReceived() | ReferralQuestionsAsked() | ReferralClosed():
            return _referral(event, whole)
        case AssignmentMade() | AssignmentAccepted() | AssignmentDeclined() | AssignmentWithdrawn():
            return _offer(event)
        case AssignmentPlanAsked(reason=reason, due_at=due_at):
            return f"The plan was asked to decide: {_words(reason)}{_by(due_at)}."
        case AssignmentEnded(provider=provider, reason=reason, on=on):
            return f"The assignment to {provider} ended on {_day(on)}: {_words(reason)}."
        case ProviderRecorded(provider=provider, version=version):
            return f"The directory entry of {provider} was recorded, version {version}."
        case NoticeDelivered(code=code, recipient_kind=kind, how=how):
            return f"The {kind} was told ({_words(code)}) by {_words(how)}."
        case _:
            return _authorization(event, whole) or _outreach(event)


def _referral(event: Event, whole: bool) -> str:
    match event:
        case ReferralReceived(plan=plan, referrer=referrer, populations=populations):
            met = [_words(p.code) for p in populations if p.result == "met"]
            criteria = f" The answers meet the criteria of {_list(met)}." if whole and met else ""
            return f"{referrer} referred a member to {plan}.{criteria}"
        case ReferralQuestionsAsked(questions=questions):
            many = "1 question was" if len(questions) == 1 else f"{len(questions)} questions were"
            return f"{many} asked about the referral; nothing waits for the answers unless marked so."
        case ReferralClosed(outcome=outcome, text=text):
            return f"The loop was closed: {_words(outcome)}{f' ({text})' if text else ''}."
        case _:
            return ""


def _authorization(event: Event, whole: bool) -> str:
    match event:
        case AuthorizationReviewOpened(due_at=due_at, clock=clock):
            return f"The plan's review was opened under the {_words(clock)} clock; a decision is due{_by(due_at)}."
        case AuthorizationPresumptiveGranted(provider=provider, population=population, through=through):
            under = f" for {_words(population)}" if whole else ""
            return (
                f"{provider} may serve{under} from the first service through {_day(through)} while the plan "
                "decides (presumptive, since 2026 called streamlined, authorization)."
            )
        case AuthorizationPresumptiveRefused(reason=reason, way_on=way_on):
            return f"No presumptive grant: {_words(reason)}.{f' {way_on}' if way_on else ''}"
        case AuthorizationPresumptiveEnded(reason=reason, through=through):
            return f"The presumptive grant ended with {_day(through)}: {_words(reason)}."
        case AuthorizationApproved(by=by, number=number, from_=start, through=through):
            who = "a rule the plan turned on" if by == "rule" else "a named person of the plan"
            return f"Authorized by {who} from {_day(start)} through {_day(through)}, number {number}."
        case AuthorizationDenied(reason=reason, appeal_by=appeal_by):
            why = _words(reason) if whole else "the plan's notice gives the reason"
            return f"Not authorized: {why}. An appeal is possible through {_day(appeal_by)}."
        case _:
            return ""


def _offer(event: Event) -> str:
    match event:
        case AssignmentMade(provider=provider, basis=basis, answer_due_at=due_at, skipped=skipped):
            passed = f" {len(skipped)} others were passed over, each with its reason." if skipped else ""
            return f"Offered to {provider} ({_words(basis)}); an answer is due{_by(due_at)}.{passed}"
        case AssignmentAccepted(provider=provider):
            return f"{provider} accepted and named the lead care manager."
        case AssignmentDeclined(provider=provider, reason=reason):
            return f"{provider or 'The provider'} declined: {_words(reason)}."
        case AssignmentWithdrawn(provider=provider, reason=reason):
            return f"The offer to {provider or 'the provider'} was withdrawn: {_words(reason)}."
        case _:
            return ""


def _outreach(event: Event) -> str:
    match event:
        case OutreachAttempted(number=number, modality=modality, outcome=outcome, reached=reached):
            answer = "the member was reached" if reached else _words(outcome)
            return f"Outreach attempt {number} ({_words(modality)}): {answer}."
        case OutreachServicesStarted(on=on):
            return f"Services started on {_day(on)}."
        case OutreachMemberDeclined(on=on, how=how):
            return f"The member declined on {_day(on)} ({_words(how)})."
        case OutreachUnableToReach(attempts=attempts, on=on):
            return f"The member could not be reached by {_day(on)} after {attempts} attempts."
        case _:
            return f"{event.wire} was recorded."


def _words(slug: str) -> str:
    return slug.replace("_", " ").replace("-", " ")


def _day(day: date) -> str:
    return f"{day:%B} {day.day}, {day.year}"


def _by(due_at: datetime | None) -> str:
    """The last day of a deadline: one that ends at midnight belongs to the day before."""
    return f" by {_day(la_date(due_at - due_at.resolution))}" if due_at is not None else ""


def _list(words: list[str]) -> str:
    return words[0] if len(words) == 1 else ", ".join(words[:-1]) + f" and {words[-1]}"
