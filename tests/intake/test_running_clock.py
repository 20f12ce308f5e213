"""The status of a referral at a moment: the clock that runs, and what each reader sees of who acted."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from loopkeeper.contract.events import (
    ActedBy,
    AssignmentDeclined,
    AssignmentOverdue,
    AssignmentPlanAsked,
    AuthorizationOverdue,
    Event,
    Question,
    ReferralClosed,
    ReferralQuestionsAsked,
    ReferralSupportMoved,
)
from loopkeeper.security.organizations import Client, Role
from loopkeeper.testing.rules import MONDAY, given
from referral_intake.api.views import Reader, show_event
from referral_intake.domain.next_step import due, next_step
from referral_intake.domain.rules import DECIDER
from referral_intake.domain.state import Referral
from tests.builders.intake import ACCEPTED, APPROVED, MADE, RECEIVED, REVIEW
from tests.builders.organizations import STREET

WEEK = MONDAY + timedelta(days=7)
PLAN = "harbor-health-plan"


def at(state: Referral, now: datetime) -> tuple[str, str] | None:
    running = due(state, now)
    return (running.clock, running.state) if running else None


# ── the clock that runs ───────────────────────────────────────────────────────────────────────────────────


def test_the_plans_decision_runs_from_on_track_over_at_risk_to_breached() -> None:
    state = given(DECIDER, RECEIVED, REVIEW).state
    assert at(state, MONDAY) == ("decision_routine", "on_track")
    risk = AuthorizationOverdue(
        occurred_at=MONDAY, authorization="auth_1", clock="decision_routine", due_at=WEEK, state="at_risk"
    )
    assert at(given(DECIDER, RECEIVED, REVIEW, risk).state, MONDAY) == ("decision_routine", "at_risk")
    assert at(state, WEEK - timedelta(seconds=1)) == ("decision_routine", "on_track")
    assert at(state, WEEK) == ("decision_routine", "breached")


@pytest.mark.parametrize(("late", "kept"), [(timedelta(0), "met"), (timedelta(seconds=1), "breached")])
def test_a_decision_in_time_is_met_and_stays_so(late: timedelta, kept: str) -> None:
    decided = APPROVED.model_copy(update={"occurred_at": WEEK + late})
    closed = ReferralClosed(occurred_at=WEEK, outcome="services_received", clr_reason="services_received")
    assert at(given(DECIDER, RECEIVED, REVIEW, decided, closed).state, WEEK + timedelta(days=400)) == (
        "decision_routine",
        kept,
    )


def test_what_blocks_comes_before_the_decision_and_an_offer_after_it() -> None:
    question = Question(id="populations", pointer="/populations", blocking=True)
    asked = ReferralQuestionsAsked(occurred_at=MONDAY, questions=(question,), due_at=WEEK)
    assert at(given(DECIDER, RECEIVED, REVIEW, asked).state, MONDAY) == ("information", "on_track")
    offered = given(DECIDER, RECEIVED, REVIEW, APPROVED, MADE).state
    assert at(offered, MONDAY) == ("provider_answer", "on_track")
    silent = AssignmentOverdue(
        occurred_at=WEEK,
        assignment="asg_1",
        clock="provider_answer",
        due_at=MADE.answer_due_at,
        state="at_risk",
    )
    assert at(given(DECIDER, RECEIVED, REVIEW, APPROVED, MADE, silent).state, MONDAY) == (
        "provider_answer",
        "at_risk",
    )
    accepted = given(DECIDER, RECEIVED, REVIEW, APPROVED, MADE, ACCEPTED).state
    assert at(accepted, MONDAY) == ("decision_routine", "met")


def test_a_risk_told_of_an_earlier_deadline_says_nothing_of_a_later_one() -> None:
    moved = REVIEW.model_copy(update={"due_at": WEEK + timedelta(days=3)})
    risk = AuthorizationOverdue(
        occurred_at=MONDAY, authorization="auth_1", clock="decision_routine", due_at=WEEK, state="at_risk"
    )
    assert at(given(DECIDER, RECEIVED, risk, moved).state, MONDAY) == ("decision_routine", "on_track")


@pytest.mark.parametrize("reason", ["change_requested", "conflicted"])
def test_what_the_plan_is_asked_of_an_accepted_member_is_its_turn_until_it_is_settled(reason: str) -> None:
    asked = AssignmentPlanAsked.model_validate(
        {"occurred_at": MONDAY, "reason": reason, "assignment": "asg_1", "due_at": WEEK}
    )
    state = given(DECIDER, RECEIVED, APPROVED, MADE, ACCEPTED, asked).state
    assert (next_step(state).actor, next_step(state).due_at) == ("plan", WEEK)
    again = MADE.model_copy(update={"assignment": "asg_2"})
    assert (
        next_step(given(DECIDER, RECEIVED, APPROVED, MADE, ACCEPTED, asked, again).state).actor == "provider"
    )


# ── the timeline (loop.md 1.6, 6.4) ───────────────────────────────────────────────────────────────────────

CLIENTS: dict[str, Client] = {
    "plan": Client("c1", PLAN, "plan", frozenset({Role.PLAN})),
    "provider": Client("c2", STREET, "provider", frozenset({Role.PROVIDER})),
    "referrer": Client("c3", "bayview", "referrer", frozenset({Role.REFERRER})),
    "operations": Client("c4", "operations", "operations", frozenset({Role.OPERATIONS})),
}
ANA = ActedBy(organization=PLAN, person="ana-reyes")
LUIS = ActedBy(organization=STREET, person="luis-ortega")
DECLINED = AssignmentDeclined(
    occurred_at=MONDAY, assignment="asg_0", provider="bay-navigators", reason="no_capacity"
)
MOVED = ReferralSupportMoved(
    occurred_at=MONDAY, acted_by=LUIS, support="sup_1", code="respite", status="asked"
)


def seen(event: Event, who: Reader) -> Any:
    entry = {
        "id": "e1", "type": event.wire_type(), "source": "/x", "at": MONDAY, "payload": event.payload(),
        "traceparent": "",
    }  # fmt: skip
    return show_event(who, CLIENTS[who], entry)


@pytest.mark.parametrize(
    ("event", "readers"),
    [
        (RECEIVED, {"plan", "provider", "referrer", "operations"}),
        (APPROVED, {"plan", "provider", "referrer", "operations"}),
        (MADE, {"plan", "provider", "operations"}),
        (DECLINED, {"plan", "operations"}),
        (MOVED, {"plan", "provider", "operations"}),
    ],
)
def test_who_sees_which_line(event: Event, readers: set[str]) -> None:
    assert {who for who in CLIENTS if seen(event, who) is not None} == readers  # pyright: ignore[reportArgumentType]


def test_the_person_is_named_to_the_plan_and_to_their_own_organization_only() -> None:
    approved = APPROVED.model_copy(update={"acted_by": ANA})
    assert {who: seen(approved, who).person for who in CLIENTS} == {  # pyright: ignore[reportArgumentType]
        "plan": "ana-reyes", "provider": None, "referrer": None, "operations": None,
    }  # fmt: skip
    assert seen(approved, "referrer").acted_by == PLAN
    assert (seen(MOVED, "provider").person, seen(MOVED, "plan").person) == ("luis-ortega", "luis-ortega")


def test_a_referrer_is_not_told_which_provider_acted() -> None:
    accepted = ACCEPTED.model_copy(update={"acted_by": LUIS})
    line = seen(accepted, "referrer")
    assert (line.acted_by, STREET in line.model_dump_json()) == (None, False)
