"""By when a provider answers its offer (loop.md 5.6): in the usual days, or in its next monthly file where it answers by file."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

import pytest

from assignment.domain.commands import NoteFact
from assignment.domain.contexts import Offering, SettleContext
from assignment.domain.rules import DECIDER
from assignment.persistence.context import MEMBER, PROVIDER, AssignmentLoaded
from loopkeeper.contract.calendar import end_of_la_day, noon_of
from loopkeeper.contract.decider import Plain
from loopkeeper.policy.reading import installed, load
from loopkeeper.testing.rules import SEED, given
from tests.builders.assignment import APPROVED, RECEIVED
from tests.builders.facts import entry
from tests.builders.organizations import STREET

POLICY = load(installed())


def offered(on: datetime, answers_by: str, authorized: datetime | None = None) -> Offering:
    """What the street team, which answers so, is offered on this day."""
    approved = APPROVED.model_copy(update={"occurred_at": authorized or on})
    received = RECEIVED.model_copy(update={"occurred_at": authorized or on})
    entries = {STREET: entry(STREET, answers_by=answers_by)}
    locked = {(MEMBER, RECEIVED.member), (PROVIDER, STREET)}
    loaded = AssignmentLoaded(POLICY, entries, {}, {}, locked)
    state = given(DECIDER, received, approved).state
    _, context = loaded.with_context("ref_1", state, NoteFact(fact=approved), Plain(at=on, seed=SEED))
    assert isinstance(context, SettleContext)
    assert context.offering is not None
    return context.offering


def day(text: str) -> date:
    return date.fromisoformat(text)


@pytest.mark.parametrize(
    ("offer", "answers_by", "due", "at_risk", "why"),
    [
        ("2026-03-02", "api", "2026-03-09", "2026-03-06", "five business days"),
        ("2026-03-02", "file", "2026-03-13", "2026-03-12", "February's file, ten business days after the month"),
        ("2026-03-06", "file", "2026-03-13", "2026-03-12", "the usual day is that of February's file"),
        ("2026-03-09", "file", "2026-04-14", "2026-04-13", "March's file"),
        ("2026-03-31", "file", "2026-04-14", "2026-04-13", "March's file again"),
    ],
)  # fmt: skip
def test_who_answers_by_file_answers_in_its_next_file(
    offer: str, answers_by: str, due: str, at_risk: str, why: str
) -> None:
    found = offered(noon_of(day(offer)), answers_by)
    wanted: tuple[Any, ...] = (end_of_la_day(day(due)), end_of_la_day(day(at_risk)))
    assert (found.answer_due_at, found.answer_at_risk_at) == wanted, why
    assert ("files/due" in " ".join(found.refs)) == (answers_by == "file")


def test_the_telling_does_not_wait_for_the_file() -> None:
    """Authorized on the first of the month, told to nobody yet: the ten business days end before the file is due."""
    found = offered(noon_of(day("2026-03-10")), "file", authorized=noon_of(day("2026-03-02")))
    assert found.told.due_at == end_of_la_day(day("2026-03-16"))
    assert found.answer_due_at == end_of_la_day(day("2026-04-14"))


def test_who_answers_by_api_answers_before_the_telling_is_due() -> None:
    found = offered(noon_of(day("2026-03-13")), "api", authorized=noon_of(day("2026-03-02")))
    assert found.answer_due_at == found.told.due_at == end_of_la_day(day("2026-03-16"))
