"""What a plan may decide about a referral, and what a rule may do before a person does.

    received → review opened → approved, by a rule the plan turned on or by a named person
                             → denied, only by a named person
             → presumptive grant of 30 days, by claim → expired, or ended by the decision
    approved → the term → extended by a reauthorization, or ended with its notice

A rule may approve or ask; only a person denies, modifies, pends or pauses a clock (HSC 1367.01(k)). First services close
the loop and end nothing here; any other closing before the decision ends review and grant (loop.md 7.2).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import assert_never

from authorization.domain.claims import claim_judged, joined_claim_judged, look_again
from authorization.domain.commands import (
    Amend,
    Appeal,
    Approve,
    Continue,
    Deny,
    End,
    ExpireGrant,
    LookAgain,
    Modify,
    NoteFact,
    OpenReview,
    Overturn,
    PassDeadline,
    Pend,
    RequestReauthorization,
    Resume,
    RevokeGrant,
)
from authorization.domain.contexts import (
    AmendContext,
    ApprovalRules,
    Asked,
    CapContext,
    CoverageContext,
    Deadline,
    PauseContext,
    ReviewContext,
    RunningOn,
    TermContext,
)
from authorization.domain.coverage import coverage_changed
from authorization.domain.deadlines import AT_RISK, BREACHED, EXPEDITED, expedited, timers
from authorization.domain.decisions import (
    approval,
    approve,
    deny,
    first_day,
    modify,
    overturn,
    pend,
    resume,
    resumed,
)
from authorization.domain.evolve import evolve
from authorization.domain.presumptive import (
    FIXABLE,
    end_when_told,
    end_with_loop,
    expire,
    grant_ended,
    remind,
    revoke,
)
from authorization.domain.state import SERVICES_RECEIVED, Authorization, claimed, met, met_by_list
from authorization.domain.term import (
    appeal,
    end,
    end_unasked,
    go_on,
    move_release,
    prompt,
    request_reauthorization,
)
from loopkeeper.contract import ids
from loopkeeper.contract.calendar import la_date, term_through
from loopkeeper.contract.decider import Decider, EventOn, InvariantBroken, Plain
from loopkeeper.contract.events import (
    AuthorizationDeemedAdverse,
    AuthorizationExpedited,
    AuthorizationOverdue,
    AuthorizationReviewOpened,
    Event,
    NoticeDelivered,
    ReferralAmended,
    ReferralClosed,
)

# What a decision makes: events of its loop, and the answer to a claim under the referral that joined with it.
Made = Event | EventOn


def decide(state: Authorization | None, asked: Asked) -> Sequence[Made]:
    match asked:
        case (OpenReview(), context):
            return list(open_request(state, context))
        case (Amend() as command, context):
            return list(amend(state, command, context))
        case (LookAgain() as command, context):
            return list(look_again(state, command, context))
        case (NoteFact() as command, context):
            return note(state, command, context)
        case (ExpireGrant(), context):
            return expire(state, context.at)
        case (PassDeadline() as command, context):
            return list(pass_deadline(state, command, context))
        case (Approve() as command, context):
            return list(approve(state, command, context))
        case (Modify() as command, context):
            return list(modify(state, command, context))
        case (Deny() as command, context):
            return list(deny(state, command, context))
        case (Pend() as command, context):
            return pend(state, command, context)
        case (Resume() as command, context):
            return resume(state, command, context)
        case (RevokeGrant() as command, context):
            return revoke(state, command, context)
        case (Overturn() as command, context):
            return overturn(state, command, context)
        case (Appeal() as command, context):
            return list(appeal(state, command, context))
        case (End() as command, context):
            return end(state, command, context)
        case (Continue() as command, context):
            return list(go_on(state, command, context))
        case (RequestReauthorization() as command, context):
            return list(request_reauthorization(state, command, context))
        case _:
            assert_never(asked)


def note(state: Authorization | None, command: NoteFact, context: Plain) -> Sequence[Event]:
    """What a fact ends here: a grant, with its loop or once its provider heard the denial."""
    match command.fact:
        case ReferralClosed():
            return end_with_loop(state, context.at)
        case NoticeDelivered():
            return end_when_told(state, context.at) if state is not None else []
        case _:
            return []


# ── the review ────────────────────────────────────────────────────────────────────────────────────────────


def open_request(state: Authorization | None, context: ReviewContext) -> Iterator[Made]:
    """Opens the review of a referral once; a loop already over is a tombstone and opens nothing. A presumptive start
    gets its grant, and no review before its form is here (loop.md 3.1)."""
    if state is None or state.authorization or state.outcome:
        return
    if state.kind == "presumptive_start":
        yield from claim_judged(state, context, _authorization(context))
    else:
        yield from open_review(state, context)


def open_review(state: Authorization, context: ReviewContext) -> Iterator[Made]:
    clocks = context.clocks
    person = person_because(state, context)
    opened = AuthorizationReviewOpened(
        occurred_at=context.at,
        policy=clocks.refs,
        authorization=state.authorization or _authorization(context),
        clock=clocks.clock,
        due_at=clocks.due_at,
        cap_at=clocks.cap_at,
        at_risk_at=clocks.at_risk_at,
        needs_person=person,
    )
    yield opened
    granted = claim_judged(state, context) if not state.awaited else []
    yield from granted
    now = _after(evolve(state, opened), granted)
    if not person:
        yield from approve_by_rule(now, context)


def _after(state: Authorization, made: Sequence[Made]) -> Authorization:
    """The state after those events that are its own."""
    for event in made:
        state = evolve(state, event) if isinstance(event, Event) else state
    return state


def _authorization(context: ReviewContext) -> str:
    return ids.derive("auth", context.at, context.seed, "review")


def approve_by_rule(state: Authorization, context: ReviewContext) -> Iterator[Event]:
    """Everything holds that must: the yes, and with it the end of a grant that still runs."""
    rules, must, grant = context.approval, must_be(state, context.approval), state.grant
    start = first_day(state, context.term, context.at, must)
    refs = (rules.must[must],) if must else rules.refs
    yield approval(
        context, state.authorization, context.term, start, _populations(state, must), by="rule", must=must,
        refs=(*refs, *(context.term.refs if grant else ())),
    )  # fmt: skip
    if grant is not None and state.grant_live:
        yield grant_ended(context.at, grant, "approved")


def _populations(state: Authorization, must: str) -> tuple[str, ...]:
    """Those that are met by listed criteria; what must be authorized without criteria brings its own."""
    own = {"release_day": ("incarceration",), "transitional_rent": ("homelessness",)}.get(must, ())
    by_list = tuple(dict.fromkeys((*own, *met_by_list(state))))
    return by_list or met(state) or claimed(state)


def must_be(state: Authorization, rules: ApprovalRules) -> str:
    """What makes the plan authorize, with nothing more asked; empty where nothing does (loop.md 4.2)."""
    triggers = (
        (state.linked is not None and state.linked.why == "overturned", "overturned"),
        (state.release_on is not None, "release_day"),
        (goes_on(state, rules), "plan_change"),
        ("transitional_rent" in state.flags, "transitional_rent"),
    )
    return next((trigger for holds, trigger in triggers if holds and trigger in rules.must), "")


def goes_on(state: Authorization, rules: ApprovalRules) -> bool:
    """Whether ECM received in the last days of another plan goes on under this one (loop.md 4.9). Each way in which that
    is learned has its own condition, which holds unless the contrary is stated; a day of service, if one is given, lies
    in the last days of the old enrolment."""
    change = state.plan_change
    if change is None:
        # Of a referral received before its details were: the way alone.
        return any(flag.startswith("plan_change_") for flag in state.flags)
    if change.how not in rules.unless or rules.unless[change.how] in change.stated:
        return False
    served, through = change.last_service_on, change.enrolled_through
    if through is None and state.eligibility.from_ is not None:
        # The old enrolment ended before this plan's began.
        through = state.eligibility.from_ - timedelta(days=1)
    if served is None or through is None:
        return True
    return through - timedelta(days=rules.look_back) < served <= through


def person_because(state: Authorization, context: ReviewContext) -> tuple[str, ...]:
    """Why a person must decide, as codes; empty where a rule may approve (loop.md 4.2)."""
    rules, must = context.approval, must_be(state, context.approval)
    if must == "overturned":
        return ()
    switched = [code for code in met_by_list(state) if code in rules.automatic]
    programs = in_programs(state)
    if must == "plan_change":
        # No further step: a box alone, which nobody confirmed, holds nothing up (4.9).
        confirmed = {program for program in programs if f"confirmed_{program}" in state.flags}
        programs = frozenset(confirmed | set(state.eligibility.programs))
    excluded = set(rules.exclusive) & programs
    choice = set(rules.chosen) & programs
    ecm = {program for program in choice if f"chose_ecm_over_{program}" in state.flags}
    instead = any(f"chose_{program}" in state.flags for program in rules.chosen)
    claimed_start = state.claim is not None and context.term.runs_from is None and not must
    drawn = any(context.draw < rules.automatic[code] for code in switched)
    kept = state.review is not None and "sample" in state.review.needs_person
    # What a plan says of its own member needs nobody's attestation, and a plan change no further step (4.9).
    vouched = state.attested or (bool(must) and (must == "plan_change" or state.referrer == state.plan))
    checks = (
        # What must be authorized is authorized for some population; only after a change of plans none is asked for.
        (
            must != "plan_change" and not met(state) and not (must and _populations(state, must)),
            "criteria_open",
        ),
        (bool(met(state)) and not met_by_list(state) and not must, "other_factor"),
        (bool(met_by_list(state)) and not switched and not must, "switch_off"),
        (not vouched, "not_attested"),
        (state.eligibility.on(la_date(context.at)) not in rules.covered, "eligibility_unconfirmed"),
        (bool(excluded), "exclusive_program"),
        (instead, "program_chosen"),
        (bool(choice - ecm) and not instead and not must, "choice_open"),
        (context.member_grants.open_with is not None, "already_authorized"),
        (claimed_start, "back_dating_unchosen"),
        (_over_already(state, context), "term_over"),
        ((drawn or kept) and not must, "sample"),
    )
    return tuple(code for holds, code in checks if holds)


def in_programs(state: Authorization) -> frozenset[str]:
    """The programs that the form or the plan's roster has the member in. A box that was ticked and then found wrong is
    nobody's program (loop.md 4.4)."""
    reported = {
        flag.removeprefix("program_")
        for flag in state.flags
        if flag.startswith("program_") and flag.replace("program_", "not_in_", 1) not in state.flags
    }
    return frozenset(reported | set(state.eligibility.programs))


