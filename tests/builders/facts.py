"""What services publish, with the least that an event needs: a test names what it is about, and the rest is filled in."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

from loopkeeper.contract.events import (
    AssignmentAccepted,
    AssignmentMade,
    AuthorizationApproved,
    AuthorizationPresumptiveGranted,
    AuthorizationReviewOpened,
    Lead,
    OutreachServicesStarted,
    ProviderRecorded,
    ReferralClosed,
    ReferralReceived,
    ScreenedPopulation,
)
from loopkeeper.testing.rules import MONDAY
from tests.builders.organizations import HARBOR, LEAD, REFERRER, STREET

TODAY = date(2026, 3, 2)
IN_A_WEEK = MONDAY + timedelta(days=7)
HOMELESS = ScreenedPopulation(code="homelessness", result="met", claimed=True)


def received(**changes: Any) -> ReferralReceived:
    """A referral of David's to Harbor."""
    fields = {"occurred_at": MONDAY, "plan": HARBOR, "referrer": REFERRER, "member": "mem_david"}
    return ReferralReceived.model_validate({**fields, **changes})


def review_opened(**changes: Any) -> AuthorizationReviewOpened:
    fields = {
        "occurred_at": MONDAY, "authorization": "auth_1", "clock": "routine", "due_at": IN_A_WEEK, "cap_at": IN_A_WEEK,
    }  # fmt: skip
    return AuthorizationReviewOpened.model_validate({**fields, **changes})


def approved(**changes: Any) -> AuthorizationApproved:
    """Approved for a year."""
    fields = {"occurred_at": MONDAY, "number": "ECM-1", "from": "2026-03-02", "through": "2027-03-01"}
    return AuthorizationApproved.model_validate({**fields, **changes})


def granted(**changes: Any) -> AuthorizationPresumptiveGranted:
    """The street team may serve David for a month, until it is decided."""
    fields = {
        "occurred_at": MONDAY, "grant": "grant_1", "provider": STREET, "provider_version": 1,
        "population": "homelessness", "from": "2026-03-02", "through": "2026-03-31",
    }  # fmt: skip
    return AuthorizationPresumptiveGranted.model_validate({**fields, **changes})


def made(
    provider: str = STREET, assignment: str = "asg_1", answer_due_at: datetime = IN_A_WEEK
) -> AssignmentMade:
    """This provider is offered the member, and has a week to answer."""
    return AssignmentMade(
        occurred_at=MONDAY, assignment=assignment, provider=provider, answer_due_at=answer_due_at
    )


def accepted(
    provider: str = STREET,
    assignment: str = "asg_1",
    lead: Lead = LEAD,
    at: datetime = MONDAY,
    **changes: Any,
) -> AssignmentAccepted:
    return AssignmentAccepted(occurred_at=at, assignment=assignment, provider=provider, lead=lead, **changes)


def services_started(on: date = TODAY) -> OutreachServicesStarted:
    return OutreachServicesStarted(occurred_at=MONDAY, assignment="asg_1", on=on)


def closed(outcome: Any = "services_received", at: datetime = MONDAY, **changes: Any) -> ReferralClosed:
    return ReferralClosed.model_validate(
        {"occurred_at": at, "outcome": outcome, "clr_reason": "other", **changes}
    )


def entry(provider: str = STREET, **changes: Any) -> ProviderRecorded:
    """A provider's entry in the directory, with a contract of Harbor's for homeless adults in Alameda."""
    fields: dict[str, Any] = {
        "occurred_at": MONDAY,
        "provider": provider,
        "version": 1,
        "types": ("community_organization",),
        "populations": ("homelessness",),
        "age_bands": ("adult",),
        "counties": ("alameda",),
        "languages": ("en",),
        "contracts": ({"plan": HARBOR, "populations": ["homelessness"], "from": "2025-01-01"},),
        "capacity": 10,
    }
    return ProviderRecorded.model_validate({**fields, **changes})
