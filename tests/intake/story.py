"""Rosa's referral, fact by fact, as intake notes it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from loopkeeper.contract.events import (
    ActedBy,
    AssignmentAccepted,
    AssignmentMade,
    AuthorizationApproved,
    AuthorizationReviewOpened,
    Event,
    Lead,
    ReferralClosed,
    ReferralReceived,
    ScreenedPopulation,
)
from referral_intake.domain.rules import DECIDER
from referral_intake.domain.state import Referral

MONDAY = datetime(2026, 3, 2, 17, 0, tzinfo=UTC)
HARBOR = "harbor-street-medicine"
ROSA = ActedBy(organization=HARBOR, person="rosa-delgado")
RECEIVED = ReferralReceived(
    occurred_at=MONDAY,
    plan="harbor-health-plan",
    referrer=HARBOR,
    member="mem_david",
    populations=(ScreenedPopulation(code="homelessness", result="met", claimed=True),),
    attested=True,
)
REVIEW = AuthorizationReviewOpened(
    occurred_at=MONDAY,
    authorization="auth_1",
    clock="routine",
    due_at=MONDAY + timedelta(days=7),
    cap_at=MONDAY + timedelta(days=7),
)
APPROVED = AuthorizationApproved.model_validate(
    {
        "occurred_at": MONDAY,
        "authorization": "auth_1",
        "number": "ECM-1",
        "from": "2026-03-02",
        "through": "2027-03-01",
    }
)
MADE = AssignmentMade(
    occurred_at=MONDAY, assignment="asg_1", provider=HARBOR, answer_due_at=MONDAY + timedelta(days=7)
)
ACCEPTED = AssignmentAccepted(
    occurred_at=MONDAY, assignment="asg_1", provider=HARBOR, lead=Lead(person="luis", name="Luis Ortega")
)


SERVED = ReferralClosed(
    occurred_at=MONDAY, outcome="services_received", clr_reason="services_received", assignment="asg_1"
)
CLOSED = ReferralClosed(occurred_at=MONDAY, outcome="unable_to_reach", clr_reason="unable_to_reach_member")


def given(*events: Event) -> Referral:
    state = DECIDER.fold(events)
    assert state is not None
    return state
