"""What takes an offer or an assignment back, and what does not: given what happened, when a fact comes, then this."""

from __future__ import annotations

import pytest

from assignment.domain.rules import DECIDER
from assignment.domain.state import over_because, status
from loopkeeper.contract.events import AssignmentEnded, AssignmentWithdrawn, Event, OutreachServicesStarted
from loopkeeper.testing.rules import MONDAY, given
from tests.builders.assignment import APPROVED, GRANTED, OFFERED, RECEIVED, TAKEN, grant_over, heard
from tests.builders.facts import TODAY, accepted, closed, made
from tests.builders.organizations import STREET

OVER = ["withdrawn", "unable_to_reach", "declined_by_member", "merged", "not_authorized"]


@pytest.mark.parametrize("outcome", OVER)
def test_a_closing_withdraws_the_offer_and_ends_the_assignment_at_once(outcome: str) -> None:
    (withdrawn,) = given(DECIDER, *OFFERED).when(heard(closed(outcome))).events
    (ended,) = given(DECIDER, *TAKEN).when(heard(closed(outcome))).events
    assert isinstance(withdrawn, AssignmentWithdrawn)
    assert isinstance(ended, AssignmentEnded)
    assert (withdrawn.reason, ended.reason) == ("loop_closed", "loop_closed")
    assert (ended.provider, ended.on) == (STREET, TODAY)
    assert status(given(DECIDER, *TAKEN, closed(outcome), ended).state) == "closed"


@pytest.mark.parametrize("facts", [OFFERED, TAKEN], ids=["offered", "accepted"])
def test_first_services_close_the_loop_and_take_nothing_back(facts: tuple[Event, ...]) -> None:
    given(DECIDER, *facts).when(heard(closed("services_received"))).then()
    state = given(DECIDER, *facts, closed("services_received")).state
    assert state.live is not None


def test_the_start_of_services_changes_nothing_here() -> None:
    started = OutreachServicesStarted(occurred_at=MONDAY, assignment="asg_1", on=TODAY)
    given(DECIDER, *TAKEN).when(heard(started)).then()
    assert given(DECIDER, *TAKEN, started).state == given(DECIDER, *TAKEN).state


def test_after_the_loop_is_closed_nobody_is_offered_anything() -> None:
    given(DECIDER, RECEIVED, closed("withdrawn")).when(heard(APPROVED)).then()
    given(DECIDER, RECEIVED, closed("services_received")).when(heard(APPROVED)).then()


@pytest.mark.parametrize("reason", ["expired", "denied", "closed", "revoked"])
def test_the_end_of_an_unapproved_grant_ends_its_assignment(reason: str) -> None:
    (withdrawn,) = given(DECIDER, RECEIVED, GRANTED, made()).when(heard(grant_over(reason))).events
    (ended,) = given(DECIDER, RECEIVED, GRANTED, made(), accepted()).when(heard(grant_over(reason))).events
    assert (withdrawn.wire, ended.wire) == ("assignment.withdrawn", "assignment.ended")
    assert isinstance(ended, AssignmentEnded)
    assert ended.reason == "grant_over"


def test_the_end_of_an_unapproved_grant_ends_its_assignment_after_first_services_too() -> None:
    served = given(DECIDER, RECEIVED, GRANTED, made(), accepted(), closed("services_received")).state
    given(DECIDER, state=served).when(heard(grant_over("expired"))).then("assignment.ended")


@pytest.mark.parametrize(
    ("facts", "over"),
    [
        ((RECEIVED, GRANTED, APPROVED, made(), accepted()), grant_over("approved")),
        # The log tells of the approval first; the grant's end may even come alone.
        ((RECEIVED, GRANTED, made(), accepted()), grant_over("approved")),
        ((RECEIVED, GRANTED, APPROVED, made(), accepted()), grant_over("expired")),
        ((RECEIVED, GRANTED, made(), accepted()), grant_over("expired", "grant_0")),
    ],
    ids=["approved", "approval not heard yet", "approved before it ended", "another grant"],
)
def test_an_assignment_outlives_a_grant_that_ended_with_approval(
    facts: tuple[Event, ...], over: Event
) -> None:
    given(DECIDER, *facts).when(heard(over)).then()


def test_a_loop_closed_before_it_was_known_is_a_tombstone_and_offers_nothing() -> None:
    tombstone = given(DECIDER, closed("withdrawn")).state
    given(DECIDER, state=tombstone).when(heard(RECEIVED)).then()
    given(DECIDER, RECEIVED, state=tombstone).when(heard(APPROVED)).then()
    given(DECIDER, RECEIVED, state=tombstone).when(heard(GRANTED)).then()
    assert status(given(DECIDER, RECEIVED, APPROVED, state=tombstone).state) == "closed"


def test_only_the_first_closing_counts() -> None:
    state = given(DECIDER, *TAKEN, closed("services_received"), closed("withdrawn")).state
    assert state is not None
    assert over_because(state) == ""


@pytest.mark.parametrize("fact", [APPROVED, GRANTED, grant_over("expired")])
def test_a_fact_about_a_referral_not_heard_of_yet_is_borne(fact: Event) -> None:
    given(DECIDER).when(heard(fact)).then()
