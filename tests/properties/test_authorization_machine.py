"""Authorization under facts that come twice, late, in any order, or before the referral itself, and people between."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any
from uuid import UUID, uuid5

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from authorization.domain.commands import ExpireGrant, NoteFact
from authorization.domain.deadlines import timers
from authorization.domain.rules import DECIDER
from authorization.domain.state import SERVICES_RECEIVED, status
from authorization.persistence.columns import columns
from loopkeeper.contract.calendar import la_date, term_through
from loopkeeper.contract.decider import Refused
from loopkeeper.contract.events import (
    AssignmentEnded,
    AuthorizationApproved,
    AuthorizationDenied,
    AuthorizationPresumptiveEnded,
    AuthorizationPresumptiveGranted,
    AuthorizationPresumptiveRefused,
    AuthorizationReviewOpened,
    Eligibility,
    Event,
    ReferralClosed,
)
from loopkeeper.contract.vocabulary.decisions import DenialReason
from loopkeeper.testing.rules import MONDAY, AskedCommand
from tests.builders.authorization import (
    ENTRY,
    RULES,
    TEAM,
    approve,
    claim,
    deny,
    look_again,
    open_review,
    received,
)
from tests.builders.facts import accepted, closed
from tests.builders.organizations import MARIA, NOBODY
from tests.examples import many
from tests.properties.pure_store import PureStream

SPACE = UUID("00000000-0000-0000-0000-0000000000ab")
# From day 0 through day 29.
THIRTY_DAYS = timedelta(days=29)
DECIDES = (AuthorizationApproved, AuthorizationDenied, AuthorizationPresumptiveGranted)
OUTCOMES = ("services_received", "withdrawn", "merged")
SERVING: tuple[Event, ...] = (
    accepted(),
    AssignmentEnded(
        occurred_at=MONDAY, assignment="asg_1", provider=TEAM, reason="grant_over", on=date(2026, 4, 1)
    ),
)


class AuthorizationMachine(RuleBasedStateMachine):
    """One request; any fact at any time, as often as it likes; deadlines that fire early and twice."""

    def __init__(self) -> None:
        super().__init__()
        self.stream = PureStream(DECIDER)
        self.now = MONDAY
        self.policy = RULES
        self.referral = received()
        self.entry_known = False
        self.asked = 0

    @initialize(
        first=st.sampled_from(["nothing", "closed", "received", "received"]),
        first_service=st.integers(-40, 3),
        confirmed=st.booleans(),
        known=st.booleans(),
        term_from=st.sampled_from([None, "first_service", "decision"]),
    )
    def begin(self, first: str, first_service: int, confirmed: bool, known: bool, term_from: Any) -> None:
        """Mostly the log begins with the referral; now and then a closing or anything is heard before it."""
        self.referral = received(
            claim=claim(from_=la_date(MONDAY) + timedelta(days=first_service)),
            eligibility=Eligibility(state="confirmed" if confirmed else "unknown"),
        )
        self.policy = RULES.model_copy(update={"term_from": term_from})
        self.entry_known = known
        if first == "closed":
            self.close("withdrawn")
        elif first == "received":
            self.receive()

    def give(self, command: AskedCommand, name: str) -> list[Event]:
        return list(self.stream.give(command, uuid5(SPACE, name), self.now))

    def new_key(self) -> str:
        """A claim that nobody has used: what people ask and deadlines say is no redelivery."""
        self.asked += 1
        return f"new_key {self.asked}"

    def published(self, kind: type[Event]) -> list[Any]:
        return [event for event in self.stream.published if isinstance(event, kind)]

    @rule(hours=st.integers(1, 30 * 24))
    def time_passes(self, hours: int) -> None:
        self.now += timedelta(hours=hours)

    @rule()
    def receive(self) -> None:
        entry = ENTRY if self.entry_known else None
        self.give(open_review(self.referral, self.policy, provider=entry), "received")

    @rule(outcome=st.sampled_from(OUTCOMES))
    def close(self, outcome: str) -> None:
        first = self.stream.state is None or not self.stream.state.outcome
        events = self.give(NoteFact(fact=closed(outcome, self.now)), f"closed {outcome}")
        if outcome == SERVICES_RECEIVED or not first:
            assert events == []

    @rule(number=st.integers(0, 1))
    def somebody_serves(self, number: int) -> None:
        assert self.give(NoteFact(fact=SERVING[number]), f"serving {number}") == []

    @rule(version=st.integers(1, 3))
    def the_directory_learns(self, version: int) -> None:
        entry = ENTRY.model_copy(update={"version": version})
        self.give(look_again(TEAM, self.policy, provider=entry), f"look {version}")

    @rule()
    def a_deadline_fires(self) -> None:
        due = timers(self.stream.state).get("grant") if self.stream.state else None
        events = self.give(ExpireGrant(), self.new_key())
        assert bool(events) == (due is not None and self.now >= due)

    @rule(
        yes=st.booleans(),
        named=st.booleans(),
        reason=st.sampled_from([*sorted(DenialReason.codes()), "other"]),
    )
    def a_person_decides(self, yes: bool, named: bool, reason: str) -> None:
        person = MARIA if named else NOBODY
        command = approve(self.policy, person) if yes else deny(reason, person)
        before = self.stream.state
        try:
            self.give(command, self.new_key())
        except Refused:
            assert self.stream.state == before

    @invariant()
    def folding_the_journal_gives_the_row_and_what_is_derived_from_it(self) -> None:
        state, folded = self.stream.state, self.stream.folded()
        assert folded == state
        if state is not None:
            assert columns(folded) == columns(state)
            assert timers(folded) == timers(state)

    @invariant()
    def there_is_one_review_one_decision_and_one_grant_that_ends_once(self) -> None:
        assert len(self.published(AuthorizationReviewOpened)) <= 1
        assert len(self.published(AuthorizationApproved)) + len(self.published(AuthorizationDenied)) <= 1
        assert len(self.published(AuthorizationPresumptiveGranted)) <= 1
        assert len(self.published(AuthorizationPresumptiveRefused)) <= 1
        assert len(self.published(AuthorizationPresumptiveEnded)) <= len(
            self.published(AuthorizationPresumptiveGranted)
        )

    @invariant()
    def no_denial_is_without_a_person(self) -> None:
        for denied in self.published(AuthorizationDenied):
            assert denied.acted_by.person
            assert denied.reason in DenialReason.codes()

    @invariant()
    def a_loop_closed_before_it_was_born_stays_silent(self) -> None:
        if self.stream.journal and isinstance(self.stream.journal[0], ReferralClosed):
            assert self.stream.published == []
            assert timers(self.stream.state) == {}

    @invariant()
    def after_a_closing_that_is_no_first_service_nothing_is_decided_or_granted(self) -> None:
        journal = self.stream.journal
        first = next((event for event in journal if isinstance(event, ReferralClosed)), None)
        if first is None or first.outcome == SERVICES_RECEIVED:
            return
        later = journal[journal.index(first) + 1 :]
        assert not [event for event in later if isinstance(event, DECIDES)]

    @invariant()
    def a_grant_covers_thirty_days_at_most_and_is_live_only_while_undecided(self) -> None:
        state = self.stream.state
        if state is None or state.grant is None:
            return
        assert state.grant.through <= state.grant.from_ + THIRTY_DAYS
        if state.grant_live:
            assert status(state) == "pending"

    @invariant()
    def a_term_runs_twelve_months_from_the_decision_or_the_first_service(self) -> None:
        for approved in self.published(AuthorizationApproved):
            grants = self.published(AuthorizationPresumptiveGranted)
            dated_back = bool(grants) and self.policy.term_from == "first_service"
            begins = grants[0].from_ if dated_back else la_date(approved.occurred_at)
            assert (approved.from_, approved.through) == (begins, term_through(begins, 12))


TestAuthorization = AuthorizationMachine.TestCase
TestAuthorization.settings = settings(max_examples=many(100), stateful_step_count=30, deadline=None)
