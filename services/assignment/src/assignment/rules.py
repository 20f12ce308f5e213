"""Who answers for a member: one provider at a time, asked in the order of a ranking whose reasons are kept.

    authorized (presumptively or formally) → offered → accepted, naming the lead care manager
                                           → declined → the next candidate; none left → the plan is asked
                                           → not answered in time → the plan is asked, the offer stands

An offer reserves a place. First services end nothing here; any other closing withdraws offers and ends the
assignment at once (loop.md 5, 7.2).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from assignment.matching import Need, Ranking
from loopkeeper import ids
from loopkeeper.calendar import la_date
from loopkeeper.decider import Command, Decider, Refused, State
from loopkeeper.events import (
    ActedBy,
    AssignmentAccepted,
    AssignmentDeclined,
    AssignmentEnded,
    AssignmentMade,
    AssignmentPlanAsked,
    AssignmentWithdrawn,
    AuthorizationApproved,
    AuthorizationPresumptiveEnded,
    AuthorizationPresumptiveGranted,
    Event,
    Lead,
    OutreachServicesStarted,
    Ranked,
    ReferralClosed,
    ReferralReceived,
    Skipped,
)
from loopkeeper.vocabulary.providers import DeclineReason

SERVICES_RECEIVED = "services_received"
# What an event keeps of a long list of candidates; the counts beside it tell the rest.
MOST_KEPT = 40


class Fact(BaseModel):
    """A group of fields that came with one event."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Offer(Fact):
    """One provider's turn. `live`: offered or accepted."""

    assignment: str
    provider: str
    kind: str
    basis: str
    made_at: datetime
    answer_due_at: datetime
    status: Literal["offered", "accepted", "declined", "withdrawn", "ended"] = "offered"
    accepted_at: datetime | None = None
    lead: Lead | None = None
    reason: str = ""
    ranked: tuple[Ranked, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    policy: tuple[str, ...] = ()

    @property
    def live(self) -> bool:
        return self.status in ("offered", "accepted")


class Grant(Fact):
    grant: str
    provider: str
    population: str


class Assignment(State):
    """What assigning one referral's member needs, and every provider's turn so far."""

    plan: str = ""
    referrer: str = ""
    member: str = ""
    county: str = ""
    age_band: str = ""
    language: str = ""
    populations: tuple[str, ...] = ()
    preferred: tuple[str, ...] = ()
    pcp: str = ""
    flags: tuple[str, ...] = ()
    sealed: Mapping[str, str] = {}
    grant: Grant | None = None
    approved: tuple[str, ...] | None = None
    offers: tuple[Offer, ...] = ()
    asked: str = ""
    outcome: str = ""

    @property
    def live(self) -> Offer | None:
        return next((offer for offer in reversed(self.offers) if offer.live), None)

    def offer(self, assignment: str) -> Offer | None:
        return next((offer for offer in self.offers if offer.assignment == assignment), None)


class Market(Fact):
    """What the store's view found for one command: whom to ask, and by when they answer."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    ranking: Ranking = Ranking()
    answer_due_at: datetime | None = None
    plan_due_at: datetime | None = None
    refs: tuple[str, ...] = ()
    # The member's live assignment through another referral.
    assigned_elsewhere: bool = False
    # Whether the provider that accepts is still under contract.
    contracted: bool = True


# ── commands ──────────────────────────────────────────────────────────────────────────────────────────────


class MarketCommand(Command):
    """A command that may lead to an offer; `market` is filled in by the store's view."""

    market: Market = Market()


class NoteFact(MarketCommand):
    """Another service's event about this referral."""


class Accept(MarketCommand):
    assignment: str
    provider: str
    lead: Lead | None = None


class Decline(MarketCommand):
    assignment: str
    provider: str
    reason: str = ""


class AssignByHand(MarketCommand):
    """A named person of the plan chooses the provider."""

    provider: str
    acted_by: ActedBy


class AskPlan(Command):
    """The answer to an offer is overdue."""


# ── decide ────────────────────────────────────────────────────────────────────────────────────────────────


def decide(state: Assignment | None, command: Command) -> Sequence[Event]:
    match command:
        case NoteFact():
            return list(settle(state, command))
        case Accept():
            return accept(state, command)
        case Decline():
            return list(decline(state, command))
        case AssignByHand():
            return list(assign_by_hand(state, command))
        case AskPlan():
            return ask_plan(state, command)
        case _:
            raise TypeError(f"assignment has no rule for {type(command).__name__}")


def settle(state: Assignment | None, command: NoteFact) -> Iterator[Event]:
    """After a fact: take back what nothing carries any more, and ask the next where somebody must be asked."""
    if state is None:
        return
    live = state.live
    if live is not None and (reason := over_because(state)):
        yield taken_back(live, command.at, reason)
    elif wants_offer(state, command):
        yield from offer_next(state, command, command.market)


def over_because(state: Assignment) -> str:
    """Why a live offer or assignment cannot stay; empty if it can."""
    if state.outcome and state.outcome != SERVICES_RECEIVED:
        return "loop_closed"
    return "" if state.approved is not None or state.grant is not None else "grant_over"


def wants_offer(state: Assignment, command: Command) -> bool:
    """Whether this command, its fact already in the state, should lead to an offer."""
    if not state.plan or state.outcome or (state.approved is None and state.grant is None):
        return False
    match command:
        case NoteFact(fact=AuthorizationApproved() | AuthorizationPresumptiveGranted()):
            return state.live is None
        case NoteFact():
            return False
        case Decline():
            live = state.live
            return live is not None and live.assignment == command.assignment
        case AssignByHand():
            return True
        case _:
            return False


def need(state: Assignment, command: Command) -> Need:
    """What the member needs of the provider that this command looks for."""
    declined = {offer.provider for offer in state.offers if offer.status == "declined"}
    if isinstance(command, Decline):
        declined.add(command.provider)
    granted = state.grant
    populations = state.approved if state.approved is not None else (granted.population,) if granted else ()
    only = granted.provider if state.approved is None and granted is not None else ""
    if isinstance(command, AssignByHand):
        only, declined = command.provider, set[str]()
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
    )


