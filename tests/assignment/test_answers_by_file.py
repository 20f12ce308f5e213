"""A provider answers its offer in a file (loop.md 5.9): the rule of the route decides, and facts are never refused."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from assignment.consumers import on_answered
from assignment.domain.commands import ChangeLead
from assignment.domain.rules import DECIDER
from loopkeeper.contract.calendar import la_date
from loopkeeper.contract.envelope import Message
from loopkeeper.contract.events import AssignmentAnswerRefused, Event, OutreachAnswered
from loopkeeper.testing.rules import MONDAY, AskedCommand, given
from tests.builders.assignment import OFFERED, TAKEN, Market, market, wires
from tests.builders.organizations import LEAD, NAVIGATORS, STREET

LATER = MONDAY + timedelta(days=30)
MESSAGE: Any = None


def said(answer: str, **changes: Any) -> OutreachAnswered:
    fields: dict[str, Any] = {
        "occurred_at": LATER, "assignment": "asg_1", "provider": STREET, "answer": answer,
        "on": la_date(MONDAY + timedelta(days=3)), "lead": LEAD, "reason": "no_capacity",
    }  # fmt: skip
    return OutreachAnswered.model_validate(fields | changes)


def heard(fact: OutreachAnswered, found: Market | None = None) -> AskedCommand:
    message: Message = MESSAGE
    command = on_answered(fact, message)
    return command if isinstance(command, ChangeLead) else (found or market(NAVIGATORS)).for_(command)


def refusal(events: list[Event]) -> str:
    (found,) = events
    assert isinstance(found, AssignmentAnswerRefused)
    return found.reason


def test_an_acceptance_bears_the_day_the_file_says() -> None:
    (event,) = given(DECIDER, *OFFERED).when(heard(said("accepted")), LATER).events
    assert wires([event]) == ["accepted"]
    assert la_date(event.occurred_at) == la_date(MONDAY + timedelta(days=3))


def test_an_acceptance_is_never_older_than_its_offer() -> None:
    early = said("accepted", on=la_date(MONDAY - timedelta(days=9)))
    (event,) = given(DECIDER, *OFFERED).when(heard(early), LATER).events
    assert event.occurred_at == MONDAY


def test_a_decline_goes_to_the_next_candidate() -> None:
    given(DECIDER, *OFFERED).when(heard(said("declined")), LATER).then(
        "assignment.declined", "assignment.made"
    )


def test_another_lead_care_manager_is_recorded() -> None:
    rosa = {"person": "rosa-diaz", "name": "Rosa Diaz"}
    given(DECIDER, *TAKEN).when(heard(said("lead_changed", lead=rosa)), LATER).then("assignment.lead_changed")


@pytest.mark.parametrize(
    ("answer", "changes", "facts", "slug"),
    [
        ("accepted", {}, TAKEN, "not-offered"),
        ("accepted", {"provider": NAVIGATORS}, OFFERED, "not-found"),
        ("accepted", {"lead": None}, OFFERED, "lead-required"),
        ("declined", {}, TAKEN, "not-offered"),
        ("declined", {"reason": "no_such"}, OFFERED, "reason-required"),
        ("lead_changed", {}, OFFERED, "not-live"),
        ("accepted", {}, (), "not-found"),
    ],
)
def test_what_the_route_would_refuse_is_said(
    answer: str, changes: dict[str, Any], facts: tuple[Event, ...], slug: str
) -> None:
    assert refusal(given(DECIDER, *facts).when(heard(said(answer, **changes)), LATER).events) == slug


def test_without_a_contract_the_acceptance_is_said_to_be_refused() -> None:
    asked = heard(said("accepted"), Market(contracted=False))
    assert refusal(given(DECIDER, *OFFERED).when(asked, LATER).events) == "no-contract"
