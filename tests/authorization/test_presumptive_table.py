"""Figure 5 of the state's guide, cell by cell: every population with every type of provider, and around each yes."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import date, timedelta
from typing import Any

import pytest

from authorization.domain.commands import OpenReview
from authorization.domain.rules import DECIDER
from authorization.persistence.context import AuthorizationLoaded
from loopkeeper.contract.events import (
    AuthorizationPresumptiveGranted,
    AuthorizationPresumptiveRefused,
    Contract,
    ProviderRecorded,
    ScreenedPopulation,
)
from loopkeeper.contract.vocabulary.populations import Population
from loopkeeper.contract.vocabulary.providers import ProviderType
from loopkeeper.policy import Policy
from loopkeeper.policy.reading import installed, load
from loopkeeper.testing.rules import MONDAY, given
from tests.builders.authorization import TEAM, UNSURE, claim, looked_up, received
from tests.builders.facts import TODAY
from tests.builders.organizations import HARBOR

SPECIALTY = {"specialty_bh_county_operated", "specialty_bh_county_contracted"}
TRANSITION = {"cct_lead", "nf_transition_diversion", "community_transition_services"}
# As printed on p106-108, read once more from the page, not from the YAML.
FIGURE_5: Mapping[str, Collection[str]] = {
    "homelessness": {
        "street_medicine", "housing_transition_navigation", "housing_deposits", "housing_tenancy", *SPECIALTY,
    },
    "avoidable_utilization": {"primary_care", "fqhc", "primary_care_county"},
    "smi_sud": SPECIALTY,
    "incarceration": set(),
    "ltc_community": TRANSITION,
    "nf_transition": TRANSITION,
    "ccs": {"ccs_paneled", "ccs_local_health_department"},
    "child_welfare": {
        *SPECIALTY, "high_fidelity_wraparound", "hcpcfc", "dss_office", "foster_family_agency",
        "foster_youth_transitional_housing", "childrens_crisis_residential",
    },
    "birth_equity": {
        "ob_gyn", "midwifery", "black_infant_health", "perinatal_equity_initiative", "indian_health_program", "aimss",
    },
}  # fmt: skip
PAIRS = [(population, kind) for population, kinds in FIGURE_5.items() for kind in sorted(kinds)]


@pytest.fixture(scope="module")
def policy() -> Policy:
    return load(installed())


def entry(population: str, kind: str, **changes: Any) -> ProviderRecorded:
    contract = Contract.model_validate({"plan": HARBOR, "populations": [population], "from": "2025-01-01"})
    fields: dict[str, Any] = {"types": (kind,), "populations": (population,), "contracts": (contract,)}
    return ProviderRecorded(occurred_at=MONDAY, provider=TEAM, version=1, **{**fields, **changes})


def verdict(
    policy: Policy,
    population: str,
    recorded: ProviderRecorded,
    plan: str = HARBOR,
    on: date = TODAY,
    **said: Any,
) -> str:
    """ "granted", or why not: by the packaged rows, as the service looks them up."""
    met = ScreenedPopulation(code=population, result="met", claimed=True)
    begun = MONDAY + (on - TODAY)
    usual = {
        "populations": (met,), "eligibility": UNSURE, "plan": plan, "occurred_at": begun,
        "claim": claim(population=population, from_=on),
    }  # fmt: skip
    fact = received(**{**usual, **said})
    command = OpenReview(fact=fact)
    filled = looked_up(
        AuthorizationLoaded(policy, {TEAM: recorded}, {}), "ref_1", given(DECIDER, fact).state, command, begun
    )
    events = given(DECIDER).when(filled.asking, begun).events
    for event in events:
        if isinstance(event, AuthorizationPresumptiveGranted):
            assert "presumptive/" in event.policy[0]
            return "granted"
        if isinstance(event, AuthorizationPresumptiveRefused):
            return event.reason
    raise AssertionError("a claim is always answered")


@pytest.mark.parametrize("population", sorted(Population.codes()))
def test_every_type_is_granted_where_the_figure_pairs_it_and_nowhere_else_3_2(
    policy: Policy, population: str
) -> None:
    """loop.md 3.2: 9 populations by 29 types; what the page does not name is refused."""
    for kind in sorted(ProviderType.codes()):
        found = verdict(policy, population, entry(population, kind))
        paired = FIGURE_5[population]
        assert found == ("granted" if kind in paired else "type" if paired else "no_row"), kind


def test_the_figure_names_every_population_and_known_types() -> None:
    assert set(FIGURE_5) == Population.codes()
    assert {kind for _, kind in PAIRS} < ProviderType.codes()
    # Doulas, family medicine, WIC and home visiting are in no row (ECMG26 p108).
    assert not {kind for _, kind in PAIRS} & {"doula", "family_medicine", "wic", "home_visiting"}


@pytest.mark.parametrize(("population", "kind"), PAIRS)
def test_around_each_pair_one_thing_less_is_no_grant_3_2(policy: Policy, population: str, kind: str) -> None:
    other = "smi_sud" if population != "smi_sud" else "homelessness"
    elsewhere = Contract.model_validate({"plan": HARBOR, "populations": [other], "from": "2025-01-01"})
    unmet, unknown, lent = (
        (ScreenedPopulation(code=population, result="unmet", claimed=True),),
        (ScreenedPopulation(code=population, result="unknown", claimed=True),),
        # Another population on the form lends nothing (ECMG26 p109).
        (
            ScreenedPopulation(code=population, result="unmet", claimed=True),
            ScreenedPopulation(code=other, result="met", claimed=True),
        ),
    )
    whole = entry(population, kind)
    assert verdict(policy, population, whole) == "granted"
    assert verdict(policy, population, entry(population, kind, contracts=())) == "contract"
    assert verdict(policy, population, entry(population, kind, contracts=(elsewhere,))) == "contract"
    assert verdict(policy, population, entry(population, kind, populations=(other,))) == "contract"
    assert verdict(policy, population, entry(population, kind, active=False)) == "contract"
    assert verdict(policy, population, entry(population, "other")) == "type"
    assert verdict(policy, population, whole, populations=unmet) == "criteria"
    assert verdict(policy, population, whole, populations=unknown) == "criteria"
    assert verdict(policy, population, whole, populations=lent) == "criteria"
    assert verdict(policy, population, whole, attested=False) == "criteria"
    assert verdict(policy, population, whole, referrer="bayview-hospital") == "contract"
    assert verdict(policy, population, whole, plan="valley-care-plan") == "contract"
    # The right began with 2025.
    assert verdict(policy, population, whole, on=date(2024, 12, 31)) == "no_row"
    assert verdict(policy, population, whole, on=date(2025, 1, 1)) == "granted"


def test_a_plan_may_add_a_pair_of_its_own_and_another_plan_has_none_of_it(tmp_path: Any) -> None:
    """The table is a floor (ECMG26 p109)."""
    row = (
        "table: presumptive\nrows:\n"
        "  - {id: harbor-shelter, plan: harbor-health-plan, population: homelessness, provider_type: shelter,\n"
        "     effective_from: 2026-02-01, source: the plan's agreement of 2026-01-12, confidence: ours}\n"
    )
    (tmp_path / "own.yaml").write_text(row)
    own = load(installed(), tmp_path)
    shelter = entry("homelessness", "shelter")
    valley = Contract.model_validate(
        {"plan": "valley-care-plan", "populations": ["homelessness"], "from": "2025-01-01"}
    )
    assert verdict(own, "homelessness", shelter) == "granted"
    assert verdict(own, "homelessness", shelter, on=TODAY - timedelta(days=40)) == "type"
    assert (
        verdict(
            own,
            "homelessness",
            entry("homelessness", "shelter", contracts=(valley,)),
            plan="valley-care-plan",
        )
        == "type"
    )
