"""Who answers for a member: given what happened, when a fact or an answer comes, then these events."""

from __future__ import annotations

from typing import Any

import pytest

from assignment.domain.deadlines import timers
from assignment.domain.offers import MOST_KEPT
from assignment.domain.rules import DECIDER
from assignment.domain.state import Assignment, status
from loopkeeper.contract.decider import Command
from loopkeeper.contract.events import (
    AssignmentAccepted,
    AssignmentDeclined,
    AssignmentEnded,
    AssignmentMade,
    AssignmentPlanAsked,
    AssignmentWithdrawn,
    Event,
    Skipped,
)
from loopkeeper.contract.vocabulary.providers import DeclineReason
from loopkeeper.testing.rules import MONDAY, given
from tests.builders.assignment import (
    ANSWER_DUE,
    APPROVED,
    GRANTED,
    OFFERED,
    PLAN_DUE,
    RECEIVED,
    TAKEN,
    accept,
    ask_plan,
    by_hand,
    decline,
    heard,
    market,
    needs,
    wires,
)
from tests.builders.facts import TODAY, accepted, closed, made
from tests.builders.organizations import CLINIC, LEAD, MARIA, NAVIGATORS, STREET


def offer(events: list[Event]) -> AssignmentMade:
    (found,) = [event for event in events if isinstance(event, AssignmentMade)]
    return found


def asked(events: list[Event]) -> AssignmentPlanAsked:
    (found,) = [event for event in events if isinstance(event, AssignmentPlanAsked)]
    return found


# ── offering ──────────────────────────────────────────────────────────────────────────────────────────────


def test_an_authorized_member_is_offered_to_the_first_of_the_ranking() -> None:
    events = (
        given(DECIDER, RECEIVED)
        .when(heard(APPROVED, market(STREET, NAVIGATORS, because=("specialist",))))
        .events
    )
    first = offer(events)
    assert wires(events) == ["made"]
    assert (first.provider, first.kind, first.basis) == (STREET, "ecm", "specialist")
    assert first.answer_due_at == ANSWER_DUE
    assert first.assignment.startswith("asg_")


def test_where_nothing_speaks_for_one_candidate_the_ranking_itself_is_the_basis() -> None:
    assert offer(given(DECIDER, RECEIVED).when(heard(APPROVED)).events).basis == "ranking"


def test_an_offer_keeps_who_was_ranked_and_who_was_passed_over() -> None:
    passed = (Skipped(provider=CLINIC, reason="no_contract"),)
    made_now = offer(
        given(DECIDER, RECEIVED).when(heard(APPROVED, market(STREET, NAVIGATORS, skipped=passed))).events
    )
    assert [each.provider for each in made_now.ranked] == [STREET, NAVIGATORS]
    assert made_now.skipped == passed


def test_of_a_long_list_an_offer_keeps_the_beginning() -> None:
    many = [f"provider-{number}" for number in range(MOST_KEPT + 5)]
    assert (
        len(offer(given(DECIDER, RECEIVED).when(heard(APPROVED, market(*many))).events).ranked) == MOST_KEPT
    )


def test_a_grant_is_offered_to_the_provider_it_was_made_for_and_to_nobody_else() -> None:
    state = given(DECIDER, RECEIVED, GRANTED).state
    assert needs(state, heard(GRANTED)).only == STREET
    first = offer(given(DECIDER, RECEIVED).when(heard(GRANTED, market(STREET))).events)
    assert (first.provider, first.kind, first.basis) == (STREET, "presumptive", "presumptive_grant")


def test_an_approval_frees_the_choice_that_a_grant_bound() -> None:
    chosen = needs(given(DECIDER, RECEIVED, GRANTED, APPROVED).state, heard(APPROVED))
    assert (chosen.only, chosen.granted_to) == ("", STREET)
    assert chosen.populations == ("homelessness",)


def test_the_populations_asked_for_are_those_the_plan_approved() -> None:
    fewer = APPROVED.model_copy(update={"populations": ("avoidable_utilization",)})
    assert needs(given(DECIDER, RECEIVED, fewer).state, heard(fewer)).populations == (
        "avoidable_utilization",
    )
    unnamed = APPROVED.model_copy(update={"populations": ()})
    assert needs(given(DECIDER, RECEIVED, unnamed).state, heard(unnamed)).populations == ("homelessness",)


