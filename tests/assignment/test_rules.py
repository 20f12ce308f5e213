"""Who answers for a member: given what happened, when a fact or an answer comes, then these events."""

from __future__ import annotations

from typing import Any

import pytest

from assignment.domain.deadlines import timers
from assignment.domain.offers import MOST_KEPT
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
from loopkeeper.testing.rules import MONDAY
from tests.builders.assignment import (
    ANSWER_DUE,
    APPROVED,
    GRANTED,
    OFFERED,
    PLAN_DUE,
    RECEIVED,
    TAKEN,
    accept,
    after,
    ask_plan,
    by_hand,
    decline,
    given,
    heard,
    market,
    needs,
    refused,
    when,
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
    events = when(given(RECEIVED), heard(APPROVED, market(STREET, NAVIGATORS, because=("specialist",))))
    first = offer(events)
    assert wires(events) == ["made"]
    assert (first.provider, first.kind, first.basis) == (STREET, "ecm", "specialist")
    assert first.answer_due_at == ANSWER_DUE
    assert first.assignment.startswith("asg_")


def test_where_nothing_speaks_for_one_candidate_the_ranking_itself_is_the_basis() -> None:
    assert offer(when(given(RECEIVED), heard(APPROVED))).basis == "ranking"


def test_an_offer_keeps_who_was_ranked_and_who_was_passed_over() -> None:
    passed = (Skipped(provider=CLINIC, reason="no_contract"),)
    made_now = offer(when(given(RECEIVED), heard(APPROVED, market(STREET, NAVIGATORS, skipped=passed))))
    assert [each.provider for each in made_now.ranked] == [STREET, NAVIGATORS]
    assert made_now.skipped == passed


def test_of_a_long_list_an_offer_keeps_the_beginning() -> None:
    many = [f"provider-{number}" for number in range(MOST_KEPT + 5)]
    assert len(offer(when(given(RECEIVED), heard(APPROVED, market(*many)))).ranked) == MOST_KEPT


def test_a_grant_is_offered_to_the_provider_it_was_made_for_and_to_nobody_else() -> None:
    state = after(given(RECEIVED), GRANTED)
    assert needs(state, heard(GRANTED)).only == STREET
    first = offer(when(given(RECEIVED), heard(GRANTED, market(STREET))))
    assert (first.provider, first.kind, first.basis) == (STREET, "presumptive", "presumptive_grant")


def test_an_approval_frees_the_choice_that_a_grant_bound() -> None:
    chosen = needs(after(given(RECEIVED), GRANTED, APPROVED), heard(APPROVED))
    assert (chosen.only, chosen.granted_to) == ("", STREET)
    assert chosen.populations == ("homelessness",)


def test_the_populations_asked_for_are_those_the_plan_approved() -> None:
    fewer = APPROVED.model_copy(update={"populations": ("avoidable_utilization",)})
    assert needs(after(given(RECEIVED), fewer), heard(fewer)).populations == ("avoidable_utilization",)
    unnamed = APPROVED.model_copy(update={"populations": ()})
    assert needs(after(given(RECEIVED), unnamed), heard(unnamed)).populations == ("homelessness",)


@pytest.mark.parametrize("facts", [(made(),), (made(), accepted())], ids=["offered", "accepted"])
def test_an_approval_after_a_grant_makes_no_second_offer(facts: tuple[Event, ...]) -> None:
    assert when(given(RECEIVED, GRANTED, *facts), heard(APPROVED)) == []


def test_an_offer_nobody_accepted_yields_to_who_is_granted_and_serves_already_3_3() -> None:
    """ECMG26 p112: who serves is asked first. An accepted one stays, and so does an offer that nobody else can take."""
    street, nobody = market(STREET), market()
    offered = given(RECEIVED, APPROVED, made(NAVIGATORS))
    gone, following = when(offered, heard(GRANTED, street))
    assert isinstance(gone, AssignmentWithdrawn)
    assert isinstance(following, AssignmentMade)
    assert (gone.provider, gone.reason, following.provider) == (NAVIGATORS, "other_serves", STREET)
    assert needs(after(offered, GRANTED), heard(GRANTED)).only == STREET
    assert when(offered, heard(GRANTED, nobody)) == []
    taken = given(RECEIVED, APPROVED, made(NAVIGATORS), accepted(NAVIGATORS))
    assert when(taken, heard(GRANTED, street)) == []
    assert when(given(RECEIVED, APPROVED, made(STREET)), heard(GRANTED, street)) == []
    # Told under the claim's own referral, it is another loop's grant.
    assert when(offered, heard(GRANTED.model_copy(update={"carried_by": "ref_9"}), street)) == []


def test_a_grant_told_behind_the_end_of_its_loop_moves_no_offer_7_2() -> None:
    """First services closed the loop, and the grant that is told late carries nothing any more."""
    ended = given(RECEIVED, made(NAVIGATORS), closed("services_received"))
    assert when(ended, heard(GRANTED, market(STREET))) == []


def test_where_nobody_can_take_the_member_the_plan_is_asked() -> None:
    question = asked(when(given(RECEIVED), heard(APPROVED, market())))
    assert (question.reason, question.due_at) == ("none_left", PLAN_DUE)


def test_a_second_loop_of_an_assigned_member_asks_the_plan() -> None:
    other_assignment = market(STREET, assigned_elsewhere=True)
    question = asked(when(given(RECEIVED), heard(APPROVED, other_assignment)))
    assert (question.reason, question.due_at) == ("member_already_assigned", PLAN_DUE)


@pytest.mark.parametrize("fact", [RECEIVED, closed("withdrawn")], ids=["received", "closed"])
def test_without_an_authorization_nobody_is_offered_anything(fact: Event) -> None:
    assert when(given(RECEIVED), heard(fact)) == []


# ── accepting ─────────────────────────────────────────────────────────────────────────────────────────────


def test_accepting_names_the_lead_care_manager() -> None:
    (taken,) = when(given(*OFFERED), accept())
    assert isinstance(taken, AssignmentAccepted)
    assert (taken.assignment, taken.provider, taken.lead) == ("asg_1", STREET, LEAD)
    assert taken.acted_by is not None
    assert (taken.acted_by.organization, taken.acted_by.person) == (STREET, "luis-ortega")
    state = after(given(*OFFERED), taken)
    assert status(state) == "accepted"


def test_nobody_accepts_without_a_lead_care_manager() -> None:
    answer = refused(given(*OFFERED), accept(lead=None))
    assert (answer.slug, answer.allowed) == ("lead-required", ("accept", "decline"))


def test_a_provider_whose_contract_has_lapsed_can_only_decline() -> None:
    answer = refused(given(*OFFERED), accept(found=market(contracted=False)))
    assert (answer.slug, answer.allowed) == ("no-contract", ("decline",))


@pytest.mark.parametrize("command", [accept(NAVIGATORS), decline(provider=NAVIGATORS)])
@pytest.mark.parametrize("facts", [(), OFFERED, (RECEIVED, APPROVED)], ids=["unknown", "another's", "none"])
def test_to_anybody_else_there_is_no_offer(facts: tuple[Event, ...], command: Command) -> None:
    answer = refused(given(*facts), command)
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
    answer = refused(given(*OFFERED, fact), command)
    assert answer.slug == "not-offered"
    assert how in answer.sentence


# ── declining ─────────────────────────────────────────────────────────────────────────────────────────────


# loop.md 5.5
def test_a_decline_goes_to_the_next_candidate_in_the_same_breath() -> None:
    events = when(given(*OFFERED), decline("outside_area"))
    assert wires(events) == ["declined", "made"]
    assert offer(events).provider == NAVIGATORS
    state = after(given(*OFFERED), *events)
    assert [each.status for each in state.offers] == ["declined", "offered"]
    assert state.live is not None
    assert state.live.provider == NAVIGATORS


def test_a_decline_with_nobody_left_asks_the_plan_and_leaves_the_loop_open() -> None:
    events = when(given(*OFFERED), decline(found=market()))
    assert wires(events) == ["declined", "plan_asked"]
    assert asked(events).reason == "none_left"
    state = after(given(*OFFERED), *events)
    assert (status(state), state.outcome) == ("asked", "")


def test_who_declined_is_not_asked_again() -> None:
    state = given(*OFFERED)
    assert state is not None
    assert needs(state, decline()).declined == {STREET}
    later = after(state, *when(state, decline()))
    second = decline(provider=NAVIGATORS, assignment=later.offers[-1].assignment)
    assert needs(later, second).declined == {STREET, NAVIGATORS}


def test_when_the_provider_of_a_grant_declines_the_plan_is_asked_until_it_decides() -> None:
    state = given(RECEIVED, GRANTED, made())
    events = when(state, decline(found=market()))
    assert wires(events) == ["declined", "plan_asked"]
    assert offer(when(after(state, *events), heard(APPROVED, market(NAVIGATORS)))).provider == NAVIGATORS


@pytest.mark.parametrize("reason", sorted(DeclineReason.codes()))
def test_a_decline_says_why(reason: str) -> None:
    (declined, *_) = when(given(*OFFERED), decline(reason))
    assert isinstance(declined, AssignmentDeclined)
    assert (declined.reason, declined.provider) == (reason, STREET)


@pytest.mark.parametrize("reason", ["", "busy"])
def test_a_decline_without_a_known_reason_is_refused(reason: str) -> None:
    assert refused(given(*OFFERED), decline(reason)).slug == "reason-required"


# ── silence ───────────────────────────────────────────────────────────────────────────────────────────────


def test_an_offer_that_is_not_answered_in_time_asks_the_plan_and_stands() -> None:
    state = after(given(*OFFERED))
    assert timers(state)["answer"] == ANSWER_DUE
    assert when(state, ask_plan(), ANSWER_DUE - ANSWER_DUE.resolution) == []
    events = when(state, ask_plan(), ANSWER_DUE)
    assert (asked(events).reason, asked(events).assignment) == ("no_answer", "asg_1")
    waiting = after(state, *events)
    assert status(waiting) == "offered"
    assert wires(when(waiting, accept(), ANSWER_DUE)) == ["accepted"]


def test_the_plan_is_asked_once_about_one_silence() -> None:
    state = after(given(*OFFERED), *when(given(*OFFERED), ask_plan(), ANSWER_DUE))
    assert "answer" not in timers(state)
    assert when(state, ask_plan(), ANSWER_DUE) == []


WITHDRAWN = AssignmentWithdrawn(occurred_at=MONDAY, assignment="asg_1", reason="loop_closed")


@pytest.mark.parametrize(
    "facts", [(), (RECEIVED,), TAKEN, (*OFFERED, closed("withdrawn"), WITHDRAWN)],
    ids=["unknown", "not offered", "accepted", "withdrawn"],
)  # fmt: skip
def test_nobody_is_asked_where_no_answer_is_awaited(facts: tuple[Event, ...]) -> None:
    state = given(*facts)
    assert when(state, ask_plan(), ANSWER_DUE) == []
    assert state is None or "answer" not in timers(state)


def test_the_next_offer_has_a_deadline_of_its_own() -> None:
    silent = after(given(*OFFERED), *when(given(*OFFERED), ask_plan(), ANSWER_DUE))
    state = after(silent, *when(silent, by_hand()))
    assert timers(state)["answer"] == ANSWER_DUE


# ── by hand ───────────────────────────────────────────────────────────────────────────────────────────────


def test_a_named_person_of_the_plan_chooses_the_provider() -> None:
    chosen = offer(when(given(RECEIVED, APPROVED), by_hand()))
    assert (chosen.provider, chosen.basis, chosen.acted_by) == (NAVIGATORS, "by_hand", MARIA)


def test_by_hand_the_unanswered_offer_is_withdrawn_before_the_next_is_made() -> None:
    events = when(given(*OFFERED), by_hand())
    assert wires(events) == ["withdrawn", "made"]
    withdrawn = events[0]
    assert isinstance(withdrawn, AssignmentWithdrawn)
    assert (withdrawn.provider, withdrawn.reason) == (STREET, "by_hand")


def test_by_hand_even_a_provider_that_declined_can_be_asked() -> None:
    state = given(*OFFERED, AssignmentDeclined(occurred_at=MONDAY, assignment="asg_1", reason="no_capacity"))
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
    assert refused(given(*facts), command).slug == slug


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
    state = given(*facts)
    assert isinstance(state, Assignment)
    assert status(state) == expected
