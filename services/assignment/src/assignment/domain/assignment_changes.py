"""What may people change about a turn, and what changes with its days?

The plan takes an offer back; provider or plan end an assignment; the member asks for another provider; the provider
names another lead care manager; the day of release comes; the authorization's last day passes (loop.md 3.7, 5.3-5.7).
A member who is served keeps the provider until the plan has another: the plan is asked and carries the change out, by
hand, within 30 days. An offer nobody answered yet goes to the one asked for at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from assignment.domain.commands import (
    AssignByHand,
    ChangeLead,
    End,
    ProviderLeft,
    ProviderReturned,
    RequestChange,
    Withdraw,
)
from assignment.domain.contexts import (
    ChangeContext,
    Conflict,
    HandContext,
    LeftContext,
    Limit,
    Obliged,
    OfferContext,
    Offering,
    SettleContext,
    StartContext,
    needed,
)
from assignment.domain.evolve import evolve
from assignment.domain.offers import (
    made,
    offer_next,
    passed_over,
    plan_asked,
    planned_from,
    taken_back,
    uncovered,
    wants_offer,
)
from assignment.domain.state import (
    AUTHORIZATION_ENDED,
    BY_PLAN,
    ENDED_BY_PROVIDER,
    MEMBER_CHANGE,
    PROVIDER_LEFT,
    Assignment,
    Offer,
    over_because,
)
from loopkeeper.contract.calendar import la_date
from loopkeeper.contract.decider import Context, Plain, Refused
from loopkeeper.contract.events import (
    ActedBy,
    AssignmentLeadChanged,
    AssignmentPlanAsked,
    AssignmentQuestionTakenBack,
    AssignmentStarted,
    Event,
)


def withdraw(state: Assignment | None, command: Withdraw, context: OfferContext) -> Iterator[Event]:
    state, held_offer = held(state, command.assignment)
    if held_offer.status != "offered":
        raise Refused(
            "not-offered", "This offer was accepted.", fix="End the assignment instead.", allowed=("end",)
        )
    gone = taken_back(held_offer, context.at, BY_PLAN, command.acted_by)
    yield from _and_next(state, command, context, context.offering, gone)


def end(state: Assignment | None, command: End, context: OfferContext) -> Iterator[Event]:
    state, held_offer = held(state, command.assignment)
    if held_offer.status != "accepted":
        allowed = ("decline",) if command.by_provider else ("withdraw",)
        raise Refused("not-live", "This offer is not accepted yet.", fix="Answer it.", allowed=allowed)
    reason = ENDED_BY_PROVIDER if command.by_provider else BY_PLAN
    gone = taken_back(held_offer, context.at, reason, command.acted_by)
    yield from _and_next(state, command, context, context.offering, gone)


def _and_next(
    state: Assignment,
    command: Withdraw | End | RequestChange,
    context: Context,
    offering: Offering | None,
    gone: Event,
) -> Iterator[Event]:
    yield gone
    if wants_offer(state, command, context.at):
        yield from offer_next(evolve(state, gone), context, needed(offering))


def request_change(
    state: Assignment | None, command: RequestChange, context: ChangeContext
) -> Iterator[Event]:
    """Who is served keeps the provider until the plan has another; an open offer goes on at once."""
    state, held_offer = held(state, command.assignment)
    if command.wished == held_offer.provider:
        raise Refused(
            "not-eligible",
            "The member has this provider.",
            fix="Name another provider, or none if any other will do.",
        )
    if held_offer.status == "offered":
        gone = taken_back(held_offer, context.at, MEMBER_CHANGE, command.acted_by)
        yield from _and_next(state, command, context, context.offering, gone)
        return
    limit = needed(context.change)
    yield from _ask_for_change(state, held_offer, context.at, limit, command.wished, command.acted_by)


def _ask_for_change(
    state: Assignment, held_offer: Offer, at: datetime, limit: Limit, wished: str, acted_by: ActedBy | None
) -> Iterator[Event]:
    """The plan is asked once about one wish. Asked again for another, the time runs on from the first asking."""
    before = (
        state.change
        if state.change is not None and state.change.assignment == held_offer.assignment
        else None
    )
    if before is not None and before.wished == wished:
        return
    yield AssignmentPlanAsked(
        occurred_at=at,
        acted_by=acted_by,
        policy=limit.refs,
        reason="change_requested",
        assignment=held_offer.assignment,
        due_at=before.due_at if before is not None else limit.due_at,
        at_risk_at=before.at_risk_at if before is not None else limit.at_risk_at,
        wished=wished or None,
    )


def wish_heard(state: Assignment, chosen: Sequence[str], context: SettleContext) -> Iterator[Event]:
    """What was learned later, in an answer or with another referral: the member wishes for another provider."""
    held_offer = state.held_offer
    if held_offer is not None and chosen and held_offer.provider not in chosen:
        yield from _ask_for_change(state, held_offer, context.at, needed(context.change), chosen[0], None)


def provider_left(state: Assignment | None, command: ProviderLeft, context: LeftContext) -> Iterator[Event]:
    """The provider left, or its contract is over: the plan is asked for each of its members, once. Who serves goes on until
    the plan has another; nobody's services end by the directory."""
    held_offer = state.held_offer if state is not None else None
    if state is None or held_offer is None or context.contracted:
        return
    if (held_offer.assignment, held_offer.provider) != (command.assignment, command.provider):
        return
    asked_before = state.asked == PROVIDER_LEFT or (state.change is not None and state.change.left)
    if asked_before or over_because(state, la_date(context.at)):
        return
    limit = context.change
    yield AssignmentPlanAsked(
        occurred_at=context.at,
        policy=limit.refs,
        reason="provider_left",
        assignment=held_offer.assignment,
        due_at=limit.due_at,
        at_risk_at=limit.at_risk_at,
    )


