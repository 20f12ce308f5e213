"""Two bodies that POST /v1/referrals takes as they are: one for each form."""

from __future__ import annotations

from typing import Any


def example_adult() -> dict[str, Any]:
    """A valid body: David, who lives in a tent, referred by the street medicine team that serves him."""
    return {
        "plan": "harbor-health-plan",
        "form": "adult",
        "urgency": "routine",
        "received_via": "api",
        "member": {
            "first_name": "David",
            "last_name": "Okafor",
            "cin": "90000001S",
            "birth_date": "1964-05-17",
            "county": "alameda",
            "no_fixed_address": True,
            "usual_place": "A green tent behind the gas station at 5th and Alder",
            "phone": "555-0142",
            "language_spoken": "en",
            "race_ethnicity": ["Black or African American"],
        },
        "referrer": {
            "name": "Rosa Delgado",
            "title": "Nurse practitioner",
            "email": "rosa@harborstreet.example",
            "relationship": "medical_provider",
            "can_find_member": True,
            "wants_to_serve": True,
        },
        "populations": ["homelessness"],
        "answers": {
            "place_not_for_sleeping": True,
            "complex_need": True,
            "cannot_self_manage": True,
            "coordination_would_help": True,
            "avoidable_ed_visits_6m": 2,
            "avoidable_stays_6m": 0,
        },
        "programs": {"hospice": "no", "pace": "no"},
        "attestation": {"attested": True, "name": "Rosa Delgado"},
        "member_agrees": True,
        "comments": "A leg wound that needs dressing every other day.",
    }


def example_child() -> dict[str, Any]:
    """A valid body: Maya, nine, in foster care, referred by the county's child welfare worker."""
    return {
        "plan": "harbor-health-plan",
        "form": "child_youth",
        "urgency": "routine",
        "received_via": "api",
        "member": {
            "first_name": "Maya",
            "last_name": "Reyes",
            "cin": "90000002S",
            "birth_date": "2016-09-02",
            "county": "alameda",
            "phone": "555-0143",
            "language_spoken": "es",
            "caregiver": {"name": "Carmen Ruiz", "relationship": "foster parent", "phone": "555-0143"},
            "consent_holder": "county",
            "race_ethnicity": ["hispanic_or_latino"],
        },
        "referrer": {
            "organization": "County Child Welfare",
            "name": "Imani Brooks",
            "title": "Social worker",
            "email": "imani@childwelfare.example",
            "relationship": "child_welfare",
        },
        "populations": ["child_welfare"],
        "answers": {"in_foster_care": True},
        "programs": {"wraparound": "no", "hcpcfc": "yes"},
        "attestation": {"attested": True, "name": "Imani Brooks"},
        "member_agrees": True,
        "safety_notes": "Do not call the parents' old number.",
    }
