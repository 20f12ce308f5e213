"""What an event says to a person: one plain sentence each, with nothing in it that the reader may not see.

`whole` readers (the plan) hear the population; a referrer or provider never does (loop.md 6.3): what they are
told says what happened, who acts next, and by when.
"""

from __future__ import annotations

from datetime import date, datetime

from loopkeeper.contract.calendar import la_date
from loopkeeper.contract.events import (
    AssignmentAccepted,
    AssignmentAnswerRefused,
    AssignmentDeclined,
    AssignmentEnded,
    AssignmentLeadChanged,
    AssignmentMade,
    AssignmentOverdue,
    AssignmentPlanAsked,
    AssignmentQuestionTakenBack,
    AssignmentStarted,
    AssignmentWithdrawn,
    AuthorizationAppealed,
    AuthorizationAppealResolved,
    AuthorizationApproved,
    AuthorizationCoverageLost,
    AuthorizationCoverageReturned,
    AuthorizationDeemedAdverse,
    AuthorizationDenied,
    AuthorizationEnded,
    AuthorizationEndingConfirmed,
    AuthorizationExpedited,
    AuthorizationExtended,
    AuthorizationOverdue,
    AuthorizationOverturned,
    AuthorizationPended,
    AuthorizationPresumptiveEnded,
    AuthorizationPresumptiveGranted,
    AuthorizationPresumptiveRefused,
    AuthorizationPresumptiveReminded,
    AuthorizationReauthorizationDue,
    AuthorizationReauthorizationRequested,
    AuthorizationResumed,
    AuthorizationReviewOpened,
    Event,
    NoticeDelivered,
    NoticeOverdue,
    NoticeTakenBack,
    OutreachAnswered,
    OutreachAttempted,
    OutreachClosingReported,
    OutreachContactChanged,
    OutreachInitiated,
    OutreachMemberDeclined,
    OutreachMonthCounted,
    OutreachOverdue,
    OutreachServiceEnded,
    OutreachServicesStarted,
    OutreachTakenBack,
    OutreachUnableToReach,
    ProviderRecorded,
    ReferralAmended,
    ReferralBackInCustody,
    ReferralClosed,
    ReferralDeathConfirmed,
    ReferralDeathTakenBack,
    ReferralDeathTold,
    ReferralOverdue,
    ReferralPlanAsked,
    ReferralQuestionsAsked,
    ReferralReceived,
    ReferralSetAside,
    ReferralSupportMoved,
)
from loopkeeper.contract.vocabulary.decisions import Discontinuation


def sentence(event: Event, *, whole: bool = False) -> str:
    """One sentence, ending with a full stop. Dates are Los Angeles days."""
    match event:
        case ReferralReceived() | ReferralQuestionsAsked() | ReferralClosed():
            return _referral(event, whole)
        case ReferralBackInCustody(on=on, due_at=due_at):
            return f"The member is in custody again since {_day(on)}; the plan judges how it goes on{_by(due_at)}."
        case ReferralDeathTold() | ReferralDeathConfirmed() | ReferralDeathTakenBack():
            return _death(event)
        case ReferralSetAside(received=received):
            return sentence(received, whole=whole)
        case ReferralAmended():
            return _amended(event)
        case ReferralOverdue(due_at=due_at, state=state):
            late = "are late" if state == "breached" else "are still missing"
            return f"Answers due{_by(due_at)} {late}."
        case ReferralPlanAsked(reason=reason, due_at=due_at):
            return f"The plan was asked how the loop goes on: {_words(reason)}{_by(due_at)}."
        case ReferralSupportMoved(code=code, status=status):
            return f"Community Supports, {_words(code)}: {SUPPORT_WORDS[status]}."
        case AssignmentMade() | AssignmentAccepted() | AssignmentDeclined() | AssignmentWithdrawn():
            return _offer(event)
        case AssignmentLeadChanged() | AssignmentStarted() | AssignmentOverdue():
            return _assignment_progress(event)
        case AssignmentPlanAsked(reason="change_requested", due_at=due_at):
            return f"The member asked for another provider; the plan was asked to see to it{_by(due_at)}."
        case AssignmentPlanAsked(reason="provider_left", due_at=due_at):
            return f"The provider left, or its contract is over; the plan was asked for another{_by(due_at)}."
        case AssignmentPlanAsked(reason=reason, due_at=due_at):
            return f"The plan was asked to decide: {_words(reason)}{_by(due_at)}."
        case AssignmentAnswerRefused(answer=answer, reason=reason):
            return f"A provider's file said {_words(answer)}, which cannot be any more: {_words(reason)}."
        case AssignmentEnded(provider=provider, reason=reason, on=on):
            return f"The assignment to {provider} ended on {_day(on)}: {_words(reason)}."
        case ProviderRecorded(provider=provider, version=version):
            return f"The directory entry of {provider} was recorded, version {version}."
        case AssignmentQuestionTakenBack():
            return "The provider is under contract again; the plan need not look for another."
        case NoticeTakenBack(code=code, recipient_kind=kind, because=because):
            return f"That the {kind} was told ({_words(code)}) was recorded in error: {_words(because)}."
        case NoticeDelivered(code=code, recipient_kind=kind, how=how):
            return f"The {kind} was told ({_words(code)}) by {_words(how)}."
        case _:
            return _authorization(event, whole) or _outreach(event)


