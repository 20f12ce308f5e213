"""How long is ECM authorized, how does it go on, and how does it end? Judged by discontinuation criteria, never again
by those of the populations.

The member's notice is ten days old before a term ends (ECMG26 p80, 116): an ending is said that much ahead, and
`on` is the term's last day. Nothing ends while a reauthorization waits (loop.md 4.7).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any

from authorization.domain.commands import Amend, Appeal, Approve, Continue, End, RequestReauthorization
from authorization.domain.contexts import (
    AmendContext,
    AppealContext,
    ApproveContext,
    EndContext,
    EndingRules,
    ReauthorizationContext,
    TermContext,
    TermRules,
)
from authorization.domain.deadlines import expedited
from authorization.domain.state import COVERAGE_RETURNED, NOT_REAUTHORIZED, Authorization, Term
from loopkeeper.contract import ids
from loopkeeper.contract.calendar import end_of_la_day, la_date, term_through
from loopkeeper.contract.decider import Plain, Refused
from loopkeeper.contract.events import (
    ActedBy,
    AuthorizationAppealed,
    AuthorizationAppealResolved,
    AuthorizationEnded,
    AuthorizationEndingConfirmed,
    AuthorizationExtended,
    AuthorizationReauthorizationDue,
    AuthorizationReauthorizationRequested,
    Event,
    ReferralAmended,
    Rights,
)
from loopkeeper.contract.vocabulary.decisions import Discontinuation

DAY = timedelta(days=1)


def term_dates(start: date, term: TermRules) -> Mapping[str, Any]:
    """From, through, and when before the end something must be said."""
    through = term_through(start, term.months)
    return {
        "from": start,
        "through": through,
        "prompts_on": tuple(
            through - timedelta(days=days) for days in sorted(term.prompt_days, reverse=True)
        ),
        "notice_on": through - timedelta(days=term.notice_days),
    }


def running(state: Authorization | None, person: ActedBy) -> tuple[Authorization, Term]:
    """The request and its term, for a named person. Raises `not-found`, `person-required`, `term-ended`."""
    if state is None or not state.authorization:
        raise Refused("not-found", "There is nothing here that this key may see.", status=404)
    if not person.person:
        raise Refused(
            "person-required",
            "This names the person who decides.",
            fix="Send acted_by with person and title.",
        )
    if state.term is None:
        raise Refused("term-ended", "There is no term here: the referral was not approved.")
    return state, state.term


# ── reauthorization ───────────────────────────────────────────────────────────────────────────────────────


def prompt(state: Authorization, at: datetime) -> Iterator[Event]:
    """The end comes near: who serves may ask for another term."""
    if state.term is not None:
        yield AuthorizationReauthorizationDue(
            occurred_at=at,
            authorization=state.authorization,
            through=state.term.through,
            due_at=end_of_la_day(state.term.through),
        )


def request_reauthorization(
    state: Authorization | None, command: RequestReauthorization, context: ReauthorizationContext
) -> Iterator[Event]:
    current, term = running(state, command.acted_by)
    if command.provider != current.holder:
        raise Refused("not-found", "There is nothing here that this key may see.", status=404)
    if current.reauthorization is not None:
        urgent = expedited(current, context.clocks, context.at, context.at, command.acted_by)
        if urgent is None:
            raise Refused("already-requested", "Reauthorization was asked for; the plan has not decided yet.")
        yield urgent
        return
    ended_by_person = term.ending is not None and term.ending.code != NOT_REAUTHORIZED
    if ended_by_person or la_date(context.at) > term.last_day:
        raise Refused(
            "term-ended",
            f"The term ends with {term.last_day}, and cannot be prolonged any more.",
            fix="Refer the member again.",
        )
    clocks = context.clocks
    yield AuthorizationReauthorizationRequested(
        occurred_at=context.at,
        acted_by=command.acted_by,
        policy=clocks.refs,
        authorization=current.authorization,
        provider=command.provider,
        through=term.through,
        clock=clocks.clock,
        due_at=clocks.due_at,
        at_risk_at=clocks.at_risk_at,
        cap_at=clocks.cap_at,
    )


def extend(state: Authorization, command: Approve, context: ApproveContext) -> Iterator[Event]:
    """The plan says yes to another term; it begins where the last one ends."""
    _, term = running(state, command.acted_by)
    number = ids.derive("ecm", context.at, context.seed, "number")
    dates = {
        **term_dates(term.through + DAY, context.term),
        "external_number": command.external_number or None,
        "policy": context.term.refs,
    }
    yield _extended(context.at, state, command.acted_by, f"ECM-{number[-10:].upper()}", dates)


def go_on(state: Authorization | None, command: Continue, context: Plain) -> Iterator[Event]:
    """A person judged what might have ended the term: it goes on; a notice that it would end is taken back."""
    current, term = running(state, command.acted_by)
    asked = current.discontinuation
    returned, today = asked is not None and asked.why == COVERAGE_RETURNED, la_date(context.at)
    if current.appeal is not None:
        yield from _goes_on_after_appeal(current, term, command, context)
        return
    if today > (term.through if returned else term.last_day):
        raise Refused("term-ended", f"The term ended with {term.last_day}.", fix="Refer the member again.")
    if current.discontinuation is None and term.ending is None:
        raise Refused("illegal-move", "Nothing speaks against the term.", allowed=("end",))
    yield _extended(context.at, current, command.acted_by, term.number, _same(term, today))


def _goes_on_after_appeal(
    current: Authorization, term: Term, command: Continue, context: Plain
) -> Iterator[Event]:
    """The appeal was decided for the member. Where the term's own last day is over by then, it goes on for as long as the
    notice of that end is old, so that nobody's services end unsaid."""
    today = la_date(context.at)
    yield resolved(current, context.at, command.acted_by, upheld=False)
    dates = dict(_same(term, today))
    if today > term.through:
        ahead = term.through - term.notice_on if term.notice_on is not None else timedelta()
        dates |= {"through": today + ahead, "notice_on": today, "prompts_on": (today,)}
    yield _extended(context.at, current, command.acted_by, term.number, dates)


