"""What is taken back asks nobody any more, and is told to nobody by it (loop.md 5.10, 8.7)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from loopkeeper.contract.events import (
    AssignmentPlanAsked,
    AssignmentQuestionTakenBack,
    Event,
    NoticeDelivered,
    NoticeTakenBack,
)
from loopkeeper.testing.rules import MONDAY
from referral_intake.domain.next_step import next_step
from referral_intake.domain.rules import DECIDER
from referral_intake.domain.state import Referral
from tests.builders.intake import ACCEPTED, APPROVED, CLOSED, MADE, RECEIVED, REVIEW

BY = MONDAY + timedelta(days=30)
SERVED_BY = (RECEIVED, REVIEW, APPROVED, MADE, ACCEPTED)
NOTICE: dict[str, Any] = {"occurred_at": MONDAY, "notice": "ntc_1", "code": "closed"}


def given(*facts: Event) -> Referral:
    state = DECIDER.fold(facts)
    assert state is not None
    return state


def left(reason: Any = "provider_left") -> AssignmentPlanAsked:
    return AssignmentPlanAsked(occurred_at=MONDAY, reason=reason, assignment="asg_1", due_at=BY)


def returned(**changes: Any) -> AssignmentQuestionTakenBack:
    fields = {"occurred_at": MONDAY, "assignment": "asg_1", "reason": "provider_left", **changes}
    return AssignmentQuestionTakenBack.model_validate(fields)


def test_a_contract_that_returns_leaves_the_next_step_to_the_provider_5_10() -> None:
    assert next_step(given(*SERVED_BY, left())).actor == "plan"
    assert next_step(given(*SERVED_BY, left(), returned())).actor == "provider"


def test_a_change_that_the_member_asked_for_is_asked_again_5_10() -> None:
    step = next_step(given(*SERVED_BY, left(), returned(open="change_requested", due_at=BY)))
    assert (step.actor, step.step, step.due_at) == ("plan", "change_requested", BY)


def test_another_question_stays_asked_5_10() -> None:
    assert next_step(given(*SERVED_BY, left("conflicted"), returned())).step == "conflicted"


@pytest.mark.parametrize(("kind", "told"), [("referrer", False), ("member", True)])
def test_a_closing_whose_hand_over_is_taken_back_is_not_told_8_7(kind: str, told: bool) -> None:
    heard = NoticeDelivered.model_validate({**NOTICE, "recipient_kind": "referrer", "how": "hand_over"})
    back = NoticeTakenBack.model_validate({**NOTICE, "recipient_kind": kind, "because": "another_member"})
    assert given(*SERVED_BY, CLOSED, heard).told_at is not None
    assert (given(*SERVED_BY, CLOSED, heard, back).told_at is not None) is told
