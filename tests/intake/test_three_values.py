"""Screening is three-valued throughout: what is stated counts, what nobody said neither bars nor asks, and the same
answers give the same result whichever way they come (loop.md 2.4)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any

import pytest

from loopkeeper.contract.events import ReferralReceived, ScreenedPopulation
from referral_intake.domain.duplicates import added, joined
from referral_intake.domain.form.examples import example_adult, example_child
from referral_intake.domain.form.screening import Screening, screen
from referral_intake.domain.state import Referral
from tests.builders.standard_forms import POLICY, asked, body, read
from tests.intake.populations import CCS, LTC, NF, SMI, result, screened

MARCH = date(2026, 3, 3)
WORDS = "The landlord locks the only bathroom at night"
Answers = Mapping[str, "bool | int | str | None"]

# ── an exclusion bars only when stated (ECMG26 p34-35, 38) ────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("population", "answers"), [("ltc_community", LTC), ("nf_transition", NF)], ids=["p34-35", "p38"]
)
@pytest.mark.parametrize(("said", "expected"), [(True, "unmet"), (False, "met"), (None, "met")])
def test_an_intermediate_care_or_subacute_facility_excludes_only_who_is_said_to_be_in_or_near_one(
    population: str, answers: Answers, said: bool | None, expected: str
) -> None:
    screening = screened({**answers, "icf_or_subacute": said}, claimed=[population])
    assert result(screening, population) == expected
    assert "icf_or_subacute" not in screening.missing


def test_an_exclusion_nobody_stated_is_never_asked_for_while_criteria_are_open() -> None:
    screening = screened({"snf_level_of_care": True}, claimed=["ltc_community", "nf_transition"])
    assert result(screening, "ltc_community") == "unknown"
    assert {"icf_or_subacute", "nf_resident"}.isdisjoint(set(screening.missing) - {"nf_resident"})
    assert "icf_or_subacute" not in screening.missing


# ── an open list is met by an attested other factor in words (ECMG26 p24, 34, 42) ─────────────────────────

LISTED: Mapping[str, Sequence[str]] = {
    # p24: "e.g."; p34: "including, but not limited to"; p42: "Examples include (but are not limited to)".
    "smi_sud": ("lacks_food", "lacks_stable_housing", "cannot_work_or_engage", "former_foster_youth",
                "law_enforcement_contact"),
    "ltc_community": ("adl_help", "communication_difficulty", "lacks_food", "lacks_stable_housing", "lives_alone",
                      "guided_decisions", "poor_caregiving"),
    "ccs": ("lacks_food", "lacks_stable_housing", "lacks_transportation", "law_enforcement_contact",
            "crisis_intervention"),
}  # fmt: skip
OPEN_LISTS: Mapping[str, tuple[str, int, Answers]] = {
    "smi_sud": ("adult", 40, SMI),
    "ltc_community": ("adult", 70, LTC),
    "ccs": ("child_youth", 7, CCS),
}


def open_list(
    population: str, *, attested: bool = True, **said: bool | int | str | None
) -> ScreenedPopulation:
    """The population where no listed factor is so, with what else is said."""
    form, age, answers = OPEN_LISTS[population]
    none = {**dict.fromkeys(LISTED[population], False), "ace_score": 0}
    screening = screened({**answers, **none, **said}, form=form, age=age, attested=attested)
    return next(each for each in screening.populations if each.code == population)


@pytest.mark.parametrize("population", sorted(OPEN_LISTS))
@pytest.mark.parametrize(
    ("said", "attested", "expected", "by"),
    [
        (WORDS, True, "met", "other_factor"),
        (WORDS, False, "unknown", None),
        (True, True, "unknown", None),
        (None, True, "unknown", None),
        (False, True, "unmet", None),
    ],
)
def test_another_factor_meets_an_open_list_in_words_that_somebody_attests(
    population: str, said: bool | str | None, attested: bool, expected: str, by: str | None
) -> None:
    found = open_list(population, attested=attested, other_social_factor=said)
    assert (found.result, found.met_by) == (expected, by)


@pytest.mark.parametrize("population", sorted(OPEN_LISTS))
def test_beside_a_listed_factor_the_words_are_not_what_the_result_rests_on(population: str) -> None:
    for listed in LISTED[population]:
        found = open_list(population, other_social_factor=WORDS, **{listed: True})
        assert (found.result, found.met_by) == ("met", None)


@pytest.mark.parametrize("population", sorted(OPEN_LISTS))
def test_who_says_yes_without_words_is_asked_for_them_and_who_gave_them_is_not(population: str) -> None:
    form, age, answers = OPEN_LISTS[population]
    none = {**dict.fromkeys(LISTED[population], False), "ace_score": 0}

    def missing(said: bool | str, attested: bool = True) -> tuple[str, ...]:
        given = {**answers, **none, "other_social_factor": said}
        return screened(given, form=form, age=age, claimed=[population], attested=attested).missing

    assert "other_social_factor" in missing(True)
    assert "other_social_factor" not in missing(WORDS, attested=False)


def test_words_answer_nothing_but_the_question_that_asks_for_them() -> None:
    assert result(screened({**SMI, "high_risk": WORDS}), "smi_sud") == "unknown"


def test_the_receipt_says_that_a_person_judges_the_words() -> None:
    form, age, answers = OPEN_LISTS["ccs"]
    screening = screened({**answers, "other_social_factor": WORDS}, form=form, age=age)
    assert "no rule approves" in screening.notes["ccs"][0]
    assert WORDS not in repr(screening)


# ── the other age group (ECMG26 p11; exceptions p14, 32, 46) ──────────────────────────────────────────────

ADULT_ONLY, CHILD_ONLY = ("ltc_community", "nf_transition"), ("ccs",)


@pytest.mark.parametrize(
    ("form", "age", "population", "expected"),
    [
        *(("child_youth", 20, each, "unmet") for each in ADULT_ONLY),
        *(("adult", 21, each, "unmet") for each in CHILD_ONLY),
        # p46: having been in foster care on the 18th birthday or later, up to age 26.
        ("adult", 25, "child_welfare", "unknown"),
        ("adult", 26, "child_welfare", "unmet"),
        # p32 and p14: adults have rows of their own, for former foster youth and for families.
        ("adult", 25, "incarceration", "unknown"),
        ("adult", 40, "homelessness", "unknown"),
    ],
)
def test_a_population_of_the_other_age_group_is_unmet_where_a_birth_date_shows_it(
    form: str, age: int, population: str, expected: str
) -> None:
    assert result(screened({}, form=form, age=age, claimed=[population]), population) == expected


@pytest.mark.parametrize(("form", "population"), [("child_youth", "ltc_community"), ("adult", "ccs")])
def test_without_a_birth_date_the_other_age_group_is_left_to_a_person(form: str, population: str) -> None:
    for age, exact in ((None, False), (30, False), (None, True)):
        screening = screened({}, form=form, age=age, exact=exact, claimed=[population])
        assert result(screening, population) == "unknown"


def test_an_estimated_age_meets_a_criterion_and_fails_none() -> None:
    young, old = {"in_foster_care": True}, {"former_foster_youth": True}
    assert result(screened(young, form="child_youth", age=9, exact=False), "child_welfare") == "met"
    assert result(screened(old, age=27, exact=False), "child_welfare") == "unknown"
    assert result(screened(old, age=27, exact=True), "child_welfare") == "unmet"


def test_an_adult_who_lives_with_a_child_is_judged_as_a_family_p14() -> None:
    answers: Answers = {"family_with_under_21": True, "lives_in_motel_or_campground": True}
    assert result(screened(answers, age=40), "homelessness") == "met"


# ── a resident of a nursing facility (ECMG26 p34, 37) ─────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("resident", "five", "six"), [(True, "unmet", "met"), (False, "met", "unmet"), (None, "met", "unknown")]
)
def test_a_stated_resident_is_judged_under_population_6(resident: bool | None, five: str, six: str) -> None:
    answers = {**LTC, **NF, "nf_resident": resident}
    screening = screened(answers, claimed=["ltc_community"])
    assert (result(screening, "ltc_community"), result(screening, "nf_transition")) == (five, six)


def test_a_resident_claimed_under_population_5_is_asked_what_population_6_asks() -> None:
    screening = screened({**LTC, "nf_resident": True}, claimed=["ltc_community"])
    assert screening.missing == ("wants_to_leave_nf", "likely_to_succeed", "can_reside_continuously")
    assert "nf_transition" in screening.suggested


# ── claim alone, form, claim first and form after ─────────────────────────────────────────────────────────

CASES: Sequence[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("homelessness", example_adult(), {"place_not_for_sleeping": True, "complex_need": True,
                                       "cannot_self_manage": True, "coordination_would_help": True}),
    ("homelessness", example_adult(), {}),
    ("homelessness", example_adult(), {"place_not_for_sleeping": True}),
    ("ltc_community", example_adult(), dict(LTC) | {"nf_resident": True}),
    ("ltc_community", example_adult(), dict(LTC)),
    ("ccs", example_adult(), dict(CCS)),
    ("smi_sud", example_adult(), {"smhs_dmc_access": True, "high_risk": True, "other_social_factor": WORDS}),
    ("ccs", example_child(), dict(CCS) | {"other_social_factor": WORDS}),
    ("child_welfare", example_child(), {"in_foster_care": True}),
]  # fmt: skip


def sent(example: dict[str, Any], population: str, **changes: Any) -> Screening:
    """As reception screens it."""
    form = body(
        example, populations=[], presumptive={"population": population, "from": "2026-03-02"}, **changes
    )
    reading = read(form)
    return screen(
        POLICY, on=MARCH, plan=form.plan, form=reading.standard, answers=form.answers, claimed=reading.claimed,
        age=reading.age, exact=reading.birth_date is not None, attested=form.attestation.attested,
        groups=reading.groups,
    )  # fmt: skip


def referral(screening: Screening, kind: str) -> dict[str, Any]:
    return {"plan": "harbor-health-plan", "referrer": "harbor-street", "member": "mem_1", "kind": kind,
            "populations": screening.populations}  # fmt: skip


@pytest.mark.parametrize(("population", "example", "answers"), CASES)
def test_the_same_answers_give_the_same_result_whichever_way_they_come(
    population: str, example: dict[str, Any], answers: dict[str, Any]
) -> None:
    whole = sent(example, population, answers=answers)
    alone = sent(example, population, answers=answers, kind="presumptive_start")
    assert alone.populations == whole.populations
    at = datetime(2026, 3, 3, 18, tzinfo=UTC)
    start = Referral(**referral(alone, "presumptive_start"))
    for later in (whole, sent(example, population, answers={})):
        # The form that follows repeats the answers, or leaves them to the claim that has them.
        form = ReferralReceived(occurred_at=at, **referral(later, "full"))
        amended = joined(at, start, "ref_2", form, {})
        assert amended.populations == whole.populations


def test_the_formal_form_that_answers_otherwise_counts() -> None:
    tent = {"place_not_for_sleeping": True, "complex_need": True, "cannot_self_manage": True,
            "coordination_would_help": True}  # fmt: skip
    housed = dict.fromkeys(
        ("no_regular_residence", "place_not_for_sleeping", "in_shelter", "leaving_institution_homeless",
         "losing_housing_30d", "fleeing_violence", "transitional_rent", "family_with_under_21"), False,
    )  # fmt: skip
    start = Referral(**referral(sent(example_adult(), "homelessness", answers=tent), "presumptive_start"))
    at = datetime(2026, 3, 3, 18, tzinfo=UTC)
    form = ReferralReceived(
        occurred_at=at, **referral(sent(example_adult(), "homelessness", answers=housed), "full")
    )
    populations = joined(at, start, "ref_2", form, {}).populations or ()
    assert next(each for each in populations if each.code == "homelessness").result == "unmet"


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (("unknown", None), ("unmet", None), ("unmet", None)),
        (("unknown", None), ("met", None), ("met", None)),
        (("unmet", None), ("met", "other_factor"), ("met", "other_factor")),
        (("met", "other_factor"), ("met", None), ("met", None)),
        (("unknown", None), ("unknown", None), ("unknown", None)),
    ],
)
def test_of_two_referrals_of_one_member_what_one_knows_counts_in_either_order(
    one: tuple[Any, Any], other: tuple[Any, Any], expected: tuple[Any, Any]
) -> None:
    def knowing(said: tuple[Any, Any]) -> Referral:
        known = ScreenedPopulation(code="smi_sud", result=said[0], met_by=said[1])
        return Referral(populations=(known,))

    for first, second in ((one, other), (other, one)):
        before = knowing(first)
        after = added(before, knowing(second)).get("populations", before.populations)
        assert [(each.result, each.met_by) for each in after] == [expected]


def test_a_claim_marks_its_population_and_a_start_is_not_asked_whether_it_is_meant() -> None:
    claim = {"population": "homelessness", "from": "2026-03-02"}
    start = body(example_adult(), kind="presumptive_start", populations=[], presumptive=claim)
    assert read(start).claimed == ("homelessness",)
    assert "presumptive-population" not in asked(start)
    assert "populations" not in asked(body(example_adult(), populations=[], answers={}, presumptive=claim))
