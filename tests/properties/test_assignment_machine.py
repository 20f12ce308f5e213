"""Assignment under facts that come twice, late or in any order: three referrals of two members, and few places."""

from __future__ import annotations

from collections import Counter
from datetime import date, timedelta
from itertools import pairwise
from typing import Any
from uuid import UUID, uuid5

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from assignment.domain.commands import Accept, AskPlan, AssignByHand, Decline, NoteFact
from assignment.domain.deadlines import timers
from assignment.domain.rules import DECIDER
from assignment.domain.state import SERVICES_RECEIVED, Assignment, Offer
from assignment.persistence.columns import columns
from assignment.persistence.context import MEMBER, PROVIDER, AssignmentLoaded
from loopkeeper.contract.decider import Command, Refused
from loopkeeper.contract.events import (
    AssignmentAccepted,
    AssignmentDeclined,
    AssignmentEnded,
    AssignmentMade,
    AssignmentPlanAsked,
    AssignmentWithdrawn,
    AuthorizationPresumptiveEnded,
    Event,
    ReferralClosed,
    ReferralReceived,
)
from loopkeeper.policy.reading import installed, load
from loopkeeper.testing.rules import MONDAY
from tests.builders.assignment import APPROVED, GRANTED, RECEIVED
from tests.builders.facts import entry
from tests.builders.organizations import CLINIC, LEAD, MARIA, NAVIGATORS, STREET
from tests.examples import many
from tests.properties.pure_store import PureStream

SPACE = UUID("00000000-0000-0000-0000-0000000000ac")
POLICY = load(installed())
# Few places; the clinic never has one.
ENTRIES = {
    STREET: entry(STREET, types=("street_medicine",), capacity=2),
    NAVIGATORS: entry(NAVIGATORS, capacity=1),
    CLINIC: entry(CLINIC, capacity=0),
}
# David was referred twice, Ana once.
REFERRALS = {"ref_1": "mem_david", "ref_2": "mem_david", "ref_3": "mem_ana"}
LOCKED = {(MEMBER, each) for each in REFERRALS.values()} | {(PROVIDER, each) for each in ENTRIES}
OUTCOMES = ("services_received", "withdrawn", "unable_to_reach")
TAKEN_BACK = (AssignmentWithdrawn, AssignmentEnded)
TURNS = (AssignmentMade, AssignmentAccepted, AssignmentDeclined, *TAKEN_BACK)
# What may become of one provider's turn.
LIVES = {"made", "made accepted", "made declined", "made withdrawn", "made accepted ended"}

BEGUN = ("nothing", "closed", "received", "approved", "approved", "granted")
REFERRAL = st.sampled_from(sorted(REFERRALS))
ANYBODY = st.sampled_from(sorted(ENTRIES))


def over(reason: Any) -> AuthorizationPresumptiveEnded:
    return AuthorizationPresumptiveEnded(
        occurred_at=MONDAY, grant="grant_1", reason=reason, through=date(2026, 3, 31)
    )


def carried(state: Assignment) -> bool:
    """Whether an authorization of an open or served loop carries an assignment."""
    authorized = state.approved is not None or state.grant is not None
    return authorized and state.outcome in ("", SERVICES_RECEIVED)


