"""The request the tests of authorization tell of: David, referred by the street team that serves him already."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from authorization.domain.commands import (
    Amend,
    Approve,
    Continue,
    Denial,
    Deny,
    End,
    Modify,
    OpenReview,
    Overturn,
    PassDeadline,
    Pend,
    RequestReauthorization,
    Resume,
    RevokeGrant,
    Rules,
)
from authorization.domain.rules import DECIDER
from authorization.domain.state import Authorization
from loopkeeper.contract.decider import Command, Refused
from loopkeeper.contract.events import (
    ActedBy,
    AuthorizationApproved,
    Claim,
    Contract,
    Eligibility,
    Event,
    ProviderRecorded,
    ReferralAmended,
    ReferralClosed,
    ReferralReceived,
    Rights,
    ScreenedPopulation,
)

# Monday, nine in the morning in Los Angeles.
MONDAY = datetime(2026, 3, 2, 17, 0, tzinfo=UTC)
TODAY = date(2026, 3, 2)
SEED = UUID(int=7)
HARBOR, TEAM, CLINIC = "harbor-health-plan", "harbor-street-medicine", "eastside-community-clinic"
MARIA = ActedBy(organization=HARBOR, person="maria-chen")
NOBODY = ActedBy(organization=HARBOR)
HOMELESS = ScreenedPopulation(code="homelessness", result="met", claimed=True)
FREQUENT = ScreenedPopulation(code="avoidable_utilization", result="met")

RULES = Rules(
    clock="routine",
    due_at=MONDAY + timedelta(days=7),
    cap_at=MONDAY + timedelta(days=8),
    types=("street_medicine",),
    automatic={"homelessness": 0.0},
    exclusive=("hospice", "pace"),
    term_from="first_service",
)
ENTRY = ProviderRecorded(
    occurred_at=MONDAY,
    provider=TEAM,
    version=4,
    types=("street_medicine",),
    populations=("homelessness",),
    contracts=(
        Contract.model_validate({"plan": HARBOR, "populations": ["homelessness"], "from": "2025-01-01"}),
    ),
)


def claim(provider: str = TEAM, population: str = "homelessness", from_: date = TODAY) -> Claim:
    return Claim.model_validate({"provider": provider, "population": population, "from": from_})


def received(**changes: Any) -> ReferralReceived:
    """A referral of which every condition for an approval by rule holds; the team claims to serve."""
    fields: dict[str, Any] = {
        "occurred_at": MONDAY,
        "plan": HARBOR,
        "referrer": TEAM,
        "member": "mem_david",
        "populations": (HOMELESS,),
        "attested": True,
        "claim": claim(),
        "eligibility": Eligibility(state="confirmed"),
    }
    return ReferralReceived(**{**fields, **changes})


# Not on the plan's roster: a person decides, the grant stands meanwhile.
UNSURE = Eligibility(state="unknown")


def closed(outcome: str, at: datetime = MONDAY) -> ReferralClosed:
    return ReferralClosed(occurred_at=at, outcome=outcome, clr_reason="other")


def given(*facts: Event) -> Authorization | None:
    return DECIDER.fold(facts)


def after(state: Authorization | None, *facts: Event) -> Authorization:
    """The request after these facts as well."""
    folded = DECIDER.fold(facts, state)
    assert folded is not None
    return folded


def when(state: Authorization | None, command: Command, at: datetime = MONDAY) -> list[Event]:
    """What the store does: a fact is folded in first, then the rule decides."""
    command = command.model_copy(update={"at": at, "seed": SEED})
    if command.fact is not None:
        state = DECIDER.evolve(state, command.fact)
    return list(DECIDER.decide(state, command))


def refused(state: Authorization | None, command: Command, at: datetime = MONDAY) -> Refused:
    with pytest.raises(Refused) as found:
        when(state, command, at)
    return found.value


def opened(fact: ReferralReceived, rules: Rules = RULES, **known: Any) -> list[Event]:
    """What follows when the referral is heard; the directory knows the team."""
    return when(None, OpenReview(fact=fact, rules=rules, **{"provider": ENTRY, **known}))


def pending(**changes: Any) -> Authorization:
    """A request that waits for a person, its grant live."""
    fact = received(**{"eligibility": UNSURE, **changes})
    return after(None, fact, *opened(fact))


def approve(rules: Rules = RULES, acted_by: ActedBy = MARIA, **changes: Any) -> Approve:
    return Approve(acted_by=acted_by, rules=rules, **changes)


def deny(reason: str = "no_active_medi_cal", acted_by: ActedBy = MARIA, **changes: Any) -> Deny:
    fields: dict[str, Any] = {
        "licensed": False,
        "citation": "ECM Policy Guide",
        "appeal_by": date(2026, 5, 1),
        "notice_due_at": MONDAY + timedelta(days=2),
        # The plan told the provider itself; without that, the grant waits for our notice.
        "provider_told": True,
    }
    return Deny(reason=reason, acted_by=acted_by, **{**fields, **changes})


RIGHTS = Rights(appeal_by=date(2026, 5, 1), hearing_days=120, unanswered_days=30)
DENIAL = Denial(citation="ECM Policy Guide", notice_due_at=MONDAY + timedelta(days=2), rights=RIGHTS)


def modify(populations: tuple[str, ...], **changes: Any) -> Modify:
    fields: dict[str, Any] = {
        "acted_by": MARIA,
        "reason": "criteria_not_met",
        "licensed": True,
        "denial": DENIAL,
    }
    return Modify(populations=populations, **{"rules": RULES, **fields, **changes})


def pend(*asks: str, acted_by: ActedBy = MARIA, **changes: Any) -> Pend:
    known = frozenset({"birth-date", "county", "answer-complex_need"})
    fields: dict[str, Any] = {"known": known, "by": MONDAY + timedelta(days=14)}
    return Pend(acted_by=acted_by, asks=asks, **{**fields, **changes})


def resume(acted_by: ActedBy = MARIA, rules: Rules = RULES) -> Resume:
    return Resume(acted_by=acted_by, rules=rules)


def amended(cause: str = "answered", at: datetime = MONDAY, **changes: Any) -> ReferralAmended:
    return ReferralAmended.model_validate({"occurred_at": at, "cause": cause, **changes})


def amend(fact: ReferralAmended, rules: Rules = RULES, **known: Any) -> Amend:
    return Amend(fact=fact, rules=rules, **{"provider": ENTRY, **known})


def comes(kind: str, **known: Any) -> PassDeadline:
    """This deadline comes, with what the policy says then."""
    return PassDeadline(kind=kind, **{"rules": RULES, "denial": DENIAL, **known})


def end(code: int = 1, acted_by: ActedBy = MARIA, **changes: Any) -> End:
    return End(acted_by=acted_by, code=code, **{"notice_days": 10, "denial": DENIAL, **changes})


LUIS = ActedBy(organization=TEAM, person="luis-ortega")


def ask_again(rules: Rules = RULES, acted_by: ActedBy = LUIS, provider: str = TEAM) -> RequestReauthorization:
    return RequestReauthorization(acted_by=acted_by, provider=provider, rules=rules)


def revoke(acted_by: ActedBy = MARIA) -> RevokeGrant:
    return RevokeGrant(acted_by=acted_by)


def go_on(acted_by: ActedBy = MARIA) -> Continue:
    return Continue(acted_by=acted_by)


def overturn(on: date, acted_by: ActedBy = MARIA) -> Overturn:
    return Overturn(acted_by=acted_by, on=on, due_at=MONDAY + timedelta(days=60))


def approval(events: list[Event]) -> AuthorizationApproved:
    """The one approval among these."""
    (found,) = [event for event in events if isinstance(event, AuthorizationApproved)]
    return found


def wires(events: list[Event]) -> list[str]:
    return [event.wire.removeprefix("authorization.") for event in events]
