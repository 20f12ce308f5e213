"""What the state says must be authorized, with nothing more asked: it waits for neither the switch nor the sample."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest

from authorization.api.explanation import WHY_IT_MUST, explain
from authorization.domain.commands import OpenReview
from authorization.domain.rules import DECIDER
from authorization.persistence.context import AuthorizationLoaded
from loopkeeper.contract.events import AuthorizationReviewOpened, Eligibility, Linked, ScreenedPopulation
from loopkeeper.policy import Policy
from loopkeeper.policy.reading import installed, load
from loopkeeper.testing.rules import given
from tests.builders.authorization import (
    RULES,
    UNSURE,
    amend,
    amended,
    approval,
    looked_up,
    opened,
    received,
    wires,
)
from tests.builders.facts import HOMELESS
from tests.builders.organizations import CLINIC, HARBOR

ROWS = {
    each: f"must_authorize/{each}"
    for each in ("plan_change", "transitional_rent", "release_day", "overturned")
}
# Nothing is switched on, and everything would be drawn.
MUST = RULES.model_copy(update={"automatic": {}, "must": ROWS})
DRAWN = MUST.model_copy(update={"automatic": {"homelessness": 1.0}})
UNANSWERED = ScreenedPopulation(code="homelessness", result="unknown", claimed=True)
HOW = ["old_plan", "data_feed", "member", "provider", "other"]


@pytest.fixture(scope="module")
def policy() -> Policy:
    return load(installed())


@pytest.mark.parametrize("how", HOW)
def test_who_received_ecm_in_the_last_90_days_of_the_old_plan_is_authorized_however_learned_4_9(
    how: str,
) -> None:
    """loop.md 4.9, ECMG26 p110-111: without further steps, so neither criteria nor attestation are asked for."""
    fact = received(claim=None, attested=False, populations=(UNANSWERED,), flags=(f"plan_change_{how}",))
    decided = approval(opened(fact, MUST))
    assert (decided.must, decided.by) == ("plan_change", "rule")
    assert decided.populations == ("homelessness",)
    assert decided.policy == (ROWS["plan_change"],)


def test_after_a_change_of_plans_no_population_is_asked_for_4_9() -> None:
    """loop.md 4.9, ECMG26 p111: the new plan has no other steps."""
    fact = received(claim=None, populations=(), flags=("plan_change_member",))
    assert approval(opened(fact, MUST)).populations == ()


def test_it_is_enough_to_learn_of_it_later_4_9() -> None:
    fact = received(claim=None, attested=False, populations=(UNANSWERED,))
    state = given(DECIDER, fact, *opened(fact, MUST)).state
    learned = amended("corrected", flags=("plan_change_data_feed",))
    given(DECIDER, state=state).when(amend(learned, MUST)).then("authorization.approved")


def test_transitional_rent_is_authorized_under_homelessness_4_2() -> None:
    """ECMG26 p18."""
    fact = received(claim=None, populations=(HOMELESS,), flags=("transitional_rent",))
    decided = approval(opened(fact, MUST))
    assert (decided.must, decided.populations) == ("transitional_rent", ("homelessness",))


@pytest.mark.parametrize(
    "said",
    [{"flags": ("transitional_rent",)}, {"flags": ("plan_change_member",)}, {"release_on": date(2026, 3, 9)}],
)
def test_neither_switch_nor_sample_holds_it_up_4_2(said: dict[str, Any]) -> None:
    for rules in (MUST, DRAWN):
        assert wires(opened(received(claim=None, **said), rules, draw=0.0)) == ["review_opened", "approved"]


def test_what_no_row_names_waits_like_any_other() -> None:
    """Transitional Rent is a trigger from 2026 on."""
    bare = MUST.model_copy(update={"must": {}})
    assert wires(opened(received(claim=None, flags=("transitional_rent",)), bare)) == ["review_opened"]


@pytest.mark.parametrize(
    ("said", "known", "why"),
    [
        ({"eligibility": UNSURE}, {}, "eligibility_unconfirmed"),
        ({"eligibility": Eligibility(state="confirmed", programs=("pace",))}, {}, "exclusive_program"),
        ({}, {"open_with": CLINIC}, "already_authorized"),
        ({"attested": False}, {}, "not_attested"),
    ],
)
def test_who_the_member_is_and_what_excludes_ecm_a_person_still_looks_at(
    said: dict[str, Any], known: dict[str, Any], why: str
) -> None:
    review, *_ = opened(received(claim=None, flags=("transitional_rent",), **said), MUST, **known)
    assert isinstance(review, AuthorizationReviewOpened)
    assert review.needs_person == (why,)


def test_a_program_that_was_ticked_and_found_wrong_excludes_nobody_4_4() -> None:
    ticked = ("transitional_rent", "program_hospice")
    (review,) = opened(received(claim=None, flags=ticked), MUST)
    assert isinstance(review, AuthorizationReviewOpened)
    assert review.needs_person == ("exclusive_program",)
    found = received(claim=None, flags=(*ticked, "not_in_hospice"))
    assert wires(opened(found, MUST)) == ["review_opened", "approved"]


def test_what_the_plan_says_of_its_own_member_nobody_attests() -> None:
    fact = received(claim=None, attested=False, referrer=HARBOR, flags=("transitional_rent",))
    assert wires(opened(fact, MUST)) == ["review_opened", "approved"]


def test_an_overturned_denial_is_authorized_at_once_4_8() -> None:
    """loop.md 4.8: every objection to it was judged."""
    fact = received(
        claim=None, attested=False, populations=(UNANSWERED,), eligibility=UNSURE,
        linked=Linked(to="ref_old", why="overturned"),
    )  # fmt: skip
    decided = approval(opened(fact, MUST, open_with=CLINIC))
    assert (decided.must, decided.populations) == ("overturned", ("homelessness",))
    other = received(claim=None, attested=False, linked=Linked(to="ref_old", why="contested"))
    assert wires(opened(other, MUST)) == ["review_opened"]


@pytest.mark.parametrize(
    ("day", "triggers"),
    [
        (date(2026, 3, 2), {"plan_change", "transitional_rent", "release_day", "overturned"}),
        (date(2025, 12, 31), {"plan_change", "release_day", "overturned"}),
        (date(2023, 12, 31), {"overturned"}),
    ],
)
def test_what_must_be_authorized_is_dated_data_4_2(policy: Policy, day: date, triggers: set[str]) -> None:
    begun = datetime(day.year, day.month, day.day, 20, 0, tzinfo=UTC)
    fact = received(claim=None, occurred_at=begun)
    filled: Any = looked_up(
        AuthorizationLoaded(policy, {}, {}), "ref_1", given(DECIDER, fact).state, OpenReview(fact=fact), begun
    )
    assert set(filled.rules.must) == triggers


def test_every_trigger_has_its_sentence() -> None:
    assert set(WHY_IT_MUST) == set(ROWS)
    fact = received(claim=None, flags=("plan_change_member",))
    lines = explain(given(DECIDER, fact, *opened(fact, MUST)).state).lines
    assert any("last 90 days" in line for line in lines)