class AssignmentMachine(RuleBasedStateMachine):
    """The directory, its places and the members are shared as one writer's batches share them."""

    def __init__(self) -> None:
        super().__init__()
        self.now = MONDAY
        self.asked = 0
        places = AssignmentLoaded(POLICY, ENTRIES, {}, {}, LOCKED)
        self.streams = {
            name: PureStream(DECIDER, name=name, loaded=places, journal=[], published=[])
            for name in REFERRALS
        }

    def give(self, referral: str, command: Command, claim: str) -> list[Event]:
        return list(self.streams[referral].give(command, uuid5(SPACE, f"{referral} {claim}"), self.now))

    def hear(self, referral: str, fact: Event) -> list[Event]:
        return self.give(referral, NoteFact(fact=fact), fact.model_dump_json())

    def new_key(self) -> str:
        """A claim that nobody has used: what people ask and deadlines say is no redelivery."""
        self.asked += 1
        return f"new_key {self.asked}"

    def ask(self, referral: str, command: Command) -> None:
        """A person's wish; refused without a trace."""
        stream = self.streams[referral]
        before = stream.state
        try:
            self.give(referral, command, self.new_key())
        except Refused:
            assert stream.state == before

    def newest(self, referral: str) -> Offer | None:
        state = self.streams[referral].state
        return state.offers[-1] if state is not None and state.offers else None

    @initialize(begun=st.lists(st.sampled_from(BEGUN), min_size=3, max_size=3))
    def begin(self, begun: list[str]) -> None:
        """Mostly the log begins with the referral; now and then a closing or anything is heard before it."""
        for referral, far in zip(REFERRALS, begun, strict=True):
            if far == "closed":
                self.closed(referral, "withdrawn")
            elif far != "nothing":
                self.received(referral)
            if far == "approved":
                self.approved(referral)
            if far == "granted":
                self.granted(referral)

    # ── what comes ────────────────────────────────────────────────────────────────────────────────────────

    @rule(days=st.sampled_from([1, 4, 9]))
    def time_passes(self, days: int) -> None:
        self.now += timedelta(days=days)

    @rule(referral=REFERRAL)
    def received(self, referral: str) -> None:
        self.hear(referral, RECEIVED.model_copy(update={"member": REFERRALS[referral]}))

    @rule(referral=REFERRAL)
    def approved(self, referral: str) -> None:
        self.hear(referral, APPROVED)

    @rule(referral=REFERRAL)
    def granted(self, referral: str) -> None:
        self.hear(referral, GRANTED)

    @rule(referral=REFERRAL, reason=st.sampled_from(["expired", "approved", "denied"]))
    def grant_over(self, referral: str, reason: str) -> None:
        self.hear(referral, over(reason))

    @rule(referral=REFERRAL, outcome=st.sampled_from(OUTCOMES))
    def closed(self, referral: str, outcome: str) -> None:
        self.hear(referral, ReferralClosed(occurred_at=MONDAY, outcome=outcome, clr_reason="other"))

    @rule(referral=REFERRAL, anybody=ANYBODY, own=st.integers(0, 3).map(bool))
    def accept(self, referral: str, anybody: str, own: bool) -> None:
        newest = self.newest(referral)
        if newest is not None:
            provider = newest.provider if own else anybody
            self.ask(referral, Accept(assignment=newest.assignment, provider=provider, lead=LEAD))

    @rule(referral=REFERRAL, reason=st.sampled_from(["no_capacity", "safety", ""]))
    def decline(self, referral: str, reason: str) -> None:
        newest = self.newest(referral)
        if newest is not None:
            command = Decline(assignment=newest.assignment, provider=newest.provider, reason=reason)
            self.ask(referral, command)

    @rule(referral=REFERRAL, provider=ANYBODY)
    def by_hand(self, referral: str, provider: str) -> None:
        self.ask(referral, AssignByHand(provider=provider, acted_by=MARIA))

    @rule(referral=REFERRAL)
    def a_deadline_fires(self, referral: str) -> None:
        state = self.streams[referral].state
        due = timers(state).get("answer") if state is not None else None
        events = self.give(referral, AskPlan(), self.new_key())
        assert bool(events) == (due is not None and self.now >= due)

    # ── what always holds ─────────────────────────────────────────────────────────────────────────────────

    @invariant()
    def folding_the_journal_gives_the_row_and_what_is_derived_from_it(self) -> None:
        for stream in self.streams.values():
            folded = stream.folded()
            assert folded == stream.state
            if folded is not None:
                assert columns(folded) == columns(stream.state)
                assert timers(folded) == timers(stream.state)

    @invariant()
    def a_member_has_one_live_assignment_across_all_referrals(self) -> None:
        held = Counter(s.state.member for s in self.streams.values() if s.state is not None and s.state.live)
        assert all(count == 1 for count in held.values())

    @invariant()
    def a_referral_has_one_live_offer(self) -> None:
        for stream in self.streams.values():
            if stream.state is not None:
                assert sum(offer.live for offer in stream.state.offers) <= 1

    @invariant()
    def no_place_is_given_twice(self) -> None:
        taken = Counter(
            s.state.live.provider for s in self.streams.values() if s.state is not None and s.state.live
        )
        assert all(count <= ENTRIES[provider].capacity for provider, count in taken.items())

    @invariant()
    def an_assignment_is_offered_then_answered_then_taken_back_each_once(self) -> None:
        for stream in self.streams.values():
            steps: dict[str, str] = {}
            for event in stream.published:
                if isinstance(event, TURNS):
                    steps[event.assignment] = f"{steps.get(event.assignment, '')} {event.wire[11:]}".strip()
            assert set(steps.values()) <= LIVES

    @invariant()
    def nothing_is_live_that_nothing_carries(self) -> None:
        for stream in self.streams.values():
            if stream.state is not None and stream.state.live:
                assert carried(stream.state)

    @invariant()
    def first_services_take_nothing_back(self) -> None:
        """Wherever they are heard: what follows them directly is never the end of a turn of an authorized member."""
        for stream in self.streams.values():
            for event, following in pairwise(stream.journal):
                if isinstance(event, ReferralClosed) and event.outcome == SERVICES_RECEIVED:
                    assert not (isinstance(following, TAKEN_BACK) and following.reason == "loop_closed")

    @invariant()
    def who_declined_is_asked_again_by_hand_only(self) -> None:
        for stream in self.streams.values():
            declined: set[str] = set()
            for event in stream.published:
                if isinstance(event, AssignmentDeclined):
                    declined.add(event.provider)
                if isinstance(event, AssignmentMade) and event.basis != "by_hand":
                    assert event.provider not in declined

    @invariant()
    def a_loop_closed_before_it_was_born_stays_silent(self) -> None:
        for stream in self.streams.values():
            if stream.journal and isinstance(stream.journal[0], ReferralClosed):
                assert stream.published == []

    @invariant()
    def the_plan_is_asked_once_about_one_silence(self) -> None:
        for stream in self.streams.values():
            silences = Counter(
                event.assignment
                for event in stream.published
                if isinstance(event, AssignmentPlanAsked) and event.reason == "no_answer"
            )
            assert all(count == 1 for count in silences.values())

    @invariant()
    def an_open_authorized_loop_is_with_a_provider_or_with_the_plan(self) -> None:
        for stream in self.streams.values():
            state = stream.state
            if state is None or state.outcome or not isinstance(stream.journal[0], ReferralReceived):
                continue
            if carried(state):
                assert state.live is not None or state.asked


TestAssignment = AssignmentMachine.TestCase
TestAssignment.settings = settings(max_examples=many(80), stateful_step_count=40, deadline=None)