def offer_next(state: Assignment, command: Command, market: Market) -> Iterator[Event]:
    """The offer to the first candidate; where there is none, or the member has a provider, the plan is asked."""
    if market.assigned_elsewhere:
        yield AssignmentPlanAsked(
            occurred_at=command.at, reason="member_already_assigned", due_at=market.plan_due_at
        )
    elif market.ranking.first is None:
        yield AssignmentPlanAsked(occurred_at=command.at, reason="none_left", due_at=market.plan_due_at)
    else:
        yield made(state, command, market, market.ranking.first)


def made(
    state: Assignment,
    command: Command,
    market: Market,
    first: Ranked,
    basis: str = "",
    acted_by: ActedBy | None = None,
) -> AssignmentMade:
    if market.answer_due_at is None:
        raise TypeError("the answer's deadline was not filled in")
    presumptive = state.approved is None
    return AssignmentMade(
        occurred_at=command.at,
        acted_by=acted_by,
        policy=market.refs,
        assignment=ids.derive("asg", command.at, command.seed, first.provider),
        provider=first.provider,
        kind="presumptive" if presumptive else "ecm",
        basis=basis or ("presumptive_grant" if presumptive else next(iter(first.because), "ranking")),
        answer_due_at=market.answer_due_at,
        skipped=market.ranking.skipped[:MOST_KEPT],
        ranked=market.ranking.ranked[:MOST_KEPT],
    )


def accept(state: Assignment | None, command: Accept) -> Sequence[Event]:
    offer = offered(state, command.assignment, command.provider)
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
    return [
        AssignmentAccepted(
            occurred_at=command.at,
            acted_by=ActedBy(organization=command.provider, person=command.lead.person),
            assignment=offer.assignment,
            provider=offer.provider,
            lead=command.lead,
        )
    ]


def decline(state: Assignment | None, command: Decline) -> Iterator[Event]:
    offer = offered(state, command.assignment, command.provider)
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
    if state is not None and wants_offer(state, command):
        yield from offer_next(evolve(state, declined), command, command.market)


def assign_by_hand(state: Assignment | None, command: AssignByHand) -> Iterator[Event]:
    if state is None or not state.plan:
        raise Refused("not-found", "There is nothing here that this key may see.", status=404)
    if not wants_offer(state, command):
        raise not_eligible("The referral is closed or not authorized.")
    live, market = state.live, command.market
    if market.assigned_elsewhere or (live is not None and live.status == "accepted"):
        raise Refused(
            "member-already-assigned",
            "The member has a live assignment.",
            fix="End it first; a member has one provider at a time.",
        )
    first = market.ranking.first
    if first is None:
        reasons = {skip.reason for skip in market.ranking.skipped}
        if reasons == {"full"}:
            raise Refused("no-capacity", "The provider has no free place.", fix="Choose another provider.")
        raise not_eligible(
            f"The provider cannot take this member: {', '.join(sorted(reasons)) or 'unknown'}."
        )
    if live is not None:
        yield taken_back(live, command.at, "by_hand")
    yield made(state, command, market, first, basis="by_hand", acted_by=command.acted_by)


def not_eligible(sentence: str) -> Refused:
    return Refused("not-eligible", sentence, fix="GET /v1/providers shows who serves whom, where.")


