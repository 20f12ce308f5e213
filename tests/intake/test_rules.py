"""What a referral may do: given what happened, when somebody asks or a fact arrives, then these events."""

from __future__ import annotations

from datetime import date, datetime, timedelta

import pytest

from loopkeeper.contract.events import (
    AssignmentDeclined,
    AssignmentEnded,
    AssignmentPlanAsked,
    AssignmentWithdrawn,
    AuthorizationDenied,
    AuthorizationPresumptiveEnded,
    AuthorizationPresumptiveGranted,
    Event,
    NoticeDelivered,
    OutreachAttempted,
    OutreachMemberDeclined,
    OutreachServicesStarted,
    OutreachUnableToReach,
    Question,
    ReferralClosed,
    ReferralQuestionsAsked,
    ReferralReceived,
)
from loopkeeper.testing.rules import MONDAY, given
from referral_intake.domain.commands import WithdrawReferral
from referral_intake.domain.next_step import next_step
from referral_intake.domain.rules import DECIDER
from referral_intake.domain.state import Referral, Status, status
from tests.builders.intake import ACCEPTED, APPROVED, MADE, RECEIVED, REVIEW, note, receive
from tests.builders.organizations import ROSA, STREET

GRANTED = AuthorizationPresumptiveGranted.model_validate(
    {
        "occurred_at": MONDAY,
        "grant": "grant_1",
        "provider": STREET,
        "provider_version": 1,
        "population": "homelessness",
        "from": "2026-03-02",
        "through": "2026-03-31",
    }
)
ATTEMPTED = OutreachAttempted(
    occurred_at=MONDAY,
    assignment="asg_1",
    number=1,
    actor_kind="street_outreach_worker",
    modality="in_person",
    outcome="not_there",
    reached=False,
)
STARTED = OutreachServicesStarted(occurred_at=MONDAY, assignment="asg_1", on=date(2026, 3, 4))
CLOSED = ReferralClosed(
    occurred_at=MONDAY, outcome="services_received", clr_reason="services_received", assignment="asg_1"
)
DENIED = AuthorizationDenied(
    occurred_at=MONDAY,
    authorization="auth_1",
    reason="criteria_not_met",
    citation="plan criteria",
    appeal_by=date(2026, 5, 1),
    notice_due_at=MONDAY,
)


def when_fact(state: Referral | None, fact: Event) -> list[Event]:
    """What the store does with a fact: evolve first, then decide."""
    return given(DECIDER, state=state).when(note(fact), fact.occurred_at).events


def withdrawal(by: str = "referrer") -> WithdrawReferral:
    return WithdrawReferral(by=by, acted_by=ROSA)  # pyright: ignore[reportArgumentType]


# ── receive ───────────────────────────────────────────────────────────────────────────────────────────────


def test_a_referral_is_published_at_once_whatever_is_still_asked() -> None:
    question = Question(id="cin", pointer="/member/cin")
    events = given(DECIDER).when(receive(RECEIVED, questions=(question,))).events
    assert [type(e) for e in events] == [ReferralReceived, ReferralQuestionsAsked]


def test_a_complete_referral_asks_nothing() -> None:
    events = given(DECIDER).when(receive(RECEIVED)).events
    assert list(events) == [RECEIVED]


# ── withdraw ──────────────────────────────────────────────────────────────────────────────────────────────


def test_a_referrer_withdraws_before_authorization_and_the_loop_closes_as_withdrawn() -> None:
    (closed,) = given(DECIDER, RECEIVED, REVIEW).when(withdrawal()).events
    assert isinstance(closed, ReferralClosed)
    assert (closed.outcome, closed.clr_reason, closed.text) == ("withdrawn", "other", "by the referrer")
    assert closed.acted_by == ROSA


# loop.md 2.13
def test_after_authorization_only_the_member_withdraws() -> None:
    given(DECIDER, RECEIVED, APPROVED).when(withdrawal()).refused("already-authorized")
    (closed,) = given(DECIDER, RECEIVED, APPROVED).when(withdrawal(by="member")).events
    assert isinstance(closed, ReferralClosed)
    assert closed.authorized


