"""Which provider is asked first: every reason to pass one over, and the ranking factor by factor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from itertools import combinations
from typing import Any

import pytest

from assignment.domain.matching import Need, Ranking, contracted, rank, why_not
from loopkeeper.contract.events import ProviderRecorded
from loopkeeper.policy.reading import installed, load
from tests.builders.facts import TODAY, entry
from tests.builders.organizations import CLINIC, HARBOR, NAVIGATORS, STREET

DAY = timedelta(days=1)
DAVID = Need(
    plan=HARBOR,
    populations=("homelessness", "avoidable_utilization"),
    county="alameda",
    age_band="adult",
    language="es",
)
ORDER = ("preference", "pcp", "known", "specialist", "several_populations", "language")
SPECIALISTS = {"homelessness": ("street_medicine",), "avoidable_utilization": ("fqhc",)}


def needing(**changes: Any) -> Need:
    fields = {name: getattr(DAVID, name) for name in Need.__slots__}
    return Need(**{**fields, **changes})


def ranking(
    *entries: ProviderRecorded,
    need: Need = DAVID,
    live: Mapping[str, int] | None = None,
    order: Sequence[str] = ORDER,
) -> Ranking:
    return rank(need, entries, live or {}, order, SPECIALISTS, TODAY)


def order_of(found: Ranking) -> list[str]:
    return [each.provider for each in found.ranked]


def contract(**changes: Any) -> tuple[dict[str, Any], ...]:
    fields: dict[str, Any] = {"plan": HARBOR, "populations": ["homelessness"], "from": "2025-01-01"}
    return ({**fields, **changes},)


# ── who is passed over ────────────────────────────────────────────────────────────────────────────────────

# In the order in which reasons are told: of several faults, the first.
FAULTS: Mapping[str, Mapping[str, Any]] = {
    "inactive": {"active": False},
    "no_contract": {"contracts": contract(plan="valley-care-plan")},
    "outside_area": {"counties": ("fresno",)},
    "age": {"age_bands": ("child_youth",)},
    "declined": {},
    "full": {"capacity": 0},
}


def passed_over(*reasons: str) -> str:
    """Why a provider with these faults is passed over."""
    changes = {name: value for reason in reasons for name, value in FAULTS[reason].items()}
    declined = frozenset({STREET} if "declined" in reasons else ())
    (skip,) = ranking(entry(**changes), need=needing(declined=declined)).skipped
    return skip.reason


@pytest.mark.parametrize("reason", FAULTS)
def test_a_provider_that_cannot_take_the_member_is_passed_over_with_the_reason(reason: str) -> None:
    assert passed_over(reason) == reason


@pytest.mark.parametrize(("first", "second"), list(combinations(FAULTS, 2)))
def test_of_two_reasons_the_graver_is_told(first: str, second: str) -> None:
    assert passed_over(first, second) == first


def test_nothing_stands_against_a_provider_that_fits() -> None:
    assert why_not(DAVID, entry(), 0, TODAY) == ""
    assert ranking(entry()).skipped == ()


def test_a_provider_is_full_when_its_places_are_taken_and_not_before() -> None:
    assert why_not(DAVID, entry(capacity=3), 2, TODAY) == ""
    assert why_not(DAVID, entry(capacity=3), 3, TODAY) == "full"


def test_where_county_or_age_is_not_known_it_passes_nobody_over() -> None:
    other_assignment = entry(counties=("fresno",), age_bands=("child_youth",))
    assert why_not(needing(county="", age_band="unknown"), other_assignment, 0, TODAY) == ""
    assert why_not(needing(county="", age_band=""), other_assignment, 0, TODAY) == ""
    assert why_not(DAVID, entry(age_bands=()), 0, TODAY) == ""


@pytest.mark.parametrize(
    ("terms", "served"),
    [
        (contract(), ("homelessness",)),
        (contract(**{"from": TODAY.isoformat(), "through": TODAY.isoformat()}), ("homelessness",)),
        (contract(**{"from": (TODAY + DAY).isoformat()}), ()),
        (contract(through=(TODAY - DAY).isoformat()), ()),
        (contract(plan="valley-care-plan"), ()),
        (contract(populations=["smi_sud"]), ()),
        ((*contract(through="2025-12-31"), *contract(**{"from": "2026-01-01"})), ("homelessness",)),
        # Contracted for it, but the directory does not show that it serves it.
        (contract(populations=["avoidable_utilization"]), ()),
    ],
    ids=["in force", "its only day", "not yet", "no longer", "another plan's", "another", "renewed", "not served"],
)  # fmt: skip
def test_a_contract_counts_on_its_days_for_its_populations(terms: Any, served: tuple[str, ...]) -> None:
    assert contracted(entry(contracts=terms), HARBOR, DAVID.populations, TODAY) == served


def test_where_one_provider_was_chosen_no_other_is_looked_at() -> None:
    found = ranking(
        entry(STREET), entry(NAVIGATORS), entry(CLINIC, active=False), need=needing(only=NAVIGATORS)
    )
    assert order_of(found) == [NAVIGATORS]
    assert found.skipped == ()
    nobody = ranking(entry(STREET), need=needing(only=CLINIC))
    assert (nobody.first, nobody.skipped) == (None, ())


# ── who comes first ───────────────────────────────────────────────────────────────────────────────────────


def spoken_for(provider: str, *factors: str) -> tuple[ProviderRecorded, dict[str, Any]]:
    """A provider for whom exactly these factors speak, and what the member must need for that."""
    populations = ["homelessness"]
    needs: dict[str, Any] = {}
    changes: dict[str, Any] = {"languages": ("en",), "types": ("community_organization",)}
    if "preference" in factors:
        needs["preferred"] = (provider,)
    if "pcp" in factors:
        needs["pcp"] = provider
    if "known" in factors:
        needs["granted_to"] = provider
    if "specialist" in factors:
        changes["types"] = ("community_organization", "street_medicine")
    if "several_populations" in factors:
        populations.append("avoidable_utilization")
    if "language" in factors:
        changes["languages"] = ("en", "es")
    changes |= {"populations": tuple(populations), "contracts": contract(populations=populations)}
    return entry(provider, **changes), needs


@pytest.mark.parametrize("factor", ORDER)
def test_a_factor_speaks_for_the_provider_it_fits_and_is_kept_as_the_reason(factor: str) -> None:
    recorded, needs = spoken_for(STREET, factor)
    first = ranking(recorded, entry(NAVIGATORS), need=needing(**needs)).first
    assert first is not None
    assert (first.provider, first.because) == (STREET, (factor,))


@pytest.mark.parametrize("place", range(len(ORDER)))
def test_one_earlier_factor_outweighs_all_later_ones_together(place: int) -> None:
    # The names are against it too: the navigators come before the street team in the alphabet.
    earlier, needs = spoken_for(STREET, ORDER[place])
    later, more = spoken_for(NAVIGATORS, *ORDER[place + 1 :])
    assert order_of(ranking(later, earlier, need=needing(**{**more, **needs}))) == [STREET, NAVIGATORS]


def test_the_order_of_the_factors_is_policy_and_not_program() -> None:
    known, needs = spoken_for(STREET, "known")
    speaks, _ = spoken_for(NAVIGATORS, "language")
    turned = tuple(reversed(ORDER))
    assert order_of(ranking(known, speaks, need=needing(**needs))) == [STREET, NAVIGATORS]
    assert order_of(ranking(known, speaks, need=needing(**needs), order=turned)) == [NAVIGATORS, STREET]
    assert order_of(ranking(known, speaks, need=needing(**needs), order=())) == [NAVIGATORS, STREET]


def test_a_factor_the_program_does_not_know_speaks_for_nobody() -> None:
    first = ranking(entry(), order=("moon_phase",)).first
    assert first is not None
    assert first.because == ()


def test_among_equals_the_one_with_more_free_places_comes_first() -> None:
    found = ranking(
        entry(CLINIC, capacity=9), entry(NAVIGATORS, capacity=20), live={NAVIGATORS: 12, CLINIC: 0}
    )
    assert order_of(found) == [CLINIC, NAVIGATORS]


def test_among_equals_with_as_many_places_the_name_decides_in_whatever_order_they_come() -> None:
    entries = [entry(STREET), entry(CLINIC), entry(NAVIGATORS)]
    expected = sorted([STREET, CLINIC, NAVIGATORS])
    assert order_of(ranking(*entries)) == order_of(ranking(*reversed(entries))) == expected


def test_a_specialist_is_one_for_a_population_it_is_contracted_for() -> None:
    """A street team whose contract covers another population only is no specialist for the homeless."""
    both = ["homelessness", "avoidable_utilization"]
    team = entry(
        STREET,
        types=("street_medicine",),
        populations=tuple(both),
        contracts=contract(populations=["avoidable_utilization"]),
    )
    first = ranking(team).first
    assert first is not None
    assert "specialist" not in first.because


def test_in_the_packaged_order_what_a_plan_must_do_comes_before_what_merely_fits() -> None:
    rows = load(installed()).rows("ranking", on=TODAY)
    order = [row["factor"] for row in sorted(rows, key=lambda row: row["place"])]
    assert order.index("pcp") < order.index("known") < order.index("specialist") < order.index("language")
