"""Outreach under facts that come twice, late, in any order, or before the referral itself; who may act, who is told."""

from __future__ import annotations

from collections import Counter
from datetime import date, timedelta
from typing import Any
from uuid import UUID, uuid5

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from loopkeeper.contract.calendar import la_date
from loopkeeper.contract.decider import Refused
from loopkeeper.contract.events import (
    AssignmentDeclined,
    AssignmentEnded,
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
    ReferralClosed,
    ReferralReceived,
)
from loopkeeper.testing.rules import MONDAY, AskedCommand, command_of
from notification.domain.notices.notices import notices
from notification.domain.notices.wording import Names, Notice
from notification.domain.outreach.commands import (
    DeclineForMember,
    NoteFact,
    ReachContext,
    ReachPolicy,
    RecordAttempt,
    RecordDelivered,
    ReportUnableToReach,
    StartServices,
)
from notification.domain.outreach.rules import DECIDER
from notification.domain.outreach.state import SERVICES_RECEIVED, Outreach
from notification.persistence.columns import columns
from tests.builders.facts import closed
from tests.builders.notification import DAVID, accepted, approved, made, received
from tests.builders.organizations import OTHER, STREET
from tests.examples import many
from tests.properties.pure_store import PureStream

DAY = date(2026, 3, 2)
SPACE = UUID("00000000-0000-0000-0000-0000000000ad")
REACH = ReachPolicy(attempts=2, days=3, modalities=2, in_person=1)
ENDINGS = (OutreachServicesStarted, OutreachMemberDeclined, OutreachUnableToReach)
OFFERS = {"asg_1": STREET, "asg_2": OTHER}


def _facts() -> list[Event]:
    grant = {
        "occurred_at": MONDAY, "grant": "grant_1", "provider": STREET, "provider_version": 1,
        "population": "homelessness", "from": DAY, "through": DAY,
    }  # fmt: skip
    facts: list[Event] = [
        approved(),
        AuthorizationDenied(
            occurred_at=MONDAY, reason="criteria_not_met", citation="", appeal_by=DAY, notice_due_at=MONDAY
        ),
        AuthorizationPresumptiveGranted.model_validate(grant),
        AuthorizationPresumptiveEnded(occurred_at=MONDAY, grant="grant_1", reason="expired", through=DAY),
    ]
    for assignment, provider in OFFERS.items():
        facts += [
            made(provider, assignment),
            accepted(provider, assignment),
            AssignmentDeclined(occurred_at=MONDAY, assignment=assignment, reason="no_capacity"),
            AssignmentWithdrawn(occurred_at=MONDAY, assignment=assignment, reason="by_hand"),
            AssignmentEnded(occurred_at=MONDAY, assignment=assignment, reason="grant_over", on=DAY),
        ]
    return facts


FACTS = _facts()
# Mostly the provider that has the turn, now and then another.
HOLDER = "the provider that has the turn"
SAYING = st.sampled_from([HOLDER, HOLDER, HOLDER, *OFFERS.values(), "somebody-else"])
OUTCOMES = st.sampled_from(["services_received", "withdrawn", "not_authorized"])