@pytest.mark.parametrize("facts", [(made(),), (made(), accepted())], ids=["offered", "accepted"])
def test_an_approval_after_a_grant_makes_no_second_offer(facts: tuple[Event, ...]) -> None:
    given(DECIDER, RECEIVED, GRANTED, *facts).when(heard(APPROVED)).then()


def test_an_offer_nobody_accepted_yields_to_who_is_granted_and_serves_already_3_3() -> None:
    """ECMG26 p112: who serves is asked first. An accepted one stays, and so does an offer that nobody else can take."""
    street, nobody = market(STREET), market()
    offered = given(DECIDER, RECEIVED, APPROVED, made(NAVIGATORS)).state
    gone, following = given(DECIDER, state=offered).when(heard(GRANTED, street)).events
    assert isinstance(gone, AssignmentWithdrawn)
    assert isinstance(following, AssignmentMade)
    assert (gone.provider, gone.reason, following.provider) == (NAVIGATORS, "other_serves", STREET)
    assert needs(given(DECIDER, GRANTED, state=offered).state, heard(GRANTED)).only == STREET
    given(DECIDER, state=offered).when(heard(GRANTED, nobody)).then()
    taken = given(DECIDER, RECEIVED, APPROVED, made(NAVIGATORS), accepted(NAVIGATORS)).state
    given(DECIDER, state=taken).when(heard(GRANTED, street)).then()
    given(DECIDER, RECEIVED, APPROVED, made(STREET)).when(heard(GRANTED, street)).then()
    # Told under the claim's own referral, it is another loop's grant.
    given(DECIDER, state=offered).when(
        heard(GRANTED.model_copy(update={"carried_by": "ref_9"}), street)
    ).then()


def test_a_grant_told_behind_the_end_of_its_loop_moves_no_offer_7_2() -> None:
    """First services closed the loop, and the grant that is told late carries nothing any more."""
    ended = given(DECIDER, RECEIVED, made(NAVIGATORS), closed("services_received")).state
    given(DECIDER, state=ended).when(heard(GRANTED, market(STREET))).then()


def test_where_nobody_can_take_the_member_the_plan_is_asked() -> None:
    question = asked(given(DECIDER, RECEIVED).when(heard(APPROVED, market())).events)
    assert (question.reason, question.due_at) == ("none_left", PLAN_DUE)


def test_a_second_loop_of_an_assigned_member_asks_the_plan() -> None:
    other_assignment = market(STREET, assigned_elsewhere=True)
    question = asked(given(DECIDER, RECEIVED).when(heard(APPROVED, other_assignment)).events)
    assert (question.reason, question.due_at) == ("member_already_assigned", PLAN_DUE)


@pytest.mark.parametrize("fact", [RECEIVED, closed("withdrawn")], ids=["received", "closed"])
def test_without_an_authorization_nobody_is_offered_anything(fact: Event) -> None:
    given(DECIDER, RECEIVED).when(heard(fact)).then()


# ── accepting ─────────────────────────────────────────────────────────────────────────────────────────────


def test_accepting_names_the_lead_care_manager() -> None:
    (taken,) = given(DECIDER, *OFFERED).when(accept()).events
    assert isinstance(taken, AssignmentAccepted)
    assert (taken.assignment, taken.provider, taken.lead) == ("asg_1", STREET, LEAD)
    assert taken.acted_by is not None
    assert (taken.acted_by.organization, taken.acted_by.person) == (STREET, "luis-ortega")
    state = given(DECIDER, *OFFERED, taken).state
    assert status(state) == "accepted"


def test_nobody_accepts_without_a_lead_care_manager() -> None:
    answer = given(DECIDER, *OFFERED).when(accept(lead=None)).refusal
    assert (answer.slug, answer.allowed) == ("lead-required", ("accept", "decline"))


def test_a_provider_whose_contract_has_lapsed_can_only_decline() -> None:
    answer = given(DECIDER, *OFFERED).when(accept(found=market(contracted=False))).refusal
    assert (answer.slug, answer.allowed) == ("no-contract", ("decline",))


@pytest.mark.parametrize("command", [accept(NAVIGATORS), decline(provider=NAVIGATORS)])
@pytest.mark.parametrize("facts", [(), OFFERED, (RECEIVED, APPROVED)], ids=["unknown", "another's", "none"])
def test_to_anybody_else_there_is_no_offer(facts: tuple[Event, ...], command: Command) -> None:
    answer = given(DECIDER, *facts).when(command).refusal
    assert (answer.slug, answer.status) == ("not-found", 404)