def move_release(state: Authorization, command: Amend, context: AmendContext) -> Iterator[Event]:
    """The release comes on another day: the term that waits for it begins then (loop.md 3.7). What has begun stays."""
    term, decision, fact = state.term, state.decision, command.fact
    moved = isinstance(fact, ReferralAmended) and (fact.release_on or fact.eligibility) is not None
    if (
        term is None
        or decision is None
        or decision.must != "release_day"
        or state.release_on is None
        or not moved
    ):
        return
    start = max(day for day in (state.release_on, state.enrolled_on) if day is not None)
    if start == term.from_ or la_date(context.at) > term.from_ or term.ending is not None:
        return
    yield _extended(context.at, state, None, term.number, term_dates(start, context.term))


def _same(term: Term, today: date) -> Mapping[str, Any]:
    return {
        "from": term.from_,
        "through": term.through,
        "prompts_on": tuple(day for day in term.prompts_on if day > today),
        "notice_on": term.notice_on,
    }


def _extended(
    at: datetime, state: Authorization, acted_by: ActedBy | None, number: str, dates: Mapping[str, Any]
) -> AuthorizationExtended:
    return AuthorizationExtended.model_validate(
        {
            "occurred_at": at,
            "acted_by": acted_by,
            "authorization": state.authorization,
            "number": number,
            **dates,
        }
    )


# ── an appeal ─────────────────────────────────────────────────────────────────────────────────────────────


def appeal(state: Authorization | None, command: Appeal, context: AppealContext) -> Iterator[Event]:
    """The member appealed against the ending. In time, by the day the term was to end, it goes on until that is resolved
    (42 CFR 438.420); later it is resolved all the same. A hearing against an ending that was upheld is recorded alike."""
    current, term = running(state, command.acted_by)
    ending, today = term.ending, la_date(context.at)
    if current.appeal is not None:
        raise Refused("already-requested", "An appeal waits to be resolved.", allowed=("continue", "end"))
    if ending is None:
        raise Refused(
            "illegal-move", "The term does not end, so there is nothing to appeal against.", allowed=("end",)
        )
    said_on = la_date(ending.at) if ending.at is not None else date.min
    if not said_on <= command.on <= today:
        raise Refused(
            "illegal-move",
            "An appeal comes between the day on which the ending was said and today.",
            fix="Send the day on which the member appealed as `on`.",
        )
    rights = ending.rights
    if rights is not None and command.on > rights.appeal_by:
        raise Refused(
            "too-late",
            f"An appeal was possible through {rights.appeal_by}.",
            fix="Refer the member again.",
        )
    by = (rights.continues_if_by if rights is not None else None) or ending.on
    continues = command.on <= by
    yield AuthorizationAppealed(
        occurred_at=context.at,
        acted_by=command.acted_by,
        policy=context.refs,
        authorization=current.authorization,
        on=command.on,
        continues=continues,
        code=ending.code,
        ends_on=ending.on,
        due_at=context.due_at,
    )
    if continues:
        yield _extended(context.at, current, command.acted_by, term.number, _same(term, today))


