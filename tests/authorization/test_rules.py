"""What may be decided about a request: given what is known, when a fact or a person comes, then these events."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest

from authorization.api.explanation import WHY_A_PERSON
from authorization.domain.decisions import allowed
from authorization.domain.state import status
from loopkeeper.contract.decider import Command
from loopkeeper.contract.events import (
    AssignmentAccepted,
    AssignmentEnded,
    AuthorizationApproved,
    AuthorizationDenied,
    AuthorizationReviewOpened,
    Eligibility,
    Event,
    Lead,
    ScreenedPopulation,
)
from loopkeeper.contract.vocabulary.decisions import DenialReason, ForbiddenReason
from loopkeeper.testing.rules import MONDAY
from tests.builders.authorization import (
    ENTRY,
    FREQUENT,
    RULES,
    TEAM,
    UNSURE,
    after,
    approval,
    approve,
    claim,
    deny,
    given,
    modify,
    open_review,
    opened,
    pending,
    received,
    refused,
    when,
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
    assert when(pending(), again) == []
    assert when(after(pending(), *when(pending(), approve())), again) == []


def test_a_loop_closed_before_it_was_known_is_a_tombstone_and_opens_nothing() -> None:
    tombstone = given(closed("withdrawn"))
    assert tombstone is not None
    assert status(tombstone) == ""
    assert when(tombstone, open_review(received(), RULES, provider=ENTRY)) == []


@pytest.mark.parametrize("outcome", ["withdrawn", "merged", "declined_by_member", "unable_to_reach"])
def test_a_closing_before_the_decision_ends_the_review(outcome: str) -> None:
    state = after(pending(), closed(outcome))
    assert (status(state), allowed(state)) == ("closed", ())
    assert refused(state, approve()).slug == "illegal-move"
    assert refused(state, deny()).slug == "illegal-move"


def test_first_services_close_the_loop_and_the_review_goes_on() -> None:
    state = after(pending(), closed("services_received"))
    assert (status(state), allowed(state)) == ("pending", ("approve", "modify", "deny", "pend"))


@pytest.mark.parametrize("command", [approve(), deny()], ids=["approve", "deny"])
def test_a_decision_after_first_services_is_recorded_like_any_other(command: Command) -> None:
    state = after(pending(), closed("services_received"))
    events = when(state, command, MONDAY + timedelta(days=4))
    decided = after(state, *events)
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
    assert status(after(None, fact, *events)) == "pending"


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
    decided = approval(when(pending(), approve()))
    assert (decided.by, decided.acted_by) == ("person", MARIA)


def test_nobody_approves_without_a_name() -> None:
    assert refused(pending(), approve(acted_by=NOBODY)).slug == "person-required"


def test_a_decision_of_the_plans_own_system_keeps_its_number() -> None:
    assert approval(when(pending(), approve(external_number="HHP-77"))).external_number == "HHP-77"


def test_a_person_may_approve_fewer_populations_and_that_is_a_modification() -> None:
    state = pending(populations=(HOMELESS, FREQUENT))
    decided = approval(when(state, modify(("homelessness",))))
    assert (decided.populations, decided.modified) == (("homelessness",), True)
    assert not approval(when(state, approve())).modified


def test_a_person_approves_nothing_that_was_not_referred() -> None:
    assert refused(pending(), approve(populations=("birth_equity",))).slug == "illegal-move"


def test_a_person_who_sees_more_than_the_answers_approves_what_was_claimed() -> None:
    assert approval(when(pending(populations=(UNANSWERED,)), approve())).populations == ("homelessness",)


# ── a person's no ─────────────────────────────────────────────────────────────────────────────────────────


# loop.md 4.3
@pytest.mark.parametrize("reason", sorted(DenialReason.codes()))
def test_a_named_person_denies_for_each_reason_of_the_list(reason: str) -> None:
    (denied, *_) = when(pending(flags=("confirmed_hospice",)), deny(reason, exclusive=("hospice",)))
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
        assert wires(when(state, command))[0] == "denied"
    else:
        assert refused(state, command).slug == "reason-forbidden"


def test_a_program_the_roster_names_is_confirmed() -> None:
    state = pending(eligibility=Eligibility(state="confirmed", programs=("pace",)))
    assert wires(when(state, deny("duplicative_program", exclusive=("hospice", "pace"))))[0] == "denied"


@pytest.mark.parametrize("reason", ["other", "", "CRITERIA_NOT_MET", "member_declined"])
def test_there_is_no_other_reason(reason: str) -> None:
    answer = refused(pending(), deny(reason, licensed=True))
    assert (answer.slug, answer.allowed) == ("reason-unknown", ("approve", "modify", "deny", "pend"))


@pytest.mark.parametrize("reason", sorted(ForbiddenReason.codes()))
def test_what_people_try_and_may_not_use_is_refused_whoever_tries(reason: str) -> None:
    assert refused(pending(), deny(reason, licensed=True)).slug == "reason-forbidden"


def test_nobody_denies_without_a_name() -> None:
    assert refused(pending(), deny(acted_by=NOBODY)).slug == "person-required"


def test_where_criteria_are_judged_only_a_licensed_person_denies() -> None:
    judged: dict[str, Any] = {"reason": "criteria_not_met", "needs_license": True}
    assert refused(pending(), deny(**judged)).slug == "person-required"
    assert wires(when(pending(), deny(licensed=True, **judged)))[0] == "denied"


@pytest.mark.parametrize("first", [approve(), deny()], ids=["approved", "denied"])
@pytest.mark.parametrize("second", [approve(), deny()], ids=["approve", "deny"])
def test_a_decision_is_made_once(first: Command, second: Command) -> None:
    state = after(pending(), *when(pending(), first))
    answer = refused(state, second)
    assert (answer.slug, answer.allowed) == ("already-decided", ())


@pytest.mark.parametrize("command", [approve(), deny()], ids=["approve", "deny"])
@pytest.mark.parametrize("facts", [(), (closed("withdrawn"),)], ids=["unknown", "tombstone"])
def test_what_was_never_asked_for_cannot_be_decided(facts: tuple[Event, ...], command: Command) -> None:
    answer = refused(given(*facts), command)
    assert (answer.slug, answer.status) == ("not-found", 404)


# ── who serves under the term ─────────────────────────────────────────────────────────────────────────────


def test_who_accepted_holds_the_term_until_the_assignment_ends() -> None:
    lead = Lead(person="luis-ortega", name="Luis Ortega")
    taken = AssignmentAccepted(occurred_at=MONDAY, assignment="asg_1", provider=TEAM, lead=lead)
    others = AssignmentEnded(
        occurred_at=MONDAY, assignment="asg_0", provider=CLINIC, reason="moved", on=TODAY
    )
    own = others.model_copy(update={"assignment": "asg_1", "provider": TEAM})
    assert after(pending(), taken).holder == TEAM
    assert after(pending(), taken, others).holder == TEAM
    assert after(pending(), taken, own).holder == ""
