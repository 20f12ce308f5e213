"""Who answers for a member: one provider at a time, asked in the order of a ranking whose reasons are kept.

    authorized (presumptively or formally) → offered → accepted, naming the lead care manager
                                           → declined → the next candidate; none left → the plan is asked
                                           → not answered in time → the plan is asked, the offer stands; where the
                                             plan turned it on, it is withdrawn and the next one is asked

An offer reserves a place. First services end nothing here; any other closing withdraws offers and ends the
assignment at once (loop.md 5, 7.2). What people change about a turn is in `changes`, whom an offer goes to in
`offering`, what is known in `turns`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from assignment.domain.assignment_changes import (
    ChangeLead,
    EndTerm,
    assign_by_hand,
    change_lead,
    conflicted,
    end,
    end_term,
    nothing_here,
    request_change,
    start,
    wish_heard,
    withdraw,
)
from assignment.domain.evolve import evolve
from assignment.domain.offers import (
    Accept,
    AskPlan,
    AssignByHand,
    Decline,
    End,
    NoteFact,
    RequestChange,
    Start,
    Withdraw,
    offer_next,
    plan_asked,
    taken_back,
    unanswered,
    wants_offer,
)
from assignment.domain.state import AUTHORIZATION_ENDED, NO_ANSWER, Assignment, Offer, over_because, unraised
from loopkeeper.contract.calendar import la_date
from loopkeeper.contract.decider import Command, Decider, Refused
from loopkeeper.contract.events import (
    ActedBy,
    AssignmentAccepted,
    AssignmentDeclined,
    AssignmentOverdue,
    Event,
    ReferralAmended,
)
from loopkeeper.contract.vocabulary.providers import DeclineReason


class Watch(Command):
    """A limit is at risk, or was breached."""


def decide(state: Assignment | None, command: Command) -> Sequence[Event]:
    match command:
        case NoteFact():
            return list(settle(state, command))
        case Accept():
            return list(accept(state, command))
        case Decline():
            return list(decline(state, command))
        case AssignByHand():
            return list(assign_by_hand(state, command))
        case AskPlan():
            return list(ask_plan(state, command))
        case Watch():
            return list(watch(state, command))
        case _:
            return list(_change(state, command))


def _change(state: Assignment | None, command: Command) -> Iterator[Event]:
    match command:
        case Withdraw():
            return withdraw(state, command)
        case End():
            return end(state, command)
        case RequestChange():
            return request_change(state, command)
        case ChangeLead():
            return change_lead(state, command)
        case Start():
            return start(state, command)
        case EndTerm():
            return end_term(state, command)
        case _:
            raise TypeError(f"assignment has no rule for {type(command).__name__}")


def settle(state: Assignment | None, command: NoteFact) -> Iterator[Event]:
    """After a fact: take back what nothing carries any more, and ask the next where somebody must be asked."""
    if state is None:
        return
    turn = state.turn
    if turn is not None and (reason := over_because(state, la_date(command.at))):
        last = state.ends_on if reason == AUTHORIZATION_ENDED else None
        yield taken_back(turn, command.at, reason, on=last)
    elif wants_offer(state, command):
        # New facts may bring a candidate; that there is still none was said already.
        if not isinstance(command.fact, ReferralAmended) or command.market.ranking.first is not None:
            yield from offer_next(state, command, command.market)
    elif isinstance(command.fact, ReferralAmended):
        yield from _amended(state, command, command.fact)


def _amended(state: Assignment, command: NoteFact, news: ReferralAmended) -> Iterator[Event]:
    if news.member is not None and state.live is not None:
        yield from conflicted(state, command.market, command)
    yield from wish_heard(state, news.chosen or (), command)


# ── answers ───────────────────────────────────────────────────────────────────────────────────────────────


def accept(state: Assignment | None, command: Accept) -> Iterator[Event]:
    now, offer = offered(state, command.assignment, command.provider)
    if command.lead is None:
        raise Refused(
            "lead-required",
            "Accepting names the lead care manager.",
            fix="Send lead with person and name.",
            allowed=("accept", "decline"),
        )
    if not command.market.contracted:
        raise Refused(
            "no-contract",
            "The plan's contract with this provider is no longer in force for the member's populations.",
            fix="Settle it with the plan, or decline.",
            allowed=("decline",),
        )
    other = bool(now.pcp) and now.pcp != offer.provider
    yield AssignmentAccepted(
        occurred_at=command.at,
        acted_by=ActedBy(organization=command.provider, person=command.lead.person),
        assignment=offer.assignment,
        provider=offer.provider,
        lead=command.lead,
        pcp=now.pcp if other else None,
        pcp_due_at=command.market.pcp_due_at if other else None,
    )


def decline(state: Assignment | None, command: Decline) -> Iterator[Event]:
    now, offer = offered(state, command.assignment, command.provider)
    if command.reason not in DeclineReason.codes():
        raise Refused(
            "reason-required",
            "A decline says why, so that the next candidate fits better.",
            fix=f"Send reason: one of {', '.join(sorted(DeclineReason.codes()))}.",
            allowed=("accept", "decline"),
        )
    declined = AssignmentDeclined(
        occurred_at=command.at,
        acted_by=ActedBy(organization=command.provider),
        assignment=offer.assignment,
        provider=offer.provider,
        reason=command.reason,
    )
    yield declined
    if wants_offer(now, command):
        yield from offer_next(evolve(now, declined), command, command.market)


def offered(state: Assignment | None, assignment: str, provider: str) -> tuple[Assignment, Offer]:
    """The open offer of this provider. To anyone else there is nothing here. Raises `not-offered`."""
    offer = state.offer(assignment) if state is not None else None
    if state is None or offer is None or offer.provider != provider:
        raise nothing_here()
    if offer.status != "offered":
        raise Refused("not-offered", f"This offer is {offer.status}.", fix="Read it again.")
    return state, offer


# ── silence, limits ───────────────────────────────────────────────────────────────────────────────────────


def ask_plan(state: Assignment | None, command: AskPlan) -> Iterator[Event]:
    """Silence is not a decline: the offer stands, and the plan is asked (loop.md 5.6). Only where the plan turned it
    on, and somebody else can be asked, the offer is withdrawn first and the next one made."""
    turn = state.turn if state is not None else None
    if state is None or turn is None or not unanswered(state, turn, command.at):
        return
    yield AssignmentOverdue(
        occurred_at=command.at,
        assignment=turn.assignment,
        clock="provider_answer",
        due_at=turn.answer_due_at,
        state="breached",
    )
    market = command.market
    if market.re_offer and market.ranking.first is not None and wants_offer(state, command):
        gone = taken_back(turn, command.at, NO_ANSWER)
        yield gone
        yield from offer_next(evolve(state, gone), command, market)
    else:
        yield plan_asked(command, market, "no_answer", turn.assignment)


def watch(state: Assignment | None, command: Watch) -> Iterator[Event]:
    """Each limit that is at risk or breached by now is said once; nothing is decided by it."""
    if state is None:
        return
    for deadline, how, moment in list(unraised(state)):
        if moment <= command.at and deadline.due_at is not None:
            # Past the limit itself, that it was at risk is no news where that is said in the same breath.
            if how == "at_risk" and command.at >= deadline.due_at and deadline.clock != "provider_answer":
                continue
            yield AssignmentOverdue(
                occurred_at=command.at,
                assignment=deadline.assignment,
                clock=deadline.clock,
                due_at=deadline.due_at,
                state=how,
            )


DECIDER: Decider[Assignment, Command] = Decider("assignment", Assignment, decide, evolve)
