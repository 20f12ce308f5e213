"""Whom does an offer go to? What a member needs of a provider, and the offer, or the question to the plan, that follows.

An offer reserves a place. Its answer is due inside the time in which some provider must be told whom to serve
(loop.md 5.2, 5.8).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime
from typing import Literal

from assignment.domain.commands import (
    AskPlan,
    AssignByHand,
    Decline,
    End,
    NoteFact,
    RequestChange,
    Withdraw,
)
from assignment.domain.contexts import Limit, Offering
from assignment.domain.matching import Need, Ranking
from assignment.domain.state import (
    AUTHORIZATION_ENDED,
    BY_PLAN,
    ENDED_BY_PROVIDER,
    MEMBER_CHANGE,
    NO_ANSWER,
    SERVICES_RECEIVED,
    Assignment,
    Offer,
    asked_about,
    over_because,
)
from loopkeeper.contract import ids
from loopkeeper.contract.calendar import la_date
from loopkeeper.contract.decider import Command, Context
from loopkeeper.contract.events import (
    ActedBy,
    AssignmentEnded,
    AssignmentMade,
    AssignmentPlanAsked,
    AssignmentWithdrawn,
    AuthorizationApproved,
    AuthorizationExtended,
    AuthorizationPresumptiveGranted,
    Event,
    Ranked,
    ReferralAmended,
    Skipped,
)

# What an event keeps of a long list of candidates; `skipped_for` counts the rest.
MOST_KEPT = 40
# Why a provider is not asked again about the same referral, by how its turn ended.
BARRED = {
    NO_ANSWER: "no_answer",
    MEMBER_CHANGE: "member_objects",
    BY_PLAN: "taken_back",
    ENDED_BY_PROVIDER: "ended",
}
MEMBER_OBJECTS = "member_prefers_another"
# Why the plan is asked instead of a provider.
COVERAGE_ENDED = "coverage_ended"


# ── what is looked for ────────────────────────────────────────────────────────────────────────────────────


def carried(state: Assignment, on: date) -> bool:
    """Whether an authorization is valid, in a loop that is open or, closed with first services, goes on (loop.md 7.2)."""
    served = any(offer.accepted_at for offer in state.offers)
    going = not state.outcome or (state.outcome == SERVICES_RECEIVED and served)
    return bool(state.plan) and going and not over_because(state, on)


def wants_offer(state: Assignment, command: Command, at: datetime) -> bool:
    """Whether this command, its fact already in the state, should lead to an offer."""
    if not carried(state, la_date(at)):
        return False
    held_offer = state.held_offer
    match command:
        case NoteFact(fact=AuthorizationPresumptiveGranted()) if held_offer is not None:
            return yields_to_grant(held_offer, command)
        case NoteFact(fact=AuthorizationApproved() | AuthorizationPresumptiveGranted()):
            # After first services too: what they were given under may have ended meanwhile (loop.md 7.2).
            return held_offer is None
        case NoteFact(fact=ReferralAmended()):
            waits = state.asked == "none_left" or (
                state.asked == COVERAGE_ENDED and not uncovered(state, la_date(at))
            )
            return held_offer is None and waits and not state.outcome
        case NoteFact(fact=AuthorizationExtended()):
            # A term that had ended goes on, and nobody serves under it any more.
            return held_offer is None and any(offer.reason == AUTHORIZATION_ENDED for offer in state.offers)
        case AssignByHand():
            return not state.outcome or held_offer is None or state.change is not None
        case AskPlan():
            return held_offer is not None and unanswered(state, held_offer, at)
        case Decline() | Withdraw():
            return (
                held_offer is not None
                and held_offer.assignment == command.assignment
                and held_offer.status == "offered"
            )
        case End():
            return (
                held_offer is not None
                and held_offer.assignment == command.assignment
                and held_offer.status == "accepted"
            )
        case RequestChange():
            return (
                held_offer is not None
                and held_offer.assignment == command.assignment
                and held_offer.status == "offered"
            )
        case _:
            return False


def yields_to_grant(held_offer: Offer, command: Command) -> bool:
    """Whether this offer, which nobody has accepted, is taken back for the provider that the command's fact grants."""
    match command:
        case NoteFact(fact=AuthorizationPresumptiveGranted(carried_by="") as fact):
            return held_offer.status == "offered" and held_offer.provider != fact.provider
        case _:
            return False


def unanswered(state: Assignment, held_offer: Offer, at: datetime) -> bool:
    return (
        held_offer.status == "offered"
        and not asked_about(state, held_offer)
        and at >= held_offer.answer_due_at
    )


def need(state: Assignment, command: Command) -> Need:
    """What the member needs of the provider that this command looks for."""
    declined = {offer.provider for offer in state.offers if offer.status == "declined"}
    if isinstance(command, Decline):
        declined.add(command.provider)
    granted = state.grant
    of_grant = (granted.populations or (granted.population,)) if granted is not None else ()
    populations = state.approved if state.approved is not None else of_grant
    only = granted.provider if granted is not None and _is_granted_alone(state, command) else ""
    barred = _barred(state, command)
    chosen = state.chosen
    if state.change is not None and state.change.wished:
        chosen = (state.change.wished, *chosen)
    if isinstance(command, RequestChange) and command.wished:
        chosen = (command.wished, *chosen)
        # Whom the member asks for now is no longer objected to.
        barred.pop(command.wished, None)
    if isinstance(command, AssignByHand):
        only, declined, barred = command.provider, set[str](), {}
    return Need(
        plan=state.plan,
        populations=populations,
        county=state.county,
        age_band=state.age_band,
        language=state.language,
        preferred=state.preferred,
        pcp=state.pcp,
        granted_to=granted.provider if granted else "",
        declined=frozenset(declined),
        only=only,
        chosen=tuple(dict.fromkeys(chosen)),
        referrer=state.referrer,
        programs=state.programs,
        barred=barred,
    )


