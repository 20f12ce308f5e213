"""What a provider's file reports, in the loop's status and next step (loop.md 6.8, 6.9)."""

from __future__ import annotations

from datetime import timedelta

import pytest

from loopkeeper.contract.calendar import la_date
from loopkeeper.contract.events import (
    AssignmentEnded,
    Event,
    OutreachAttempted,
    OutreachClosingReported,
    OutreachInitiated,
)
from loopkeeper.testing.rules import MONDAY
from referral_intake.domain.next_step import STEPS, next_step
from referral_intake.domain.rules import DECIDER
from referral_intake.domain.state import Referral, status
from tests.builders.intake import ACCEPTED, APPROVED, MADE, RECEIVED, REVIEW

SERVING = (RECEIVED, REVIEW, APPROVED, MADE, ACCEPTED)
DAY = la_date(MONDAY)
BY = MONDAY + timedelta(days=14)
INITIATED = OutreachInitiated(occurred_at=MONDAY, assignment="asg_1", on=DAY)


def given(*events: Event) -> Referral:
    state = DECIDER.fold(events)
    assert state is not None
    return state


def attempted(days: int, *, before_acceptance: bool = False) -> OutreachAttempted:
    return OutreachAttempted(
        occurred_at=MONDAY + timedelta(days=days), assignment="asg_1", number=1, actor_kind="peer",
        modality="phone", outcome="not_reached", reached=False, before_acceptance=before_acceptance,
    )  # fmt: skip


def reported(reason: str = "no_longer_eligible") -> OutreachClosingReported:
    fields = {"occurred_at": MONDAY, "assignment": "asg_1", "reason": reason, "on": DAY, "due_at": BY}
    return OutreachClosingReported.model_validate(fields)


def test_outreach_as_reported_makes_the_status() -> None:
    assert status(given(*SERVING)) == "accepted"
    assert status(given(*SERVING, INITIATED)) == "outreach_initiated"


def test_an_attempt_before_the_acceptance_changes_no_status() -> None:
    assert status(given(*SERVING, attempted(1, before_acceptance=True))) == "accepted"


@pytest.mark.parametrize("reason", ["provider_declined", "no_longer_eligible", "unable_to_reach", "other"])
def test_a_reported_closing_asks_the_plan_by_a_date_7_6(reason: str) -> None:
    state = given(*SERVING, INITIATED, reported(reason))
    assert status(state) == "outreach_initiated"
    step = next_step(state)
    assert (step.actor, step.due_at) == ("plan", BY)
    assert step.step == f"reported_{reason}"
    assert "the provider reports" in STEPS[step.step]


def test_outreach_that_goes_on_takes_the_question_back() -> None:
    assert next_step(given(*SERVING, reported(), attempted(1))).actor == "provider"
    assert next_step(given(*SERVING, reported(), attempted(-1))).actor == "plan"


def test_an_assignment_that_ends_takes_the_question_with_it() -> None:
    ended = AssignmentEnded(occurred_at=MONDAY, assignment="asg_1", reason="plan", on=DAY)
    assert given(*SERVING, reported(), ended).plan_asked is None
