"""Screening: who meets a population, by the answers alone, under the rows of the day."""

from __future__ import annotations

from datetime import date
from itertools import product
from pathlib import Path

import pytest
import yaml

from loopkeeper.policy import Policy, check
from loopkeeper.policy.conditions import Count, Words, leaves
from loopkeeper.policy.reading import files, load
from referral_intake.domain.form.screening import ANSWERS, FACTS, Screening, screen

PACKAGED = Path(files.__file__).parents[1]
POLICY = load([PACKAGED])
MARCH = date(2026, 3, 3)
LAST_YEAR = date(2025, 12, 31)

HOUSING = (
    "no_regular_residence",
    "place_not_for_sleeping",
    "in_shelter",
    "leaving_institution_homeless",
    "losing_housing_30d",
    "fleeing_violence",
)
NEED = ("complex_need", "cannot_self_manage", "coordination_would_help")
NOT_HOMELESS = dict.fromkeys((*HOUSING, "transitional_rent", "family_with_under_21"), False)

# David, 62, three years in a tent behind a gas station; diabetes, hypertension, pain.
DAVID: dict[str, bool | int | str | None] = {"place_not_for_sleeping": True, **dict.fromkeys(NEED, True)}

Given = dict[str, "bool | int | str | None"]


def screened(
    answers: Given,
    claimed: tuple[str, ...] = (),
    *,
    on: date = MARCH,
    plan: str = "harbor-health-plan",
    policy: Policy = POLICY,
) -> Screening:
    return screen(policy, on=on, plan=plan, form="adult", answers=answers, claimed=claimed)


def result(screening: Screening, population: str) -> str:
    return {each.code: each.result for each in screening.populations}[population]


# ── homelessness ──────────────────────────────────────────────────────────────────────────────────────────


def test_david_meets_homelessness_and_is_asked_nothing_more() -> None:
    screening = screened(DAVID, ("homelessness",))
    assert result(screening, "homelessness") == "met"
    assert screening.missing == ()
    assert "populations/homelessness-adult@2026-01-01" in screening.policy


@pytest.mark.parametrize("living", HOUSING)
def test_any_one_living_situation_is_enough(living: str) -> None:
    answers: Given = {**NOT_HOMELESS, living: True, **dict.fromkeys(NEED, True)}
    assert result(screened(answers), "homelessness") == "met"


@pytest.mark.parametrize("housing", [True, False, None])
@pytest.mark.parametrize("needs", list(product([True, False, None], repeat=3)))
@pytest.mark.parametrize("pregnant", [True, False, None])
@pytest.mark.parametrize("rent", [True, False, None])
def test_homelessness_by_the_states_words(
    housing: bool | None, needs: tuple[bool | None, ...], pregnant: bool | None, rent: bool | None
) -> None:
    answers: Given = {
        **NOT_HOMELESS,
        "in_shelter": housing,
        **dict(zip(NEED, needs, strict=True)),
        "pregnant_or_postpartum": pregnant,
        "transitional_rent": rent,
    }

    def by_hand(unknown: bool) -> bool:
        """The criteria with everything unanswered taken as this."""
        said = {name: unknown if value is None else value for name, value in answers.items()}
        need = all(said[name] for name in NEED) or said["pregnant_or_postpartum"]
        return bool((any(said[name] for name in HOUSING) and need) or said["transitional_rent"])

    expected = "met" if by_hand(False) else "unknown" if by_hand(True) else "unmet"
    assert result(screened(answers), "homelessness") == expected


def test_before_2026_transitional_rent_alone_meets_nothing() -> None:
    answers: Given = {**NOT_HOMELESS, "transitional_rent": True}
    assert result(screened(answers, on=MARCH), "homelessness") == "met"
    before = screened(answers, on=LAST_YEAR)
    assert result(before, "homelessness") == "unmet"
    assert "populations/homelessness-adult@2022-01-01" in before.policy


# ── avoidable utilization ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("visits", "stays", "expected"),
    [
        (4, 2, "unmet"),
        (5, 2, "met"),
        (6, 2, "met"),
        (4, 3, "met"),
        (4, 4, "met"),
        (5, 3, "met"),
        (0, 0, "unmet"),
        (5, None, "met"),
        (None, 3, "met"),
        (4, None, "unknown"),
        (None, 2, "unknown"),
        (None, None, "unknown"),
    ],
)
def test_avoidable_utilization_at_and_around_its_thresholds(
    visits: int | None, stays: int | None, expected: str
) -> None:
    answers: Given = {"avoidable_ed_visits_6m": visits, "avoidable_stays_6m": stays}
    assert result(screened(answers), "avoidable_utilization") == expected


