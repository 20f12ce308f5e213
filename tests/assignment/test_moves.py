"""What moves while a loop is open: the provider leaves, the coverage ends and returns (loop.md 5.10, 2.5)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from assignment.domain.commands import ProviderLeft
from assignment.domain.contexts import LeftContext, Limit
from assignment.domain.offers import carried
from assignment.domain.state import status
from loopkeeper.contract.events import AssignmentPlanAsked, Eligibility, Event, ReferralAmended
from loopkeeper.testing.rules import MONDAY, SEED, AskedCommand
from tests.builders.assignment import (
    APPROVED,
    OFFERED,
    PLAN_DUE,
    RECEIVED,
    TAKEN,
    after,
    by_hand,
    decline,
    given,
    heard,
    refused,
    when,
    wires,
)
from tests.builders.facts import TODAY, accepted, closed, made
from tests.builders.organizations import NAVIGATORS, STREET

DAY = timedelta(days=1)


def left(provider: str = STREET, *, contracted: bool = False, assignment: str = "asg_1") -> AskedCommand:
    limit = Limit(due_at=PLAN_DUE, at_risk_at=PLAN_DUE, refs=())
    context = LeftContext(at=MONDAY, seed=SEED, contracted=contracted, change=limit)
    return ProviderLeft(assignment=assignment, provider=provider), context


@pytest.mark.parametrize("facts", [OFFERED, TAKEN, (*TAKEN, closed("services_received"))])
def test_of_each_member_of_a_provider_that_leaves_the_plan_is_asked_once_5_10(
    facts: tuple[Event, ...],
) -> None:
    state = given(*facts)
    (asked,) = when(state, left())
    assert isinstance(asked, AssignmentPlanAsked)
    assert (asked.reason, asked.assignment, asked.due_at) == ("provider_left", "asg_1", PLAN_DUE)
    assert when(after(state, asked), left()) == []


def test_nobodys_services_end_by_the_directory_and_the_plan_names_another_5_10() -> None:
    state = after(given(*TAKEN), *when(given(*TAKEN), left()))
    assert status(state) == "accepted"
    assert wires(when(state, by_hand(NAVIGATORS))) == ["ended", "made"]
    done = after(state, *when(state, by_hand(NAVIGATORS)))
    new = done.turn
    assert new is not None
    assert after(done, accepted(NAVIGATORS, new.assignment)).change is None


@pytest.mark.parametrize(
    "asking",
    [left(contracted=True), left(NAVIGATORS), left(assignment="asg_9")],
    ids=["under contract again", "another provider", "another assignment"],
)
def test_of_who_may_serve_nothing_is_asked(asking: AskedCommand) -> None:
    assert when(given(*TAKEN), asking) == []


def test_of_a_closed_loop_nothing_is_asked() -> None:
    assert when(given(*TAKEN, closed("withdrawn")), left()) == []


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
    assert wires(when(given(with_(eligibility)), heard(APPROVED))) == ["made"]


def test_coverage_that_has_ended_brings_no_new_offer_and_the_plan_is_asked_2_5() -> None:
    (asked,) = when(given(with_(OVER)), heard(APPROVED))
    assert isinstance(asked, AssignmentPlanAsked)
    assert asked.reason == "coverage_ended"
    # Nor the next one, once somebody declines.
    offered = given(with_(OVER), APPROVED, made())
    declined = when(offered, decline())
    assert wires(declined) == ["declined", "plan_asked"]


def test_nor_one_by_hand_2_5() -> None:
    state = after(given(with_(OVER), APPROVED), *when(given(with_(OVER)), heard(APPROVED)))
    assert refused(state, by_hand()).slug == "not-covered"


def test_who_serves_goes_on_and_what_is_authorized_stays_so_2_5() -> None:
    state = given(*TAKEN, learned(OVER))
    assert state is not None
    assert status(state) == "accepted"
    assert carried(state, TODAY)


def test_once_it_returns_the_offer_is_made_2_5() -> None:
    state = after(given(with_(OVER), APPROVED), *when(given(with_(OVER)), heard(APPROVED)))
    assert wires(when(state, heard(learned(COVERED)))) == ["made"]
    assert when(state, heard(learned(OVER.model_copy(update={"through": TODAY - 2 * DAY})))) == []
