"""Everybody in the story: two plans, twelve providers, three referrers, and members invented from a seed."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

HARBOR, VALLEY = "harbor-health-plan", "valley-care-plan"
PLANS = (HARBOR, VALLEY)
CLINIC = "eastside-community-clinic"
STREET = "harbor-street-medicine"
HOSPITAL, SHELTER, COUNTY = "bayview-hospital", "alder-street-shelter", "alameda-county-outreach"
REFERRERS = (HOSPITAL, SHELTER, COUNTY)

# id, name, type, populations, counties, languages, capacity, plans with a contract
PROVIDERS: tuple[tuple[str, str, str, tuple[str, ...], tuple[str, ...], tuple[str, ...], int, tuple[str, ...]], ...] = (
    (STREET, "Harbor Street Medicine", "street_medicine", ("homelessness",), ("alameda",), ("en", "es"), 30, PLANS),
    ("bay-housing-navigators", "Bay Housing Navigators", "housing_transition_navigation", ("homelessness",),
     ("alameda", "contra-costa"), ("en", "es", "vi"), 12, PLANS),
    ("open-door-housing", "Open Door Housing", "housing_tenancy", ("homelessness",), ("contra-costa",), ("en",), 8, (HARBOR,)),
    ("lantern-shelter-team", "Lantern Shelter Team", "shelter", ("homelessness",), ("fresno",), ("en", "es", "hmn"), 10, (VALLEY,)),
    (CLINIC, "Eastside Community Clinic", "fqhc", ("avoidable_utilization",), ("alameda",), ("en", "es", "yue"), 15, (HARBOR,)),
    ("delta-family-clinic", "Delta Family Clinic", "fqhc", ("avoidable_utilization", "homelessness"),
     ("contra-costa", "alameda"), ("en", "es"), 10, PLANS),
    ("fresno-county-primary-care", "Fresno County Primary Care", "primary_care_county", ("avoidable_utilization",),
     ("fresno",), ("en", "es", "pa"), 12, (VALLEY,)),
    ("sierra-care-partners", "Sierra Care Partners", "community_organization", ("avoidable_utilization", "homelessness"),
     ("fresno", "madera"), ("en", "es"), 9, (VALLEY,)),
    ("mission-health-workers", "Mission Health Workers", "community_organization", ("homelessness", "avoidable_utilization"),
     ("alameda",), ("en", "es", "yue", "vi"), 14, PLANS),
    ("redwood-home-visits", "Redwood Home Visits", "primary_care", ("avoidable_utilization",), ("alameda", "contra-costa"),
     ("en",), 6, (HARBOR,)),
    ("golden-valley-navigators", "Golden Valley Navigators", "housing_transition_navigation", ("homelessness",), ("fresno",),
     ("en", "es"), 11, (VALLEY,)),
    ("night-bus-outreach", "Night Bus Outreach", "street_medicine", ("homelessness",), ("alameda", "fresno"), ("en", "es"), 10, PLANS),
)  # fmt: skip

COUNTIES = {HARBOR: ("alameda", "contra-costa"), VALLEY: ("fresno",)}
FIRST = (
    "Amara",
    "Benny",
    "Carmen",
    "Dao",
    "Elias",
    "Fatima",
    "Gus",
    "Hien",
    "Inez",
    "Jamal",
    "Kao",
    "Lupe",
    "Marco",
    "Nia",
)
LAST = (
    "Aguilar",
    "Brooks",
    "Chan",
    "Duarte",
    "Ellis",
    "Flores",
    "Green",
    "Her",
    "Ibarra",
    "Jones",
    "Keo",
    "Lopez",
    "Moua",
)
PLACES = (
    "under the 7th Street overpass",
    "in a car by the marina",
    "at the bus depot",
    "in the park on Alder",
    "behind the library",
)


def organizations() -> list[dict[str, Any]]:
    """For `loopkeeper org import`: id, name, kind, phone and the roles of one key each."""
    listed: list[dict[str, Any]] = [
        {"id": HARBOR, "name": "Harbor Health Plan", "kind": "plan", "phone": "555-0100", "roles": ["plan"]},
        {"id": VALLEY, "name": "Valley Care Plan", "kind": "plan", "phone": "555-0101", "roles": ["plan"]},
        {
            "id": HOSPITAL,
            "name": "Bayview Hospital",
            "kind": "referrer",
            "phone": "555-0110",
            "roles": ["referrer"],
        },
        {
            "id": SHELTER,
            "name": "Alder Street Shelter",
            "kind": "referrer",
            "phone": "555-0111",
            "roles": ["referrer"],
        },
        {
            "id": COUNTY,
            "name": "Alameda County Outreach",
            "kind": "county",
            "phone": "555-0112",
            "roles": ["referrer"],
        },
    ]
    for number, provider in enumerate(PROVIDERS):
        listed.append(
            {
                "id": provider[0],
                "name": provider[1],
                "kind": "provider",
                "phone": f"555-01{20 + number}",
                "roles": ["provider", "referrer"],
            }
        )
    return listed


def entries() -> Iterator[tuple[str, dict[str, Any]]]:
    """Each provider's directory entry as operations write it."""
    for number, (slug, name, kind, populations, counties, languages, capacity, _) in enumerate(PROVIDERS):
        yield (
            slug,
            {
                "active": True,
                "name": name,
                "phone": f"555-01{20 + number}",
                "types": [kind],
                "populations": populations,
                "age_bands": ["adult"],
                "counties": counties,
                "languages": languages,
                "capacity": capacity,
            },
        )


