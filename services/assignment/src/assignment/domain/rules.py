"""Who answers for a member: one provider at a time, asked in the order of a ranking whose reasons are kept.

    authorized (presumptively or formally) → offered → accepted, naming the lead care manager
                                           → declined → the next candidate; none left → the plan is asked
                                           → not answered in time → the plan is asked, the offer stays; where the
                                             plan turned it on, it is withdrawn and the next one is asked

An offer reserves a place. First services end nothing here; any other closing withdraws offers and ends the
assignment at once (loop.md 5, 7.2). What people change about a turn is in `assignment_changes`, whom an offer goes to
in `offers`, what is known in `state`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import assert_never

from assignment.domain.assignment_changes import (
    assign_by_hand,
    change_lead,
    conflicted,
    end,
    end_term,
    nothing_here,
    provider_left,
    provider_returned,
    request_change,
    start,
    wish_heard,
    withdraw,
)
from assignment.domain.commands import (
    Accept,
    AskPlan,
    AssignByHand,
    ChangeLead,
    Decline,
    End,
    EndTerm,
    NoteFact,
    ProviderLeft,
    ProviderReturned,
    RequestChange,
    Start,
    Watch,
    Withdraw,
)
from assignment.domain.contexts import (
    AcceptContext,
    Asked,
    OfferContext,
    SettleContext,
    SilenceContext,
    needed,
)
from assignment.domain.evolve import evolve
from assignment.domain.offers import (
    offer_next,
    plan_asked,
    taken_back,
    unanswered,
    wants_offer,
)
from assignment.domain.state import (
    AUTHORIZATION_ENDED,
    NO_ANSWER,
    OTHER_SERVES,
    Assignment,
    Offer,
    over_because,
    unraised,
)
from loopkeeper.contract.calendar import la_date, noon_of
from loopkeeper.contract.decider import Decider, Refused
from loopkeeper.contract.events import (
    ActedBy,
    AssignmentAccepted,
    AssignmentAnswerRefused,
    AssignmentDeclined,
    AssignmentOverdue,
    Event,
    OutreachAnswered,
    ReferralAmended,
)
from loopkeeper.contract.vocabulary.providers import DeclineReason


def decide(state: Assignment | None, asked: Asked) -> Sequence[Event]:
    said = asked[0].fact
    if not isinstance(said, OutreachAnswered):
        return _decide(state, asked)
    try:
        return _decide(state, asked)
    except Refused as refused:
        return [answer_refused(said, refused, asked[1].at)]


def _decide(state: Assignment | None, asked: Asked) -> Sequence[Event]:
    match asked:
        case (NoteFact() as command, context):
            return list(settle(state, command, context))
        case (Accept() as command, context):
            return list(accept(state, command, context))
        case (Decline() as command, context):
            return list(decline(state, command, context))
        case (AssignByHand() as command, context):
            return list(assign_by_hand(state, command, context))
        case (Withdraw() as command, context):
            return list(withdraw(state, command, context))
        case (End() as command, context):
            return list(end(state, command, context))
        case (RequestChange() as command, context):
            return list(request_change(state, command, context))
        case (ChangeLead() as command, context):
            return list(change_lead(state, command, context))
        case (AskPlan() as command, context):
            return list(ask_plan(state, command, context))
        case (Watch(), context):
            return list(watch(state, context.at))
        case (ProviderLeft() as command, context):
            return list(provider_left(state, command, context))
        case (ProviderReturned() as command, context):
            return list(provider_returned(state, command, context))
        case (Start(), context):
            return list(start(state, context))
        case (EndTerm(), context):
            return list(end_term(state, context))
        case _:
            assert_never(asked)


def settle(state: Assignment | None, command: NoteFact, context: SettleContext) -> Iterator[Event]:
    """After a fact: take back what nothing carries any more, and ask the next where somebody must be asked."""
    if state is None:
        return
    held_offer = state.held_offer
    if held_offer is not None and (reason := over_because(state, la_date(context.at))):
        last = state.ends_on if reason == AUTHORIZATION_ENDED else None
        yield taken_back(held_offer, context.at, reason, on=last)
    elif held_offer is not None and wants_offer(state, command, context.at):
        # Who serves already is asked first, before a provider that has not answered yet (ECMG26 p112, loop.md 3.3).
        offering = needed(context.offering)
        if offering.ranking.first is not None:
            gone = taken_back(held_offer, context.at, OTHER_SERVES)
            yield gone
            yield from offer_next(evolve(state, gone), context, offering)
    elif wants_offer(state, command, context.at):
        offering = needed(context.offering)
        # New facts may bring a candidate; that there is still none was said already.
        if not isinstance(command.fact, ReferralAmended) or offering.ranking.first is not None:
            yield from offer_next(state, context, offering)
    elif isinstance(command.fact, ReferralAmended):
        yield from _amended(state, command.fact, context)


def _amended(state: Assignment, news: ReferralAmended, context: SettleContext) -> Iterator[Event]:
    if news.member is not None and state.live is not None:
        yield from conflicted(state, context.at, needed(context.conflict))
    yield from wish_heard(state, news.chosen or (), context)


# ── answers ───────────────────────────────────────────────────────────────────────────────────────────────


def accept(state: Assignment | None, command: Accept, context: AcceptContext) -> Iterator[Event]:
    now, offer = offered(state, command.assignment, command.provider)
    if command.lead is None:
        raise Refused(
            "lead-required",
            "Accepting names the lead care manager.",
            fix="Send lead with person and name.",
            allowed=("accept", "decline"),
        )
    if not context.contracted:
        raise Refused(
            "no-contract",
            "The plan's contract with this provider is no longer in force for the member's populations.",
            fix="Settle it with the plan, or decline.",
            allowed=("decline",),
        )
    other = bool(now.pcp) and now.pcp != offer.provider
    yield AssignmentAccepted(
        occurred_at=answered_at(command.fact, offer, context.at),
        acted_by=command.acted_by or ActedBy(organization=command.provider, person=command.lead.person),
        assignment=offer.assignment,
        provider=offer.provider,
        lead=command.lead,
        pcp=now.pcp if other else None,
        pcp_due_at=context.pcp_due_at if other else None,
    )


def decline(state: Assignment | None, command: Decline, context: OfferContext) -> Iterator[Event]:
    now, offer = offered(state, command.assignment, command.provider)
    if command.reason not in DeclineReason.codes():
        raise Refused(
            "reason-required",
            "A decline says why, so that the next candidate fits better.",
            fix=f"Send reason: one of {', '.join(sorted(DeclineReason.codes()))}.",
            allowed=("accept", "decline"),
        )
    declined = AssignmentDeclined(
        occurred_at=answered_at(command.fact, offer, context.at),
        acted_by=command.acted_by or ActedBy(organization=command.provider),
        assignment=offer.assignment,
        provider=offer.provider,
        reason=command.reason,
    )
    yield declined
    if wants_offer(now, command, context.at):
        yield from offer_next(evolve(now, declined), context, needed(context.offering))


def answered_at(said: Event | None, offer: Offer, at: datetime) -> datetime:
    """When the provider answered: now, or on the day its file says, but not before it was asked (loop.md 8.6)."""
    if not isinstance(said, OutreachAnswered):
        return at
    return min(max(noon_of(said.on), offer.made_at), at)


def answer_refused(said: OutreachAnswered, refused: Refused, at: datetime) -> AssignmentAnswerRefused:
    """A file's answer that the route would refuse: facts are never refused, so it is said."""
    return AssignmentAnswerRefused(
        occurred_at=at, assignment=said.assignment, answer=said.answer, reason=refused.slug
    )