def provider_returned(
    state: Assignment | None, command: ProviderReturned, context: LeftContext
) -> Iterator[Event]:
    """The provider is under contract again: the question is taken back. A change that the member asked for stays open."""
    held_offer = state.held_offer if state is not None else None
    if state is None or held_offer is None or not context.contracted:
        return
    change = state.change
    if (held_offer.assignment, held_offer.provider) != (command.assignment, command.provider):
        return
    if change is None or not change.left or change.assignment != held_offer.assignment:
        return
    yield AssignmentQuestionTakenBack(
        occurred_at=context.at,
        assignment=held_offer.assignment,
        reason="provider_left",
        open="change_requested" if change.requested else None,
        due_at=change.due_at if change.requested else None,
    )


def change_lead(state: Assignment | None, command: ChangeLead, context: Plain) -> Iterator[Event]:
    _, held_offer = held(state, command.assignment, command.provider)
    if held_offer.status != "accepted":
        raise Refused(
            "not-live", "Accepting names the lead care manager.", fix="Accept first.", allowed=("accept",)
        )
    if held_offer.lead != command.lead:
        yield AssignmentLeadChanged(
            occurred_at=context.at,
            acted_by=command.acted_by,
            assignment=held_offer.assignment,
            provider=held_offer.provider,
            lead=command.lead,
        )


def assign_by_hand(state: Assignment | None, command: AssignByHand, context: HandContext) -> Iterator[Event]:
    """A named person's choice. What must come first yields to the reasons its row names, and the reason is kept."""
    if state is None or not state.plan:
        raise nothing_here()
    if not wants_offer(state, command, context.at):
        raise not_eligible("The referral is closed or not authorized.")
    if state.approved is None and state.grant is not None and command.provider != state.grant.provider:
        raise not_eligible("Before the plan has decided only the provider that holds the grant may serve.")
    if uncovered(state, la_date(context.at)):
        raise Refused(
            "not-covered",
            "The roster shows no coverage any more, so no provider is asked to serve.",
            fix="Import the roster that shows the coverage; or end the authorization.",
        )
    held_offer, offering = state.held_offer, needed(context.offering)
    serves = (
        held_offer is not None
        and held_offer.status == "accepted"
        and not _to_be_changed(state, held_offer, command)
    )
    other_assignment = offering.other_assignment is not None and planned_from(state, context.at) is None
    if other_assignment or serves:
        raise Refused(
            "member-already-assigned",
            "The member has a live assignment.",
            fix="End it first; a member has one provider at a time.",
        )
    first = offering.ranking.first
    if first is None:
        raise _cannot_take(offering)
    if context.obliged is not None:
        offering = _not_obliged(command, offering, context.obliged)
    if held_offer is not None:
        reason = MEMBER_CHANGE if held_offer.status == "accepted" else "by_hand"
        yield taken_back(held_offer, context.at, reason, command.acted_by)
    yield made(state, context, offering, first, basis="by_hand", acted_by=command.acted_by)