def test_a_closed_loop_cannot_be_withdrawn() -> None:
    refused = given(DECIDER, RECEIVED, CLOSED).when(withdrawal(by="member")).refusal
    assert (refused.slug, refused.allowed) == ("already-closed", ("contest",))


def test_what_was_never_received_cannot_be_withdrawn() -> None:
    refused = given(DECIDER, REVIEW).when(withdrawal()).refusal
    assert (refused.slug, refused.status) == ("not-found", 404)


# ── closing ───────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("fact", "outcome"),
    [
        (STARTED, "services_received"),
        (DENIED, "not_authorized"),
        (
            OutreachMemberDeclined(
                occurred_at=MONDAY, assignment="asg_1", on=date(2026, 3, 4), how="in_person", attempts=1
            ),
            "declined_by_member",
        ),
        (
            OutreachUnableToReach(occurred_at=MONDAY, assignment="asg_1", on=date(2026, 3, 4), attempts=5),
            "unable_to_reach",
        ),
    ],
)
def test_a_loop_closes_once_with_the_outcome_of_the_fact_that_ended_it(fact: Event, outcome: str) -> None:
    before = given(DECIDER, RECEIVED, REVIEW, MADE, ACCEPTED).state
    (closed,) = when_fact(before, fact)
    assert isinstance(closed, ReferralClosed)
    assert closed.outcome == outcome
    after = DECIDER.evolve(DECIDER.evolve(before, fact), closed)
    assert when_fact(after, fact) == []


def test_a_denial_after_the_close_is_noted_and_closes_nothing_again() -> None:
    assert when_fact(given(DECIDER, RECEIVED, STARTED, CLOSED).state, DENIED) == []


def test_a_fact_about_an_unknown_referral_is_borne() -> None:
    assert when_fact(None, STARTED) == when_fact(None, ACCEPTED) == []


def test_first_service_closes_the_loop_while_the_assignment_lives_on() -> None:
    after = given(DECIDER, RECEIVED, MADE, ACCEPTED, STARTED, CLOSED).state
    assert after is not None
    assert after.offer is not None
    assert status(after) is Status.CLOSED


def test_any_other_closing_ends_the_live_offer() -> None:
    withdrawn = CLOSED.model_copy(update={"outcome": "withdrawn", "clr_reason": "other"})
    after = given(DECIDER, RECEIVED, MADE, withdrawn).state
    assert after is not None
    assert after.offer is None


def test_the_first_delivered_closing_notice_to_the_referrer_is_when_it_was_told() -> None:
    def told(kind: str, at: datetime) -> NoticeDelivered:
        return NoticeDelivered(
            occurred_at=at, notice="ntc_1", code="closed", recipient_kind=kind, how="webhook"
        )

    later = MONDAY + timedelta(hours=1)
    after = given(
        DECIDER,
        RECEIVED,
        CLOSED,
        told("plan", MONDAY),
        told("referrer", later),
        told("referrer", later + timedelta(days=1)),
    ).state
    assert after is not None
    assert after.told_at == later


# ── status ────────────────────────────────────────────────────────────────────────────────────────────────


# loop.md 8.1
@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ((RECEIVED,), Status.RECEIVED),
        ((RECEIVED, REVIEW), Status.PENDING_AUTHORIZATION),
        ((RECEIVED, REVIEW, APPROVED), Status.AUTHORIZED),
        ((RECEIVED, REVIEW, GRANTED, MADE), Status.ASSIGNED),
        ((RECEIVED, APPROVED, MADE, ACCEPTED), Status.ACCEPTED),
        ((RECEIVED, APPROVED, MADE, ACCEPTED, ATTEMPTED), Status.OUTREACH_INITIATED),
        ((RECEIVED, APPROVED, MADE, ACCEPTED, ATTEMPTED, STARTED, CLOSED), Status.CLOSED),
    ],
)
def test_the_status_is_the_first_that_holds(events: tuple[Event, ...], expected: Status) -> None:
    state = given(DECIDER, *events).state
    assert state is not None
    assert status(state) is expected


