"""The nine populations on both forms: a truth table for each at and around every threshold, from the analyst's file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, timedelta

import pytest

from loopkeeper.policy.conditions import (
    All,
    Answer,
    Any,
    Condition,
    Count,
    Leaf,
    Result,
    Unless,
    Words,
    judge,
    leaves,
)
from loopkeeper.policy.rows import Row
from tests.intake.populations import CCS, LTC, MARCH, NF, POLICY, SMI, Given, Said, result, screened

ROWS = [row for row in POLICY.all_rows if row.table == "populations"]


# ── every row, by its own words ───────────────────────────────────────────────────────────────────────────


def pivots(condition: Condition) -> Iterator[tuple[Leaf, dict[str, Said]]]:
    """Each question of a condition with answers that leave the matter to it alone."""
    if isinstance(condition, Leaf):
        yield condition, {}
        return
    for index, part in enumerate(condition.parts):
        others = [other for place, other in enumerate(condition.parts) if place != index]
        settled: dict[str, Said] = {}
        for other in others:
            settled |= settle(other, met=isinstance(condition, All))
        for leaf, inner in pivots(part):
            yield leaf, {**settled, **inner}


def settle(condition: Condition, *, met: bool) -> dict[str, Said]:
    """Answers that make a condition met, or unmet."""
    match condition:
        case Answer(key, wanted):
            return {key: wanted if met else not wanted}
        case Unless(key):
            return {key: not met}
        case Words(key):
            return {key: "Cannot read the clinic's letters" if met else False}
        case Count(key, at_least, below):
            low, high = at_least or 0, (below - 1 if below else 10**6)
            return {key: low if met and not below else high if met else (low - 1 if at_least else high + 1)}
        case All(parts) | Any(parts):
            chosen: dict[str, Said] = {}
            for part in parts:
                chosen |= settle(part, met=met)
            return chosen


def tries(leaf: Leaf) -> list[tuple[Said, Result]]:
    """The values at and around what this question turns on, and nothing."""
    match leaf:
        case Answer(_, wanted):
            return [(wanted, "met"), (not wanted, "unmet"), (None, "unknown")]
        case Unless():
            return [(True, "unmet"), (False, "met"), (None, "met")]
        case Words():
            return [("Cannot read", "met"), (False, "unmet"), (True, "unknown"), (None, "unknown")]
        case Count(_, int(at_least), None):
            return [(at_least - 1, "unmet"), (at_least, "met"), (at_least + 1, "met"), (None, "unknown")]
        case Count(_, None, int(below)):
            return [(below - 1, "met"), (below, "unmet"), (below + 1, "unmet"), (None, "unknown")]
        case _:
            raise AssertionError(leaf)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.ref)
def test_every_question_of_every_row_turns_it_at_its_own_threshold(row: Row) -> None:
    asked = 0
    for leaf, others in pivots(row["condition"]):
        for value, expected in tries(leaf):
            answers = {**others, leaf.key: value}
            assert judge(row["condition"], answers) == expected, (leaf, value)
            asked += 1
    assert asked >= 3


def test_every_population_has_the_rows_of_its_ages_in_march_2026() -> None:
    both = {
        "homelessness",
        "avoidable_utilization",
        "smi_sud",
        "incarceration",
        "child_welfare",
        "birth_equity",
    }
    adults = {row["population"] for row in POLICY.rows("populations", on=MARCH, form="adult")}
    youth = {row["population"] for row in POLICY.rows("populations", on=MARCH, form="child_youth")}
    assert adults == both | {"ltc_community", "nf_transition"}
    assert youth == both | {"ccs"}


@pytest.mark.parametrize(
    ("population", "form", "first"),
    [
        ("incarceration", "adult", date(2024, 1, 1)),
        ("ltc_community", "adult", date(2023, 1, 1)),
        ("nf_transition", "adult", date(2023, 1, 1)),
        ("birth_equity", "adult", date(2024, 1, 1)),
        ("birth_equity", "child_youth", date(2024, 1, 1)),
        ("ccs", "child_youth", date(2023, 7, 1)),
        ("homelessness", "child_youth", date(2023, 7, 1)),
    ],
)
def test_a_population_begins_on_its_day(population: str, form: str, first: date) -> None:
    def held(on: date) -> bool:
        return bool(POLICY.rows("populations", on=on, form=form, population=population))

    assert held(first)
    assert not held(first - timedelta(days=1))


# ── by hand, in the state's words ─────────────────────────────────────────────────────────────────────────

SMI_NO: Given = {
    "smhs_dmc_access": True, "lacks_food": True, "high_risk": False, "crisis_care_primary": False,
    "smi_sud_ed_visits_12m": 1, "smi_sud_hospitalizations_12m": 1, "pregnant_or_postpartum": False,
}  # fmt: skip


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        (SMI, "met"),
        (SMI_NO, "unmet"),
        (SMI_NO | {"smi_sud_ed_visits_12m": 2}, "met"),
        (SMI_NO | {"smi_sud_hospitalizations_12m": 2}, "met"),
        (SMI_NO | {"crisis_care_primary": True}, "met"),
        (SMI_NO | {"smhs_dmc_access": False, "high_risk": True}, "unmet"),
        (SMI | {"lacks_food": None, "ace_score": 4}, "met"),
        (SMI | {"lacks_food": None, "ace_score": 3}, "unknown"),
        (SMI | {"lacks_food": None, "former_foster_youth": True}, "met"),
    ],
)
def test_adults_with_serious_mental_health_needs_need_all_three_clauses(
    answers: Given, expected: str
) -> None:
    assert result(screened(answers), "smi_sud") == expected


def test_pregnancy_left_the_adult_mental_health_list_and_a_person_judges_it_since() -> None:
    pregnant = SMI_NO | {"pregnant_or_postpartum": True}
    assert result(screened(pregnant, on=date(2025, 12, 31)), "smi_sud") == "met"
    today = screened(pregnant)
    assert result(today, "smi_sud") == "unknown"
    assert "p26" in today.notes["smi_sud"][0]


def test_until_december_2022_crisis_care_had_to_be_the_sole_source() -> None:
    primary = SMI_NO | {"crisis_care_primary": True, "crisis_care_sole": False}
    assert result(screened(primary, on=date(2022, 11, 30)), "smi_sud") == "unmet"
    assert result(screened(primary, on=date(2022, 12, 1)), "smi_sud") == "met"


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        (LTC, "met"),
        (LTC | {"snf_level_of_care": False}, "unmet"),
        (LTC | {"snf_level_of_care": False, "lower_acuity_nursing": True}, "met"),
        (LTC | {"able_in_community": False}, "unmet"),
        (LTC | {"icf_or_subacute": True}, "unmet"),
        (LTC | {"icf_or_subacute": None}, "met"),
        (LTC | {"nf_resident": True}, "unmet"),
        (LTC | {"nf_resident": False}, "met"),
    ],
)
def test_adults_at_risk_of_long_term_care(answers: Given, expected: str) -> None:
    assert result(screened(answers), "ltc_community") == expected


@pytest.mark.parametrize("without", sorted(NF))
def test_a_nursing_facility_resident_must_want_and_be_able_to_leave(without: str) -> None:
    assert result(screened(NF), "nf_transition") == "met"
    assert result(screened(NF | {without: not NF[without]}), "nf_transition") == "unmet"


@pytest.mark.parametrize(
    ("form", "age", "answers", "expected"),
    [
        ("adult", 40, {"left_incarceration_12m": True, "hiv_aids": True}, "met"),
        ("adult", 40, {"left_incarceration_12m": True, "pre_release_services": True}, "met"),
        ("adult", 40, {"left_incarceration_12m": True}, "unknown"),
        ("adult", 25, {"leaving_incarceration": True, "former_foster_youth": True}, "met"),
        ("adult", 26, {"leaving_incarceration": True, "former_foster_youth": True}, "unknown"),
        ("child_youth", 16, {"leaving_incarceration": True}, "met"),
        ("child_youth", 16, {"leaving_incarceration": False, "left_incarceration_12m": False}, "unmet"),
    ],
)
def test_leaving_incarceration_needs_a_condition_of_adults_only(
    form: str, age: int, answers: Given, expected: str
) -> None:
    assert result(screened(answers, form=form, age=age), "incarceration") == expected


NO_WELFARE: Given = dict.fromkeys(
    ("in_foster_care", "left_foster_care_12m", "former_foster_youth", "adoption_assistance",
     "adoption_disability", "family_maintenance"), False,
)  # fmt: skip


@pytest.mark.parametrize(
    ("age", "answers", "expected"),
    [
        (17, {"in_foster_care": True}, "met"),
        (20, {"in_foster_care": True}, "met"),
        (20, {"left_foster_care_12m": True}, "met"),
        (20, {"former_foster_youth": True}, "met"),
        (17, {"adoption_assistance": True}, "met"),
        (18, {"adoption_assistance": True}, "unmet"),
        (18, {"adoption_assistance": True, "adoption_disability": True}, "met"),
        (17, {"family_maintenance": True}, "met"),
        (18, {"family_maintenance": True}, "unmet"),
        (9, {}, "unmet"),
        (9, {"child_welfare_involvement": True}, "unmet"),
        (None, {"in_foster_care": True}, "unknown"),
    ],
)
def test_child_welfare_by_its_list_and_ages(age: int | None, answers: Given, expected: str) -> None:
    assert result(screened(NO_WELFARE | answers, form="child_youth", age=age), "child_welfare") == expected


@pytest.mark.parametrize(("age", "expected"), [(21, "met"), (25, "met"), (26, "unmet")])
def test_former_foster_youth_keep_child_welfare_up_to_26(age: int, expected: str) -> None:
    assert result(screened({"former_foster_youth": True}, age=age), "child_welfare") == expected


def test_old_involvement_in_child_welfare_is_not_turned_away_but_raises_mental_health() -> None:
    screening = screened(NO_WELFARE | {"child_welfare_involvement": True}, form="child_youth", age=9)
    assert "smi_sud" in screening.suggested
    assert screening.missing[0] == "smhs_dmc_access"
    assert result(screened({"child_welfare_involvement": True}, form="child_youth", age=9, on=date(2022, 6, 1)),
                  "child_welfare") == "met"  # fmt: skip


@pytest.mark.parametrize("sign", ["high_trauma_score", "juvenile_justice", "in_foster_care", "in_shelter"])
def test_trauma_raises_the_question_of_access_but_never_beats_an_answer(sign: str) -> None:
    raised = screened({sign: True, "ace_score": 0}, form="child_youth", age=12)
    assert "smi_sud" in raised.raised
    answered = screened({sign: True, "ace_score": 0, "smhs_dmc_access": False}, form="child_youth", age=12)
    assert "smi_sud" not in answered.raised
    assert result(answered, "smi_sud") == "unmet"


@pytest.mark.parametrize(("score", "expected"), [(3, "unknown"), (4, "met"), (5, "met")])
def test_a_high_count_of_adverse_experiences_is_a_way_of_its_own_for_the_young(
    score: int, expected: str
) -> None:
    assert result(screened({"ace_score": score}, form="child_youth", age=12), "smi_sud") == expected


def test_the_wording_of_2022_for_the_young_is_kept_for_its_days() -> None:
    answers: Given = {"sed_or_psychosis": True, "smhs_dmc_access": False, "ace_score": 0}
    assert result(screened(answers, form="child_youth", age=12, on=date(2023, 6, 30)), "smi_sud") == "met"
    assert result(screened(answers, form="child_youth", age=12, on=date(2023, 7, 1)), "smi_sud") == "unmet"


KIDS_HOUSING = (
    "no_regular_residence", "place_not_for_sleeping", "in_shelter", "leaving_institution_homeless", "losing_housing_30d",
    "fleeing_violence", "shares_housing", "lives_in_motel_or_campground", "abandoned_in_hospital",
)  # fmt: skip


@pytest.mark.parametrize("living", KIDS_HOUSING)
def test_a_child_without_a_home_needs_no_complex_need(living: str) -> None:
    none = dict.fromkeys((*KIDS_HOUSING, "transitional_rent"), False)
    assert result(screened(none | {living: True}, form="child_youth", age=7), "homelessness") == "met"
    assert result(screened(none, form="child_youth", age=7), "homelessness") == "unmet"


def test_a_mother_in_a_family_with_a_child_is_judged_by_the_youth_criteria() -> None:
    family: Given = {"family_with_under_21": True, "shares_housing": True}
    assert result(screened(family), "homelessness") == "met"
    assert result(screened({"shares_housing": True}), "homelessness") == "unknown"


@pytest.mark.parametrize(
    ("visits", "stays", "expected"),
    [(2, 1, "unmet"), (3, 1, "met"), (2, 2, "met"), (None, 1, "unknown"), (None, 2, "met")],
)
def test_avoidable_use_of_the_young(visits: int | None, stays: int | None, expected: str) -> None:
    answers: Given = {"avoidable_ed_visits_12m": visits, "avoidable_stays_12m": stays}
    assert result(screened(answers, form="child_youth", age=7), "avoidable_utilization") == expected


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        (CCS, "unmet"),
        (CCS | {"lacks_transportation": True}, "met"),
        (CCS | {"ace_score": 4}, "met"),
        (CCS | {"other_social_factor": True}, "unknown"),
        (CCS | {"other_social_factor": "Lead in the walls of the home"}, "met"),
        (CCS | {"lacks_food": True, "ccs_enrolled": False}, "unmet"),
    ],
)
def test_ccs_needs_a_social_factor(answers: Given, expected: str) -> None:
    assert result(screened(answers, form="child_youth", age=7), "ccs") == expected


@pytest.mark.parametrize(
    ("groups", "pregnant", "expected"),
    [
        (("black",), True, "met"),
        (("white", "pacific_islander"), True, "met"),
        (("american_indian_or_alaska_native",), True, "met"),
        (("white",), True, "unmet"),
        ((), True, "unknown"),
        (("black",), False, "unmet"),
        (("black",), None, "unknown"),
    ],
)
@pytest.mark.parametrize(("form", "age"), [("adult", 30), ("child_youth", 17)])
def test_birth_equity_by_the_members_own_word(
    groups: Sequence[str], pregnant: bool | None, expected: str, form: str, age: int
) -> None:
    screening = screened({"pregnant_or_postpartum": pregnant}, form=form, age=age, groups=groups)
    assert result(screening, "birth_equity") == expected
    assert ("birth_equity_groups/cdph-maternal-health@2024-01-01" in screening.policy) is bool(groups)


def test_an_unlisted_population_lends_a_child_nothing_of_the_adults() -> None:
    screening = screened({**LTC, **NF}, form="child_youth", age=16)
    assert {"ltc_community", "nf_transition"}.isdisjoint({each.code for each in screening.populations})


def test_every_leaf_of_the_file_is_reached_by_the_sweep() -> None:
    for row in ROWS:
        swept = {leaf.key for leaf, _ in pivots(row["condition"])}
        assert swept == {leaf.key for leaf in leaves(row["condition"])}