def contracts(plan: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each contract of a plan, as the plan writes it."""
    for slug, _, _, populations, _, _, _, plans in PROVIDERS:
        if plan in plans:
            yield slug, {"plan": plan, "populations": populations, "from": "2025-01-01"}


class Crowd:
    """Members from a seed: the same seed gives the same people. None of them exists."""

    def __init__(self, seed: int, today: date) -> None:
        self._random = random.Random(seed)
        self._today = today
        self._number = 100

    def member(self, plan: str) -> dict[str, Any]:
        """A member of a plan, known well enough to be on its roster."""
        self._number += 1
        chance = self._random
        born = self._today - timedelta(days=chance.randint(22 * 366, 80 * 365))
        return {
            "first_name": chance.choice(FIRST),
            "last_name": chance.choice(LAST),
            "cin": f"9{self._number:07d}S",
            "birth_date": born.isoformat(),
            "county": chance.choice(COUNTIES[plan]),
            "language_spoken": chance.choices(("en", "es", "vi", "yue"), (6, 3, 1, 1))[0],
        }

    def referral(self, plan: str, member: dict[str, Any]) -> dict[str, Any]:
        """A referral of this member as somebody would fill it in: not everything known, some claims doubtful."""
        chance = self._random
        homeless = chance.random() < 0.6
        sure = chance.random() < 0.8
        where: dict[str, Any] = (
            {"no_fixed_address": True, "usual_place": chance.choice(PLACES)}
            if homeless
            else {"address": {"street": f"{chance.randint(100, 999)} Alder Street", "city": "Harbor"}}
        )
        phone = {"phone": f"555-01{chance.randint(50, 99)}"} if chance.random() < 0.7 else {}
        return {
            "plan": plan,
            "member": {**member, **where, **phone},
            "referrer": {"name": "The desk", "email": "desk@example.org", "relationship": "social_service"},
            "populations": ["homelessness" if homeless else "avoidable_utilization"],
            "answers": self._answers(homeless, sure),
            "programs": {"hospice": "no", "pace": "no"},
            "attestation": {"attested": True, "name": "The desk"},
        }

    def _answers(self, homeless: bool, sure: bool) -> dict[str, Any]:
        chance = self._random
        if homeless:
            need = {"complex_need": True, "cannot_self_manage": True} if sure else {"complex_need": True}
            return {"place_not_for_sleeping": True, "coordination_would_help": True, **need}
        visits = chance.randint(5, 11) if sure else chance.randint(1, 4)
        return {"avoidable_ed_visits_6m": visits, "avoidable_stays_6m": chance.randint(0, 2)}


def roster_row(member: dict[str, Any]) -> dict[str, Any]:
    """What the plan's roster says of a member."""
    return {
        "cin": member["cin"],
        "birth_date": member["birth_date"],
        "county": member["county"],
        "covered_from": "2025-01-01",
        "pcp": "",
        "programs": [],
    }