def test_a_decline_steps_back_to_authorized() -> None:
    declined = AssignmentDeclined(occurred_at=MONDAY, assignment="asg_1", reason="no_capacity")
    state = given(DECIDER, RECEIVED, APPROVED, MADE, declined).state
    assert state is not None
    assert status(state) is Status.AUTHORIZED


def test_only_a_blocking_question_makes_the_loop_wait_for_information() -> None:
    def asked(blocking: bool) -> ReferralQuestionsAsked:
        question = Question(id="populations", pointer="/populations", blocking=blocking)
        return ReferralQuestionsAsked(occurred_at=MONDAY, questions=(question,))

    waits, goes_on = (
        given(DECIDER, RECEIVED, REVIEW, asked(True)).state,
        given(DECIDER, RECEIVED, REVIEW, asked(False)).state,
    )
    assert waits is not None
    assert goes_on is not None
    assert (status(waits), status(goes_on)) == (Status.NEEDS_INFORMATION, Status.PENDING_AUTHORIZATION)
    assert next_step(waits).actor == "referrer"


def test_the_end_of_another_assignment_does_not_touch_the_live_one() -> None:
    other = AssignmentEnded(occurred_at=MONDAY, assignment="asg_0", reason="grant_over", on=date(2026, 3, 4))
    withdrawn = AssignmentWithdrawn(occurred_at=MONDAY, assignment="asg_0", reason="by_hand")
    state = given(DECIDER, RECEIVED, APPROVED, MADE, other, withdrawn).state
    assert state is not None
    assert status(state) is Status.ASSIGNED


def test_an_ended_grant_no_longer_stands() -> None:
    ended = AuthorizationPresumptiveEnded(
        occurred_at=MONDAY, grant="grant_1", reason="expired", through=date(2026, 3, 31)
    )
    assert (given(DECIDER, RECEIVED, GRANTED, ended).state or Referral()).grant is None
    other = ended.model_copy(update={"grant": "grant_0"})
    assert (given(DECIDER, RECEIVED, GRANTED, other).state or Referral()).grant is not None


# ── the next actor ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("events", "actor"),
    [
        ((RECEIVED,), "loopkeeper"),
        ((RECEIVED, REVIEW), "plan"),
        ((RECEIVED, APPROVED), "loopkeeper"),
        ((RECEIVED, APPROVED, MADE), "provider"),
        ((RECEIVED, APPROVED, MADE, AssignmentPlanAsked(occurred_at=MONDAY, reason="no_answer")), "plan"),
        ((RECEIVED, APPROVED, AssignmentPlanAsked(occurred_at=MONDAY, reason="none_left")), "plan"),
        ((RECEIVED, APPROVED, MADE, ACCEPTED), "provider"),
        ((RECEIVED, APPROVED, MADE, ACCEPTED, ATTEMPTED), "provider"),
        ((RECEIVED, CLOSED), ""),
    ],
)
def test_every_open_loop_names_who_must_act(events: tuple[Event, ...], actor: str) -> None:
    state = given(DECIDER, *events).state
    assert state is not None
    step = next_step(state)
    assert step.actor == actor
    assert bool(step.step) == bool(actor)


def test_once_the_grant_is_over_the_plan_must_decide_and_not_name_a_provider() -> None:
    """loop.md 7.6: while nothing is authorized there is nobody to assign, and `POST /v1/assignments` would refuse."""
    declined = AssignmentDeclined(occurred_at=MONDAY, assignment="asg_1", reason="no_capacity")
    asked = AssignmentPlanAsked(occurred_at=MONDAY, reason="none_left")
    over = AuthorizationPresumptiveEnded(
        occurred_at=MONDAY, grant="grant_1", reason="expired", through=date(2026, 3, 31)
    )
    granted = [RECEIVED, REVIEW, GRANTED, MADE, declined, asked]
    before, afterwards = given(DECIDER, *granted).state, given(DECIDER, *granted, over).state
    assert before is not None
    assert afterwards is not None
    assert (next_step(before).actor, next_step(before).step) == ("plan", "none_left")
    assert (next_step(afterwards).actor, next_step(afterwards).step) == ("plan", "decide")
