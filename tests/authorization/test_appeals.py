"""An appeal against the end of a term (loop.md 7.8; 42 CFR 438.420): in time, the term goes on until it is resolved."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from authorization.domain.deadlines import timers
from authorization.domain.moves import moves
from authorization.domain.rules import DECIDER
from authorization.domain.state import Authorization
from authorization.persistence.columns import FOR_NOW, columns
from loopkeeper.contract.events import (
    AuthorizationAppealed,
    AuthorizationEnded,
    AuthorizationExtended,
    Event,
)
from loopkeeper.testing.rules import MONDAY, given
from tests.builders import facts
from tests.builders.authorization import RULES, appeal, end, go_on, opened, received, wires
from tests.builders.facts import TODAY, closed
from tests.builders.organizations import NOBODY

DAY = timedelta(days=1)
TERM = RULES.model_copy(update={"prompt_days": (60, 30), "notice_days": 10})


def served() -> Authorization:
    fact = received(claim=None)
    taken = facts.accepted()
    return given(DECIDER, fact, *opened(fact, TERM), taken, closed("services_received")).state


def ending(code: int = 5) -> Authorization:
    """The plan said today that the term ends in ten days."""
    return given(DECIDER, state=served()).when(end(code)).state


def appealed(days: int, state: Authorization | None = None) -> tuple[Authorization, list[Event]]:
    """The member appeals so many days after the ending was said, and the plan records it that day."""
    state, at = state or ending(), MONDAY + days * DAY
    events = given(DECIDER, state=state).when(appeal(TODAY + days * DAY, at=at), at).events
    return given(DECIDER, *events, state=state).state, events


@pytest.mark.parametrize("days", [0, 1, 9, 10])
@pytest.mark.parametrize("code", [1, 5, 8, 13, 15])
def test_in_time_the_term_goes_on_until_it_is_resolved_7_8(days: int, code: int) -> None:
    state, events = appealed(days, ending(code))
    assert wires(events) == ["appealed", "extended"]
    said, longer = events
    assert isinstance(said, AuthorizationAppealed)
    assert isinstance(longer, AuthorizationExtended)
    assert (said.continues, said.code, said.ends_on) == (True, code, TODAY + 10 * DAY)
    before = served().term
    assert before is not None
    assert (longer.number, longer.through) == (before.number, before.through)
    assert columns(state)["approved_through"] == FOR_NOW.isoformat()
    assert columns(state)["waits_for"] == "discontinuation"
    assert state.discontinuation is not None
    assert (state.discontinuation.why, state.discontinuation.due_at) == ("appealed", said.due_at)
    assert not {"term", "reauthorization"} & set(timers(state))
    assert moves(state, TODAY + days * DAY) == ("end", "continue")


@pytest.mark.parametrize("days", [11, 30, 60])
def test_later_it_is_recorded_and_the_term_ends_meanwhile_7_8(days: int) -> None:
    state, events = appealed(days)
    assert wires(events) == ["appealed"]
    assert state.term is not None
    assert state.term.last_day == TODAY + 10 * DAY
    assert columns(state)["approved_through"] == (TODAY + 10 * DAY).isoformat()


def test_after_sixty_days_before_the_ending_tomorrow_and_of_no_ending_there_is_no_appeal() -> None:
    at = MONDAY + 61 * DAY
    given(DECIDER, state=ending()).when(appeal(TODAY + 61 * DAY, at=at), at).refused("too-late")
    given(DECIDER, state=ending()).when(appeal(TODAY - DAY)).refused("illegal-move")
    given(DECIDER, state=ending()).when(appeal(TODAY + DAY)).refused("illegal-move")
    given(DECIDER, state=served()).when(appeal(TODAY)).refused("illegal-move")
    given(DECIDER, state=ending()).when(appeal(TODAY, acted_by=NOBODY)).refused("person-required")
    given(DECIDER, state=appealed(1)[0]).when(appeal(TODAY)).refused("already-requested")


def test_recorded_late_it_counts_by_the_day_on_which_the_member_appealed_7_8() -> None:
    at = MONDAY + 14 * DAY
    given(DECIDER, state=ending()).when(appeal(TODAY + 10 * DAY, at=at), at).then(
        "authorization.appealed", "authorization.extended"
    )


def test_decided_for_the_member_it_goes_on_as_it_was_7_8() -> None:
    state, _ = appealed(3)
    at = MONDAY + 20 * DAY
    events = given(DECIDER, state=state).when(go_on(), at).events
    assert wires(events) == ["appeal_resolved", "extended"]
    state, before = given(DECIDER, *events, state=state).state, served().term
    assert state.term is not None
    assert before is not None
    assert (state.term.through, state.term.ending, state.discontinuation, state.appeal) == (
        before.through,
        None,
        None,
        None,
    )
    assert "term" in timers(state)


@pytest.mark.parametrize("days", [3, 20])
def test_nobodys_services_end_unsaid_where_the_last_day_is_over_by_then(days: int) -> None:
    state, _ = appealed(days)
    at = MONDAY + 400 * DAY
    state = given(DECIDER, state=state).when(go_on(), at).state
    assert state.term is not None
    assert state.term.through == TODAY + 410 * DAY
    assert "term" in timers(state)


def test_upheld_it_ends_after_all_and_what_is_left_is_a_hearing_7_8() -> None:
    state, _ = appealed(3)
    at = MONDAY + 20 * DAY
    resolved, ended = given(DECIDER, state=state).when(end(5), at).events
    assert wires([resolved, ended]) == ["appeal_resolved", "ended"]
    assert isinstance(ended, AuthorizationEnded)
    assert (ended.on, ended.upheld) == (TODAY + 30 * DAY, True)
    assert ended.rights is not None
    assert ended.rights.continues_if_by == ended.on
    assert ended.rights.appeal_by == TODAY + 140 * DAY
    state = given(DECIDER, resolved, ended, state=state).state
    assert (state.appeal, state.discontinuation) == (None, None)
    # The hearing, asked for within the ten days, keeps the term again.
    again, events = appealed(25, state)
    assert wires(events) == ["appealed", "extended"]
    assert again.lives_on


def test_upheld_after_a_late_appeal_the_ending_stays_as_it_was_said() -> None:
    state, _ = appealed(20)
    events = given(DECIDER, state=state).when(end(5), MONDAY + 30 * DAY).events
    assert wires(events) == ["appeal_resolved"]
    state = given(DECIDER, *events, state=state).state
    assert state.term is not None
    assert state.term.last_day == TODAY + 10 * DAY


def test_the_last_day_of_an_appeal_is_that_of_the_ending_or_sixty_days() -> None:
    state = ending()
    assert state.term is not None
    assert state.term.ending is not None
    rights = state.term.ending.rights
    assert rights is not None
    assert (rights.continues_if_by, rights.appeal_by) == (TODAY + 10 * DAY, date(2026, 5, 1))
    assert "appeal" in moves(state, TODAY)
    assert "appeal" not in moves(state, TODAY + 61 * DAY)
