"""Who takes part: plans, providers, referrers, and the people who act for them. All are invented."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from loopkeeper.contract.events import ActedBy, Lead

HARBOR, VALLEY = "harbor-health-plan", "valley-care-plan"
CLINIC, STREET, NAVIGATORS = "eastside-community-clinic", "harbor-street-medicine", "bay-housing-navigators"
HOSPITAL, OPERATIONS = "bayview-hospital", "operations"
ORGANIZATIONS: Sequence[Mapping[str, Any]] = (
    {"id": HARBOR, "name": "Harbor Health Plan", "kind": "plan", "phone": "555-0100", "roles": ["plan"]},
    {"id": VALLEY, "name": "Valley Care Plan", "kind": "plan", "phone": "555-0101", "roles": ["plan"]},
    {"id": HOSPITAL, "name": "Bayview Hospital", "kind": "referrer", "phone": "555-0110", "roles": ["referrer"]},
    {"id": CLINIC, "name": "Eastside Community Clinic", "kind": "provider", "roles": ["provider", "referrer"]},
    {"id": STREET, "name": "Harbor Street Medicine", "kind": "provider", "roles": ["provider", "referrer"]},
    {"id": NAVIGATORS, "name": "Bay Housing Navigators", "kind": "provider", "roles": ["provider", "referrer"]},
    {"id": OPERATIONS, "name": "Operations", "kind": "operations", "roles": ["operations"]},
)  # fmt: skip
# What the story's providers can do: type, populations.
PROVIDERS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    STREET: ("street_medicine", ("homelessness",)),
    NAVIGATORS: ("community_organization", ("homelessness", "avoidable_utilization")),
    CLINIC: ("fqhc", ("avoidable_utilization",)),
}

# The clinic, team and partner of tests that need one of each kind.
REFERRER, OTHER, PARTNER = "mission-clinic", "bayview-outreach", "county-health"
PRIMARY_CARE = "eastside-primary-care"

# Maria decides for the plan, which may also name nobody; Luis leads the care of those the street team serves; Rosa
# refers for the team.
MARIA = ActedBy(organization=HARBOR, person="maria-chen")
NOBODY = ActedBy(organization=HARBOR)
LUIS = ActedBy(organization=STREET, person="luis-ortega")
LEAD = Lead(person="luis-ortega", name="Luis Ortega")
ROSA = ActedBy(organization=STREET, person="rosa-delgado")
