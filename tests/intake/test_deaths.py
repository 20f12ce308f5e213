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
from loopkeeper.testing.rules import MONDAY, SEED, AskedCommand
from referral_intake.domain.commands import ConfirmDeath, TakeBackDeath, TellDeath
from referral_intake.domain.contexts import JudgedContext
from referral_intake.domain.next_step import due, next_step
from referral_intake.domain.rules import DECIDER
from referral_intake.domain.state import Referral, Status, status
from tests.builders.intake import ACCEPTED, APPROVED, MADE, RECEIVED, SERVED, refused, when

PLAN = ActedBy(organization="harbor-health-plan", person="ana-reyes")
DUE = MONDAY + timedelta(days=2)
TODAY = MONDAY.date()
HISTORIES: dict[str, tuple[Any, ...]] = {
    "received": (RECEIVED,),
    "authorized": (RECEIVED, APPROVED),
    "offered": (RECEIVED, APPROVED, MADE),
    "accepted": (RECEIVED, APPROVED, MADE, ACCEPTED),
}


def given(*facts: Any) -> Referral:
    state = DECIDER.fold(facts)
    assert state is not None
    return state


def after(state: Referral, events: list[Any]) -> Referral:
    found = DECIDER.fold(events, state)
    assert found is not None
    return found


def in_context(command: TellDeath | ConfirmDeath) -> AskedCommand:
    return command, JudgedContext(at=MONDAY, seed=SEED, due_at=DUE, refs=())


def told(by: Literal["referrer", "provider", "plan"] = "provider") -> AskedCommand:
    return in_context(TellDeath(by=by, acted_by=PLAN))


CONFIRM = in_context(ConfirmDeath(acted_by=PLAN))
TAKE_BACK = TakeBackDeath(acted_by=PLAN)


@pytest.mark.parametrize("history", HISTORIES)
@pytest.mark.parametrize("by", ["referrer", "provider", "plan"])
def test_whoever_tells_it_the_plan_is_asked_by_a_date_and_nothing_closes_7_7(history: str, by: Any) -> None:
    before = given(*HISTORIES[history])
    events = when(before, told(by))
    (said,) = events
    assert isinstance(said, ReferralDeathTold)
    state = after(before, events)
    step = next_step(state)
    assert (step.actor, step.step, step.due_at) == ("plan", "death_told", DUE)
    assert status(state) is status(before)
    running = due(state, MONDAY)
    assert running is not None
    assert running.due_at == DUE


@pytest.mark.parametrize("history", HISTORIES)
@pytest.mark.parametrize("first", [[told()], []], ids=["told", "the plan knows"])
def test_confirmed_the_loop_closes_with_the_word_7_7(history: str, first: list[AskedCommand]) -> None:
    state = given(*HISTORIES[history])
    for each in first:
        state = after(state, when(state, each))
    events = when(state, CONFIRM)
    closed = events[-1]
    assert isinstance(closed, ReferralClosed)
    assert (closed.outcome, closed.text) == ("no_longer_eligible", "the member has died")
    state = after(state, events)
    assert status(state) is Status.CLOSED
    assert when(state, CONFIRM) == []


def test_it_is_told_of_a_closed_loop_too_which_stays_as_it_closed_7_7() -> None:
    state = given(*HISTORIES["accepted"], SERVED)
    state = after(state, when(state, told()))
    assert [event.wire for event in when(state, CONFIRM)] == ["referral.death_confirmed"]
    assert state.closing is not None
    assert state.closing.outcome == "services_received"


@pytest.mark.parametrize("history", HISTORIES)
def test_taken_back_the_loop_goes_on_as_before_7_7(history: str) -> None:
    before = given(*HISTORIES[history])
    state = after(before, when(before, told()))
    back = after(state, when(state, TAKE_BACK))
    assert back == before
    assert refused(back, TAKE_BACK).slug == "nothing-to-take-back"


def test_a_death_confirmed_in_error_is_taken_back_and_the_closing_stays_8_7() -> None:
    state = given(*HISTORIES["accepted"])
    state = after(state, when(state, CONFIRM))
    state = after(state, when(state, TAKE_BACK))
    assert state.death is None
    assert status(state) is Status.CLOSED


def test_told_twice_it_says_nothing_new() -> None:
    state = given(RECEIVED)
    state = after(state, when(state, told()))
    assert when(state, told("referrer")) == []


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
    tried = given(*HISTORIES["accepted"], ATTEMPT)
    assert status(tried) is Status.OUTREACH_INITIATED
    assert status(after(tried, [error("attempted", 1)])) is Status.ACCEPTED
    second = ATTEMPT.model_copy(update={"number": 2})
    again = after(tried, [error("attempted", 1), second])
    assert status(again) is Status.OUTREACH_INITIATED
    assert again.offer is not None
    assert again.offer.tried == 1


def test_a_first_service_taken_back_leaves_the_closing_8_7() -> None:
    started = OutreachServicesStarted(occurred_at=MONDAY, assignment="asg_1", on=TODAY)
    state = given(*HISTORIES["accepted"], started, SERVED, error("services_started"))
    assert state.services_started_on is None
    assert status(state) is Status.CLOSED
