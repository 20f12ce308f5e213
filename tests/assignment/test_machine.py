"""Assignment under every move people and days can make, in any order: two members, three loops, few places. Whatever
happens, a place is given once, every deadline that fires does something, and a loop left open names the next actor."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from itertools import count
from uuid import UUID, uuid5

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from assignment.domain.commands import (
    Accept,
    AssignByHand,
    ChangeLead,
    Decline,
    End,
    NoteFact,
    RequestChange,
    Withdraw,
)
from assignment.domain.deadlines import timers
from assignment.domain.rules import DECIDER
from assignment.domain.state import Offer, over_because
from assignment.persistence.context import MEMBER, PROVIDER, AssignmentLoaded
from assignment.timers import COMMANDS
from loopkeeper.contract.calendar import la_date
from loopkeeper.contract.decider import Command, Refused
from loopkeeper.contract.events import (
    AssignmentOverdue,
    AssignmentPlanAsked,
    AuthorizationEnded,
    Event,
    Lead,
    ReferralAmended,
)
from loopkeeper.policy.reading import installed, load
from loopkeeper.testing.rules import MONDAY
from tests.builders.assignment import APPROVED, RECEIVED
from tests.builders.facts import closed, entry
from tests.builders.organizations import CLINIC, LEAD, MARIA, NAVIGATORS, STREET
from tests.examples import many
from tests.properties.pure_store import PureStream

SPACE = UUID("00000000-0000-0000-0000-0000000000ad")
POLICY = load(installed())
ENTRIES = {
    STREET: entry(STREET, types=("street_medicine",), capacity=2),
    NAVIGATORS: entry(NAVIGATORS, capacity=1),
    CLINIC: entry(CLINIC, capacity=1),
}
REFERRALS = {"ref_1": "mem_david", "ref_2": "mem_david", "ref_3": "mem_ana"}
LOCKED = {(MEMBER, each) for each in REFERRALS.values()} | {(PROVIDER, each) for each in ENTRIES}
REFERRAL, ANYBODY = st.sampled_from(sorted(REFERRALS)), st.sampled_from(sorted(ENTRIES))


class ChangesMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.now, self.numbers = MONDAY, count()
        places = AssignmentLoaded(POLICY, ENTRIES, {}, {}, LOCKED)
        self.streams = {
            name: PureStream(DECIDER, name=name, loaded=places, journal=[], published=[])
            for name in REFERRALS
        }

    @initialize(planned=st.sampled_from(sorted(REFERRALS)))
    def all_are_authorized(self, planned: str) -> None:
        """One of the members is to be released in eight days."""
        release = la_date(MONDAY) + timedelta(days=8)
        for name, member in REFERRALS.items():
            later = {"release_on": release} if name == planned else {}
            self.hear(name, RECEIVED.model_copy(update={"member": member, "pcp": CLINIC, **later}))
            self.hear(name, APPROVED)

    def give(self, referral: str, command: Command) -> list[Event]:
        claim = uuid5(SPACE, str(next(self.numbers)))
        return list(self.streams[referral].give(command, claim, self.now))

    def hear(self, referral: str, fact: Event) -> None:
        self.give(referral, NoteFact(fact=fact))

    def ask(self, referral: str, command: Command) -> None:
        before = self.streams[referral].state
        try:
            self.give(referral, command)
        except Refused:
            assert self.streams[referral].state == before

    def newest(self, referral: str) -> Offer | None:
        state = self.streams[referral].state
        return state.offers[-1] if state is not None and state.offers else None

    # ── what comes ────────────────────────────────────────────────────────────────────────────────────────

    @rule(days=st.integers(0, 8))
    def time_passes(self, days: int) -> None:
        """Deadlines that fall due fire in the order in which they do."""
        self.now += timedelta(days=days)
        for _ in range(40):
            due = [
                (at, name, kind)
                for name, stream in self.streams.items()
                for kind, at in timers(stream.state).items()
                if at <= self.now
            ]
            if not due:
                return
            _, name, kind = min(due)
            assert self.give(name, COMMANDS[kind]()), f"{kind} was due and did nothing: it would stay due"
        raise AssertionError("deadlines come without end")

    @rule(referral=REFERRAL, kind=st.sampled_from(sorted(COMMANDS)))
    def a_deadline_fires(self, referral: str, kind: str) -> None:
        state = self.streams[referral].state
        due = timers(state).get(kind) if state is not None else None
        assert bool(self.give(referral, COMMANDS[kind]())) == (due is not None and due <= self.now)

    @rule(
        referral=REFERRAL, move=st.sampled_from(["accept", "decline", "withdraw", "end", "plan ends", "lead"])
    )
    def a_person_moves(self, referral: str, move: str) -> None:
        newest = self.newest(referral)
        if newest is None:
            return
        a, provider = newest.assignment, newest.provider
        commands: dict[str, Command] = {
            "accept": Accept(assignment=a, provider=provider, lead=LEAD),
            "decline": Decline(assignment=a, provider=provider, reason="member_prefers_another"),
            "withdraw": Withdraw(assignment=a, acted_by=MARIA),
            "end": End(assignment=a, acted_by=MARIA, by_provider=True),
            "plan ends": End(assignment=a, acted_by=MARIA),
            "lead": ChangeLead(
                assignment=a, provider=provider, lead=Lead(person="ana", name="Ana Reyes"), acted_by=MARIA
            ),
        }
        self.ask(referral, commands[move])

    @rule(referral=REFERRAL, wished=st.sampled_from(["", *sorted(ENTRIES)]))
    def the_member_asks_for_another(self, referral: str, wished: str) -> None:
        newest = self.newest(referral)
        if newest is not None:
            command = RequestChange(assignment=newest.assignment, wished=wished, acted_by=MARIA)
            self.ask(referral, command)

    @rule(
        referral=REFERRAL,
        provider=ANYBODY,
        because=st.sampled_from(["", "member_wish", "fits_better"]),
    )
    def the_plan_chooses(self, referral: str, provider: str, because: str) -> None:
        self.ask(referral, AssignByHand(provider=provider, acted_by=MARIA, because=because))  # pyright: ignore[reportArgumentType]

    @rule(referral=REFERRAL, days=st.integers(0, 20))
    def the_release_moves(self, referral: str, days: int) -> None:
        on = la_date(self.now) + timedelta(days=days)
        self.hear(referral, ReferralAmended(occurred_at=MONDAY, cause="release_date", release_on=on))

    @rule(referral=REFERRAL, chosen=ANYBODY)
    def a_wish_is_learned(self, referral: str, chosen: str) -> None:
        self.hear(referral, ReferralAmended(occurred_at=MONDAY, cause="joined", chosen=(chosen,)))

    @rule(referral=REFERRAL, days=st.integers(0, 20))
    def the_authorization_will_end(self, referral: str, days: int) -> None:
        on = la_date(self.now) + timedelta(days=days)
        self.hear(referral, AuthorizationEnded(occurred_at=MONDAY, authorization="auth_1", code=1, on=on))

    @rule(referral=REFERRAL, outcome=st.sampled_from(["services_received", "withdrawn"]))
    def the_loop_closes(self, referral: str, outcome: str) -> None:
        self.hear(referral, closed(outcome))

    # ── what always holds ─────────────────────────────────────────────────────────────────────────────────

    @invariant()
    def the_journal_gives_the_row(self) -> None:
        for stream in self.streams.values():
            assert stream.folded() == stream.state
            assert timers(stream.folded() or DECIDER.state()) == timers(stream.state or DECIDER.state())

    @invariant()
    def no_place_is_given_twice(self) -> None:
        held = [s.state.held_offer.provider for s in self.streams.values() if s.state and s.state.held_offer]
        assert all(taken <= ENTRIES[provider].capacity for provider, taken in Counter(held).items())

    @invariant()
    def a_loop_has_one_turn_and_a_member_one_live_one_or_the_plan_was_asked(self) -> None:
        for stream in self.streams.values():
            assert sum(offer.held for offer in stream.state.offers) <= 1 if stream.state else True
        live = Counter(s.state.member for s in self.streams.values() if s.state and s.state.live)
        asked = any(
            isinstance(event, AssignmentPlanAsked) and event.reason == "conflicted"
            for stream in self.streams.values()
            for event in stream.published
        )
        assert asked or all(taken == 1 for taken in live.values())

    @invariant()
    def a_loop_left_open_names_who_must_act(self) -> None:
        """loop.md 7.6."""
        today = la_date(self.now)
        for stream in self.streams.values():
            state = stream.state
            if state is not None and state.plan and not state.outcome and not over_because(state, today):
                assert state.held_offer is not None or state.asked

    @invariant()
    def each_limit_is_said_once(self) -> None:
        for stream in self.streams.values():
            said = [
                (e.clock, e.state, "" if e.clock == "provider_told" else e.assignment)
                for e in stream.published
                if isinstance(e, AssignmentOverdue)
            ]
            assert len(said) == len(set(said)), said


TestChanges = ChangesMachine.TestCase
TestChanges.settings = settings(max_examples=many(60), stateful_step_count=30, deadline=None)
