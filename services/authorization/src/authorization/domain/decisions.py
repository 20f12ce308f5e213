"""What may a named person of the plan decide about a request, and what must be on it? Rules only approve or ask."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime
from typing import Literal

from authorization.domain.commands import Approve, Deny, Modify, Overturn, Pend, Resume
from authorization.domain.contexts import (
    ApproveContext,
    DenyContext,
    ModifyContext,
    OverturnContext,
    PauseContext,
    PendContext,
    RunningOn,
    TermRules,
)
from authorization.domain.presumptive import grant_ended
from authorization.domain.state import Authorization, Review, claimed, met, status
from authorization.domain.term import extend, term_dates
from loopkeeper.contract import ids
from loopkeeper.contract.calendar import la_date
from loopkeeper.contract.decider import Context, Refused
from loopkeeper.contract.events import (
    ActedBy,
    Adverse,
    AuthorizationApproved,
    AuthorizationDenied,
    AuthorizationOverturned,
    AuthorizationPended,
    AuthorizationResumed,
    Event,
)
from loopkeeper.contract.vocabulary.decisions import DenialReason, ForbiddenAsk, ForbiddenReason


def approve(state: Authorization | None, command: Approve, context: ApproveContext) -> Iterator[Event]:
    """The yes to the request, or to the reauthorization that waits."""
    if state is not None and state.reauthorization is not None:
        yield from extend(state, command, context)
        return
    current, _ = decidable(state)
    wanted = met(current) or claimed(current)
    if command.populations and set(wanted) - set(command.populations):
        raise Refused(
            "illegal-move",
            "To approve fewer populations than were asked for denies the others.",
            fix="Use :modify, which says why and tells the member; or approve all.",
            allowed=allowed(current),
        )
    yield from approved_as(current, command, context, command.populations or wanted)


def modify(state: Authorization | None, command: Modify, context: ModifyContext) -> Iterator[Event]:
    """Some populations are approved and the others denied: adverse in part, with all that a denial carries."""
    (current, _), denial = decidable(state), context.denial
    check_reason(command.reason, command.acted_by, command.licensed, denial.needs_license, current)
    check_program(command.reason, denial.exclusive, denial.chosen, current)
    wanted = met(current) or claimed(current)
    left = tuple(code for code in wanted if code not in command.populations)
    must_be_of_the_referral(command, current)
    if not command.populations or not left:
        raise Refused(
            "illegal-move",
            "A modification approves some of the populations asked for, and not all.",
            fix=f"Name some of {', '.join(wanted)}; else use :approve or :deny.",
            allowed=allowed(current),
        )
    check_criteria(command, denial.criteria, left, current)
    adverse = Adverse(
        populations=left,
        reason=command.reason,
        citation=command.citation or denial.citation,
        notice_due_at=denial.notice_due_at,
        rights=denial.rights,
        unmet=command.unmet or None,
    )
    yield from approved_as(current, command, context, command.populations, adverse, denial.refs)


def approved_as(
    current: Authorization,
    command: Approve | Modify,
    context: ApproveContext,
    chosen: Sequence[str],
    adverse: Adverse | None = None,
    denial_refs: Sequence[str] = (),
) -> Iterator[Event]:
    if not command.acted_by.person:
        raise person_required("An approval names the person who approved.")
    must_be_of_the_referral(command, current)
    term, grant = context.term, current.grant
    if grant is not None and term.runs_from is None:
        raise Refused(
            "illegal-move",
            "The plan has not chosen from which day a term runs that follows a presumptive grant.",
            fix="Add the plan's row to the policy table back_dating.",
            allowed=allowed(current),
        )
    release = "release_day" if current.release_on is not None else ""
    start = first_day(current, term, context.at, release, command.enrolled_on)
    refs = term.refs if grant is not None else ()
    yield approval(
        context, current.authorization, term, start, chosen, by="person", acted_by=command.acted_by,
        external_number=command.external_number, adverse=adverse, must=release,
        refs=(*refs, *denial_refs),
    )  # fmt: skip
    if grant is not None and current.grant_live:
        yield grant_ended(context.at, grant, "approved")


def must_be_of_the_referral(command: Approve | Modify, current: Authorization) -> None:
    """Raises where a population is approved that the referral knows nothing of."""
    if set(command.populations) - {p.code for p in current.populations}:
        raise Refused(
            "illegal-move",
            "Only populations of the referral can be approved.",
            fix="Name populations the referral claims or meets, or none for all that are met.",
            allowed=allowed(current),
        )


def first_day(
    state: Authorization, term: TermRules, at: datetime, must: str, enrolled_on: date | None = None
) -> date:
    """From which day the term runs: the release or the enrolment, whichever is later (loop.md 3.7); the first service
    under a grant, where the plan chose so; else the decision. Never before coverage that begins later (2.5)."""
    start = _first_day(state, term, at, must, enrolled_on)
    begins = state.eligibility.from_
    if begins is None or enrolled_on is not None or state.eligibility.on(start) != "begins_later":
        return start
    return begins


def _first_day(
    state: Authorization, term: TermRules, at: datetime, must: str, enrolled_on: date | None
) -> date:
    if must == "release_day" and state.release_on is not None:
        return max(day for day in (state.release_on, enrolled_on or state.enrolled_on) if day is not None)
    if state.grant is not None and term.runs_from == "first_service":
        return state.grant.from_
    return la_date(at)


def approval(
    context: Context,
    authorization: str,
    term: TermRules,
    start: date,
    populations: Sequence[str],
    *,
    by: Literal["rule", "person"],
    refs: Sequence[str],
    acted_by: ActedBy | None = None,
    external_number: str = "",
    adverse: Adverse | None = None,
    must: str = "",
) -> AuthorizationApproved:
    number = ids.derive("ecm", context.at, context.seed, "number")
    return AuthorizationApproved.model_validate(
        {
            "occurred_at": context.at,
            "acted_by": acted_by,
            "policy": tuple(dict.fromkeys(refs)),
            "authorization": authorization,
            "number": f"ECM-{number[-10:].upper()}",
            "external_number": external_number or None,
            "populations": tuple(populations),
            "modified": adverse is not None,
            "adverse": adverse,
            "by": by,
            "must": must,
            **term_dates(start, term),
        }
    )


def deny(state: Authorization | None, command: Deny, context: DenyContext) -> Iterator[Event]:
    (current, review), denial = decidable(state), context.denial
    check_reason(command.reason, command.acted_by, command.licensed, denial.needs_license, current)
    check_program(command.reason, denial.exclusive, denial.chosen, current)
    check_criteria(command, denial.criteria, met(current) or claimed(current), current)
    yield AuthorizationDenied(
        occurred_at=context.at,
        acted_by=command.acted_by,
        policy=denial.refs,
        authorization=review.authorization,
        external_number=command.external_number or None,
        reason=command.reason,
        citation=command.citation or denial.citation,
        appeal_by=denial.rights.appeal_by,
        notice_due_at=denial.notice_due_at,
        rights=denial.rights,
        unmet=command.unmet or None,
    )
    # The grant runs to the end of the day on which its provider hears of it (loop.md 3.4).
    if current.grant is not None and current.grant_live and command.provider_told:
        yield grant_ended(context.at, current.grant, "denied")


def check_reason(
    reason: str, acted_by: ActedBy, licensed: bool, needs_license: bool, current: Authorization
) -> None:
    """Raises where the reason is forbidden or unknown, or the person may not give it (loop.md 4.1, 4.3)."""
    if reason in ForbiddenReason.codes():
        raise Refused(
            "reason-forbidden",
            f"Nobody may be denied ECM for this: {ForbiddenReason.label_of(reason).lower()}.",
            fix=f"Use one of {', '.join(sorted(DenialReason.codes()))}, if it is so.",
            allowed=allowed(current),
        )
    if reason not in DenialReason.codes():
        raise Refused(
            "reason-unknown",
            "A denial needs one of the reasons listed.",
            fix=f"Use one of {', '.join(sorted(DenialReason.codes()))}.",
            allowed=allowed(current),
        )
    if not acted_by.person:
        raise person_required("A denial names the person who denied.")
    if needs_license and not licensed:
        raise person_required("A denial for this reason is a licensed person's judgement.")


def check_program(
    reason: str, exclusive: Sequence[str], chosen: Sequence[str], current: Authorization
) -> None:
    """Raises where the program that would duplicate ECM was only ticked in a form: it counts once the roster or
    somebody asked confirms it, or the member, options explained, chose it (loop.md 4.4)."""
    if reason != DenialReason.DUPLICATIVE_PROGRAM.value:
        return
    confirmed = {program for program in exclusive if f"confirmed_{program}" in current.flags}
    confirmed |= set(exclusive) & set(current.eligibility.programs)
    wanted = {program for program in chosen if f"chose_{program}" in current.flags}
    if not confirmed | wanted:
        raise Refused(
            "reason-forbidden",
            "No program that excludes ECM is confirmed, and the member chose none over ECM.",
            fix="Answer the question about the program at the referral, then decide.",
            allowed=allowed(current),
        )


def check_criteria(
    command: Deny | Modify, criteria: Mapping[str, Sequence[str]], left: Sequence[str], current: Authorization
) -> None:
    """Raises where a denial for unmet criteria does not say, of every population denied, which criterion of its own row
    is not met, and why (loop.md 4.3). Where none was met or claimed, one population is enough."""
    judged = command.reason == DenialReason.CRITERIA_NOT_MET.value
    if command.unmet and not judged:
        raise Refused(
            "illegal-move",
            "Only a denial for criteria_not_met says which criteria are not met.",
            fix="Leave out `unmet`, or use the reason criteria_not_met.",
            allowed=allowed(current),
        )
    if not judged:
        return
    for said in command.unmet:
        own = criteria.get(said.population)
        if own is None:
            raise _criterion_required(
                "Only of a population of the referral that is denied can a criterion be unmet.",
                left,
                criteria,
                current,
            )
        if said.criterion not in (own or ("",)):
            raise _criterion_required(
                "A criterion is picked from the population's own row.", (said.population,), criteria, current
            )
        if not said.why.strip():
            raise _criterion_required(
                "Why it is not met is said in words.", (said.population,), criteria, current
            )
    said_of = {said.population for said in command.unmet}
    if len(said_of) < len(command.unmet) or not said_of or set(left) - said_of:
        silent = [code for code in left if code not in said_of]
        raise _criterion_required(
            "A denial for unmet criteria says once of each population which criterion is not met, and why.",
            silent or left,
            criteria,
            current,
        )
    if isinstance(command, Modify) and said_of & set(command.populations):
        raise _criterion_required("What is approved is not unmet.", left, criteria, current)


def _criterion_required(
    sentence: str, populations: Sequence[str], criteria: Mapping[str, Sequence[str]], current: Authorization
) -> Refused:
    named = "; ".join(f"{code}: {', '.join(criteria[code])}" for code in populations if criteria.get(code))
    listed = f" The criteria are: {named}." if named else ""
    return Refused(
        "criterion-required",
        sentence,
        fix=f"Send `unmet` with population, criterion and why.{listed}",
        allowed=allowed(current),
    )


def pend(state: Authorization | None, command: Pend, context: PendContext) -> Sequence[Event]:
    """Asks for data elements of the referral standard, and nothing else; the clock is paused meanwhile."""
    current, review = decidable(state)
    if not command.acted_by.person:
        raise person_required("Pausing the clock names the person who asks.")
    if review.pause is not None:
        raise Refused(
            "illegal-move", "Something is asked already.", fix="Use :resume first.", allowed=allowed(current)
        )
    for ask in command.asks:
        if ask not in context.known:
            raise Refused(
                "reason-forbidden",
                f"A plan may ask only for what the referral standard has, not for this: "
                f"{ForbiddenAsk.label_of(ask).lower()}.",
                fix=f"Ask for some of {', '.join(sorted(context.known))}; or decide.",
                allowed=allowed(current),
            )
    if not command.asks:
        raise Refused(
            "illegal-move", "Nothing is asked.", fix="Name what is asked.", allowed=allowed(current)
        )
    asked = AuthorizationPended(
        occurred_at=context.at,
        acted_by=command.acted_by,
        policy=context.refs,
        authorization=review.authorization,
        asks=tuple(dict.fromkeys(command.asks)),
        by=context.by,
    )
    return [asked]


def resume(state: Authorization | None, command: Resume, context: PauseContext) -> Sequence[Event]:
    current, review = decidable(state)
    if not command.acted_by.person:
        raise person_required("Letting the clock run on names the person who does.")
    if review.pause is None or context.running_on is None:
        raise Refused("illegal-move", "The clock is running.", allowed=allowed(current))
    return [resumed(current, context.at, context.running_on, command.acted_by)]


def resumed(
    state: Authorization, at: datetime, running_on: RunningOn, acted_by: ActedBy | None = None
) -> AuthorizationResumed:
    """The clock runs on from where it was paused; the cap never stopped."""
    return AuthorizationResumed(
        occurred_at=at,
        acted_by=acted_by,
        policy=running_on.refs,
        authorization=state.authorization,
        due_at=running_on.due_at,
        at_risk_at=running_on.at_risk_at,
    )


def overturn(state: Authorization | None, command: Overturn, context: OverturnContext) -> Sequence[Event]:
    """An appeal or a hearing overturned the denial: intake opens a linked referral, authorized (loop.md 4.8)."""
    decision = state.decision if state is not None else None
    if state is None or state.review is None:
        raise Refused("not-found", "There is nothing here that this key may see.", status=404)
    if not command.acted_by.person:
        raise person_required("Recording this names the person who does.")
    if decision is None or decision.kind != "denied":
        raise Refused(
            "not-denied", "There is no denial here that could be overturned.", allowed=allowed(state)
        )
    if decision.overturned_on is not None:
        raise Refused("already-decided", "The denial was overturned before.", allowed=())
    if not la_date(decision.at) <= command.on <= la_date(context.at):
        raise Refused(
            "illegal-move",
            "A denial is overturned between its own day and today.",
            fix="Send the day of the appeal's or the hearing's decision as `on`.",
        )
    overturned = AuthorizationOverturned(
        occurred_at=context.at,
        acted_by=command.acted_by,
        policy=context.refs,
        authorization=state.authorization,
        on=command.on,
        due_at=context.due_at,
    )
    return [overturned]


def decidable(state: Authorization | None) -> tuple[Authorization, Review]:
    """The open request. Raises `already-decided` or `illegal-move`."""
    if state is None or not state.authorization:
        raise Refused("not-found", "There is nothing here that this key may see.", status=404)
    if state.reauthorization is not None:
        raise Refused(
            "already-decided",
            "The request was approved before; what waits is a reauthorization, judged by discontinuation criteria.",
            fix="Approve it, or end the term with its discontinuation code.",
            allowed=("approve", "end"),
        )
    if state.decision is not None:
        raise Refused("already-decided", f"This was {state.decision.kind} before.", allowed=allowed(state))
    if status(state) == "closed":
        raise Refused(
            "illegal-move", "The loop was closed before a decision; nothing is left to decide.", allowed=()
        )
    if state.review is None:
        raise Refused(
            "illegal-move",
            "The referral itself is not here yet, only the start of services.",
            fix="Wait for the form, or revoke the grant.",
            allowed=("revoke-grant",) if state.grant_live else (),
        )
    return state, state.review


def person_required(sentence: str) -> Refused:
    return Refused(
        "person-required", sentence, fix="Send acted_by with person, title and, if asked, licence."
    )


def allowed(state: Authorization) -> tuple[str, ...]:
    """What a person may decide now."""
    if state.reauthorization is not None:
        return ("approve", "end")
    if status(state) != "pending" or state.review is None:
        return ()
    return ("approve", "modify", "deny", "resume" if state.review.pause is not None else "pend")