def _over_already(state: Authorization, context: ReviewContext) -> bool:
    """Whether a term that runs from the claimed first service would be over before it was asked for."""
    claim, term = state.claim, context.term
    if claim is None or term.runs_from != "first_service":
        return False
    return term_through(claim.from_, term.months) < la_date(context.at)


# ── what changed of the referral ──────────────────────────────────────────────────────────────────────────


def amend(state: Authorization | None, command: Amend, context: AmendContext) -> Iterator[Made]:
    """The form of a start opens its review; answers let a paused clock run on, a claim or a clear case be looked at; a
    release that moved moves the term (loop.md 3.1, 3.7). Nothing here denies."""
    if state is None or state.received_at is None or state.outcome not in ("", SERVICES_RECEIVED):
        return
    if isinstance(command.fact, ReferralAmended):
        answered = joined_claim_judged(state, command.fact, context)
        yield from answered
        state = _after(state, answered)
    if state.decision is not None:
        moved = list(move_release(state, command, context))
        yield from moved
        if isinstance(command.fact, ReferralAmended) and command.fact.eligibility is not None and not moved:
            yield from coverage_changed(state, context.at, context.judged)
    elif state.review is not None:
        yield from _look_at_answers(state, command, context)
    elif state.kind == "full":
        yield from open_review(state, context)