def test_a_number_written_as_text_is_no_answer() -> None:
    answers: Given = {"avoidable_ed_visits_6m": "9", "avoidable_stays_6m": 0}
    assert result(screened(answers), "avoidable_utilization") == "unknown"


# ── claims ────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_ticked_box_meets_nothing_by_itself() -> None:
    screening = screened({**NOT_HOMELESS}, ("homelessness",))
    claimed = next(each for each in screening.populations if each.code == "homelessness")
    assert (claimed.result, claimed.claimed) == ("unmet", True)


def test_what_is_met_though_unclaimed_is_suggested() -> None:
    screening = screened({**DAVID, "avoidable_stays_6m": 3}, ("homelessness",))
    assert screening.suggested == ("avoidable_utilization",)


@pytest.mark.parametrize(
    "claimed", [(), ("homelessness",), ("avoidable_utilization",), ("homelessness", "smi_sud")]
)
def test_a_claim_never_changes_a_result(claimed: tuple[str, ...]) -> None:
    answers: Given = {**DAVID, "avoidable_ed_visits_6m": 5}
    results = {each.code: each.result for each in screened(answers, claimed).populations}
    assert results["homelessness"] == results["avoidable_utilization"] == "met"


def test_a_claimed_population_without_criteria_here_is_left_to_a_person() -> None:
    screening = screened(DAVID, ("ccs",))
    assert [each.code for each in screening.populations] == [
        "homelessness", "avoidable_utilization", "smi_sud", "incarceration", "ltc_community", "nf_transition", "ccs",
        "child_welfare", "birth_equity",
    ]  # fmt: skip
    assert result(screening, "ccs") == "unknown"
    assert screening.criteria["ccs"] == ()


# ── what is still to ask ──────────────────────────────────────────────────────────────────────────────────


def test_only_what_could_still_settle_a_claimed_population_is_asked() -> None:
    answers: Given = {"in_shelter": True, "complex_need": True, "pregnant_or_postpartum": False}
    screening = screened(answers, ("homelessness",))
    assert screening.missing == (
        "cannot_self_manage", "coordination_would_help", "transitional_rent", "family_with_under_21",
    )  # fmt: skip


def test_once_one_population_is_met_nothing_further_is_asked() -> None:
    screening = screened({"avoidable_stays_6m": 3}, ("homelessness", "avoidable_utilization"))
    assert result(screening, "homelessness") == "unknown"
    assert screening.missing == ()


def test_without_a_claim_only_populations_of_which_something_was_said_are_asked_about() -> None:
    answers: Given = {**NOT_HOMELESS, "transitional_rent": None, "avoidable_ed_visits_6m": 4}
    assert screened(answers).missing == ("transitional_rent", "avoidable_stays_6m")
    assert screened({}).missing == ()


def test_when_the_claimed_one_is_unmet_the_others_are_asked_about() -> None:
    screening = screened({**NOT_HOMELESS, "avoidable_ed_visits_6m": 2}, ("homelessness",))
    assert screening.missing == ("avoidable_stays_6m",)


# ── explained ─────────────────────────────────────────────────────────────────────────────────────────────


def test_every_criterion_is_told_with_its_result_and_none_of_the_answers() -> None:
    screening = screened({"avoidable_ed_visits_6m": 41, "avoidable_stays_6m": 1})
    told = [(each.sentence, each.result) for each in screening.criteria["avoidable_utilization"]]
    assert told == [
        ("5 or more avoidable emergency room visits in six months.", "met"),
        (
            "3 or more avoidable unplanned hospital or short-term skilled nursing stays in six months.",
            "unmet",
        ),
    ]


def test_every_answer_the_rows_ask_for_is_on_the_form_and_of_its_kind() -> None:
    kinds = {
        leaf.key: "count" if isinstance(leaf, Count) else "words" if isinstance(leaf, Words) else "yes_no"
        for row in POLICY.all_rows
        if row.table == "populations"
        for column in ("condition", "doubt", "raised_by")
        if row[column] is not None
        for leaf in leaves(row[column])
    }
    known = {**ANSWERS, **FACTS}
    assert kinds == {name: answer.type for name, answer in known.items()}
    assert POLICY.tables["populations"].columns["condition"].allowed == frozenset(known)


# ── policy is data ────────────────────────────────────────────────────────────────────────────────────────