def resolved(
    state: Authorization, at: datetime, acted_by: ActedBy, *, upheld: bool
) -> AuthorizationAppealResolved:
    return AuthorizationAppealResolved(
        occurred_at=at, acted_by=acted_by, authorization=state.authorization, upheld=upheld
    )


# ── the end ───────────────────────────────────────────────────────────────────────────────────────────────


def end_unasked(state: Authorization, context: TermContext) -> Iterator[Event]:
    """Nobody asked for another term: it ends, code 13, and never before its notice is old enough."""
    term = state.term
    if term is not None and term.notice_on is not None:
        ahead = term.through - term.notice_on
        on = max(term.through, la_date(context.at) + ahead)
        yield _ended(context.at, state, NOT_REAUTHORIZED, on, ahead, context.ending)


def end(state: Authorization | None, command: End, context: EndContext) -> Sequence[Event]:
    """A named person ends the term, or does not renew it. The effect waits until the notice is old enough."""
    current, term = running(state, command.acted_by)
    asked = current.discontinuation
    if asked is not None and asked.why == COVERAGE_RETURNED and term.ending is not None:
        confirmed = AuthorizationEndingConfirmed(
            occurred_at=context.at, acted_by=command.acted_by, authorization=current.authorization
        )
        return [confirmed]
    appealed = current.appeal is not None
    if appealed and term.ending is not None:
        # It came too late for the term to go on: the ending holds as it was said.
        return [resolved(current, context.at, command.acted_by, upheld=True)]
    if str(command.code) not in Discontinuation.codes():
        raise Refused(
            "code-unknown",
            "A term ends by one of the state's discontinuation codes.",
            fix="Send code: a number from 1 to 15; /docs lists them.",
        )
    today = la_date(context.at)
    waits = current.lives_on
    if (term.ending is not None and term.ending.person) or (today > term.last_day and not waits):
        raise Refused("term-ended", f"The term ends with {term.last_day} as it is.")
    if context.unfit:
        raise Refused(
            "illegal-move",
            f"A term does not end without notice by code {command.code} for this.",
            fix=f"Send one of the codes {', '.join(context.unfit)}, or leave out without_notice.",
            allowed=("end",),
        )
    earliest = today + timedelta(days=context.notice_days)
    on = command.on or earliest
    if on < earliest:
        raise Refused(
            "illegal-move",
            f"The member's notice must be {context.notice_days} days old before the term ends.",
            fix=f"Send {earliest} or a later day as `on`, or none for the first that is possible.",
            allowed=("end",),
        )
    if on > term.through and not waits and command.on is not None:
        raise Refused(
            "illegal-move",
            f"The term ends with {term.through} by itself.",
            fix="Send an earlier day.",
            allowed=("end",),
        )
    ahead = timedelta(days=context.notice_days)
    over = _ended(context.at, current, command.code, on, ahead, context.ending)
    said: dict[str, Any] = {"acted_by": command.acted_by, "external_number": command.external_number or None}
    if not appealed:
        return [over.model_copy(update=said)]
    return [
        resolved(current, context.at, command.acted_by, upheld=True),
        over.model_copy(update=said | {"upheld": True, "rights": _of_hearing(over.rights, today)}),
    ]


def _of_hearing(rights: Rights | None, today: date) -> Rights | None:
    """What is left once an appeal upheld the ending: a state hearing."""
    if rights is None:
        return None
    return rights.model_copy(update={"appeal_by": today + timedelta(days=rights.hearing_days)})


def _ended(
    at: datetime, state: Authorization, code: int, on: date, ahead: timedelta, ending: EndingRules
) -> AuthorizationEnded:
    return AuthorizationEnded(
        occurred_at=at,
        policy=ending.refs,
        authorization=state.authorization,
        code=code,
        on=on,
        notice_due_at=end_of_la_day(on - ahead),
        rights=ending.rights.model_copy(update={"continues_if_by": on}),
    )
