"""What outreach may do: given these facts, when this is asked, then that happens."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from loopkeeper.contract import events
from loopkeeper.contract.decider import Refused
from loopkeeper.contract.events import Event
from loopkeeper.testing.rules import MONDAY, SEED, AskedCommand, decided
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
from notification.domain.outreach.state import Outreach, counted, seen_by, status
from tests.builders.facts import closed, made
from tests.builders.notification import accepted, approved, received
from tests.builders.organizations import HARBOR, OTHER, REFERRER, STREET

NOW = datetime(2026, 4, 20, 18, 0, tzinfo=UTC)
TODAY = date(2026, 4, 20)
REACH = ReachPolicy(attempts=3, days=30, modalities=2, in_person=1, ref="reach/unable-to-reach@2022-01-01")
ACCEPTED = (received(), made(), accepted())


def given(*facts: Event) -> Outreach | None:
    return DECIDER.fold(facts)


def when(state: Outreach | None, asking: AskedCommand, at: datetime = NOW) -> list[Event]:
    return [event for event in decided(DECIDER, state, asking, at) if isinstance(event, Event)]


def refused(state: Outreach | None, asking: AskedCommand) -> Refused:
    with pytest.raises(Refused) as found:
        when(state, asking)
    return found.value


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
    first = when(given(*ACCEPTED), tried())
    assert [(e.assignment, e.number) for e in first if isinstance(e, events.OutreachAttempted)] == [
        ("asg_1", 1)
    ]
    second = when(given(*ACCEPTED, *first), tried())
    assert [e.number for e in second if isinstance(e, events.OutreachAttempted)] == [2]


def test_numbering_begins_anew_with_another_assignment() -> None:
    ended = events.AssignmentEnded(occurred_at=NOW, assignment="asg_1", reason="moved", on=TODAY)
    state = given(*ACCEPTED, attempted(1, MONDAY), ended, made(OTHER, "asg_2"), accepted(OTHER, "asg_2"))
    (event,) = when(state, tried(provider=OTHER))
    assert isinstance(event, events.OutreachAttempted)
    assert (event.assignment, event.number) == ("asg_2", 1)


def test_who_is_not_named_is_the_lead_care_manager() -> None:
    (event,) = when(given(*ACCEPTED), tried())
    assert event.acted_by == events.ActedBy(organization=STREET, person="maria.lopez")


def test_an_attempt_of_tomorrow_is_refused() -> None:
    assert refused(given(*ACCEPTED), tried(NOW + timedelta(minutes=1))).slug == "in-the-future"


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
    before = given(*facts)
    (event,) = when(before, tried(provider=by))
    assert isinstance(event, events.OutreachAttempted)
    assert (event.before_acceptance, event.assignment, event.number) == (True, assignment, 1)
    after = given(*facts, event)
    assert before is not None
    assert after is not None
    assert (status(after), seen_by(after)) == (status(before), seen_by(before))
    accepted_then = given(*facts, event, made(), accepted())
    assert accepted_then is not None
    assert counted(accepted_then, "asg_1") == ()


@pytest.mark.parametrize("facts", [(received(),), (received(), made())])
def test_before_an_acceptance_nobody_else_does_6_1(facts: tuple[Event, ...]) -> None:
    assert refused(given(*facts), tried(provider=OTHER)).slug == "not-found"


@pytest.mark.parametrize("by", [REFERRER, HARBOR])
def test_once_somebody_accepted_or_the_loop_closed_they_record_no_more_6_1(by: str) -> None:
    assert refused(given(*ACCEPTED), tried(provider=by)).slug == "already-accepted"
    assert refused(given(received(), closed()), tried(provider=by)).slug == "already-closed"


@pytest.mark.parametrize("command", ["start", "decline"])
def test_an_offer_must_be_accepted_before_what_comes_of_outreach(command: str) -> None:
    asked = (
        StartServices(provider=STREET, on=TODAY)
        if command == "start"
        else DeclineForMember(provider=STREET, on=TODAY, how="phone")
    )
    assert refused(given(received(), made()), asked).slug == "not-assigned"


@pytest.mark.parametrize("facts", [(), (received(),), ACCEPTED])
def test_a_provider_without_the_assignment_finds_nothing(facts: tuple[Event, ...]) -> None:
    answer = refused(given(*facts), tried(provider=OTHER))
    assert (answer.slug, answer.status) == ("not-found", 404)


def test_a_declined_or_withdrawn_assignment_is_seen_by_nobody() -> None:
    withdrawn = events.AssignmentWithdrawn(occurred_at=NOW, assignment="asg_1", reason="plan")
    state = given(*ACCEPTED, withdrawn)
    assert state is not None
    assert seen_by(state) == ""
    assert refused(state, tried()).status == 404


def test_services_start_on_a_day_that_has_come() -> None:
    (event,) = when(given(*ACCEPTED), StartServices(provider=STREET, on=TODAY))
    assert isinstance(event, events.OutreachServicesStarted)
    assert event.on == TODAY
    tomorrow = StartServices(provider=STREET, on=TODAY + timedelta(days=1))
    assert refused(given(*ACCEPTED), tomorrow).slug == "in-the-future"
    assert refused(given(*ACCEPTED), StartServices(provider=STREET, on=None)).slug == "date-required"


def test_the_day_is_that_of_los_angeles() -> None:
    evening = datetime(2026, 4, 21, 3, 0, tzinfo=UTC)
    command = StartServices(provider=STREET, on=date(2026, 4, 21))
    with pytest.raises(Refused):
        when(given(*ACCEPTED), command, evening)


def test_a_members_no_carries_its_date_who_and_how() -> None:
    command = DeclineForMember(provider=STREET, person="joe.kim", on=TODAY, how="in_person")
    (event,) = when(given(*ACCEPTED, attempted(1, MONDAY)), command)
    assert isinstance(event, events.OutreachMemberDeclined)
    assert (event.on, event.how, event.attempts) == (TODAY, "in_person", 1)
    assert event.acted_by is not None
    assert event.acted_by.person == "joe.kim"


def test_a_loop_is_not_given_up_before_the_plans_policy_is_satisfied() -> None:
    command = unreached()
    answer = refused(given(*ACCEPTED, attempted(1, NOW - timedelta(days=2))), command)
    assert answer.slug == "attempts-missing"
    assert "3 attempts (recorded: 1)" in answer.sentence
    assert "1 in person (so far: 0)" in answer.sentence


def test_enough_attempts_close_the_loop_and_name_the_policy_row() -> None:
    facts = (attempted(1, MONDAY), attempted(2, MONDAY + timedelta(days=9)), attempted(3, NOW, "in_person"))
    (event,) = when(given(*ACCEPTED, *facts), unreached())
    assert isinstance(event, events.OutreachUnableToReach)
    assert (event.attempts, event.how, event.policy) == (3, "in_person, phone", (REACH.ref,))


def test_nobody_is_sent_to_a_member_whom_a_visit_endangers() -> None:
    facts = (attempted(1, MONDAY), attempted(2, MONDAY, "text"), attempted(3, NOW))
    state = given(received(flags=("safe_contact",)), made(), accepted(), *facts)
    assert when(state, unreached())
    state = given(*ACCEPTED, *facts)
    assert refused(state, unreached()).slug == "attempts-missing"


def test_without_attempts_everything_is_missing() -> None:
    assert len(missing((), TODAY, REACH, safe=True)) == 4


def test_after_first_services_attempts_go_on_and_nothing_else() -> None:
    started = events.OutreachServicesStarted(occurred_at=NOW, assignment="asg_1", on=TODAY)
    state = given(*ACCEPTED, started, closed())
    assert state is not None
    assert status(state) == "services_started"
    assert allowed(state) == ("attempts", "change-contact", "end-service")
    assert when(state, tried())
    answer = refused(state, StartServices(provider=STREET, on=TODAY))
    assert (answer.slug, answer.allowed) == ("already-closed", allowed(state))


def test_after_a_withdrawal_the_provider_hears_that_all_is_over() -> None:
    state = given(*ACCEPTED, closed("withdrawn"))
    assert refused(state, tried()).slug == "already-closed"
    assert state is not None
    assert seen_by(state) == STREET


def test_a_closing_that_comes_before_everything_leaves_a_tombstone() -> None:
    state = given(closed("withdrawn"), received(), made(), accepted())
    assert state is not None
    assert allowed(state) == ()
    assert status(state) == "closed"


def test_only_the_first_closing_counts() -> None:
    state = given(received(), closed("withdrawn"), closed("services_received"))
    assert state is not None
    assert state.closing is not None
    assert state.closing.outcome == "withdrawn"


def test_a_closing_is_told_once() -> None:
    command = RecordDelivered(notice="ntc_1", code="closed", recipient_kind="referrer", delivered_at=NOW)
    told = when(given(received(), closed()), command)
    assert [(e.notice, e.how) for e in told if isinstance(e, events.NoticeDelivered)] == [
        ("ntc_1", "webhook")
    ]
    assert when(given(received(), closed(), *told), command) == []
    # Of a referral that joined another one only its closing is known here; its referrer is told all the same.
    assert when(None, command) != []


@pytest.mark.parametrize("fact", [approved(), closed(), accepted(), made()])
def test_a_fact_about_an_unknown_referral_applies_and_yields_nothing(fact: Event) -> None:
    assert when(None, NoteFact(fact=fact)) == []
