"""Intake under facts that come twice, late, in any order, or before the referral itself."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any
from uuid import UUID, uuid5

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from loopkeeper.contract.decider import Refused
from loopkeeper.contract.events import (
    ActedBy,
    AssignmentDeclined,
    AssignmentEnded,
    AssignmentPlanAsked,
    AssignmentWithdrawn,
    AuthorizationDenied,
    AuthorizationPresumptiveEnded,
    Event,
    NoticeDelivered,
    OutreachAttempted,
    OutreachMemberDeclined,
    OutreachServicesStarted,
    OutreachUnableToReach,
    ReferralClosed,
)
from loopkeeper.testing.rules import MONDAY
from referral_intake.domain.commands import WithdrawReferral
from referral_intake.domain.next_step import next_step
from referral_intake.domain.rules import DECIDER
from referral_intake.domain.state import Status, status
from referral_intake.persistence.columns import columns
from tests.builders import facts
from tests.builders.intake import note, receive
from tests.builders.organizations import STREET
from tests.examples import many
from tests.properties.pure_store import PureStream

SPACE = UUID("00000000-0000-0000-0000-0000000000aa")
RECEIVED = facts.received(referrer=STREET, member="mem_1")
DAY = date(2026, 3, 4)


def _facts() -> list[Event]:
    told: list[Event] = [
        facts.review_opened(due_at=MONDAY, cap_at=MONDAY),
        facts.approved(),
        AuthorizationDenied(
            occurred_at=MONDAY, reason="criteria_not_met", citation="", appeal_by=DAY, notice_due_at=MONDAY
        ),
        facts.granted(provider="p"),
        AuthorizationPresumptiveEnded(occurred_at=MONDAY, grant="grant_1", reason="expired", through=DAY),
        NoticeDelivered(occurred_at=MONDAY, notice="ntc_1", code="closed", recipient_kind="referrer", how="webhook"),
    ]  # fmt: skip
    for assignment in ("asg_1", "asg_2"):
        told += [
            facts.made("p", assignment, MONDAY),
            facts.accepted("p", assignment),
            AssignmentDeclined(occurred_at=MONDAY, assignment=assignment, reason="no_capacity"),
            AssignmentWithdrawn(occurred_at=MONDAY, assignment=assignment, reason="by_hand"),
            AssignmentEnded(occurred_at=MONDAY, assignment=assignment, reason="grant_over", on=DAY),
            AssignmentPlanAsked(occurred_at=MONDAY, reason="no_answer", assignment=assignment),
            OutreachAttempted(
                occurred_at=MONDAY, assignment=assignment, number=1, actor_kind="peer", modality="phone",
                outcome="no_answer", reached=False,
            ),
            OutreachServicesStarted(occurred_at=MONDAY, assignment=assignment, on=DAY),
            OutreachMemberDeclined(occurred_at=MONDAY, assignment=assignment, on=DAY, how="phone", attempts=1),
            OutreachUnableToReach(occurred_at=MONDAY, assignment=assignment, on=DAY, attempts=5),
        ]  # fmt: skip
    return told


FACTS = _facts()


class IntakeMachine(RuleBasedStateMachine):
    """One referral; any fact at any time, as often as it likes, and people in between."""

    def __init__(self) -> None:
        super().__init__()
        self.stream = PureStream(DECIDER, notes_all=True)
        self.now = MONDAY
        self.received = False

    @rule(minutes=st.integers(0, 5000))
    def time_passes(self, minutes: int) -> None:
        self.now += timedelta(minutes=minutes)

    @rule()
    def receive(self) -> None:
        if not self.received:
            self.stream.give(receive(RECEIVED), uuid5(SPACE, "received"), self.now)
            self.received = True

    @rule(number=st.integers(0, len(FACTS) - 1))
    def fact(self, number: int) -> None:
        self.stream.give(note(FACTS[number]), uuid5(SPACE, str(number)), self.now)

    @rule(by=st.sampled_from(["referrer", "member"]), number=st.integers(0, 10**6))
    def withdraw(self, by: Any, number: int) -> None:
        command = WithdrawReferral(by=by, acted_by=ActedBy(organization="harbor-street-medicine"))
        before = self.stream.state
        try:
            self.stream.give(command, uuid5(SPACE, f"withdraw {number}"), self.now)
        except Refused:
            assert self.stream.state == before

    @invariant()
    def a_loop_closes_once(self) -> None:
        assert sum(isinstance(event, ReferralClosed) for event in self.stream.published) <= 1

    @invariant()
    def folding_the_journal_gives_the_row(self) -> None:
        assert self.stream.folded() == self.stream.state

    @invariant()
    def every_open_loop_names_who_must_act(self) -> None:
        state = self.stream.state
        if state is None or not self.received:
            return
        step = next_step(state)
        closed = status(state) is Status.CLOSED
        assert bool(step.actor) != closed
        assert bool(step.step) != closed
        assert columns(state)["next_actor"] == step.actor

    @invariant()
    def a_closed_loop_stays_as_it_was_closed(self) -> None:
        closings = [event for event in self.stream.journal if isinstance(event, ReferralClosed)]
        if closings and self.stream.state is not None:
            assert self.stream.state.closing.outcome == closings[0].outcome


TestIntake = IntakeMachine.TestCase
TestIntake.settings = settings(max_examples=many(150), stateful_step_count=40, deadline=None)
