"""What moves while a loop is open: the provider leaves, the coverage ends and returns (loop.md 5.10, 2.5)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from assignment.domain.commands import ProviderLeft, ProviderReturned
from assignment.domain.contexts import LeftContext, Limit
from assignment.domain.offers import carried
from assignment.domain.rules import DECIDER
from assignment.domain.state import status
from loopkeeper.contract.events import (
    AssignmentPlanAsked,
    AssignmentQuestionTakenBack,
    Eligibility,
    Event,
    ReferralAmended,
)
from loopkeeper.testing.rules import MONDAY, SEED, AskedCommand, given
from tests.builders.assignment import (
    APPROVED,
    OFFERED,
    PLAN_DUE,
    RECEIVED,
    TAKEN,
    by_hand,
    decline,
    heard,
    wires,
)
from tests.builders.facts import TODAY, accepted, closed, made
from tests.builders.organizations import NAVIGATORS, STREET

DAY = timedelta(days=1)


PROVIDER_LEFT = AssignmentPlanAsked(
    occurred_at=MONDAY, reason="provider_left", assignment="asg_1", due_at=PLAN_DUE
)


def change_requested() -> Event:
    return AssignmentPlanAsked(
        occurred_at=MONDAY, reason="change_requested", assignment="asg_1", due_at=PLAN_DUE
    )


def left(provider: str = STREET, *, contracted: bool = False, assignment: str = "asg_1") -> AskedCommand:
    limit = Limit(due_at=PLAN_DUE, at_risk_at=PLAN_DUE, refs=())
    context = LeftContext(at=MONDAY, seed=SEED, contracted=contracted, change=limit)
    return ProviderLeft(assignment=assignment, provider=provider), context


@pytest.mark.parametrize("facts", [OFFERED, TAKEN, (*TAKEN, closed("services_received"))])
def test_of_each_member_of_a_provider_that_leaves_the_plan_is_asked_once_5_10(
    facts: tuple[Event, ...],
) -> None:
    state = given(DECIDER, *facts).state
    (asked,) = given(DECIDER, state=state).when(left()).events
    assert isinstance(asked, AssignmentPlanAsked)
    assert (asked.reason, asked.assignment, asked.due_at) == ("provider_left", "asg_1", PLAN_DUE)
    given(DECIDER, asked, state=state).when(left()).then()


def test_nobodys_services_end_by_the_directory_and_the_plan_names_another_5_10() -> None:
    state = given(DECIDER, *TAKEN).when(left()).state
    assert status(state) == "accepted"
    given(DECIDER, state=state).when(by_hand(NAVIGATORS)).then("assignment.ended", "assignment.made")
    done = given(DECIDER, state=state).when(by_hand(NAVIGATORS)).state
    new = done.held_offer
    assert new is not None
    assert given(DECIDER, accepted(NAVIGATORS, new.assignment), state=done).state.change is None


@pytest.mark.parametrize(
    "asking",
    [left(contracted=True), left(NAVIGATORS), left(assignment="asg_9")],
    ids=["under contract again", "another provider", "another assignment"],
)
def test_of_who_may_serve_nothing_is_asked(asking: AskedCommand) -> None:
    given(DECIDER, *TAKEN).when(asking).then()


def returned(provider: str = STREET, *, contracted: bool = True, assignment: str = "asg_1") -> AskedCommand:
    _, context = left(contracted=contracted)
    return ProviderReturned(assignment=assignment, provider=provider), context


def test_a_provider_that_returns_takes_the_question_back_and_may_leave_again_5_10() -> None:
    state = given(DECIDER, *TAKEN).when(left()).state
    word = given(DECIDER, state=state).when(returned())
    (back,) = word.then("assignment.question_taken_back")
    assert isinstance(back, AssignmentQuestionTakenBack)
    assert (back.assignment, back.open) == ("asg_1", None)
    again = word.state
    assert again is not None
    assert (again.change, again.asked) == (None, "")
    given(DECIDER, state=again).when(returned()).then()
    given(DECIDER, state=again).when(left()).then("assignment.plan_asked")


def test_a_change_that_the_member_asked_for_stays_asked_for_5_10() -> None:
    state = given(DECIDER, *TAKEN, change_requested()).when(left()).state
    word = given(DECIDER, state=state).when(returned())
    (back,) = word.events
    assert isinstance(back, AssignmentQuestionTakenBack)
    assert (back.open, back.due_at) == ("change_requested", PLAN_DUE)
    again = word.state
    assert again is not None
    assert again.change is not None
    assert (again.change.left, again.change.requested, again.asked) == (False, True, "change_requested")


@pytest.mark.parametrize(
    ("facts", "asking"),
    [
        ((), returned()),
        ((PROVIDER_LEFT,), returned(contracted=False)),
        ((PROVIDER_LEFT,), returned(NAVIGATORS)),
        ((PROVIDER_LEFT,), returned(assignment="asg_9")),
    ],
    ids=["nothing was asked", "no contract", "another provider", "another assignment"],
)
def test_nothing_else_takes_the_question_back_5_10(facts: tuple[Event, ...], asking: AskedCommand) -> None:
    given(DECIDER, *TAKEN, *facts).when(asking).then()


def test_of_a_closed_loop_nothing_is_asked() -> None:
    given(DECIDER, *TAKEN, closed("withdrawn")).when(left()).then()


# ── coverage ──────────────────────────────────────────────────────────────────────────────────────────────

OVER = Eligibility.model_validate({"state": "ended", "from": TODAY - 400 * DAY, "through": TODAY - DAY})
LAST_DAY = Eligibility.model_validate({"state": "confirmed", "from": TODAY - 400 * DAY, "through": TODAY})
COVERED = Eligibility.model_validate({"state": "confirmed", "from": TODAY - 400 * DAY})
UNKNOWN = Eligibility()
NOT_FOUND = Eligibility(state="not_found")
LEFT_PLAN = Eligibility(state="left")


def learned(eligibility: Eligibility) -> ReferralAmended:
    return ReferralAmended(occurred_at=MONDAY, cause="roster", eligibility=eligibility)


def with_(eligibility: Eligibility) -> Any:
    return RECEIVED.model_copy(update={"eligibility": eligibility})


@pytest.mark.parametrize("eligibility", [UNKNOWN, NOT_FOUND, LEFT_PLAN, COVERED, LAST_DAY])
def test_every_other_answer_of_the_roster_is_offered_2_5(eligibility: Eligibility) -> None:
    given(DECIDER, with_(eligibility)).when(heard(APPROVED)).then("assignment.made")


def test_coverage_that_has_ended_brings_no_new_offer_and_the_plan_is_asked_2_5() -> None:
    (asked,) = given(DECIDER, with_(OVER)).when(heard(APPROVED)).events
    assert isinstance(asked, AssignmentPlanAsked)
    assert asked.reason == "coverage_ended"
    # Nor the next one, once somebody declines.
    offered = given(DECIDER, with_(OVER), APPROVED, made()).state
    declined = given(DECIDER, state=offered).when(decline()).events
    assert wires(declined) == ["declined", "plan_asked"]


def test_nor_one_by_hand_2_5() -> None:
    state = given(
        DECIDER, with_(OVER), APPROVED, *given(DECIDER, with_(OVER)).when(heard(APPROVED)).events
    ).state
    given(DECIDER, state=state).when(by_hand()).refused("not-covered")


def test_who_serves_goes_on_and_what_is_authorized_stays_so_2_5() -> None:
    state = given(DECIDER, *TAKEN, learned(OVER)).state
    assert state is not None
    assert status(state) == "accepted"
    assert carried(state, TODAY)


def test_once_it_returns_the_offer_is_made_2_5() -> None:
    state = given(
        DECIDER, with_(OVER), APPROVED, *given(DECIDER, with_(OVER)).when(heard(APPROVED)).events
    ).state
    given(DECIDER, state=state).when(heard(learned(COVERED))).then("assignment.made")
    given(DECIDER, state=state).when(
        heard(learned(OVER.model_copy(update={"through": TODAY - 2 * DAY})))
    ).then()