def _death(event: Event) -> str:
    match event:
        case ReferralDeathTold(by=by, due_at=due_at):
            return f"The {by} told that the member has died: nobody contacts the member; the plan confirms it{_by(due_at)}."
        case ReferralDeathConfirmed():
            return "A named person of the plan confirmed that the member has died."
        case _:
            return "A named person of the plan took the word of the member's death back."


SUPPORT_WORDS = {
    "asked": "the lead care manager asked for it",
    "accepted": "accepted",
    "declined": "declined",
    "done": "done",
}


def _amended(event: ReferralAmended) -> str:
    match event.cause:
        case "joined":
            return "Another referral of this member came in and was joined to this loop; its sender is told from now on."
        case "split":
            return "A referral joined to this loop by mistake goes on by itself; its sender is told no more."
        case "release_date":
            on = f": {_day(event.release_on)}" if event.release_on else ""
            return f"The day of release was recorded{on}."
        case "roster":
            now = _words(event.eligibility.state) if event.eligibility is not None else "as it was"
            return f"The plan's roster says something else of the member's coverage now: {now}."
        case _:
            what = (
                "Questions about the referral were answered"
                if event.cause == "answered"
                else "It was corrected"
            )
            left = len(event.questions) if event.questions is not None else None
            open_now = "" if left is None else f"; {left or 'none'} still open"
            return f"{what}{open_now}."


def _referral(event: Event, whole: bool) -> str:
    match event:
        case ReferralReceived(plan=plan, referrer=referrer, populations=populations):
            met = [_words(p.code) for p in populations if p.result == "met"]
            criteria = f" The answers meet the criteria of {_list(met)}." if whole and met else ""
            return f"{referrer} referred a member to {plan}.{criteria}"
        case ReferralQuestionsAsked(questions=questions, reminder=reminder, due_at=due_at) if reminder:
            return f"Reminder {reminder}: {len(questions)} questions are open; answers are due{_by(due_at)}."
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
            rule = "a rule of the state" if event.must else "a rule the plan turned on"
            who = rule if by == "rule" else "a named person of the plan"
            part = " Part of what was asked for was not approved." if event.modified else ""
            return f"Authorized by {who} from {_day(start)} through {_day(through)}, number {number}.{part}"
        case AuthorizationDenied(reason=reason, appeal_by=appeal_by):
            why = _words(reason) if whole else "the plan's notice gives the reason"
            return f"Not authorized: {why}. An appeal is possible through {_day(appeal_by)}."
        case _:
            return _decision_clock(event, whole) or _term(event, whole)


def _decision_clock(event: Event, whole: bool) -> str:
    match event:
        case AuthorizationPended(asks=asks, by=by):
            what = _list([_words(ask) for ask in asks]) if whole else "something that is missing on the form"
            return f"A named person of the plan asked for {what}; the decision waits for it{_by(by)} at the latest."
        case AuthorizationResumed(due_at=due_at):
            return f"The decision's clock runs on; a decision is due{_by(due_at)}."
        case AuthorizationExpedited(due_at=due_at):
            return f"The referral became urgent; a decision is due{_by(due_at)}."
        case AuthorizationOverdue(state="at_risk", due_at=due_at):
            return f"The plan's decision is due{_by(due_at)} and has not been made yet."
        case AuthorizationOverdue(due_at=due_at):
            return f"The plan's decision was due{_by(due_at)} and has not been made."
        case AuthorizationDeemedAdverse(appeal_by=appeal_by):
            return (
                "The plan has not decided in the time the law allows, which by law counts as not authorized. An "
                f"appeal is possible through {_day(appeal_by)}; the plan can still decide."
            )
        case AuthorizationOverturned(on=on):
            return f"The denial was overturned on {_day(on)}; an authorized referral follows."
        case AuthorizationPresumptiveReminded(missing=missing, through=through):
            what = "the formal referral" if missing == "referral" else "the plan's decision"
            return f"The presumptive grant ends with {_day(through)}; {what} is still missing."
        case _:
            return ""