def _is_granted_alone(state: Assignment, command: Command) -> bool:
    """Whether nobody but the one that holds the grant may be asked: before the decision, and where its grant comes while
    somebody else has not answered."""
    held_offer = state.held_offer
    return state.approved is None or (held_offer is not None and yields_to_grant(held_offer, command))


def _barred(state: Assignment, command: Command) -> dict[str, str]:
    """Whom not to ask again, and why."""
    found = {
        offer.provider: BARRED[offer.reason]
        for offer in state.offers
        if not offer.held and offer.reason in BARRED
    }
    for offer in state.offers:
        if offer.status == "declined" and offer.reason == MEMBER_OBJECTS:
            found[offer.provider] = "member_objects"
    held_offer = state.held_offer
    if held_offer is not None:
        if state.change is not None and state.change.assignment == held_offer.assignment:
            found[held_offer.provider] = "member_objects"
        elif state.asked == NO_ANSWER:
            found[held_offer.provider] = "no_answer"
        match command:
            case AskPlan():
                found[held_offer.provider] = "no_answer"
            case Withdraw():
                found[held_offer.provider] = "taken_back"
            case End():
                found[held_offer.provider] = "ended"
            case RequestChange():
                found[held_offer.provider] = "member_objects"
            case _:
                pass
    return found


# ── what follows ──────────────────────────────────────────────────────────────────────────────────────────


def offer_next(state: Assignment, context: Context, offering: Offering) -> Iterator[Event]:
    """The offer to the first candidate; where there is none, or the member has a provider, the plan is asked."""
    first = offering.ranking.first
    if offering.other_assignment is not None and not planned_from(state, context.at):
        yield plan_asked(context.at, offering.told, "member_already_assigned")
    elif uncovered(state, la_date(context.at)):
        yield plan_asked(context.at, offering.told, COVERAGE_ENDED)
    elif first is None:
        yield none_left(context.at, offering)
    else:
        yield made(state, context, offering, first)


def plan_asked(
    at: datetime,
    told: Limit | None,
    reason: Literal["none_left", "no_answer", "member_already_assigned", "conflicted", "coverage_ended"],
    assignment: str | None = None,
) -> AssignmentPlanAsked:
    """The question to the plan."""
    return AssignmentPlanAsked(
        occurred_at=at,
        reason=reason,
        assignment=assignment,
        due_at=told.due_at if told is not None else None,
        at_risk_at=told.at_risk_at if told is not None else None,
    )


def none_left(at: datetime, offering: Offering) -> AssignmentPlanAsked:
    """Nobody can be asked: who was passed over, and why, is kept with the question."""
    kept = {"policy": offering.refs, "skipped": offering.ranking.skipped[:MOST_KEPT]}
    return plan_asked(at, offering.told, "none_left").model_copy(update=kept)


def made(
    state: Assignment,
    context: Context,
    offering: Offering,
    first: Ranked,
    basis: str = "",
    acted_by: ActedBy | None = None,
) -> AssignmentMade:
    presumptive = state.approved is None
    skipped = offering.ranking.skipped
    counts: dict[str, int] = {}
    for skip in skipped:
        counts[skip.reason] = counts.get(skip.reason, 0) + 1
    return AssignmentMade(
        occurred_at=context.at,
        acted_by=acted_by,
        policy=offering.refs,
        assignment=ids.derive("asg", context.at, context.seed, first.provider),
        provider=first.provider,
        kind="presumptive" if presumptive else "ecm",
        basis=basis or ("presumptive_grant" if presumptive else next(iter(first.because), "ranking")),
        answer_due_at=offering.answer_due_at,
        answer_at_risk_at=offering.answer_at_risk_at,
        told_due_at=offering.told.due_at,
        told_at_risk_at=offering.told.at_risk_at,
        skipped=skipped[:MOST_KEPT],
        skipped_for=counts or None,
        ranked=offering.ranking.ranked[:MOST_KEPT],
        starts_on=planned_from(state, context.at),
    )


def planned_from(state: Assignment, at: datetime) -> date | None:
    """The day of release or the first covered day, where it lies ahead: until then the assignment is planned (loop.md
    3.7, 2.5)."""
    today, covered = la_date(at), state.eligibility
    begins = covered.from_ if covered.on(today) == "begins_later" else None
    ahead = [day for day in (state.release_on, begins) if day is not None and day > today]
    return max(ahead, default=None)


def uncovered(state: Assignment, on: date) -> bool:
    """Whether the roster says that coverage has ended: then nobody new is asked to serve (loop.md 2.5)."""
    return state.eligibility.on(on) == "ended"


def taken_back(
    held_offer: Offer, at: datetime, reason: str, acted_by: ActedBy | None = None, on: date | None = None
) -> Event:
    """The end of a turn: an offer is withdrawn, an assignment ends."""
    if held_offer.status == "offered":
        return AssignmentWithdrawn(
            occurred_at=at,
            acted_by=acted_by,
            assignment=held_offer.assignment,
            provider=held_offer.provider,
            reason=reason,
        )
    return AssignmentEnded(
        occurred_at=at,
        acted_by=acted_by,
        assignment=held_offer.assignment,
        provider=held_offer.provider,
        reason=reason,
        on=on or la_date(at),
    )


def passed_over(offering: Offering, provider: str, reason: str) -> Offering:
    """The same offering, with why this provider was not asked kept among the reasons."""
    ranking = offering.ranking
    skip = Skipped(provider=provider, reason=reason)
    return replace(offering, ranking=Ranking(ranking.ranked, (skip, *ranking.skipped)))