def _look_at_answers(state: Authorization, command: Amend, context: AmendContext) -> Iterator[Made]:
    review, fact = state.review, command.fact
    pause = review.pause if review is not None else None
    if pause is not None and isinstance(fact, ReferralAmended) and brought(pause.asks, fact):
        if context.running_on is None:
            raise InvariantBroken("a clock is paused and nobody said where it runs on")
        runs_on = resumed(state, context.at, context.running_on)
        yield runs_on
        state, pause = evolve(state, runs_on), None
    if sooner := _urgent_now(state, command, context):
        yield sooner
        state = evolve(state, sooner)
    # What a person asked for is waited for, whatever else is known by now, unless it must be authorized.
    if pause is not None and (not must_be(state, context.approval) or person_because(state, context)):
        return
    # A claim that joined is judged by now.
    claimed_now = isinstance(fact, ReferralAmended) and fact.claim is not None and fact.joined_claim is None
    granted = claim_judged(state, context) if claimed_now or state.grant_refused in FIXABLE else []
    yield from granted
    now = _after(state, granted)
    if not person_because(now, context):
        yield from approve_by_rule(now, context)


def _urgent_now(state: Authorization, command: Amend, context: AmendContext) -> AuthorizationExpedited | None:
    """The referral became urgent with this fact; what was urgent before stays so if that is taken back."""
    fact = command.fact
    if state.urgency != EXPEDITED or fact is None:
        return None
    return expedited(state, context.clocks, context.at, min(fact.occurred_at, context.at))


