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

from authorization.domain.commands import (
    Amend,
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
    Rules,
)
from authorization.domain.deadlines import AT_RISK, BREACHED, timers
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
    MENDABLE,
    claim_judged,
    end_when_told,
    end_with_loop,
    expire,
    grant_ended,
    look_again,
    remind,
    revoke,
)
from authorization.domain.state import SERVICES_RECEIVED, Authorization, claimed, met, met_by_list
from authorization.domain.term import end, end_unasked, go_on, move_release, prompt, request_reauthorization
from loopkeeper.contract import ids
from loopkeeper.contract.calendar import la_date, term_through
from loopkeeper.contract.decider import Command, Decider
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

EXPEDITED = "expedited"


def decide(state: Authorization | None, command: Command) -> Sequence[Event]:
    match command:
        case OpenReview():
            return list(open_request(state, command))
        case Amend():
            return list(amend(state, command))
        case LookAgain():
            return list(look_again(state, command))
        case NoteFact(fact=ReferralClosed()):
            return end_with_loop(state, command.at)
        case NoteFact(fact=NoticeDelivered()):
            return end_when_told(state, command.at) if state is not None else []
        case NoteFact():
            return []
        case ExpireGrant():
            return expire(state, command.at)
        case PassDeadline():
            return list(pass_deadline(state, command))
        case _:
            return list(_asked_by_a_person(state, command))


def _asked_by_a_person(state: Authorization | None, command: Command) -> Iterator[Event] | Sequence[Event]:
    match command:
        case Modify():
            return modify(state, command)
        case Approve():
            return approve(state, command)
        case Deny():
            return deny(state, command)
        case Pend():
            return pend(state, command)
        case Resume():
            return resume(state, command)
        case RevokeGrant():
            return revoke(state, command)
        case Overturn():
            return overturn(state, command)
        case End():
            return end(state, command)
        case Continue():
            return go_on(state, command)
        case RequestReauthorization():
            return request_reauthorization(state, command)
        case _:
            raise TypeError(f"authorization has no rule for {type(command).__name__}")


# ── the review ────────────────────────────────────────────────────────────────────────────────────────────


def open_request(state: Authorization | None, command: OpenReview) -> Iterator[Event]:
    """Opens the review of a referral once; a loop already over is a tombstone and opens nothing. A presumptive start
    gets its grant, and no review before its form is here (loop.md 3.1)."""
    if state is None or state.authorization or state.outcome:
        return
    if state.kind == "presumptive_start":
        yield from claim_judged(state, command, _authorization(command))
    else:
        yield from open_review(state, command)


def open_review(state: Authorization, command: OpenReview | Amend) -> Iterator[Event]:
    rules = command.rules
    person = person_because(state, command)
    opened = AuthorizationReviewOpened(
        occurred_at=command.at,
        policy=rules.review_refs,
        authorization=state.authorization or _authorization(command),
        clock=rules.clock,
        due_at=rules.due_at,
        cap_at=rules.cap_at,
        at_risk_at=rules.at_risk_at,
        needs_person=person,
    )
    yield opened
    granted = claim_judged(state, command) if not state.awaited else []
    yield from granted
    now = evolve(state, opened)
    for event in granted:
        now = evolve(now, event)
    if not person:
        yield from approve_by_rule(now, command)


def _authorization(command: OpenReview | Amend) -> str:
    return ids.derive("auth", command.at, command.seed, "review")


def approve_by_rule(state: Authorization, command: OpenReview | Amend) -> Iterator[Event]:
    """Everything holds that must: the yes, and with it the end of a grant that still runs."""
    rules, must, grant = command.rules, must_be(state, command.rules), state.grant
    start = first_day(state, rules, command.at, must)
    refs = (rules.must[must],) if must else rules.approve_refs
    yield approval(
        command, state.authorization, rules, start, _populations(state, must), by="rule", must=must,
        refs=(*refs, *(rules.term_refs if grant else ())),
    )  # fmt: skip
    if grant is not None and state.grant_live:
        yield grant_ended(command.at, grant, "approved")


def _populations(state: Authorization, must: str) -> tuple[str, ...]:
    """Those that are met by listed criteria; what must be authorized without criteria brings its own."""
    own = {"release_day": ("incarceration",), "transitional_rent": ("homelessness",)}.get(must, ())
    by_list = tuple(dict.fromkeys((*own, *met_by_list(state))))
    return by_list or met(state) or claimed(state)


def must_be(state: Authorization, rules: Rules) -> str:
    """What makes the plan authorize, with nothing more asked; empty where nothing does (loop.md 4.2)."""
    triggers = (
        (state.linked is not None and state.linked.why == "overturned", "overturned"),
        (state.release_on is not None, "release_day"),
        (any(flag.startswith("plan_change_") for flag in state.flags), "plan_change"),
        ("transitional_rent" in state.flags, "transitional_rent"),
    )
    return next((trigger for holds, trigger in triggers if holds and trigger in rules.must), "")


