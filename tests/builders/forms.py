"""What a referrer sends: David's form, and what a plan finds of it."""

from __future__ import annotations

from typing import Any

from tests.builders.organizations import HARBOR

# What a named person finds not met of David's population (loop.md 4.3).
UNMET = [
    {
        "population": "homelessness",
        "criterion": "place_not_for_sleeping",
        "why": "You told us that you sleep at home since January.",
    }
]


def david(**changes: Any) -> dict[str, Any]:
    """David, 62, a tent behind a gas station; referred by his clinic under homelessness."""
    body: dict[str, Any] = {
        "plan": HARBOR,
        "member": {
            "first_name": "David",
            "last_name": "Okafor",
            "cin": "90000001S",
            "birth_date": "1964-02-17",
            "county": "alameda",
            "no_fixed_address": True,
            "usual_place": "A green tent behind the gas station at 5th and Alder",
            "language_spoken": "en",
            "race_ethnicity": ["Black or African American"],
        },
        "referrer": {"name": "Dr. Lin", "email": "lin@eastside.example", "relationship": "primary_care"},
        "populations": ["homelessness"],
        "answers": {
            "place_not_for_sleeping": True,
            "complex_need": True,
            "cannot_self_manage": True,
            "coordination_would_help": True,
        },
        "programs": {"hospice": "no", "pace": "no", "ihss": "unknown"},
        "attestation": {"attested": True, "name": "Dr. Lin"},
    }
    return body | changes
