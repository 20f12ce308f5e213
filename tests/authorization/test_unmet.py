"""A denial for unmet criteria says of each population which criterion of its own is not met, and why (loop.md 4.3)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from authorization.domain.rules import DECIDER
from authorization.domain.state import Authorization
from authorization.persistence import policy_lookup
from loopkeeper.contract.events import AuthorizationDenied, ScreenedPopulation, Unmet
from loopkeeper.policy import Policy
from loopkeeper.policy.reading import installed, load
from loopkeeper.testing.rules import MONDAY, given
from tests.builders.authorization import (
    FREQUENT,
    UNMET_FREQUENT,
    UNMET_HOMELESS,
    WHY,
    approval,
    deny,
    modify,
    pending,
)
from tests.builders.facts import HOMELESS

BOTH = (HOMELESS, FREQUENT)


@pytest.fixture(scope="module")
def policy() -> Policy:
    return load(installed())


NOT_MET = ScreenedPopulation(code="homelessness", result="unmet", claimed=True)
UNKNOWN = ScreenedPopulation(code="homelessness", result="unknown", claimed=True)
UNCLAIMED = ScreenedPopulation(code="homelessness", result="unmet")


def judged(*unmet: Unmet) -> Any:
    return deny("criteria_not_met", licensed=True, unmet=unmet)


@pytest.mark.parametrize("asked", [HOMELESS, NOT_MET, UNKNOWN, UNCLAIMED], ids=lambda each: each.result)
def test_whatever_the_screening_says_a_criterion_is_picked_4_3(asked: ScreenedPopulation) -> None:
    state = pending(populations=(asked,))
    given(DECIDER, state=state).when(judged()).refused("criterion-required")
    denied, *_ = given(DECIDER, state=state).when(judged(UNMET_HOMELESS)).events
    assert isinstance(denied, AuthorizationDenied)
    assert denied.unmet == (UNMET_HOMELESS,)


@pytest.mark.parametrize(
    "unmet",
    [
        (UNMET_HOMELESS,),
        (UNMET_FREQUENT,),
        (UNMET_HOMELESS, UNMET_HOMELESS, UNMET_FREQUENT),
        (UNMET_HOMELESS, UNMET_FREQUENT.model_copy(update={"criterion": "in_shelter"})),
        (UNMET_HOMELESS, UNMET_FREQUENT.model_copy(update={"criterion": ""})),
        (UNMET_HOMELESS, UNMET_FREQUENT.model_copy(update={"why": " "})),
        (UNMET_HOMELESS, UNMET_FREQUENT, UNMET_FREQUENT.model_copy(update={"population": "smi_sud"})),
    ],
    ids=["one silent", "the other silent", "twice", "another's", "none", "no words", "not of the referral"],
)
def test_each_population_that_is_denied_has_one_of_its_own_row_and_words_4_3(
    unmet: tuple[Unmet, ...],
) -> None:
    refusal = given(DECIDER, state=pending(populations=BOTH)).when(judged(*unmet)).refusal
    assert refusal.slug == "criterion-required"
    assert "deny" in refusal.allowed


def test_the_refusal_lists_what_may_be_picked() -> None:
    fix = given(DECIDER, state=pending(populations=BOTH)).when(judged(UNMET_HOMELESS)).refusal.fix
    assert "avoidable_utilization: avoidable_ed_visits_6m, avoidable_stays_6m" in fix
    assert "in_shelter" not in fix


def test_in_part_what_is_denied_says_so_and_what_is_approved_cannot_4_3() -> None:
    state = pending(populations=BOTH)
    decided = approval(given(DECIDER, state=state).when(modify(("homelessness",))).events)
    assert decided.adverse is not None
    assert decided.adverse.unmet == (UNMET_FREQUENT,)
    given(DECIDER, state=state).when(modify(("homelessness",), unmet=())).refused("criterion-required")
    both = (UNMET_HOMELESS, UNMET_FREQUENT)
    given(DECIDER, state=state).when(modify(("homelessness",), unmet=both)).refused("criterion-required")


def test_under_another_reason_no_criterion_is_judged() -> None:
    given(DECIDER, state=pending()).when(deny("deceased", unmet=(UNMET_HOMELESS,))).refused("illegal-move")


def of(form: str, *codes: str, at_days: int = 0) -> Authorization:
    populations = tuple(ScreenedPopulation(code=code, result="unmet") for code in codes)
    received_at = MONDAY + timedelta(days=at_days)
    return Authorization(
        plan="harbor-health-plan", form=form, populations=populations, received_at=received_at
    )


def test_the_criteria_are_those_of_the_populations_own_rows_of_form_and_day(policy: Policy) -> None:
    adult = policy_lookup.criteria(policy, of("adult", "homelessness", "avoidable_utilization"), MONDAY)
    assert adult["avoidable_utilization"] == ("avoidable_ed_visits_6m", "avoidable_stays_6m")
    assert "transitional_rent" in adult["homelessness"]
    assert "shares_housing" in adult["homelessness"]
    child = policy_lookup.criteria(policy, of("child_youth", "avoidable_utilization"), MONDAY)
    assert child["avoidable_utilization"] == ("avoidable_ed_visits_12m", "avoidable_stays_12m")
    before = policy_lookup.criteria(policy, of("adult", "homelessness", at_days=-100), MONDAY)
    assert "transitional_rent" not in before["homelessness"]


def test_a_population_of_the_other_age_group_has_its_rows_and_the_age(policy: Policy) -> None:
    found = policy_lookup.criteria(policy, of("adult", "ccs"), MONDAY)
    assert found["ccs"][-1] == "age"
    assert len(found["ccs"]) > 1


def test_one_nobody_has_rows_for_is_judged_in_words_alone(policy: Policy) -> None:
    assert policy_lookup.criteria(policy, of("adult", "of_tomorrow"), MONDAY) == {"of_tomorrow": ()}
    words = Unmet(population="homelessness", criterion="", why=WHY)
    state = pending(populations=(NOT_MET,))
    denied, *_ = (
        given(DECIDER, state=state)
        .when(deny("criteria_not_met", licensed=True, unmet=(words,), criteria={"homelessness": ()}))
        .events
    )
    assert isinstance(denied, AuthorizationDenied)
    assert denied.unmet == (words,)
