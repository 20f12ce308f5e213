"""May a provider serve before the plan decides? Every combination of the conditions, and the state's table itself."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import date, timedelta
from itertools import product
from typing import Any

import pytest

from authorization.domain.presumptive import WAYS_ON, MemberGrants, judge
from loopkeeper.contract.calendar import end_of_la_day, la_date
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
from tests.builders.authorization import ENTRY, TEAM, claim, opened, received
from tests.builders.facts import HOMELESS, TODAY
from tests.builders.organizations import CLINIC, HARBOR

DAY = timedelta(days=1)
GOOD: Mapping[str, Any] = {
    "claim": claim(),
    "plan": HARBOR,
    "referrer": TEAM,
    "attested": True,
    "populations": (HOMELESS,),
    "provider": ENTRY,
    "types": ("street_medicine", "housing_tenancy"),
    "member_grants": MemberGrants(),
    "again_from": None,
    "latest": TODAY,
}
UNMET = ScreenedPopulation(code="homelessness", result="unmet", claimed=True)
# One fault for every reason, in the order in which reasons are told.
FAULTS: Mapping[str, Mapping[str, Any]] = {
    "renewal": {"member_grants": MemberGrants(open_with=TEAM)},
    "recent": {"again_from": TODAY + DAY},
    "coverage_ended": {"insured": False},
    "ahead": {"latest": TODAY - DAY},
    "no_row": {"types": ()},
    "awaiting_provider": {"provider": None},
    "contract": {"referrer": CLINIC},
    "type": {"types": ("housing_tenancy",)},
    "criteria": {"populations": (UNMET,)},
}


def verdict(**changes: Any) -> str | None:
    refusal = judge(**{**GOOD, **changes})
    return refusal.reason if refusal is not None else None


def entry(**changes: Any) -> ProviderRecorded:
    return ENTRY.model_copy(update=changes)


def contract(**changes: Any) -> tuple[Contract, ...]:
    fields: dict[str, Any] = {"plan": HARBOR, "populations": ("homelessness",), "from": date(2025, 1, 1)}
    return (Contract.model_validate({**fields, **changes}),)


# ── the truth table ───────────────────────────────────────────────────────────────────────────────────────


def test_a_grant_is_made_where_nothing_stands_against_it() -> None:
    assert verdict() is None


@pytest.mark.parametrize("reason", FAULTS)
def test_each_condition_alone_refuses(reason: str) -> None:
    assert verdict(**FAULTS[reason]) == reason


def test_of_any_set_of_faults_the_first_is_told_and_no_set_is_granted() -> None:
    for chosen in product([False, True], repeat=len(FAULTS)):
        faults = [reason for reason, holds in zip(FAULTS, chosen, strict=True) if holds]
        changes: dict[str, Any] = {}
        # The earlier of two faults in one field is the one that is kept.
        for reason in reversed(faults):
            changes |= FAULTS[reason]
        assert verdict(**changes) == (faults[0] if faults else None), faults


def test_every_reason_says_the_way_on() -> None:
    assert set(WAYS_ON) == {*FAULTS, "other_provider"}
    for reason, fault in FAULTS.items():
        refusal = judge(**{**GOOD, **fault})
        assert refusal is not None
        assert refusal.way_on == WAYS_ON[reason]


# ── one condition at a time ───────────────────────────────────────────────────────────────────────────────


def test_an_open_authorization_elsewhere_asks_for_a_change_of_provider_first() -> None:
    assert verdict(member_grants=MemberGrants(open_with=CLINIC)) == "other_provider"
    assert "Ask the member" in WAYS_ON["other_provider"]


def test_a_member_has_one_live_grant_at_a_time() -> None:
    assert verdict(member_grants=MemberGrants(grant_live=True)) == "recent"


def test_from_the_day_named_on_another_grant_is_possible() -> None:
    assert verdict(again_from=TODAY + DAY) == "recent"
    assert verdict(again_from=TODAY) is None


def test_only_the_organization_that_will_serve_claims() -> None:
    assert verdict(referrer=CLINIC) == "contract"


@pytest.mark.parametrize(
    "recorded",
    [
        entry(contracts=()),
        entry(contracts=contract(plan="valley-care-plan")),
        entry(contracts=contract(populations=("avoidable_utilization",))),
        entry(contracts=contract(**{"from": TODAY + DAY})),
        entry(contracts=contract(through=TODAY - DAY)),
        entry(populations=("avoidable_utilization",)),
        entry(active=False),
    ],
    ids=["none", "another plan's", "another population", "not yet", "no longer", "not served", "inactive"],
)
def test_a_contract_for_that_very_population_must_be_in_force_on_the_first_day(
    recorded: ProviderRecorded,
) -> None:
    assert verdict(provider=recorded) == "contract"


def test_a_contract_is_in_force_on_its_first_and_its_last_day() -> None:
    assert verdict(provider=entry(contracts=contract(**{"from": TODAY, "through": TODAY}))) is None


def test_the_type_is_the_directorys_and_one_of_several_is_enough() -> None:
    assert verdict(provider=entry(types=("shelter", "other"))) == "type"
    assert verdict(provider=entry(types=("shelter", "street_medicine"))) is None


@pytest.mark.parametrize(
    "populations",
    [
        (),
        (UNMET,),
        (ScreenedPopulation(code="homelessness", result="unknown", claimed=True),),
        (UNMET, ScreenedPopulation(code="avoidable_utilization", result="met", claimed=True)),
    ],
    ids=["none", "unmet", "unanswered", "another is met"],
)
def test_the_criteria_of_the_claimed_population_must_be_met(
    populations: tuple[ScreenedPopulation, ...],
) -> None:
    assert verdict(populations=populations) == "criteria"


def test_a_population_met_but_not_marked_carries_a_claim_all_the_same() -> None:
    assert verdict(populations=(HOMELESS.model_copy(update={"claimed": False}),)) is None


def test_without_an_attestation_there_is_no_grant() -> None:
    assert verdict(attested=False) == "criteria"


# ── the state's table ─────────────────────────────────────────────────────────────────────────────────────

SPECIALTY = {"specialty_bh_county_operated", "specialty_bh_county_contracted"}
TRIO = {"housing_transition_navigation", "housing_deposits", "housing_tenancy"}


@pytest.fixture(scope="module")
def packaged() -> Policy:
    return load(installed())


def paired(policy: Policy, population: str, on: date = TODAY) -> Collection[str]:
    return {row["provider_type"] for row in policy.rows("presumptive", on=on, population=population)}


@pytest.mark.parametrize(
    ("population", "types"),
    [
        ("homelessness", {"street_medicine", *TRIO, *SPECIALTY}),
        ("avoidable_utilization", {"primary_care", "fqhc", "primary_care_county"}),
        ("smi_sud", SPECIALTY),
        # The justice-involved guide governs it, not this table.
        ("incarceration", set()),
    ],
)
def test_the_packaged_table_pairs_what_the_states_figure_pairs(
    packaged: Policy, population: str, types: set[str]
) -> None:
    assert paired(packaged, population) == types


def test_the_table_names_known_populations_and_types_and_its_page(packaged: Policy) -> None:
    rows = [row for row in packaged.all_rows if row.table == "presumptive"]
    assert {row["population"] for row in rows} == Population.codes() - {"incarceration"}
    assert {row["provider_type"] for row in rows} < ProviderType.codes()
    assert all("p106-108" in row.source for row in rows)


def test_before_2025_nobody_had_the_right(packaged: Policy) -> None:
    assert paired(packaged, "homelessness", date(2024, 12, 31)) == set()
    assert paired(packaged, "homelessness", date(2025, 1, 1))


def test_a_plan_may_add_to_the_table_and_take_nothing_away(packaged: Policy) -> None:
    assert packaged.tables["presumptive"].plans.may == "add"


# ── thirty days ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("first", "last"),
    [
        (date(2026, 3, 2), date(2026, 3, 31)),
        (date(2026, 1, 31), date(2026, 3, 1)),
        # 2028 has a 29 February.
        (date(2028, 1, 31), date(2028, 2, 29)),
        (date(2026, 12, 15), date(2027, 1, 13)),
    ],
)
def test_thirty_days_are_day_0_through_day_29_and_end_at_midnight_in_los_angeles(
    packaged: Policy, first: date, last: date
) -> None:
    days = packaged.row("clocks", on=first, clock="presumptive_grant")["amount"]
    assert (days, first + timedelta(days=days - 1)) == (30, last)
    over = end_of_la_day(last)
    assert la_date(over) == first + 30 * DAY
    assert la_date(over - over.resolution) == last


# ── through a hub ─────────────────────────────────────────────────────────────────────────────────────────

HUB = "bay-care-hub"


def hub(**changes: Any) -> Mapping[str, ProviderRecorded]:
    fields: dict[str, Any] = {"provider": HUB, "types": (), "contracts": contract(), **changes}
    return {HUB: ENTRY.model_copy(update=fields)}


def test_through_a_hub_the_contract_is_the_hubs_and_type_and_populations_the_providers_1_3() -> None:
    """loop.md 1.3."""
    behind = entry(contracts=contract(hub=HUB))
    assert verdict(provider=behind, hubs=hub()) is None
    assert verdict(provider=behind) == "awaiting_provider"
    assert verdict(provider=behind, hubs=hub(active=False)) == "contract"
    assert verdict(provider=behind, hubs=hub(contracts=contract(populations=("ccs",)))) == "contract"
    assert verdict(provider=behind, hubs=hub(contracts=contract(hub="another-hub"))) == "contract"
    assert verdict(provider=entry(contracts=contract(hub=HUB), types=("shelter",)), hubs=hub()) == "type"
    assert (
        verdict(provider=entry(contracts=contract(hub=HUB), populations=("ccs",)), hubs=hub()) == "contract"
    )


# ── the day of the first service ──────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("days", "made"), [(0, True), (30, True), (31, False), (456, False)])
def test_a_first_service_further_ahead_than_a_grant_lasts_gets_none_yet(days: int, made: bool) -> None:
    """loop.md 3.4: day 0 is the day of the first service; a claim of it presumes that it is near."""
    events = opened(received(claim=claim(from_=TODAY + days * DAY)))
    granted = [event for event in events if isinstance(event, AuthorizationPresumptiveGranted)]
    refused = [event for event in events if isinstance(event, AuthorizationPresumptiveRefused)]
    assert (bool(granted), [event.reason for event in refused]) == (made, [] if made else ["ahead"])
