"""What a provider's file says, and no route takes (loop.md 5.9, 6.8, 6.9 and 6.10)."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from loopkeeper.contract import events
from loopkeeper.contract.decider import Command, Plain, Refused
from loopkeeper.contract.events import Event, Lead
from loopkeeper.testing.rules import SEED, decided
from notification.domain.notices.wording import Names
from notification.domain.outreach.commands import (
    CountMonth,
    RecordAttempt,
    ReportAnswer,
    ReportClosing,
    ReportInitiated,
)
from notification.domain.outreach.rules import DECIDER, running_clocks
from notification.domain.outreach.state import Outreach, counted
from notification.persistence.context import NotificationLoaded
from tests.builders.facts import closed
from tests.builders.notification import accepted, made, received
from tests.builders.organizations import OTHER, STREET
from tests.notification.telling import POLICY

NOW = datetime(2026, 4, 20, 18, 0, tzinfo=UTC)
DAY = date(2026, 3, 9)
MARIA, ROSA = Lead(person="maria.lopez", name="Maria Lopez"), Lead(person="rosa-diaz", name="Rosa Diaz")
OFFERED, ACCEPTED = (received(), made()), (received(), made(), accepted())


def given(*facts: Event) -> Outreach:
    state = DECIDER.fold(facts)
    assert state is not None
    return state


def when(state: Outreach, command: Command) -> list[Event]:
    return [event for event in decided(DECIDER, state, command, NOW) if isinstance(event, Event)]


def refused(state: Outreach, command: Command) -> str:
    with pytest.raises(Refused) as found:
        when(state, command)
    return found.value.slug


def answer(how: str, lead: Lead | None = MARIA, provider: str = STREET) -> ReportAnswer:
    fields = {
        "provider": provider,
        "assignment": "asg_1",
        "answer": how,
        "on": DAY,
        "lead": lead,
        "reason": "other",
    }
    return ReportAnswer.model_validate(fields)


def attempt(**changes: object) -> RecordAttempt:
    fields = {
        "provider": STREET, "tried_at": NOW, "actor_kind": "peer", "modality": "phone", "outcome": "not_reached",
        "reached": False,
    }  # fmt: skip
    return RecordAttempt.model_validate(fields | changes)


# ── 5.9 answers ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("how", ["accepted", "declined"])
def test_an_answer_to_an_open_offer_is_passed_on_to_assignment(how: str) -> None:
    (event,) = when(given(*OFFERED), answer(how))
    assert isinstance(event, events.OutreachAnswered)
    assert (event.assignment, event.provider, event.answer, event.on) == ("asg_1", STREET, how, DAY)


def test_an_acceptance_names_the_lead_care_manager() -> None:
    assert refused(given(*OFFERED), answer("accepted", None)) == "lead-required"


def test_who_accepted_does_not_decline() -> None:
    assert refused(given(*ACCEPTED), answer("declined")) == "not-offered"


def test_an_offer_of_another_provider_is_not_there() -> None:
    assert refused(given(*OFFERED), answer("accepted", provider=OTHER)) == "not-found"


def test_an_answer_said_twice_is_no_news() -> None:
    first = when(given(*OFFERED), answer("accepted"))
    assert when(given(*OFFERED, *first), answer("accepted")) == []
    assert when(given(*ACCEPTED), answer("accepted")) == []


def test_another_lead_is_passed_on_and_the_same_is_no_news() -> None:
    assert when(given(*ACCEPTED), answer("lead_changed")) == []
    (event,) = when(given(*ACCEPTED), answer("lead_changed", ROSA))
    assert isinstance(event, events.OutreachAnswered)
    assert event.lead == ROSA


def test_an_answer_that_assignment_refuses_stands_with_the_offer() -> None:
    said = when(given(*OFFERED), answer("accepted"))
    gone = events.AssignmentAnswerRefused(
        occurred_at=NOW, assignment="asg_1", answer="accepted", reason="no-contract"
    )
    held = given(*OFFERED, *said, gone).assignment
    assert held is not None
    assert held.answered is not None
    assert held.answered.refused == "no-contract"
    assert held.accepted_at is None


# ── 6.8 a status as reported ──────────────────────────────────────────────────────────────────────────────


def test_outreach_as_reported_is_no_attempt_and_stops_the_clock_of_the_first() -> None:
    before = given(*ACCEPTED)
    assert "first_outreach" in running_clocks(before)
    (event,) = when(before, ReportInitiated(provider=STREET, on=DAY))
    assert isinstance(event, events.OutreachInitiated)
    after = given(*ACCEPTED, event)
    assert running_clocks(after) == ("outreach_window",)
    assert after.attempts == ()


def test_outreach_that_began_earlier_is_no_news() -> None:
    begun = events.OutreachInitiated(occurred_at=NOW, assignment="asg_1", on=DAY)
    assert when(given(*ACCEPTED, begun), ReportInitiated(provider=STREET, on=DAY + timedelta(days=3))) == []


def test_an_attempt_before_the_acceptance_is_recorded_and_counts_toward_nothing() -> None:
    (event,) = when(given(*OFFERED), attempt())
    assert isinstance(event, events.OutreachAttempted)
    assert event.before_acceptance
    after = given(*OFFERED, event, accepted())
    assert counted(after, "asg_1") == ()
    assert "first_outreach" in running_clocks(after)


def test_an_attempt_that_a_file_tells_of_an_accepted_member_counts() -> None:
    (event,) = when(given(*ACCEPTED), attempt())
    assert isinstance(event, events.OutreachAttempted)
    assert not event.before_acceptance


# ── 6.9 a closing for the plan ────────────────────────────────────────────────────────────────────────────


def closing(state: Outreach, reason: str) -> list[Event]:
    """What a reported closing yields, with the context that the service gives the command."""
    command = ReportClosing.model_validate({"provider": STREET, "reason": reason, "on": DAY})
    asked = NotificationLoaded(POLICY, Names(), (), {}).with_context(
        "ref_1", state, command, Plain(at=NOW, seed=SEED)
    )
    return [event for event in DECIDER.decide(state, asked) if isinstance(event, Event)]


def test_a_reported_closing_asks_once_by_a_date_and_closes_nothing() -> None:
    (event,) = closing(given(*ACCEPTED), "no_longer_eligible")
    assert isinstance(event, events.OutreachClosingReported)
    assert event.due_at == POLICY.due("reported_closing_judged", NOW).at
    after = given(*ACCEPTED, event)
    assert after.ending is None
    assert after.closing is None
    assert closing(after, "no_longer_eligible") == []


def test_a_closed_loop_takes_no_reported_closing() -> None:
    with pytest.raises(Refused) as found:
        closing(given(*ACCEPTED, closed("unable_to_reach")), "other")
    assert found.value.slug == "already-closed"


# ── 6.10 a month ──────────────────────────────────────────────────────────────────────────────────────────


def test_a_later_count_replaces_a_month_and_keeps_what_it_does_not_say() -> None:
    (first,) = when(given(*ACCEPTED), CountMonth(provider=STREET, month="2026-03", in_person=2, remote=1))
    state = given(*ACCEPTED, first)
    assert when(state, CountMonth(provider=STREET, month="2026-03", in_person=2)) == []
    (second,) = when(state, CountMonth(provider=STREET, month="2026-03", in_person=3))
    assert isinstance(second, events.OutreachMonthCounted)
    assert (second.in_person, second.remote) == (3, 1)
    assert len(given(*ACCEPTED, first, second).months) == 1
