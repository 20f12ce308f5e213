"""What may be decided about a request: given what is known, when a fact or a person comes, then these events."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest

from authorization.api.explanation import WHY_A_PERSON
from authorization.domain.decisions import allowed
from authorization.domain.rules import DECIDER
from authorization.domain.state import status
from loopkeeper.contract.decider import Command
from loopkeeper.contract.events import (
    AssignmentEnded,
    AuthorizationApproved,
    AuthorizationDenied,
    AuthorizationReviewOpened,
    Eligibility,
    Event,
    ScreenedPopulation,
)
from loopkeeper.contract.vocabulary.decisions import DenialReason, ForbiddenReason
from loopkeeper.testing.rules import MONDAY, given
from tests.builders import facts
from tests.builders.authorization import (
    ENTRY,
    FREQUENT,
    RULES,
    TEAM,
    UNSURE,
    approval,
    approve,
    claim,
    deny,
    modify,
    open_review,
    opened,
    pending,
    received,
    wires,
)
from tests.builders.facts import HOMELESS, TODAY, closed
from tests.builders.organizations import CLINIC, MARIA, NOBODY

# ── the review ────────────────────────────────────────────────────────────────────────────────────────────


def test_a_referral_opens_a_review_with_the_clocks_that_watch_it() -> None:
    review = opened(received(claim=None))[0]
    assert isinstance(review, AuthorizationReviewOpened)
    assert (review.clock, review.due_at, review.cap_at) == ("routine", RULES.due_at, RULES.cap_at)
    assert review.authorization.startswith("auth_")


def test_a_review_is_opened_once() -> None:
    again = open_review(received(), RULES, provider=ENTRY)
    given(DECIDER, state=pending()).when(again).then()
    given(DECIDER, state=given(DECIDER, state=pending()).when(approve()).state).when(again).then()


def test_a_loop_closed_before_it_was_known_is_a_tombstone_and_opens_nothing() -> None:
    tombstone = given(DECIDER, closed("withdrawn")).state
    assert tombstone is not None
    assert status(tombstone) == ""
    given(DECIDER, state=tombstone).when(open_review(received(), RULES, provider=ENTRY)).then()


@pytest.mark.parametrize("outcome", ["withdrawn", "merged", "declined_by_member", "unable_to_reach"])
def test_a_closing_before_the_decision_ends_the_review(outcome: str) -> None:
    state = given(DECIDER, closed(outcome), state=pending()).state
    assert (status(state), allowed(state)) == ("closed", ())
    given(DECIDER, state=state).when(approve()).refused("illegal-move")
    given(DECIDER, state=state).when(deny()).refused("illegal-move")


def test_first_services_close_the_loop_and_the_review_goes_on() -> None:
    state = given(DECIDER, closed("services_received"), state=pending()).state
    assert (status(state), allowed(state)) == ("pending", ("approve", "modify", "deny", "pend"))


@pytest.mark.parametrize("command", [approve(), deny()], ids=["approve", "deny"])
def test_a_decision_after_first_services_is_recorded_like_any_other(command: Command) -> None:
    state = given(DECIDER, closed("services_received"), state=pending()).state
    events = given(DECIDER, state=state).when(command, MONDAY + timedelta(days=4)).events
    decided = given(DECIDER, *events, state=state).state
    assert decided.decision is not None
    assert status(decided) == decided.decision.kind
    assert wires(events)[0] == decided.decision.kind


# ── approval by rule ──────────────────────────────────────────────────────────────────────────────────────


def test_a_rule_approves_where_every_condition_holds() -> None:
    events = opened(received(claim=None))
    assert wires(events) == ["review_opened", "approved"]
    decided = approval(events)
    assert (decided.by, decided.acted_by, decided.modified) == ("rule", None, False)
    assert decided.populations == ("homelessness",)
    assert decided.number.startswith("ECM-")


def test_beside_words_a_rule_approves_what_the_list_meets_and_leaves_the_words_to_a_person() -> None:
    """loop.md 2.4"""
    firm = ScreenedPopulation(code="homelessness", result="met", claimed=True)
    worded = ScreenedPopulation(code="smi_sud", result="met", claimed=True, met_by="other_factor")
    decided = approval(opened(received(claim=None, populations=(worded, firm))))
    assert (decided.populations, decided.modified) == (("homelessness",), False)


UNANSWERED = ScreenedPopulation(code="homelessness", result="unknown", claimed=True)
UNMET = ScreenedPopulation(code="homelessness", result="unmet", claimed=True)
# loop.md 2.4: met by another factor in words alone
IN_WORDS = ScreenedPopulation(code="homelessness", result="met", claimed=True, met_by="other_factor")
A_PERSON_DECIDES: list[tuple[str, dict[str, Any], dict[str, Any], dict[str, Any]]] = [
    # why, what the referral says otherwise, what policy says otherwise, what else is known
    ("criteria_open", {"populations": (UNANSWERED,)}, {}, {}),
    ("criteria_open", {"populations": (UNMET,)}, {}, {}),
    ("other_factor", {"populations": (IN_WORDS,)}, {}, {}),
    ("switch_off", {}, {"automatic": {}}, {}),
    ("switch_off", {}, {"automatic": {"avoidable_utilization": 0.0}}, {}),
    ("not_attested", {"attested": False}, {}, {}),
    ("eligibility_unconfirmed", {"eligibility": Eligibility(state="unknown")}, {}, {}),
    ("eligibility_unconfirmed", {"eligibility": Eligibility(state="not_found")}, {}, {}),
    ("eligibility_unconfirmed", {"eligibility": Eligibility(state="ended")}, {}, {}),
    ("exclusive_program", {"flags": ("program_hospice",)}, {}, {}),
    ("exclusive_program", {"eligibility": Eligibility(state="confirmed", programs=("pace",))}, {}, {}),
    ("choice_open", {"flags": ("program_alw",)}, {}, {}),
    ("program_chosen", {"flags": ("program_alw", "chose_alw")}, {}, {}),
    ("already_authorized", {}, {}, {"open_with": CLINIC}),
    ("back_dating_unchosen", {"claim": claim()}, {"term_from": None}, {}),
    ("term_over", {"claim": claim(from_=date(2025, 2, 28))}, {"term_from": "first_service"}, {}),
    ("sample", {}, {"automatic": {"homelessness": 0.05}}, {"draw": 0.049}),
]


@pytest.mark.parametrize(("why", "said", "policy", "known"), A_PERSON_DECIDES)
def test_where_one_condition_fails_a_person_decides_and_is_told_why(
    why: str, said: dict[str, Any], policy: dict[str, Any], known: dict[str, Any]
) -> None:
    fact = received(**{"claim": None, **said})
    events = opened(fact, RULES.model_copy(update=policy), **known)
    review = events[0]
    assert isinstance(review, AuthorizationReviewOpened)
    assert review.needs_person == (why,)
    assert not [event for event in events if isinstance(event, AuthorizationApproved | AuthorizationDenied)]
    assert status(given(DECIDER, fact, *events).state) == "pending"


def test_every_reason_for_a_person_is_tried_here_and_has_its_sentence() -> None:
    assert {why for why, *_ in A_PERSON_DECIDES} == set(WHY_A_PERSON)


def test_all_reasons_are_told_at_once() -> None:
    fact = received(claim=None, attested=False, eligibility=UNSURE, flags=("program_pace",))
    review = opened(fact)[0]
    assert isinstance(review, AuthorizationReviewOpened)
    assert review.needs_person == ("not_attested", "eligibility_unconfirmed", "exclusive_program")


def test_the_share_that_is_drawn_is_exactly_the_plans() -> None:
    """A number drawn in [0, 1) falls below 0.05 five times in a hundred; 0.05 itself is not below."""
    sampled = RULES.model_copy(update={"automatic": {"homelessness": 0.05}})
    assert wires(opened(received(claim=None), sampled, draw=0.05)) == ["review_opened", "approved"]
    assert wires(opened(received(claim=None), sampled, draw=0.0)) == ["review_opened"]
    assert wires(opened(received(claim=None), draw=0.0)) == ["review_opened", "approved"]


def test_one_met_and_switched_population_is_enough_and_all_met_ones_are_approved() -> None:
    fact = received(claim=None, populations=(HOMELESS, FREQUENT))
    assert approval(opened(fact)).populations == ("homelessness", "avoidable_utilization")


def test_a_program_that_goes_together_with_ecm_is_no_reason_for_a_person() -> None:
    fact = received(claim=None, flags=("program_full_service_partnership", "no_fixed_address"))
    assert wires(opened(fact)) == ["review_opened", "approved"]


# ── a person's yes ────────────────────────────────────────────────────────────────────────────────────────


# loop.md 1.4
def test_a_named_person_approves() -> None:
    decided = approval(given(DECIDER, state=pending()).when(approve()).events)
    assert (decided.by, decided.acted_by) == ("person", MARIA)


def test_nobody_approves_without_a_name() -> None:
    given(DECIDER, state=pending()).when(approve(acted_by=NOBODY)).refused("person-required")


def test_a_decision_of_the_plans_own_system_keeps_its_number() -> None:
    assert (
        approval(
            given(DECIDER, state=pending()).when(approve(external_number="HHP-77")).events
        ).external_number
        == "HHP-77"
    )


def test_a_person_may_approve_fewer_populations_and_that_is_a_modification() -> None:
    state = pending(populations=(HOMELESS, FREQUENT))
    decided = approval(given(DECIDER, state=state).when(modify(("homelessness",))).events)
    assert (decided.populations, decided.modified) == (("homelessness",), True)
    assert not approval(given(DECIDER, state=state).when(approve()).events).modified


def test_a_person_approves_nothing_that_was_not_referred() -> None:
    given(DECIDER, state=pending()).when(approve(populations=("birth_equity",))).refused("illegal-move")


def test_a_person_who_sees_more_than_the_answers_approves_what_was_claimed() -> None:
    assert approval(
        given(DECIDER, state=pending(populations=(UNANSWERED,))).when(approve()).events
    ).populations == ("homelessness",)


# ── a person's no ─────────────────────────────────────────────────────────────────────────────────────────


# loop.md 4.3
@pytest.mark.parametrize("reason", sorted(DenialReason.codes()))
def test_a_named_person_denies_for_each_reason_of_the_list(reason: str) -> None:
    (denied, *_) = (
        given(DECIDER, state=pending(flags=("confirmed_hospice",)))
        .when(deny(reason, exclusive=("hospice",)))
        .events
    )
    assert isinstance(denied, AuthorizationDenied)
    assert (denied.reason, denied.acted_by, denied.citation) == (reason, MARIA, "ECM Policy Guide")


@pytest.mark.parametrize(
    ("flags", "counts"),
    [
        ((), False),
        (("program_hospice",), False),
        (("program_hospice", "not_in_hospice"), False),
        (("program_hospice", "confirmed_hospice"), True),
        (("program_alw", "confirmed_alw"), False),
        (("program_alw", "chose_ecm_over_alw"), False),
        (("program_alw", "chose_alw"), True),
        (("confirmed_county_tcm", "chose_county_tcm"), False),
    ],
)
def test_a_program_denies_only_once_it_is_confirmed_or_chosen_by_the_member(
    flags: tuple[str, ...], counts: bool
) -> None:
    """loop.md 4.4: a box somebody ticked denies nobody, and county TCM never does."""
    state = pending(flags=flags)
    command = deny("duplicative_program", exclusive=("hospice", "pace"), chosen=("alw",))
    if counts:
        assert wires(given(DECIDER, state=state).when(command).events)[0] == "denied"
    else:
        given(DECIDER, state=state).when(command).refused("reason-forbidden")


def test_a_program_the_roster_names_is_confirmed() -> None:
    state = pending(eligibility=Eligibility(state="confirmed", programs=("pace",)))
    assert (
        wires(
            given(DECIDER, state=state)
            .when(deny("duplicative_program", exclusive=("hospice", "pace")))
            .events
        )[0]
        == "denied"
    )


@pytest.mark.parametrize("reason", ["other", "", "CRITERIA_NOT_MET", "member_declined"])
def test_there_is_no_other_reason(reason: str) -> None:
    answer = given(DECIDER, state=pending()).when(deny(reason, licensed=True)).refusal
    assert (answer.slug, answer.allowed) == ("reason-unknown", ("approve", "modify", "deny", "pend"))


@pytest.mark.parametrize("reason", sorted(ForbiddenReason.codes()))
def test_what_people_try_and_may_not_use_is_refused_whoever_tries(reason: str) -> None:
    given(DECIDER, state=pending()).when(deny(reason, licensed=True)).refused("reason-forbidden")


def test_nobody_denies_without_a_name() -> None:
    given(DECIDER, state=pending()).when(deny(acted_by=NOBODY)).refused("person-required")


def test_where_criteria_are_judged_only_a_licensed_person_denies() -> None:
    judged: dict[str, Any] = {"reason": "criteria_not_met", "needs_license": True}
    given(DECIDER, state=pending()).when(deny(**judged)).refused("person-required")
    assert wires(given(DECIDER, state=pending()).when(deny(licensed=True, **judged)).events)[0] == "denied"


@pytest.mark.parametrize("first", [approve(), deny()], ids=["approved", "denied"])
@pytest.mark.parametrize("second", [approve(), deny()], ids=["approve", "deny"])
def test_a_decision_is_made_once(first: Command, second: Command) -> None:
    state = given(DECIDER, state=pending()).when(first).state
    answer = given(DECIDER, state=state).when(second).refusal
    assert (answer.slug, answer.allowed) == ("already-decided", ())


@pytest.mark.parametrize("command", [approve(), deny()], ids=["approve", "deny"])
@pytest.mark.parametrize("facts", [(), (closed("withdrawn"),)], ids=["unknown", "tombstone"])
def test_what_was_never_asked_for_cannot_be_decided(facts: tuple[Event, ...], command: Command) -> None:
    answer = given(DECIDER, *facts).when(command).refusal
    assert (answer.slug, answer.status) == ("not-found", 404)


# ── who serves under the term ─────────────────────────────────────────────────────────────────────────────


def test_who_accepted_holds_the_term_until_the_assignment_ends() -> None:
    taken = facts.accepted()
    others = AssignmentEnded(
        occurred_at=MONDAY, assignment="asg_0", provider=CLINIC, reason="moved", on=TODAY
    )
    own = others.model_copy(update={"assignment": "asg_1", "provider": TEAM})
    assert given(DECIDER, taken, state=pending()).state.holder == TEAM
    assert given(DECIDER, taken, others, state=pending()).state.holder == TEAM
    assert given(DECIDER, taken, own, state=pending()).state.holder == ""