def ask_plan(state: Assignment | None, command: AskPlan) -> Sequence[Event]:
    """Silence is not a decline: the offer stands, and the plan is asked (loop.md 5.6)."""
    live = state.live if state is not None else None
    if state is None or live is None or live.status != "offered" or state.asked:
        return []
    if command.at < live.answer_due_at:
        return []
    return [AssignmentPlanAsked(occurred_at=command.at, reason="no_answer", assignment=live.assignment)]


def offered(state: Assignment | None, assignment: str, provider: str) -> Offer:
    """The open offer of this provider. To anyone else there is nothing here. Raises `not-offered`."""
    offer = state.offer(assignment) if state is not None else None
    if offer is None or offer.provider != provider:
        raise Refused("not-found", "There is nothing here that this key may see.", status=404)
    if offer.status != "offered":
        raise Refused("not-offered", f"This offer is {offer.status}.", fix="Read it again.")
    return offer


def taken_back(live: Offer, at: datetime, reason: str) -> Event:
    if live.status == "offered":
        return AssignmentWithdrawn(
            occurred_at=at, assignment=live.assignment, provider=live.provider, reason=reason
        )
    return AssignmentEnded(
        occurred_at=at, assignment=live.assignment, provider=live.provider, reason=reason, on=la_date(at)
    )


# ── evolve ────────────────────────────────────────────────────────────────────────────────────────────────


def evolve(state: Assignment | None, event: Event) -> Assignment:
    """The row after this fact. Any order is bearable; a closing of an unknown referral leaves a tombstone."""
    now = state or Assignment()
    changes = _changes(now, event)
    return now.model_copy(update=changes) if changes else now


def _changes(now: Assignment, event: Event) -> Mapping[str, Any]:
    match event:
        case ReferralReceived():
            return _received(event)
        case ReferralClosed():
            return {} if now.outcome else {"outcome": event.outcome, "asked": ""}
        case AuthorizationPresumptiveGranted():
            return {"grant": Grant(grant=event.grant, provider=event.provider, population=event.population)}
        case AuthorizationPresumptiveEnded():
            over = now.grant is not None and now.grant.grant == event.grant and event.reason != "approved"
            return {"grant": None} if over else {}
        case AuthorizationApproved():
            return {"approved": event.populations or now.populations, "asked": ""}
        case AssignmentMade():
            return {"offers": (*now.offers, _offer(event)), "asked": ""}
        case AssignmentAccepted():
            taken = {"status": "accepted", "accepted_at": event.occurred_at, "lead": event.lead}
            return {"offers": _with(now, event.assignment, taken), "asked": ""}
        case AssignmentDeclined():
            return {"offers": _with(now, event.assignment, {"status": "declined", "reason": event.reason})}
        case AssignmentWithdrawn():
            return {"offers": _with(now, event.assignment, {"status": "withdrawn", "reason": event.reason})}
        case AssignmentEnded():
            return {"offers": _with(now, event.assignment, {"status": "ended", "reason": event.reason})}
        case AssignmentPlanAsked():
            return {"asked": event.reason}
        case OutreachServicesStarted():
            return {}
        case _:
            return {}


def _received(event: ReferralReceived) -> Mapping[str, Any]:
    copied = ("plan", "referrer", "member", "county", "age_band", "language", "preferred", "flags")
    kept = {part: text for part, text in event.sealed.items() if part in ("identity", "contact")}
    return {
        **{name: getattr(event, name) for name in copied},
        "populations": tuple(p.code for p in event.populations if p.result == "met"),
        "pcp": event.pcp or "",
        "sealed": kept,
    }


def _offer(event: AssignmentMade) -> Offer:
    return Offer(
        assignment=event.assignment,
        provider=event.provider,
        kind=event.kind,
        basis=event.basis,
        made_at=event.occurred_at,
        answer_due_at=event.answer_due_at,
        ranked=event.ranked,
        skipped=event.skipped,
        policy=event.policy,
    )


def _with(now: Assignment, assignment: str, changes: Mapping[str, Any]) -> tuple[Offer, ...]:
    return tuple(
        offer.model_copy(update=changes) if offer.assignment == assignment and offer.live else offer
        for offer in now.offers
    )


# ── what can be read from the state ───────────────────────────────────────────────────────────────────────


def status(state: Assignment) -> str:
    """offered or accepted while somebody's turn is live; asked while the plan must act; else waiting or closed."""
    live = state.live
    if live is not None:
        return live.status
    if state.outcome:
        return "closed"
    return "asked" if state.asked else "waiting"


def timers(state: Assignment) -> Mapping[str, datetime]:
    """The answer's deadline, until the plan was asked."""
    live = state.live
    waits = live is not None and live.status == "offered" and not state.asked
    return {"answer": live.answer_due_at} if live is not None and waits else {}


DECIDER: Decider[Assignment] = Decider("assignment", Assignment, decide, evolve)
