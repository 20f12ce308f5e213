"""A death that somebody told: the plan confirms it or takes it back, and the loop closes with the word (loop.md 7.7)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Literal

import pytest

from loopkeeper.contract.events import (
    ActedBy,
    OutreachAttempted,
    OutreachServicesStarted,
    OutreachTakenBack,
    ReferralClosed,
    ReferralDeathTold,
)
from loopkeeper.testing.rules import MONDAY, SEED, AskedCommand, given
from referral_intake.domain.commands import ConfirmDeath, TakeBackDeath, TellDeath
from referral_intake.domain.contexts import JudgedContext
from referral_intake.domain.next_step import due, next_step
from referral_intake.domain.rules import DECIDER
from referral_intake.domain.state import Status, status
from tests.builders.intake import ACCEPTED, APPROVED, MADE, RECEIVED, SERVED

PLAN = ActedBy(organization="harbor-health-plan", person="ana-reyes")
DUE = MONDAY + timedelta(days=2)
TODAY = MONDAY.date()
HISTORIES: dict[str, tuple[Any, ...]] = {
    "received": (RECEIVED,),
    "authorized": (RECEIVED, APPROVED),
    "offered": (RECEIVED, APPROVED, MADE),
    "accepted": (RECEIVED, APPROVED, MADE, ACCEPTED),
}


def in_context(command: TellDeath | ConfirmDeath) -> AskedCommand:
    return command, JudgedContext(at=MONDAY, seed=SEED, due_at=DUE, refs=())


def told(by: Literal["referrer", "provider", "plan"] = "provider") -> AskedCommand:
    return in_context(TellDeath(by=by, acted_by=PLAN))


CONFIRM = in_context(ConfirmDeath(acted_by=PLAN))
TAKE_BACK = TakeBackDeath(acted_by=PLAN)


@pytest.mark.parametrize("history", HISTORIES)
@pytest.mark.parametrize("by", ["referrer", "provider", "plan"])
def test_whoever_tells_it_the_plan_is_asked_by_a_date_and_nothing_closes_7_7(history: str, by: Any) -> None:
    before = given(DECIDER, *HISTORIES[history]).state
    events = given(DECIDER, state=before).when(told(by)).events
    (said,) = events
    assert isinstance(said, ReferralDeathTold)
    state = given(DECIDER, *events, state=before).state
    step = next_step(state)
    assert (step.actor, step.step, step.due_at) == ("plan", "death_told", DUE)
    assert status(state) is status(before)
    running = due(state, MONDAY)
    assert running is not None
    assert running.due_at == DUE


@pytest.mark.parametrize("history", HISTORIES)
@pytest.mark.parametrize("first", [[told()], []], ids=["told", "the plan knows"])
def test_confirmed_the_loop_closes_with_the_word_7_7(history: str, first: list[AskedCommand]) -> None:
    state = given(DECIDER, *HISTORIES[history]).state
    for each in first:
        state = given(DECIDER, state=state).when(each).state
    events = given(DECIDER, state=state).when(CONFIRM).events
    closed = events[-1]
    assert isinstance(closed, ReferralClosed)
    assert (closed.outcome, closed.text) == ("no_longer_eligible", "the member has died")
    state = given(DECIDER, *events, state=state).state
    assert status(state) is Status.CLOSED
    given(DECIDER, state=state).when(CONFIRM).then()


def test_it_is_told_of_a_closed_loop_too_which_stays_as_it_closed_7_7() -> None:
    state = given(DECIDER, *HISTORIES["accepted"], SERVED).state
    state = given(DECIDER, state=state).when(told()).state
    assert [event.wire for event in given(DECIDER, state=state).when(CONFIRM).events] == [
        "referral.death_confirmed"
    ]
    assert state.closing is not None
    assert state.closing.outcome == "services_received"


@pytest.mark.parametrize("history", HISTORIES)
def test_taken_back_the_loop_goes_on_as_before_7_7(history: str) -> None:
    before = given(DECIDER, *HISTORIES[history]).state
    state = given(DECIDER, state=before).when(told()).state
    back = given(DECIDER, state=state).when(TAKE_BACK).state
    assert back == before
    given(DECIDER, state=back).when(TAKE_BACK).refused("nothing-to-take-back")


def test_a_death_confirmed_in_error_is_taken_back_and_the_closing_stays_8_7() -> None:
    state = given(DECIDER, *HISTORIES["accepted"]).state
    state = given(DECIDER, state=state).when(CONFIRM).state
    state = given(DECIDER, state=state).when(TAKE_BACK).state
    assert state.death is None
    assert status(state) is Status.CLOSED


def test_told_twice_it_says_nothing_new() -> None:
    state = given(DECIDER, RECEIVED).state
    state = given(DECIDER, state=state).when(told()).state
    given(DECIDER, state=state).when(told("referrer")).then()


# ── facts of outreach recorded in error ───────────────────────────────────────────────────────────────────

ATTEMPT = OutreachAttempted(
    occurred_at=MONDAY, assignment="asg_1", number=1, actor_kind="peer", modality="phone", outcome="no_answer",
    reached=False,
)  # fmt: skip


def error(what: Any, number: int | None = None) -> OutreachTakenBack:
    return OutreachTakenBack(
        occurred_at=MONDAY, assignment="asg_1", what=what, number=number, because="another_member"
    )


def test_the_only_attempt_taken_back_the_status_steps_back_8_7() -> None:
    tried = given(DECIDER, *HISTORIES["accepted"], ATTEMPT).state
    assert status(tried) is Status.OUTREACH_INITIATED
    assert status(given(DECIDER, error("attempted", 1), state=tried).state) is Status.ACCEPTED
    second = ATTEMPT.model_copy(update={"number": 2})
    again = given(DECIDER, error("attempted", 1), second, state=tried).state
    assert status(again) is Status.OUTREACH_INITIATED
    assert again.offer is not None
    assert again.offer.tried == 1


def test_a_first_service_taken_back_leaves_the_closing_8_7() -> None:
    started = OutreachServicesStarted(occurred_at=MONDAY, assignment="asg_1", on=TODAY)
    state = given(DECIDER, *HISTORIES["accepted"], started, SERVED, error("services_started")).state
    assert state.services_started_on is None
    assert status(state) is Status.CLOSED