def person_because(state: Authorization, command: OpenReview | Amend) -> tuple[str, ...]:
    """Why a person must decide, as codes; empty where a rule may approve (loop.md 4.2)."""
    rules, must = command.rules, must_be(state, command.rules)
    if must == "overturned":
        return ()
    switched = [code for code in met_by_list(state) if code in rules.automatic]
    # A box that was ticked and then found wrong (loop.md 4.4) is nobody's program.
    reported = {
        flag.removeprefix("program_")
        for flag in state.flags
        if flag.startswith("program_") and flag.replace("program_", "not_in_", 1) not in state.flags
    }
    excluded = set(rules.exclusive) & (reported | set(state.eligibility.programs))
    claimed_start = state.claim is not None and rules.term_from is None and must != "release_day"
    drawn = any(command.draw < rules.automatic[code] for code in switched)
    kept = state.review is not None and "sample" in state.review.needs_person
    # What a plan says of its own member needs nobody's attestation, and a plan change no further step (4.9).
    vouched = state.attested or (bool(must) and (must == "plan_change" or state.referrer == state.plan))
    checks = (
        # Even what must be authorized is authorized for some population.
        (not met(state) and not (must and _populations(state, must)), "criteria_open"),
        (bool(met(state)) and not met_by_list(state) and not must, "other_factor"),
        (bool(met_by_list(state)) and not switched and not must, "switch_off"),
        (not vouched, "not_attested"),
        (state.eligibility.state != "confirmed", "eligibility_unconfirmed"),
        (bool(excluded), "exclusive_program"),
        (command.open_with is not None, "already_authorized"),
        (claimed_start, "back_dating_unchosen"),
        (_over_already(state, command), "term_over"),
        ((drawn or kept) and not must, "sample"),
    )
    return tuple(code for holds, code in checks if holds)


def _over_already(state: Authorization, command: OpenReview | Amend) -> bool:
    """Whether a term that runs from the claimed first service would be over before it was asked for."""
    claim, rules = state.claim, command.rules
    if claim is None or rules.term_from != "first_service":
        return False
    return term_through(claim.from_, rules.term_months) < la_date(command.at)


# ── what changed of the referral ──────────────────────────────────────────────────────────────────────────


def amend(state: Authorization | None, command: Amend) -> Iterator[Event]:
    """The form of a start opens its review; answers let a paused clock run on, a claim or a clear case be looked at; a
    release that moved moves the term (loop.md 3.1, 3.7). Nothing here denies."""
    if state is None or state.received_at is None or state.outcome not in ("", SERVICES_RECEIVED):
        return
    if state.decision is not None:
        yield from move_release(state, command)
    elif state.review is not None:
        yield from _look_at_answers(state, command)
    elif state.kind == "full":
        yield from open_review(state, command)


def _look_at_answers(state: Authorization, command: Amend) -> Iterator[Event]:
    review, fact = state.review, command.fact
    if isinstance(fact, ReferralAmended) and review is not None and review.pause is not None:
        if not brought(review.pause.asks, fact):
            return
        yield resumed(state, command.at, command.rules)
    if sooner := expedited(state, command):
        yield sooner
        state = evolve(state, sooner)
    claimed_now = isinstance(fact, ReferralAmended) and fact.claim is not None
    granted = claim_judged(state, command) if claimed_now or state.grant_refused in MENDABLE else []
    yield from granted
    now = state
    for event in granted:
        now = evolve(now, event)
    if not person_because(now, command):
        yield from approve_by_rule(now, command)


def expedited(state: Authorization, command: Amend) -> AuthorizationExpedited | None:
    """A running clock is shortened by an urgency learned later, and never lengthened by one taken back."""
    review, rules = state.review, command.rules
    if review is None or review.pause is not None or state.urgency != EXPEDITED or rules.clock != EXPEDITED:
        return None
    if review.clock == EXPEDITED or rules.due_at >= review.due_at:
        return None
    return AuthorizationExpedited(
        occurred_at=command.at,
        policy=rules.review_refs,
        authorization=state.authorization,
        due_at=rules.due_at,
        at_risk_at=rules.at_risk_at,
    )


def brought(asks: Sequence[str], fact: ReferralAmended) -> bool:
    """Whether nothing of what was asked is still open."""
    if fact.cause != "answered" or fact.questions is None:
        return False
    still = {question.id for question in fact.questions} | {question.pointer for question in fact.questions}
    return not still & set(asks)


# ── deadlines ─────────────────────────────────────────────────────────────────────────────────────────────


def pass_deadline(state: Authorization | None, command: PassDeadline) -> Iterator[Event]:
    """A deadline that still stands was reached. Clocks escalate, they never decide (loop.md 4.5)."""
    due_at = timers(state).get(command.kind) if state is not None else None
    if state is None or due_at is None or command.at < due_at:
        return
    match command.kind:
        case "reminder":
            yield from remind(state, command.at)
        case "at_risk":
            yield overdue(state, command, AT_RISK)
        case "due":
            yield overdue(state, command, BREACHED)
        case "cap":
            yield deemed(state, command)
        case "pause":
            yield resumed(state, command.at, command.rules)
        case "reauthorization":
            yield from prompt(state, command.at)
        case "term":
            yield from end_unasked(state, command)
        case _:
            return


def overdue(state: Authorization, command: PassDeadline, how: str) -> AuthorizationOverdue:
    waiting = state.waiting
    if waiting is None:
        raise TypeError("nothing waits that could be overdue")
    return AuthorizationOverdue.model_validate(
        {
            "occurred_at": command.at,
            "policy": waiting.policy,
            "authorization": state.authorization,
            "clock": f"decision_{waiting.clock}",
            "due_at": waiting.due_at,
            "state": how,
        }
    )


def deemed(state: Authorization, command: PassDeadline) -> AuthorizationDeemedAdverse:
    """Undecided at the legal cap: adverse by law. It ends no grant, and the review stays open for a person."""
    waiting = state.waiting
    if waiting is None:
        raise TypeError("nothing waits that could be deemed adverse")
    denial = command.denial
    return AuthorizationDeemedAdverse(
        occurred_at=command.at,
        policy=denial.refs,
        authorization=state.authorization,
        cap_at=waiting.cap_at,
        appeal_by=denial.rights.appeal_by,
        notice_due_at=denial.notice_due_at,
        rights=denial.rights,
    )


DECIDER: Decider[Authorization] = Decider("authorization", Authorization, decide, evolve)