def edited(folder: Path, change: dict[str, str], adds: str = "") -> Policy:
    """The packaged file with these words replaced, in place of all that is packaged, and perhaps the operator's own."""
    text = (PACKAGED / "populations.yaml").read_text()
    for words, others in change.items():
        assert words in text
        text = text.replace(words, others)
    packaged, own = folder / "policy", folder / "own"
    for each in (packaged, own):
        each.mkdir(exist_ok=True)
    (packaged / "populations.yaml").write_text(text)
    (own / "rows.yaml").write_text(adds)
    with pytest.MonkeyPatch.context() as place:
        place.setattr(files, "CHASSIS", packaged)
        return load([packaged], own)


def test_editing_a_threshold_changes_the_result_and_its_sentence(tmp_path: Path) -> None:
    policy = edited(tmp_path, {"avoidable_ed_visits_6m, at_least: 5": "avoidable_ed_visits_6m, at_least: 4"})
    answers: Given = {"avoidable_ed_visits_6m": 4, "avoidable_stays_6m": 0}
    assert result(screened(answers), "avoidable_utilization") == "unmet"
    after = screened(answers, policy=policy)
    assert result(after, "avoidable_utilization") == "met"
    assert after.criteria["avoidable_utilization"][0].sentence.startswith("4 or more")


def test_editing_a_date_changes_from_when_a_row_holds(tmp_path: Path) -> None:
    policy = edited(
        tmp_path, {"2025-12-31": "2026-06-30", "effective_from: 2026-01-01": "effective_from: 2026-07-01"}
    )
    assert check(policy) == []
    answers: Given = {**NOT_HOMELESS, "transitional_rent": True}
    assert result(screened(answers, policy=policy), "homelessness") == "unmet"
    assert result(screened(answers, policy=policy, on=date(2026, 7, 1)), "homelessness") == "met"


def test_a_later_dated_row_leaves_older_referrals_as_decided(tmp_path: Path) -> None:
    later = next(yaml.safe_load_all((PACKAGED / "populations.yaml").read_text()))["rows"][3] | {
        "effective_from": date(2026, 9, 1),
        "condition": {"any": [{"count": "avoidable_ed_visits_6m", "at_least": 2}]},
    }
    policy = edited(
        tmp_path,
        {
            "effective_from: 2022-01-01\n    source: ECMG26 p19, 21": "effective_from: 2022-01-01\n"
            "    effective_to: 2026-08-31\n    source: ECMG26 p19, 21"
        },
        yaml.safe_dump({"table": "populations", "rows": [later]}),
    )
    assert check(policy) == []
    answers: Given = {"avoidable_ed_visits_6m": 3, "avoidable_stays_6m": 0}
    assert screened(answers, policy=policy) == screened(answers)
    assert result(screened(answers, policy=policy, on=date(2026, 9, 1)), "avoidable_utilization") == "met"


OWN_THRESHOLDS = """
table: populations
rows:
  - id: harbor-lower
    plan: harbor-health-plan
    population: avoidable_utilization
    form: adult
    condition: {any: [{count: avoidable_ed_visits_6m, at_least: 3}, {count: avoidable_stays_6m, at_least: 2}]}
    effective_from: 2026-02-01
    source: Harbor's member handbook
    confidence: ours
"""


def test_a_plan_that_lowers_the_numbers_lets_its_own_members_in(tmp_path: Path) -> None:
    policy = edited(tmp_path, {}, OWN_THRESHOLDS)
    assert check(policy) == []
    answers: Given = {"avoidable_ed_visits_6m": 3, "avoidable_stays_6m": 0}
    own = screened(answers, policy=policy)
    assert result(own, "avoidable_utilization") == "met"
    assert "harbor-health-plan/populations/harbor-lower@2026-02-01" in own.policy
    assert result(screened(answers, policy=policy, plan="valley-care"), "avoidable_utilization") == "unmet"


def test_a_plan_that_raises_them_or_touches_homelessness_is_refused(tmp_path: Path) -> None:
    higher = check(edited(tmp_path, {}, OWN_THRESHOLDS.replace("at_least: 3", "at_least: 6")))
    assert [each.sentence for each in higher] == [
        "It is narrower than, or other than, populations/avoidable-utilization-adult@2022-01-01."
    ]
    other = check(
        edited(tmp_path, {}, OWN_THRESHOLDS.replace("population: avoidable_u", "population: homelessness #"))
    )
    assert [each.sentence for each in other] == ["A plan may not change population homelessness."]