def brought(asks: Sequence[str], fact: ReferralAmended) -> bool:
    """Whether nothing of what was asked is still open."""
    if fact.cause != "answered" or fact.questions is None:
        return False
    still = {question.id for question in fact.questions} | {question.pointer for question in fact.questions}
    return not still & set(asks)


# ── deadlines ─────────────────────────────────────────────────────────────────────────────────────────────


def pass_deadline(state: Authorization | None, command: PassDeadline, context: Deadline) -> Iterator[Event]:
    """A deadline that still counts was reached. Clocks escalate, they never decide (loop.md 4.5)."""
    due_at = timers(state).get(command.kind) if state is not None else None
    if state is None or due_at is None or context.at < due_at:
        return
    match command.kind, context:
        case "reminder", _:
            yield from remind(state, context.at)
        case "at_risk", _:
            yield overdue(state, context.at, AT_RISK)
        case "due", _:
            yield overdue(state, context.at, BREACHED)
        case "cap", CapContext():
            yield deemed(state, context)
        case "pause", PauseContext(running_on=RunningOn() as running_on):
            yield resumed(state, context.at, running_on)
        case "reauthorization", _:
            yield from prompt(state, context.at)
        case "coverage", CoverageContext():
            yield from coverage_changed(state, context.at, context.judged)
        case "term", TermContext():
            yield from end_unasked(state, context)
        case _:
            raise InvariantBroken(f"the deadline {command.kind} came without its context")


def overdue(state: Authorization, at: datetime, how: str) -> AuthorizationOverdue:
    waiting = state.waiting
    if waiting is None:
        raise InvariantBroken("nothing waits that could be overdue")
    return AuthorizationOverdue.model_validate(
        {
            "occurred_at": at,
            "policy": waiting.policy,
            "authorization": state.authorization,
            "clock": f"decision_{waiting.clock}",
            "due_at": waiting.due_at,
            "state": how,
        }
    )


def deemed(state: Authorization, context: CapContext) -> AuthorizationDeemedAdverse:
    """Undecided at the legal cap: adverse by law. It ends no grant, and the review stays open for a person."""
    waiting = state.waiting
    if waiting is None:
        raise InvariantBroken("nothing waits that could be deemed adverse")
    return AuthorizationDeemedAdverse(
        occurred_at=context.at,
        policy=context.refs,
        authorization=state.authorization,
        cap_at=waiting.cap_at,
        appeal_by=context.rights.appeal_by,
        notice_due_at=context.notice_due_at,
        rights=context.rights,
    )


DECIDER: Decider[Authorization, Asked] = Decider("authorization", Authorization, decide, evolve)