NO_LONGER_OFFERED: list[tuple[str, Event]] = [
    ("accepted", accepted()),
    ("declined", AssignmentDeclined(occurred_at=MONDAY, assignment="asg_1", reason="safety")),
    ("withdrawn", AssignmentWithdrawn(occurred_at=MONDAY, assignment="asg_1", reason="by_hand")),
    ("ended", AssignmentEnded(occurred_at=MONDAY, assignment="asg_1", reason="grant_over", on=TODAY)),
]


@pytest.mark.parametrize("command", [accept(), decline()], ids=["accept", "decline"])
@pytest.mark.parametrize(("how", "fact"), NO_LONGER_OFFERED, ids=[how for how, _ in NO_LONGER_OFFERED])
def test_an_offer_is_answered_once(how: str, fact: Event, command: Command) -> None:
    answer = given(DECIDER, *OFFERED, fact).when(command).refusal
    assert answer.slug == "not-offered"
    assert how in answer.sentence


# ── declining ─────────────────────────────────────────────────────────────────────────────────────────────


# loop.md 5.5
def test_a_decline_goes_to_the_next_candidate_in_the_same_breath() -> None:
    events = given(DECIDER, *OFFERED).when(decline("outside_area")).events
    assert wires(events) == ["declined", "made"]
    assert offer(events).provider == NAVIGATORS
    state = given(DECIDER, *OFFERED, *events).state
    assert [each.status for each in state.offers] == ["declined", "offered"]
    assert state.live is not None
    assert state.live.provider == NAVIGATORS


def test_a_decline_with_nobody_left_asks_the_plan_and_leaves_the_loop_open() -> None:
    events = given(DECIDER, *OFFERED).when(decline(found=market())).events
    assert wires(events) == ["declined", "plan_asked"]
    assert asked(events).reason == "none_left"
    state = given(DECIDER, *OFFERED, *events).state
    assert (status(state), state.outcome) == ("asked", "")


def test_who_declined_is_not_asked_again() -> None:
    state = given(DECIDER, *OFFERED).state
    assert state is not None
    assert needs(state, decline()).declined == {STREET}
    later = given(DECIDER, state=state).when(decline()).state
    second = decline(provider=NAVIGATORS, assignment=later.offers[-1].assignment)
    assert needs(later, second).declined == {STREET, NAVIGATORS}


def test_when_the_provider_of_a_grant_declines_the_plan_is_asked_until_it_decides() -> None:
    state = given(DECIDER, RECEIVED, GRANTED, made()).state
    events = given(DECIDER, state=state).when(decline(found=market())).events
    assert wires(events) == ["declined", "plan_asked"]
    assert (
        offer(given(DECIDER, *events, state=state).when(heard(APPROVED, market(NAVIGATORS))).events).provider
        == NAVIGATORS
    )


@pytest.mark.parametrize("reason", sorted(DeclineReason.codes()))
def test_a_decline_says_why(reason: str) -> None:
    (declined, *_) = given(DECIDER, *OFFERED).when(decline(reason)).events
    assert isinstance(declined, AssignmentDeclined)
    assert (declined.reason, declined.provider) == (reason, STREET)


@pytest.mark.parametrize("reason", ["", "busy"])
def test_a_decline_without_a_known_reason_is_refused(reason: str) -> None:
    given(DECIDER, *OFFERED).when(decline(reason)).refused("reason-required")


# ── silence ───────────────────────────────────────────────────────────────────────────────────────────────


def test_an_offer_that_is_not_answered_in_time_asks_the_plan_and_stands() -> None:
    state = given(
        DECIDER,
        *OFFERED,
    ).state
    assert timers(state)["answer"] == ANSWER_DUE
    given(DECIDER, state=state).when(ask_plan(), ANSWER_DUE - ANSWER_DUE.resolution).then()
    events = given(DECIDER, state=state).when(ask_plan(), ANSWER_DUE).events
    assert (asked(events).reason, asked(events).assignment) == ("no_answer", "asg_1")
    waiting = given(DECIDER, *events, state=state).state
    assert status(waiting) == "offered"
    given(DECIDER, state=waiting).when(accept(), ANSWER_DUE).then("assignment.accepted")


