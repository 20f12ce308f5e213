"""Which organizations take part in the story: two plans, eighteen providers, three referrers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

HARBOR, VALLEY = "harbor-health-plan", "valley-care-plan"
PLANS = (HARBOR, VALLEY)
CLINIC = "eastside-community-clinic"
STREET = "harbor-street-medicine"
HOSPITAL, SHELTER, COUNTY = "bayview-hospital", "alder-street-shelter", "alameda-county-outreach"
REFERRERS = (HOSPITAL, SHELTER, COUNTY)
OPERATIONS = "operations"
BOTH_AGES = ("adult", "child_youth")


@dataclass(frozen=True, slots=True)
class Provider:
    """One ECM provider: what it is, whom it serves, where, in which languages, and which plans contract with it."""

    id: str
    name: str
    type: str
    populations: tuple[str, ...]
    counties: tuple[str, ...]
    languages: tuple[str, ...]
    capacity: int
    plans: tuple[str, ...] = PLANS
    ages: tuple[str, ...] = ("adult",)


PROVIDERS = (
    Provider(STREET, "Harbor Street Medicine", "street_medicine", ("homelessness",), ("alameda",), ("en", "es"), 60),
    Provider("bay-housing-navigators", "Bay Housing Navigators", "housing_transition_navigation", ("homelessness",),
             ("alameda", "contra-costa"), ("en", "es", "vi"), 40, ages=BOTH_AGES),
    Provider("open-door-housing", "Open Door Housing", "housing_tenancy", ("homelessness",), ("contra-costa",), ("en",), 20,
             (HARBOR,)),
    Provider("lantern-shelter-team", "Lantern Shelter Team", "shelter", ("homelessness",), ("fresno",), ("en", "es", "hmn"), 30,
             (VALLEY,), BOTH_AGES),
    Provider(CLINIC, "Eastside Community Clinic", "fqhc", ("avoidable_utilization",), ("alameda",), ("en", "es", "yue"), 30,
             (HARBOR,), BOTH_AGES),
    Provider("delta-family-clinic", "Delta Family Clinic", "fqhc", ("avoidable_utilization", "homelessness"),
             ("contra-costa", "alameda"), ("en", "es"), 30, ages=BOTH_AGES),
    Provider("fresno-county-primary-care", "Fresno County Primary Care", "primary_care_county", ("avoidable_utilization",),
             ("fresno",), ("en", "es", "pa"), 30, (VALLEY,), BOTH_AGES),
    Provider("sierra-care-partners", "Sierra Care Partners", "community_organization",
             ("avoidable_utilization", "homelessness", "incarceration"), ("fresno", "madera"), ("en", "es"), 30, (VALLEY,)),
    Provider("mission-health-workers", "Mission Health Workers", "community_organization",
             ("homelessness", "avoidable_utilization"), ("alameda",), ("en", "es", "yue", "vi"), 40),
    Provider("redwood-home-visits", "Redwood Home Visits", "primary_care", ("avoidable_utilization", "ltc_community"),
             ("alameda", "contra-costa"), ("en",), 30, (HARBOR,)),
    Provider("golden-valley-navigators", "Golden Valley Navigators", "housing_transition_navigation", ("homelessness",),
             ("fresno",), ("en", "es"), 40, (VALLEY,)),
    Provider("night-bus-outreach", "Night Bus Outreach", "street_medicine", ("homelessness",), ("alameda", "fresno"),
             ("en", "es"), 30),
    Provider("bayside-behavioral-health", "Bayside Behavioral Health", "specialty_bh_county_operated",
             ("smi_sud", "child_welfare"), ("alameda", "contra-costa"), ("en", "es", "vi"), 40, ages=BOTH_AGES),
    Provider("valley-behavioral-health", "Valley Behavioral Health", "specialty_bh_county_contracted", ("smi_sud",),
             ("fresno",), ("en", "es", "hmn"), 30, (VALLEY,), BOTH_AGES),
    Provider("second-start-reentry", "Second Start Reentry", "community_organization", ("incarceration",),
             ("alameda", "contra-costa", "fresno"), ("en", "es"), 40, ages=BOTH_AGES),
    Provider("home-again-transitions", "Home Again Transitions", "cct_lead", ("ltc_community", "nf_transition"),
             ("alameda", "contra-costa", "fresno"), ("en", "es", "yue"), 40),
    Provider("bright-harbor-childrens", "Bright Harbor Children's", "ccs_paneled", ("ccs", "child_welfare", "birth_equity"),
             ("alameda", "contra-costa", "fresno"), ("en", "es", "vi"), 40, ages=BOTH_AGES),
    Provider("sankofa-midwives", "Sankofa Midwives", "midwifery", ("birth_equity",), ("alameda", "contra-costa", "fresno"),
             ("en", "es"), 30, ages=BOTH_AGES),
)  # fmt: skip


def organizations() -> list[dict[str, Any]]:
    """For `loopkeeper org import`: id, name, kind, phone and the roles of one key each."""
    plans = ((HARBOR, "Harbor Health Plan", "plan"), (VALLEY, "Valley Care Plan", "plan"))
    referrers = (
        (HOSPITAL, "Bayview Hospital", "referrer"),
        (SHELTER, "Alder Street Shelter", "referrer"),
        (COUNTY, "Alameda County Outreach", "county"),
    )
    listed = [_organization(*each, 100 + n, ["plan"]) for n, each in enumerate(plans)]
    listed += [_organization(*each, 110 + n, ["referrer"]) for n, each in enumerate(referrers)]
    listed += [
        _organization(each.id, each.name, "provider", 120 + n, ["provider", "referrer"])
        for n, each in enumerate(PROVIDERS)
    ]
    return listed


def _organization(slug: str, name: str, kind: str, number: int, roles: list[str]) -> dict[str, Any]:
    return {"id": slug, "name": name, "kind": kind, "phone": f"555-0{number}", "roles": roles}


def entries() -> Iterator[tuple[str, dict[str, Any]]]:
    """Each provider's directory entry as operations write it."""
    for number, each in enumerate(PROVIDERS):
        yield (
            each.id,
            {
                "active": True,
                "name": each.name,
                "phone": f"555-01{20 + number}",
                "types": [each.type],
                "populations": each.populations,
                "age_bands": each.ages,
                "counties": each.counties,
                "languages": each.languages,
                "capacity": each.capacity,
            },
        )


def contracts(plan: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each contract of a plan, as the plan writes it."""
    for each in PROVIDERS:
        if plan in each.plans:
            yield each.id, {"plan": plan, "populations": each.populations, "from": "2025-01-01"}