def _to_be_changed(state: Assignment, held_offer: Offer, command: AssignByHand) -> bool:
    asked = state.change is not None and state.change.assignment == held_offer.assignment
    return asked and command.provider != held_offer.provider


def _cannot_take(offering: Offering) -> Refused:
    reasons = {skip.reason for skip in offering.ranking.skipped}
    if reasons == {"full"}:
        return Refused("no-capacity", "The provider has no free place.", fix="Choose another provider.")
    return not_eligible(f"The provider cannot take this member: {', '.join(sorted(reasons)) or 'unknown'}.")


def _not_obliged(command: AssignByHand, offering: Offering, obliged: Obliged) -> Offering:
    """The offering with the reason kept why not the one that must come first. Raises `reason-required`."""
    if command.because not in obliged.yields_to:
        raise Refused(
            "reason-required",
            f"{obliged.provider} comes first for this member ({obliged.factor.replace('_', ' ')}), "
            "unless a reason is recorded.",
            fix=f"Choose it, or send because: one of {', '.join(obliged.yields_to)}.",
            allowed=obliged.yields_to,
        )
    return passed_over(offering, obliged.provider, command.because)


def start(state: Assignment | None, context: StartContext) -> Iterator[Event]:
    """The day of release: the planned assignment is live. Where the member has another by now, the plan is asked."""
    held_offer = state.held_offer if state is not None else None
    if (
        state is None
        or held_offer is None
        or held_offer.starts_on is None
        or la_date(context.at) < held_offer.starts_on
    ):
        return
    yield AssignmentStarted(
        occurred_at=context.at,
        assignment=held_offer.assignment,
        provider=held_offer.provider,
        on=held_offer.starts_on,
    )
    yield from conflicted(state, context.at, needed(context.conflict))


def conflicted(state: Assignment, at: datetime, conflict: Conflict) -> Iterator[Event]:
    """The question to the plan where a member has two live assignments: about the younger one (loop.md 2.12)."""
    held_offer, other = state.held_offer, conflict.other_assignment
    if held_offer is None or other is None:
        return
    ours = (other.since, other.assignment) < (held_offer.made_at, held_offer.assignment)
    yield plan_asked(at, conflict.told, "conflicted", held_offer.assignment if ours else other.assignment)


def end_term(state: Assignment | None, context: Plain) -> Iterator[Event]:
    """The authorization's last day is over, and with it what it carried."""
    held_offer = state.held_offer if state is not None else None
    if state is None or held_offer is None or over_because(state, la_date(context.at)) != AUTHORIZATION_ENDED:
        return
    yield taken_back(held_offer, context.at, AUTHORIZATION_ENDED, on=state.ends_on)


def held(state: Assignment | None, assignment: str, provider: str = "") -> tuple[Assignment, Offer]:
    """The turn that is held. For a caller that has none here there is nothing. Raises `not-live`."""
    held_offer = state.offer(assignment) if state is not None else None
    if state is None or held_offer is None or (provider and held_offer.provider != provider):
        raise nothing_here()
    if not held_offer.held:
        raise Refused("not-live", f"This one is {held_offer.status}.", fix="Read it again.")
    return state, held_offer


def nothing_here() -> Refused:
    return Refused("not-found", "There is nothing here that this key may see.", status=404)


def not_eligible(sentence: str) -> Refused:
    return Refused(
        "not-eligible", sentence, fix="GET /v1/providers lists providers with their populations and counties."
    )