def test_the_plan_is_asked_once_about_one_silence() -> None:
    state = given(DECIDER, *OFFERED).when(ask_plan(), ANSWER_DUE).state
    assert "answer" not in timers(state)
    given(DECIDER, state=state).when(ask_plan(), ANSWER_DUE).then()


WITHDRAWN = AssignmentWithdrawn(occurred_at=MONDAY, assignment="asg_1", reason="loop_closed")


@pytest.mark.parametrize(
    "facts", [(), (RECEIVED,), TAKEN, (*OFFERED, closed("withdrawn"), WITHDRAWN)],
    ids=["unknown", "not offered", "accepted", "withdrawn"],
)  # fmt: skip
def test_nobody_is_asked_where_no_answer_is_awaited(facts: tuple[Event, ...]) -> None:
    state = given(DECIDER, *facts).state
    given(DECIDER, state=state).when(ask_plan(), ANSWER_DUE).then()
    assert state is None or "answer" not in timers(state)


def test_the_next_offer_has_a_deadline_of_its_own() -> None:
    silent = given(DECIDER, *OFFERED).when(ask_plan(), ANSWER_DUE).state
    state = given(DECIDER, state=silent).when(by_hand()).state
    assert timers(state)["answer"] == ANSWER_DUE


# ── by hand ───────────────────────────────────────────────────────────────────────────────────────────────


def test_a_named_person_of_the_plan_chooses_the_provider() -> None:
    chosen = offer(given(DECIDER, RECEIVED, APPROVED).when(by_hand()).events)
    assert (chosen.provider, chosen.basis, chosen.acted_by) == (NAVIGATORS, "by_hand", MARIA)


def test_by_hand_the_unanswered_offer_is_withdrawn_before_the_next_is_made() -> None:
    events = given(DECIDER, *OFFERED).when(by_hand()).events
    assert wires(events) == ["withdrawn", "made"]
    withdrawn = events[0]
    assert isinstance(withdrawn, AssignmentWithdrawn)
    assert (withdrawn.provider, withdrawn.reason) == (STREET, "by_hand")


def test_by_hand_even_a_provider_that_declined_can_be_asked() -> None:
    state = given(
        DECIDER, *OFFERED, AssignmentDeclined(occurred_at=MONDAY, assignment="asg_1", reason="no_capacity")
    ).state
    assert state is not None
    wanted = needs(state, by_hand(STREET))
    assert (wanted.only, wanted.declined) == (STREET, frozenset())


REFUSED_BY_HAND: list[tuple[str, tuple[Event, ...], Any]] = [
    ("not-found", (), by_hand()),
    ("not-found", (closed("withdrawn"),), by_hand()),
    ("not-eligible", (RECEIVED,), by_hand()),
    ("not-eligible", (RECEIVED, APPROVED, closed("withdrawn")), by_hand()),
    ("not-eligible", (*TAKEN, closed("services_received")), by_hand()),
    ("member-already-assigned", TAKEN, by_hand()),
    ("member-already-assigned", OFFERED, by_hand(found=market(NAVIGATORS, assigned_elsewhere=True))),
    ("no-capacity", OFFERED, by_hand(found=market(skipped=[Skipped(provider=NAVIGATORS, reason="full")]))),
    ("not-eligible", OFFERED, by_hand(found=market(skipped=[Skipped(provider=NAVIGATORS, reason="age")]))),
    ("not-eligible", OFFERED, by_hand("nobody-knows", market())),
]


@pytest.mark.parametrize(("slug", "facts", "command"), REFUSED_BY_HAND)
def test_by_hand_too_a_member_gets_one_provider_that_can_take_them(
    slug: str, facts: tuple[Event, ...], command: Command
) -> None:
    given(DECIDER, *facts).when(command).refused(slug)


# ── status ────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ((RECEIVED,), "waiting"),
        ((RECEIVED, APPROVED), "waiting"),
        (OFFERED, "offered"),
        (TAKEN, "accepted"),
        ((RECEIVED, APPROVED, AssignmentPlanAsked(occurred_at=MONDAY, reason="none_left")), "asked"),
        ((*TAKEN, closed("services_received")), "accepted"),
        ((RECEIVED, closed("withdrawn")), "closed"),
    ],
)
def test_how_it_stands_is_read_from_the_facts(facts: tuple[Event, ...], expected: str) -> None:
    state = given(DECIDER, *facts).state
    assert isinstance(state, Assignment)
    assert status(state) == expected