class NotificationMachine(RuleBasedStateMachine):
    """One referral; any fact at any time, as often as it likes, and providers who say anything."""

    def __init__(self) -> None:
        super().__init__()
        self.stream = PureStream(DECIDER, notes_all=True)
        self.now = MONDAY
        self.asked = 0

    @initialize(begun=st.sampled_from(["nothing", "closed", "late", "received", "accepted", "accepted"]))
    def begin(self, begun: str) -> None:
        """Mostly the log begins with the referral; now and then a closing or anything is heard before it."""
        if begun in ("closed", "late"):
            self.close("withdrawn")
        elif begun != "nothing":
            self.receive()
        if begun in ("accepted", "late"):
            for fact in (made(assignment="asg_1"), accepted(assignment="asg_1")):
                self.fact(FACTS.index(fact))

    def give(self, command: AskedCommand, claim: str) -> list[Event]:
        return list(self.stream.give(command, uuid5(SPACE, claim), self.now))

    def who(self, saying: str) -> str:
        held = self.stream.state.assignment if self.stream.state is not None else None
        return held.provider if saying == HOLDER and held is not None else saying

    def say(self, command: Any) -> None:
        """A provider's word; accepted only from who holds the assignment, and refused without a trace. An attempt is
        also accepted from who was offered the referral (loop.md 6.1)."""
        said: Any = command_of(command)
        before: Outreach | None = self.stream.state
        self.asked += 1
        try:
            events = self.give(command, f"new_key {self.asked}")
        except Refused:
            assert self.stream.state == before
        else:
            assert before is not None
            assert before.assignment is not None
            early = [
                each for each in events if isinstance(each, OutreachAttempted) and each.before_acceptance
            ]
            assert before.assignment.held or early
            assert before.assignment.provider == said.provider

    # ── what comes ────────────────────────────────────────────────────────────────────────────────────────

    @rule(hours=st.integers(1, 48))
    def time_passes(self, hours: int) -> None:
        self.now += timedelta(hours=hours)

    @rule()
    def receive(self) -> None:
        self.give(NoteFact(fact=received()), "received")

    @rule(number=st.integers(0, len(FACTS) - 1))
    def fact(self, number: int) -> None:
        assert self.give(NoteFact(fact=FACTS[number]), f"fact {number}") == []

    @rule(outcome=OUTCOMES)
    def close(self, outcome: str) -> None:
        self.give(NoteFact(fact=closed(outcome)), f"closed {outcome}")

    @rule(saying=SAYING, what=st.integers(0, 5))
    def a_provider_says(self, saying: str, what: int) -> None:
        """An attempt by phone or in person, or one of the three ends of outreach."""
        provider, on = self.who(saying), la_date(self.now)
        commands = (
            self._attempt(provider, "phone"),
            self._attempt(provider, "in_person"),
            self._attempt(provider, "phone"),
            StartServices(provider=provider, on=on),
            DeclineForMember(provider=provider, on=on, how="phone"),
            (ReportUnableToReach(provider=provider, on=on), ReachContext(at=MONDAY, seed=SPACE, reach=REACH)),
        )
        self.say(commands[what])

    def _attempt(self, provider: str, modality: str) -> RecordAttempt:
        return RecordAttempt(
            provider=provider,
            tried_at=self.now,
            actor_kind="peer",
            modality=modality,
            outcome="no_answer",
            reached=False,
        )

    @rule(notice=st.sampled_from(["ntc_1", "ntc_2"]), number=st.integers(0, 3))
    def told(self, notice: str, number: int) -> None:
        command = RecordDelivered(
            notice=notice, code="closed", recipient_kind="referrer", delivered_at=self.now
        )
        self.give(command, f"{notice} {number}")

    # ── what always holds ─────────────────────────────────────────────────────────────────────────────────

    @invariant()
    def folding_the_journal_gives_the_row_and_what_is_derived_from_it(self) -> None:
        state, folded = self.stream.state, self.stream.folded()
        assert folded == state
        if state is not None:
            assert columns(folded) == columns(state)

    @invariant()
    def attempts_of_an_assignment_are_numbered_from_one_without_a_gap(self) -> None:
        for assignment in OFFERS:
            numbers = [
                event.number
                for event in self.stream.published
                if isinstance(event, OutreachAttempted) and event.assignment == assignment
            ]
            assert numbers == list(range(1, len(numbers) + 1))

    @invariant()
    def outreach_of_an_assignment_ends_once(self) -> None:
        ended = Counter(event.assignment for event in self.stream.published if isinstance(event, ENDINGS))
        assert all(count == 1 for count in ended.values())

    @invariant()
    def after_a_closing_nobody_ends_outreach_and_after_most_nobody_acts_at_all(self) -> None:
        journal = self.stream.journal
        first = next((event for event in journal if isinstance(event, ReferralClosed)), None)
        if first is None:
            return
        later = journal[journal.index(first) + 1 :]
        assert not [event for event in later if isinstance(event, ENDINGS)]
        if first.outcome != SERVICES_RECEIVED:
            assert not [event for event in later if isinstance(event, OutreachAttempted)]

    @invariant()
    def a_notice_is_told_once(self) -> None:
        told = Counter(event.notice for event in self.stream.published if isinstance(event, NoticeDelivered))
        assert all(count == 1 for count in told.values())

    @invariant()
    def the_referrer_hears_once_that_the_referral_came_in_and_once_how_it_ended(self) -> None:
        heard = Counter(notice.code for notice in self._notices() if notice.recipient_kind == "referrer")
        known = any(isinstance(event, ReferralReceived) for event in self.stream.journal)
        over = any(isinstance(event, ReferralClosed) for event in self.stream.journal)
        assert heard["received"] == int(known)
        assert heard["closed"] == int(known and over)

    def _notices(self) -> list[Notice]:
        """What is told of this journal, step by step as the store tells it."""
        found: list[Notice] = []
        before: Outreach | None = None
        for event in self.stream.journal:
            after = DECIDER.evolve(before, event) or Outreach()
            found += notices(DAVID, before, event, after, Names())
            before = after
        return found


TestNotification = NotificationMachine.TestCase
TestNotification.settings = settings(max_examples=many(80), stateful_step_count=30, deadline=None)