def offered(state: Assignment | None, assignment: str, provider: str) -> tuple[Assignment, Offer]:
    """The open offer of this provider. To anyone else there is nothing here. Raises `not-offered`."""
    offer = state.offer(assignment) if state is not None else None
    if state is None or offer is None or offer.provider != provider:
        raise nothing_here()
    if offer.status != "offered":
        raise Refused("not-offered", f"This offer is {offer.status}.", fix="Read it again.")
    return state, offer


# ── silence, limits ───────────────────────────────────────────────────────────────────────────────────────


def ask_plan(state: Assignment | None, command: AskPlan, context: SilenceContext) -> Iterator[Event]:
    """Silence is not a decline: the offer stays, and the plan is asked (loop.md 5.6). Only where the plan turned it
    on, and somebody else can be asked, the offer is withdrawn first and the next one made."""
    held_offer, at = state.held_offer if state is not None else None, context.at
    if state is None or held_offer is None or not unanswered(state, held_offer, at):
        return
    yield AssignmentOverdue(
        occurred_at=at,
        assignment=held_offer.assignment,
        clock="provider_answer",
        due_at=held_offer.answer_due_at,
        state="breached",
    )
    offering = context.offering
    if offering is not None and offering.ranking.first is not None and wants_offer(state, command, at):
        gone = taken_back(held_offer, at, NO_ANSWER)
        yield gone
        yield from offer_next(evolve(state, gone), context, offering)
    else:
        yield plan_asked(at, context.told, "no_answer", held_offer.assignment)


def watch(state: Assignment | None, at: datetime) -> Iterator[Event]:
    """Each limit that is at risk or breached by now is said once; nothing is decided by it."""
    if state is None:
        return
    for deadline, how, moment in list(unraised(state)):
        if moment <= at and deadline.due_at is not None:
            # Past the limit itself, that it was at risk is no news where that is said in the same breath.
            if how == "at_risk" and at >= deadline.due_at and deadline.clock != "provider_answer":
                continue
            yield AssignmentOverdue(
                occurred_at=at,
                assignment=deadline.assignment,
                clock=deadline.clock,
                due_at=deadline.due_at,
                state=how,
            )


DECIDER: Decider[Assignment, Asked] = Decider("assignment", Assignment, decide, evolve)
