"""Whose turn is it? What is known of one referral that decides who serves its member, and every provider's turn so far.

A turn is **held** while it takes a place: offered or accepted. It is **live**, counted for the member, from its start
date on; before that it is planned, for who is released from jail or prison (loop.md 3.7, 5.3).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date, datetime
from typing import Literal, NamedTuple

from pydantic import BaseModel, ConfigDict

from loopkeeper.contract.decider import State
from loopkeeper.contract.events import Eligibility, Lead, Linked, Ranked, Skipped

SERVICES_RECEIVED = "services_received"
# Why an assignment ended or an offer was taken back, where the rules look at it again.
AUTHORIZATION_ENDED, MEMBER_CHANGE, BY_PLAN = "authorization_ended", "member_change", "by_plan"
NO_ANSWER, ENDED_BY_PROVIDER = "no_answer", "ended_by_provider"
# The provider left the directory, or its contract is over.
PROVIDER_LEFT = "provider_left"
# An offer nobody had accepted when another provider was granted, which serves the member already.
OTHER_SERVES = "other_serves"
# The discontinuation code of a term that ran out (domain.md 3).
NOT_REAUTHORIZED = 13
# What is opened for the provider that accepted.
OPENED = ("identity", "contact")


class Fact(BaseModel):
    """A group of fields that came with one event."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Offer(Fact):
    """One provider's turn."""

    assignment: str
    provider: str
    kind: str
    basis: str
    made_at: datetime
    answer_due_at: datetime
    answer_at_risk_at: datetime | None = None
    status: Literal["offered", "accepted", "declined", "withdrawn", "ended"] = "offered"
    accepted_at: datetime | None = None
    lead: Lead | None = None
    reason: str = ""
    # The day from which a planned one is live; None once it is, or if it was at once.
    starts_on: date | None = None
    # The member is in custody again, and nobody knows from which day on it is live.
    inside: bool = False
    ranked: tuple[Ranked, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    policy: tuple[str, ...] = ()

    @property
    def held(self) -> bool:
        return self.status in ("offered", "accepted")

    @property
    def live(self) -> bool:
        return self.held and self.starts_on is None and not self.inside


class Grant(Fact):
    grant: str
    provider: str
    population: str
    # All that it covers, where it is more than one.
    populations: tuple[str, ...] = ()


class Change(Fact):
    """Another provider is to be found by `due_at`: the member asked for one (loop.md 5.7), or the one there was `left`."""

    assignment: str
    wished: str = ""
    left: bool = False
    # The member asked for it, whatever else there is.
    requested: bool = False
    due_at: datetime | None = None
    at_risk_at: datetime | None = None


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
    chosen: tuple[str, ...] = ()
    pcp: str = ""
    programs: Mapping[str, str] = {}
    release_on: date | None = None
    inside: bool = False
    eligibility: Eligibility = Eligibility()
    linked: Linked | None = None
    family_of: str | None = None
    flags: tuple[str, ...] = ()
    sealed: Mapping[str, str] = {}
    grant: Grant | None = None
    approved: tuple[str, ...] | None = None
    authorized_at: datetime | None = None
    # The term's last day and the code of its ending, once that is decided.
    ends_on: date | None = None
    ends_by: int = 0
    offers: tuple[Offer, ...] = ()
    told_due_at: datetime | None = None
    told_at_risk_at: datetime | None = None
    change: Change | None = None
    asked: str = ""
    asked_skipped: tuple[Skipped, ...] = ()
    asked_policy: tuple[str, ...] = ()
    # Overdue facts already raised, each once: clock, state and assignment.
    raised: tuple[str, ...] = ()
    outcome: str = ""

    @property
    def held_offer(self) -> Offer | None:
        """The offer or assignment that takes a place now."""
        return next((offer for offer in reversed(self.offers) if offer.held), None)

    @property
    def live(self) -> Offer | None:
        held_offer = self.held_offer
        return held_offer if held_offer is not None and held_offer.live else None

    def offer(self, assignment: str) -> Offer | None:
        return next((offer for offer in self.offers if offer.assignment == assignment), None)


# ── what can be read from the state ───────────────────────────────────────────────────────────────────────


def over_because(state: Assignment, on: date | None = None) -> str:
    """Why a held offer or assignment cannot stay (on this day); empty if it can."""
    if state.outcome and state.outcome != SERVICES_RECEIVED:
        return "loop_closed"
    if on is not None and state.ends_on is not None and on > state.ends_on:
        return AUTHORIZATION_ENDED
    return "" if state.approved is not None or state.grant is not None else "grant_over"


def status(state: Assignment) -> str:
    """offered or accepted while somebody's turn is held; asked while the plan must act; else waiting or closed."""
    held_offer = state.held_offer
    if held_offer is not None:
        return held_offer.status
    if state.outcome:
        return "closed"
    return "asked" if state.asked else "waiting"


class Deadline(NamedTuple):
    """A limit that runs: its clock, whose assignment (empty for none), when it is at risk and when it is breached."""

    clock: str
    assignment: str
    at_risk_at: datetime | None
    due_at: datetime | None


def deadlines(state: Assignment) -> Iterator[Deadline]:
    """The limits that run now. Somebody is told whom to serve once a provider has accepted: an offer names nobody."""
    held_offer = state.held_offer
    if over_because(state) or (state.outcome and held_offer is None):
        return
    if held_offer is not None and held_offer.status == "offered":
        yield Deadline(
            "provider_answer", held_offer.assignment, held_offer.answer_at_risk_at, held_offer.answer_due_at
        )
    if not told(state):
        assignment = held_offer.assignment if held_offer is not None else ""
        yield Deadline("provider_told", assignment, state.told_at_risk_at, state.told_due_at)
    if state.change is not None:
        change = state.change
        yield Deadline("provider_change", change.assignment, change.at_risk_at, change.due_at)


def told(state: Assignment) -> bool:
    """Whether some provider was told, since the authorization, whom to serve: it accepted (loop.md 5.8)."""
    since = state.authorized_at
    return any(offer.accepted_at and (since is None or offer.accepted_at >= since) for offer in state.offers)


def unraised(state: Assignment) -> Iterator[tuple[Deadline, Literal["at_risk", "breached"], datetime]]:
    """What is still to be said of the limits that run, and when. At risk is not said after it was breached."""
    for deadline in deadlines(state):
        clock, assignment, at_risk_at, due_at = deadline
        if mark(clock, "breached", assignment) in state.raised:
            continue
        if at_risk_at is not None and mark(clock, "at_risk", assignment) not in state.raised:
            yield deadline, "at_risk", at_risk_at
        # The answer's own deadline asks the plan and says so itself.
        if due_at is not None and clock != "provider_answer":
            yield deadline, "breached", due_at


def mark(clock: str, state: str, assignment: str) -> str:
    """What is raised once. The telling is one limit, whichever provider is asked meanwhile."""
    return f"{clock}/{state}" if clock == "provider_told" else f"{clock}/{state}/{assignment}"


def asked_about(state: Assignment, held_offer: Offer) -> bool:
    """Whether the plan was asked about the silence of this offer."""
    breached = mark("provider_answer", "breached", held_offer.assignment)
    return state.asked == NO_ANSWER or breached in state.raised
