"""A death, and an ending of services, that somebody told: a person of the plan judges the term; taken back, nobody does."""

from __future__ import annotations

from datetime import timedelta

import pytest

from authorization.domain.rules import DECIDER
from loopkeeper.contract.events import (
    OutreachServiceEnded,
    OutreachTakenBack,
    ReferralBackInCustody,
    ReferralDeathConfirmed,
    ReferralDeathTakenBack,
    ReferralDeathTold,
)
from loopkeeper.testing.rules import MONDAY, given
from tests.builders.authorization import amended, opened, pending, received
from tests.builders.facts import TODAY, closed

DUE = MONDAY + timedelta(days=2)
TOLD = ReferralDeathTold(occurred_at=MONDAY, by="provider", due_at=DUE)
CONFIRMED = ReferralDeathConfirmed(occurred_at=MONDAY)
TAKEN_BACK = ReferralDeathTakenBack(occurred_at=MONDAY)
FACT = received(claim=None)
SERVED = given(DECIDER, FACT, *opened(FACT), closed("services_received")).state


def test_a_death_that_was_told_is_judged_by_code_14_7_7() -> None:
    asked = given(DECIDER, TOLD, state=SERVED).state.discontinuation
    assert asked is not None
    assert (asked.why, asked.code, asked.due_at) == ("death_told", 14, DUE)
    sure = given(DECIDER, TOLD, CONFIRMED, state=SERVED).state.discontinuation
    assert sure is not None
    assert (sure.why, sure.code) == ("deceased", 14)


@pytest.mark.parametrize("facts", [(TOLD,), (TOLD, CONFIRMED)])
def test_taken_back_nothing_is_judged_any_more_7_7_8_7(facts: tuple[ReferralDeathTold, ...]) -> None:
    assert given(DECIDER, *facts, TAKEN_BACK, state=SERVED).state.discontinuation is None


def test_an_open_loop_that_closes_for_it_is_judged_by_the_same_code() -> None:
    state = given(DECIDER, FACT, *opened(FACT), TOLD, CONFIRMED, closed("no_longer_eligible")).state
    assert state.discontinuation is not None
    assert state.discontinuation.code == 14


def test_before_a_term_there_is_nothing_to_judge() -> None:
    assert given(DECIDER, TOLD, CONFIRMED, state=pending()).state.discontinuation is None


def test_back_in_custody_while_served_the_plan_judges_until_a_new_day_is_told_3_7() -> None:
    back = ReferralBackInCustody(occurred_at=MONDAY, on=TODAY, due_at=DUE)
    state = given(DECIDER, back, state=SERVED).state
    assert state.discontinuation is not None
    assert (state.discontinuation.why, state.discontinuation.code) == ("in_custody", 5)
    assert state.release_on is None
    out = amended("release_date", release_on=TODAY + timedelta(days=20))
    assert given(DECIDER, out, state=state).state.discontinuation is None


def test_an_ending_of_services_recorded_in_error_opens_nothing_8_7() -> None:
    over = OutreachServiceEnded(occurred_at=MONDAY, assignment="asg_1", code=1, on=TODAY)
    error = OutreachTakenBack(
        occurred_at=MONDAY, assignment="asg_1", what="service_ended", because="another_member"
    )
    assert given(DECIDER, over, state=SERVED).state.discontinuation is not None
    assert given(DECIDER, over, error, state=SERVED).state.discontinuation is None
    other = error.model_copy(update={"what": "attempted"})
    assert given(DECIDER, over, other, state=SERVED).state.discontinuation is not None
