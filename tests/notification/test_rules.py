"""What outreach may do: given these facts, when this is asked, then that happens."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from loopkeeper.contract import events
from loopkeeper.contract.events import Event
from loopkeeper.testing.rules import MONDAY, SEED, AskedCommand, given
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
from notification.domain.outreach.rules import DECIDER, allowed, missing
from notification.domain.outreach.state import counted, seen_by, status
from tests.builders.facts import closed
from tests.builders.notification import accepted, approved, made, received
from tests.builders.organizations import HARBOR, OTHER, REFERRER, STREET

NOW = datetime(2026, 4, 20, 18, 0, tzinfo=UTC)
TODAY = date(2026, 4, 20)
REACH = ReachPolicy(attempts=3, days=30, modalities=2, in_person=1, ref="reach/unable-to-reach@2022-01-01")
ACCEPTED = (received(), made(), accepted())


def unreached(provider: str = STREET, on: date = TODAY, reach: ReachPolicy = REACH) -> AskedCommand:
    command = ReportUnableToReach(provider=provider, on=on)
    return command, ReachContext(at=NOW, seed=SEED, reach=reach)


def tried(at: datetime = NOW, modality: str = "phone", provider: str = STREET) -> RecordAttempt:
    return RecordAttempt(
        provider=provider,
        tried_at=at,
        actor_kind="peer",
        modality=modality,
        outcome="no_answer",
        reached=False,
    )


def attempted(number: int, at: datetime, modality: str = "phone") -> events.OutreachAttempted:
    return events.OutreachAttempted(
        occurred_at=at,
        assignment="asg_1",
        number=number,
        actor_kind="peer",
        modality=modality,
        outcome="no_answer",
        reached=False,
    )


def test_an_attempt_is_recorded_under_its_assignment_and_number() -> None:
    first = given(DECIDER, *ACCEPTED).when(tried(), NOW).events
    assert [(e.assignment, e.number) for e in first if isinstance(e, events.OutreachAttempted)] == [
        ("asg_1", 1)
    ]
    second = given(DECIDER, *ACCEPTED, *first).when(tried(), NOW).events
    assert [e.number for e in second if isinstance(e, events.OutreachAttempted)] == [2]


def test_numbering_begins_anew_with_another_assignment() -> None:
    ended = events.AssignmentEnded(occurred_at=NOW, assignment="asg_1", reason="moved", on=TODAY)
    state = given(
        DECIDER, *ACCEPTED, attempted(1, MONDAY), ended, made(OTHER, "asg_2"), accepted(OTHER, "asg_2")
    ).state
    (event,) = given(DECIDER, state=state).when(tried(provider=OTHER), NOW).events
    assert isinstance(event, events.OutreachAttempted)
    assert (event.assignment, event.number) == ("asg_2", 1)


def test_who_is_not_named_is_the_lead_care_manager() -> None:
    (event,) = given(DECIDER, *ACCEPTED).when(tried(), NOW).events
    assert event.acted_by == events.ActedBy(organization=STREET, person="maria.lopez")


def test_an_attempt_of_tomorrow_is_refused() -> None:
    given(DECIDER, *ACCEPTED).when(tried(NOW + timedelta(minutes=1)), NOW).refused("in-the-future")


@pytest.mark.parametrize(
    ("by", "facts", "assignment"),
    [
        (STREET, (received(), made()), "asg_1"),
        (REFERRER, (received(),), ""),
        (REFERRER, (received(), made()), ""),
        (HARBOR, (received(),), ""),
        (HARBOR, (received(), made()), ""),
    ],
    ids=["who was offered it", "referrer", "referrer, offered", "plan", "plan, offered"],
)
def test_before_an_acceptance_who_referred_the_plan_and_whom_it_named_record_attempts_6_1(
    by: str, facts: tuple[Event, ...], assignment: str
) -> None:
    """ECMG26 p110: outreach needs no authorization. They open nothing to see, and change nothing else."""
    before = given(DECIDER, *facts).state
    (event,) = given(DECIDER, state=before).when(tried(provider=by), NOW).events
    assert isinstance(event, events.OutreachAttempted)
    assert (event.before_acceptance, event.assignment, event.number) == (True, assignment, 1)
    after = given(DECIDER, *facts, event).state
    assert before is not None
    assert after is not None
    assert (status(after), seen_by(after)) == (status(before), seen_by(before))
    accepted_then = given(DECIDER, *facts, event, made(), accepted()).state
    assert accepted_then is not None
    assert counted(accepted_then, "asg_1") == ()


@pytest.mark.parametrize("facts", [(received(),), (received(), made())])
def test_before_an_acceptance_nobody_else_does_6_1(facts: tuple[Event, ...]) -> None:
    given(DECIDER, *facts).when(tried(provider=OTHER), NOW).refused("not-found")


@pytest.mark.parametrize("by", [REFERRER, HARBOR])
def test_once_somebody_accepted_or_the_loop_closed_they_record_no_more_6_1(by: str) -> None:
    given(DECIDER, *ACCEPTED).when(tried(provider=by), NOW).refused("already-accepted")
    given(DECIDER, received(), closed()).when(tried(provider=by), NOW).refused("already-closed")


@pytest.mark.parametrize("command", ["start", "decline"])
def test_an_offer_must_be_accepted_before_what_comes_of_outreach(command: str) -> None:
    asked = (
        StartServices(provider=STREET, on=TODAY)
        if command == "start"
        else DeclineForMember(provider=STREET, on=TODAY, how="phone")
    )
    given(DECIDER, received(), made()).when(asked, NOW).refused("not-assigned")


@pytest.mark.parametrize("facts", [(), (received(),), ACCEPTED])
def test_a_provider_without_the_assignment_finds_nothing(facts: tuple[Event, ...]) -> None:
    answer = given(DECIDER, *facts).when(tried(provider=OTHER), NOW).refusal
    assert (answer.slug, answer.status) == ("not-found", 404)


def test_a_declined_or_withdrawn_assignment_is_seen_by_nobody() -> None:
    withdrawn = events.AssignmentWithdrawn(occurred_at=NOW, assignment="asg_1", reason="plan")
    state = given(DECIDER, *ACCEPTED, withdrawn).state
    assert state is not None
    assert seen_by(state) == ""
    assert given(DECIDER, state=state).when(tried(), NOW).refusal.status == 404


def test_services_start_on_a_day_that_has_come() -> None:
    (event,) = given(DECIDER, *ACCEPTED).when(StartServices(provider=STREET, on=TODAY), NOW).events
    assert isinstance(event, events.OutreachServicesStarted)
    assert event.on == TODAY
    tomorrow = StartServices(provider=STREET, on=TODAY + timedelta(days=1))
    given(DECIDER, *ACCEPTED).when(tomorrow, NOW).refused("in-the-future")
    given(DECIDER, *ACCEPTED).when(StartServices(provider=STREET, on=None), NOW).refused("date-required")


def test_the_day_is_that_of_los_angeles() -> None:
    evening = datetime(2026, 4, 21, 3, 0, tzinfo=UTC)
    command = StartServices(provider=STREET, on=date(2026, 4, 21))
    assert given(DECIDER, *ACCEPTED).when(command, evening).refusal


def test_a_members_no_carries_its_date_who_and_how() -> None:
    command = DeclineForMember(provider=STREET, person="joe.kim", on=TODAY, how="in_person")
    (event,) = given(DECIDER, *ACCEPTED, attempted(1, MONDAY)).when(command, NOW).events
    assert isinstance(event, events.OutreachMemberDeclined)
    assert (event.on, event.how, event.attempts) == (TODAY, "in_person", 1)
    assert event.acted_by is not None
    assert event.acted_by.person == "joe.kim"


def test_a_loop_is_not_given_up_before_the_plans_policy_is_satisfied() -> None:
    command = unreached()
    answer = given(DECIDER, *ACCEPTED, attempted(1, NOW - timedelta(days=2))).when(command, NOW).refusal
    assert answer.slug == "attempts-missing"
    assert "3 attempts (recorded: 1)" in answer.sentence
    assert "1 in person (so far: 0)" in answer.sentence


def test_enough_attempts_close_the_loop_and_name_the_policy_row() -> None:
    facts = (attempted(1, MONDAY), attempted(2, MONDAY + timedelta(days=9)), attempted(3, NOW, "in_person"))
    (event,) = given(DECIDER, *ACCEPTED, *facts).when(unreached(), NOW).events
    assert isinstance(event, events.OutreachUnableToReach)
    assert (event.attempts, event.how, event.policy) == (3, "in_person, phone", (REACH.ref,))


def test_nobody_is_sent_to_a_member_whom_a_visit_endangers() -> None:
    facts = (attempted(1, MONDAY), attempted(2, MONDAY, "text"), attempted(3, NOW))
    state = given(DECIDER, received(flags=("safe_contact",)), made(), accepted(), *facts).state
    assert given(DECIDER, state=state).when(unreached(), NOW).events
    state = given(DECIDER, *ACCEPTED, *facts).state
    given(DECIDER, state=state).when(unreached(), NOW).refused("attempts-missing")


def test_without_attempts_everything_is_missing() -> None:
    assert len(missing((), TODAY, REACH, safe=True)) == 4


def test_after_first_services_attempts_go_on_and_nothing_else() -> None:
    started = events.OutreachServicesStarted(occurred_at=NOW, assignment="asg_1", on=TODAY)
    state = given(DECIDER, *ACCEPTED, started, closed()).state
    assert state is not None
    assert status(state) == "services_started"
    assert allowed(state) == ("attempts", "change-contact", "end-service")
    assert given(DECIDER, state=state).when(tried(), NOW).events
    answer = given(DECIDER, state=state).when(StartServices(provider=STREET, on=TODAY), NOW).refusal
    assert (answer.slug, answer.allowed) == ("already-closed", allowed(state))


def test_after_a_withdrawal_the_provider_hears_that_all_is_over() -> None:
    state = given(DECIDER, *ACCEPTED, closed("withdrawn")).state
    given(DECIDER, state=state).when(tried(), NOW).refused("already-closed")
    assert state is not None
    assert seen_by(state) == STREET


def test_a_closing_that_comes_before_everything_leaves_a_tombstone() -> None:
    state = given(DECIDER, closed("withdrawn"), received(), made(), accepted()).state
    assert state is not None
    assert allowed(state) == ()
    assert status(state) == "closed"


def test_only_the_first_closing_counts() -> None:
    state = given(DECIDER, received(), closed("withdrawn"), closed("services_received")).state
    assert state is not None
    assert state.closing is not None
    assert state.closing.outcome == "withdrawn"


def test_a_closing_is_told_once() -> None:
    command = RecordDelivered(notice="ntc_1", code="closed", recipient_kind="referrer", delivered_at=NOW)
    told = given(DECIDER, received(), closed()).when(command, NOW).events
    assert [(e.notice, e.how) for e in told if isinstance(e, events.NoticeDelivered)] == [
        ("ntc_1", "webhook")
    ]
    given(DECIDER, received(), closed(), *told).when(command, NOW).then()
    # Of a referral that joined another one only its closing is known here; its referrer is told all the same.
    assert given(DECIDER).when(command, NOW).events != []


@pytest.mark.parametrize("fact", [approved(), closed(), accepted(), made()])
def test_a_fact_about_an_unknown_referral_applies_and_yields_nothing(fact: Event) -> None:
    given(DECIDER).when(NoteFact(fact=fact), NOW).then()
