"""The member the tests of assignment tell of: David in his tent, and the three providers that could take him."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from assignment.domain.matching import Ranking
from assignment.domain.offers import Accept, AssignByHand, Decline, Market, NoteFact
from assignment.domain.rules import DECIDER
from assignment.domain.state import Assignment
from loopkeeper.contract.decider import Command, Refused
from loopkeeper.contract.events import (
    ActedBy,
    AssignmentAccepted,
    AssignmentMade,
    AuthorizationApproved,
    AuthorizationPresumptiveEnded,
    AuthorizationPresumptiveGranted,
    Event,
    Lead,
    ProviderRecorded,
    Ranked,
    ReferralClosed,
    ReferralReceived,
    ScreenedPopulation,
    Skipped,
)

MONDAY = datetime(2026, 3, 2, 17, 0, tzinfo=UTC)
TODAY = date(2026, 3, 2)
ANSWER_DUE = MONDAY + timedelta(days=7)
PLAN_DUE = MONDAY + timedelta(days=14)
SEED = UUID(int=7)
HARBOR, HOSPITAL = "harbor-health-plan", "bayview-hospital"
STREET, NAVIGATORS, CLINIC = "harbor-street-medicine", "bay-housing-navigators", "eastside-community-clinic"
MARIA = ActedBy(organization=HARBOR, person="maria-chen")
LUIS = Lead(person="luis-ortega", name="Luis Ortega")

RECEIVED = ReferralReceived(
    occurred_at=MONDAY,
    plan=HARBOR,
    referrer=HOSPITAL,
    member="mem_david",
    county="alameda",
    age_band="adult",
    language="en",
    populations=(
        ScreenedPopulation(code="homelessness", result="met", claimed=True),
        ScreenedPopulation(code="avoidable_utilization", result="unknown"),
    ),
)
APPROVED = AuthorizationApproved.model_validate(
    {
        "occurred_at": MONDAY,
        "number": "ECM-1",
        "populations": ["homelessness"],
        "from": "2026-03-02",
        "through": "2027-03-01",
    }
)
GRANTED = AuthorizationPresumptiveGranted.model_validate(
    {
        "occurred_at": MONDAY,
        "grant": "grant_1",
        "provider": STREET,
        "provider_version": 3,
        "population": "homelessness",
        "from": "2026-03-02",
        "through": "2026-03-31",
    }
)


def grant_over(reason: Any, grant: str = "grant_1") -> AuthorizationPresumptiveEnded:
    return AuthorizationPresumptiveEnded(
        occurred_at=MONDAY, grant=grant, reason=reason, through=date(2026, 3, 31)
    )


def closed(outcome: str) -> ReferralClosed:
    return ReferralClosed(occurred_at=MONDAY, outcome=outcome, clr_reason="other")


def made(provider: str = STREET, assignment: str = "asg_1") -> AssignmentMade:
    return AssignmentMade(
        occurred_at=MONDAY, assignment=assignment, provider=provider, answer_due_at=ANSWER_DUE
    )


def accepted(provider: str = STREET, assignment: str = "asg_1") -> AssignmentAccepted:
    return AssignmentAccepted(occurred_at=MONDAY, assignment=assignment, provider=provider, lead=LUIS)


def entry(provider: str = STREET, **changes: Any) -> ProviderRecorded:
    """A provider that could take David."""
    contract = {"plan": HARBOR, "populations": ["homelessness"], "from": "2025-01-01"}
    fields: dict[str, Any] = {
        "occurred_at": MONDAY,
        "provider": provider,
        "version": 1,
        "types": ("community_organization",),
        "populations": ("homelessness",),
        "age_bands": ("adult",),
        "counties": ("alameda",),
        "languages": ("en",),
        "contracts": (contract,),
        "capacity": 10,
    }
    return ProviderRecorded.model_validate({**fields, **changes})


def market(
    *providers: str, skipped: Sequence[Skipped] = (), because: tuple[str, ...] = (), **changes: Any
) -> Market:
    """What the directory shows for a command: these providers, best first."""
    ranking = Ranking(tuple(Ranked(provider=each, because=because) for each in providers), tuple(skipped))
    return Market(ranking=ranking, answer_due_at=ANSWER_DUE, plan_due_at=PLAN_DUE, **changes)


def given(*facts: Event) -> Assignment | None:
    return DECIDER.fold(facts)


def after(state: Assignment | None, *facts: Event) -> Assignment:
    folded = DECIDER.fold(facts, state)
    assert folded is not None
    return folded


def when(state: Assignment | None, command: Command, at: datetime = MONDAY) -> list[Event]:
    """What the store does: a fact is folded in first, then the rule decides."""
    command = command.model_copy(update={"at": at, "seed": SEED})
    if command.fact is not None:
        state = DECIDER.evolve(state, command.fact)
    return [event for event in DECIDER.decide(state, command) if isinstance(event, Event)]


def refused(state: Assignment | None, command: Command, at: datetime = MONDAY) -> Refused:
    with pytest.raises(Refused) as found:
        when(state, command, at)
    return found.value


def heard(fact: Event, found: Market | None = None) -> NoteFact:
    return NoteFact(fact=fact, market=found or market(STREET, NAVIGATORS))


def accept(provider: str = STREET, assignment: str = "asg_1", **changes: Any) -> Accept:
    return Accept(**{"assignment": assignment, "provider": provider, "lead": LUIS, **changes})


def decline(
    reason: str = "no_capacity",
    found: Market | None = None,
    provider: str = STREET,
    assignment: str = "asg_1",
) -> Decline:
    chosen = found or market(NAVIGATORS)
    return Decline(assignment=assignment, provider=provider, reason=reason, market=chosen)


def by_hand(provider: str = NAVIGATORS, found: Market | None = None) -> AssignByHand:
    return AssignByHand(provider=provider, acted_by=MARIA, market=found or market(provider))


OFFERED = (RECEIVED, APPROVED, made())
TAKEN = (*OFFERED, accepted())


def wires(events: list[Event]) -> list[str]:
    return [event.wire.removeprefix("assignment.") for event in events]