def _term(event: Event, whole: bool) -> str:
    match event:
        case AuthorizationReauthorizationDue(through=through):
            return f"The authorization ends with {_day(through)}; who serves may ask for another term until then."
        case AuthorizationReauthorizationRequested(provider=provider, through=through):
            return (
                f"{provider} asked for another term. The authorization, through {_day(through)}, goes on until the "
                "plan has decided."
            )
        case AuthorizationExtended(number=number, from_=start, through=through):
            return f"The authorization runs from {_day(start)} through {_day(through)}, number {number}."
        case AuthorizationCoverageLost(due_at=due_at, on=on):
            last = f" with {_day(on)}" if on is not None else ""
            return (
                f"The member's coverage ended{last}; a named person of the plan judges the term{_by(due_at)}."
            )
        case AuthorizationCoverageReturned(due_at=due_at):
            asks = f"; whether the ending of the term holds is judged{_by(due_at)}" if due_at else ""
            return f"The member is covered again{asks}."
        case AuthorizationAppealed(on=on, continues=continues, due_at=due_at):
            held = (
                "in time, so it goes on until that is resolved"
                if continues
                else "too late for it to go on meanwhile"
            )
            return f"The member appealed on {_day(on)} against the end of the authorization, {held}{_by(due_at)}."
        case AuthorizationAppealResolved(upheld=upheld):
            end = "ends after all" if upheld else "does not end"
            return f"The appeal against the end of the authorization was resolved: it {end}."
        case AuthorizationEndingConfirmed():
            return "A named person of the plan judged that the ending of the term holds."
        case AuthorizationEnded(code=code, on=on):
            why = f": {Discontinuation.label_of(str(code)).lower()} (code {code})" if whole else ""
            return f"The authorization ends with {_day(on)}{why}."
        case _:
            return ""


def _offer(event: Event) -> str:
    match event:
        case AssignmentMade(provider=provider, basis=basis, answer_due_at=due_at, skipped=skipped):
            passed = f" {len(skipped)} others were passed over, each with its reason." if skipped else ""
            planned = f" From {_day(event.starts_on)} on." if event.starts_on is not None else ""
            return f"Offered to {provider} ({_words(basis)}); an answer is due{_by(due_at)}.{planned}{passed}"
        case AssignmentAccepted(provider=provider):
            return f"{provider} accepted and named the lead care manager."
        case AssignmentDeclined(provider=provider, reason=reason):
            return f"{provider or 'The provider'} declined: {_words(reason)}."
        case AssignmentWithdrawn(provider=provider, reason=reason):
            return f"The offer to {provider or 'the provider'} was withdrawn: {_words(reason)}."
        case _:
            return ""


# What each clock of assignment waits for.
_WAITED_FOR = {
    "provider_answer": "The provider's answer to the offer",
    "provider_told": "A provider's acceptance, with whom to serve,",
    "provider_change": "The change of provider that the member asked for",
}


def _assignment_progress(event: Event) -> str:
    match event:
        case AssignmentLeadChanged(provider=provider):
            return f"{provider} named another lead care manager."
        case AssignmentStarted(provider=provider, on=on):
            return f"The planned assignment to {provider} began on {_day(on)}."
        case AssignmentOverdue(clock=clock, due_at=due_at, state=state):
            waits = _WAITED_FOR.get(clock, _words(clock).capitalize())
            if state == "at_risk":
                return f"{waits} is due{_by(due_at)} and is not here yet."
            return f"{waits} was due{_by(due_at)} and is not here."
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
        case OutreachServiceEnded(on=on):
            return f"The provider ended its services on {_day(on)}; the plan decides about the term."
        case OutreachTakenBack(what=what, number=number, because=because):
            which = f" {number}" if number is not None else ""
            return f"What was recorded of outreach, {_words(what)}{which}, was taken back: {_words(because)}."
        case OutreachAnswered(provider=provider, answer=answer, on=on):
            return f"{provider} reported of {_day(on)}: {_words(answer)}."
        case OutreachInitiated(on=on):
            return f"The provider reported that outreach began on {_day(on)}."
        case OutreachClosingReported(reason=reason, on=on, due_at=due_at):
            asked = f"a named person of the plan decides{_by(due_at)}"
            return f"The provider reported on {_day(on)}: {_words(reason)}; {asked}."
        case OutreachMonthCounted(month=month):
            return f"The provider counted the encounters of {month}."
        case OutreachContactChanged():
            return "How the member is reached was corrected."
        case OutreachOverdue(clock=clock, due_at=due_at, state=state):
            late = "is late" if state == "breached" else "will soon be late"
            return f"Outreach {late}: {_words(clock)}, due{_by(due_at)}."
        case NoticeOverdue(code=code, recipient_kind=kind, due_at=due_at):
            return f"The {kind} was to be told ({_words(code)}){_by(due_at)} and is not; the plan must see to it."
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
