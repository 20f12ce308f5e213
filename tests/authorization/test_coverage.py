"""Coverage counts by the day it is about (loop.md 2.5; ECMG26 p10, 109). No answer of a roster denies or ends anything.

The rows are those of `services/authorization/src/authorization/policy/coverage.yaml`; this is their truth table.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from authorization.domain.commands import ExpireGrant, OpenReview
from authorization.domain.deadlines import timers
from authorization.domain.rules import DECIDER
from authorization.domain.state import Authorization
from authorization.persistence.columns import waits_for
from authorization.persistence.context import AuthorizationLoaded
from loopkeeper.contract.calendar import end_of_la_day
from loopkeeper.contract.events import (
    AuthorizationApproved,
    AuthorizationCoverageLost,
    AuthorizationCoverageReturned,
    AuthorizationDenied,
    AuthorizationEnded,
    AuthorizationPresumptiveEnded,
    AuthorizationPresumptiveGranted,
    AuthorizationPresumptiveRefused,
    Eligibility,
    Event,
)
from loopkeeper.policy import Policy
from loopkeeper.policy.reading import installed, load
from loopkeeper.testing.rules import MONDAY, AskedCommand, given
from tests.builders.authorization import (
    ANSWERS,
    ENTRY,
    RULES,
    TEAM,
    amend,
    amended,
    approve,
    claim,
    comes,
    end,
    go_on,
    looked_up,
    opened,
    received,
    wires,
)
from tests.builders.facts import TODAY

DAY = timedelta(days=1)
APRIL = datetime(2026, 4, 15, 17, 0, tzinfo=UTC)
LAST_OF_MARCH = date(2026, 3, 31)


@pytest.fixture(scope="module")
def policy() -> Policy:
    return load(installed())


def covered(state: Any = "confirmed", begins: Any = None, through: date | None = None) -> Eligibility:
    return Eligibility.model_validate({"state": state, "from": begins, "through": through})


def happens(
    policy: Policy, state: Authorization | None, asking: AskedCommand, at: datetime = MONDAY
) -> list[Event]:
    loaded = AuthorizationLoaded(policy, {TEAM: ENTRY}, {})
    return given(DECIDER, state=state).when(looked_up(loaded, "ref_1", state, asking, at).asking, at).events


def claimed(policy: Policy, eligibility: Eligibility, first: date = TODAY) -> list[Event]:
    """What follows when the street team claims to serve from this day on."""
    fact = received(claim=claim(from_=first), eligibility=eligibility)
    return happens(policy, given(DECIDER, fact).state, OpenReview(fact=fact))


# ── each answer ───────────────────────────────────────────────────────────────────────────────────────────

# What each answer gives: a grant, the warning with it, a rule's approval.
GIVES = {
    "confirmed": (True, "", True),
    "begins_later": (True, "", True),
    "ended": (False, "", False),
    "left": (True, "left", False),
    "not_found": (True, "not_found", False),
    "other_birth_date": (True, "other_birth_date", False),
    "unknown": (True, "", False),
}
SPANS = {
    "confirmed": (date(2026, 1, 1), None),
    "begins_later": (TODAY + 3 * DAY, None),
    "ended": (date(2025, 1, 1), TODAY - DAY),
}


@pytest.mark.parametrize("answer", ANSWERS)
def test_each_answer_grants_warns_and_approves_as_its_row_says_2_5(policy: Policy, answer: str) -> None:
    grants, warned, _ = GIVES[answer]
    events = claimed(policy, covered(answer, *SPANS.get(answer, ())))
    assert not any(isinstance(event, AuthorizationDenied) for event in events)
    (judged,) = [each for each in events if each.wire.startswith("authorization.presumptive_")]
    if grants:
        assert isinstance(judged, AuthorizationPresumptiveGranted)
        assert judged.at_risk == warned
    else:
        assert isinstance(judged, AuthorizationPresumptiveRefused)
        assert judged.reason == "coverage_ended"


@pytest.mark.parametrize("answer", ANSWERS)
def test_a_rule_approves_only_whom_the_roster_covers_now_or_later_2_5_4_2(answer: str) -> None:
    fact = received(claim=None, eligibility=covered(answer, *SPANS.get(answer, ())))
    approved = wires(opened(fact, RULES)) == ["review_opened", "approved"]
    assert approved is GIVES[answer][2]


def test_the_rows_are_those_of_the_table(policy: Policy) -> None:
    rows = {row["answer"]: row for row in policy.rows("coverage", on=TODAY)}
    assert set(rows) == set(GIVES)
    for answer, (grants, warned, by_rule) in GIVES.items():
        row = rows[answer]
        assert (row["grants"], bool(row["at_risk"]), row["approves"] == "rule") == (
            grants,
            bool(warned),
            by_rule,
        )


# ── the day it is about ───────────────────────────────────────────────────────────────────────────────────

GRANTS: list[tuple[date, date | None, date, tuple[date, date] | None]] = [
    # covered from, through, first service, the grant
    (date(2026, 1, 1), None, TODAY, (TODAY, TODAY + 29 * DAY)),
    (date(2026, 1, 1), TODAY + 29 * DAY, TODAY, (TODAY, TODAY + 29 * DAY)),
    (date(2026, 1, 1), TODAY + 10 * DAY, TODAY, (TODAY, TODAY + 10 * DAY)),
    (date(2026, 1, 1), TODAY, TODAY, (TODAY, TODAY)),
    # Covered on the day of the first service, though no longer today.
    (date(2026, 1, 1), TODAY - DAY, TODAY - 5 * DAY, (TODAY - 5 * DAY, TODAY - DAY)),
    (date(2026, 1, 1), TODAY - DAY, TODAY, None),
    # Coverage that begins later starts that day.
    (TODAY + 3 * DAY, None, TODAY, (TODAY + 3 * DAY, TODAY + 32 * DAY)),
    (TODAY + 3 * DAY, TODAY + 4 * DAY, TODAY, (TODAY + 3 * DAY, TODAY + 4 * DAY)),
    (TODAY + 3 * DAY, None, TODAY + 5 * DAY, (TODAY + 5 * DAY, TODAY + 34 * DAY)),
    # Too far ahead for a grant.
    (TODAY + 60 * DAY, None, TODAY, None),
]


@pytest.mark.parametrize(("begins", "through", "first", "expected"), GRANTS)
def test_a_grant_is_judged_by_the_day_of_first_service_and_ends_with_the_last_covered_day_2_5(
    policy: Policy, begins: date, through: date | None, first: date, expected: tuple[date, date] | None
) -> None:
    today = covered(covered("confirmed", begins, through).on(TODAY), begins, through)
    granted = [e for e in claimed(policy, today, first) if isinstance(e, AuthorizationPresumptiveGranted)]
    assert [(each.from_, each.through) for each in granted] == ([expected] if expected else [])


def test_coverage_that_ends_during_a_grant_ends_it_with_its_last_day_2_5(policy: Policy) -> None:
    fact = received(eligibility=covered("confirmed", date(2026, 1, 1)))
    state = given(DECIDER, fact, *claimed(policy, fact.eligibility)).state
    sooner = TODAY + 10 * DAY
    state = given(
        DECIDER, amended("roster", eligibility=covered("confirmed", date(2026, 1, 1), sooner)), state=state
    ).state
    assert timers(state)["grant"] == end_of_la_day(sooner)
    (ended,) = given(DECIDER, state=state).when(ExpireGrant(), end_of_la_day(sooner)).events
    assert isinstance(ended, AuthorizationPresumptiveEnded)
    assert (ended.reason, ended.through) == ("expired", sooner)


@pytest.mark.parametrize("by", ["rule", "person"])
def test_a_term_never_begins_before_coverage_that_begins_later_2_5(by: str) -> None:
    begins = TODAY + 20 * DAY
    fact = received(claim=None, eligibility=covered("begins_later", begins))
    rules = RULES if by == "rule" else RULES.model_copy(update={"automatic": {}})
    events = opened(fact, rules)
    if by == "person":
        events = given(DECIDER, fact, *events).when(approve()).events
    (approved,) = [event for event in events if isinstance(event, AuthorizationApproved)]
    assert (approved.by, approved.from_) == (by, begins)


# ── in a term ─────────────────────────────────────────────────────────────────────────────────────────────


def served(**known: Any) -> Authorization:
    """A term of a year from 2 March on, of a member whom the roster covers."""
    eligibility = covered(known.pop("state", "confirmed"), date(2026, 1, 1), known.pop("through", None))
    fact = received(claim=None, eligibility=eligibility)
    return given(DECIDER, fact, *opened(fact, RULES)).state


def learned(policy: Policy, state: Authorization, eligibility: Eligibility, at: datetime) -> list[Event]:
    fact = amended("roster", at=at, eligibility=eligibility)
    return happens(policy, given(DECIDER, fact, state=state).state, amend(fact), at)


def knows(state: Authorization, eligibility: Eligibility, at: datetime, *follows: Event) -> Authorization:
    return given(DECIDER, amended("roster", at=at, eligibility=eligibility), *follows, state=state).state


LOST = [
    covered("ended", date(2026, 1, 1), LAST_OF_MARCH),
    covered("left", date(2026, 1, 1)),
    covered("not_found"),
]


@pytest.mark.parametrize("answer", LOST, ids=lambda answer: answer.state)
def test_coverage_lost_in_a_term_asks_a_named_person_by_a_date_and_ends_nothing_2_5(
    policy: Policy, answer: Eligibility
) -> None:
    state = served()
    (lost,) = learned(policy, state, answer, APRIL)
    assert isinstance(lost, AuthorizationCoverageLost)
    assert (lost.answer, lost.due_at) == (answer.state, policy.due("discontinuation_judged", APRIL).at)
    state = knows(state, answer, APRIL, lost)
    assert (waits_for(state), state.term is not None and state.term.ending) == ("discontinuation", None)
    # The same loss is asked about once.
    assert learned(policy, state, answer, APRIL + DAY) == []


def test_coverage_that_runs_out_asks_as_its_last_day_ends_2_5(policy: Policy) -> None:
    """The roster said so from the start; no further import has to come."""
    state = served(through=LAST_OF_MARCH)
    over = end_of_la_day(LAST_OF_MARCH)
    assert timers(state)["coverage"] == over
    assert happens(policy, state, comes("coverage"), over - DAY) == []
    (lost,) = happens(policy, state, comes("coverage"), over)
    assert isinstance(lost, AuthorizationCoverageLost)
    assert (lost.answer, lost.on) == ("ended", LAST_OF_MARCH)
    assert "coverage" not in timers(given(DECIDER, lost, state=state).state)


def test_who_was_never_on_the_roster_has_lost_nothing(policy: Policy) -> None:
    fact = received(claim=None, eligibility=covered("unknown"))
    state = given(DECIDER, fact, *opened(fact, RULES)).state
    state = given(DECIDER, state=state).when(approve()).state
    assert learned(policy, state, covered("not_found"), APRIL) == []


def test_coverage_that_returns_takes_the_question_back_2_5(policy: Policy) -> None:
    state = served()
    state = knows(state, LOST[1], APRIL, *learned(policy, state, LOST[1], APRIL))
    (returned,) = learned(policy, state, covered("confirmed", date(2026, 1, 1)), APRIL + DAY)
    assert isinstance(returned, AuthorizationCoverageReturned)
    assert returned.due_at is None
    state = knows(state, covered("confirmed", date(2026, 1, 1)), APRIL + DAY, returned)
    assert waits_for(state) == ""
    # Lost again, it is asked again.
    assert wires(learned(policy, state, LOST[1], APRIL + 2 * DAY)) == ["coverage_lost"]


def ended_for_it(policy: Policy) -> Authorization:
    state = served()
    state = knows(state, LOST[0], APRIL, *learned(policy, state, LOST[0], APRIL))
    return given(DECIDER, *happens(policy, state, end(8), APRIL), state=state).state


@pytest.mark.parametrize("later", [1, 30], ids=["before its day", "after its day"])
def test_coverage_that_returns_asks_about_an_ending_made_for_it_2_5(policy: Policy, later: int) -> None:
    state, again = ended_for_it(policy), APRIL + later * DAY
    back = covered("confirmed", date(2026, 1, 1))
    (returned,) = learned(policy, state, back, again)
    assert isinstance(returned, AuthorizationCoverageReturned)
    assert returned.due_at == policy.due("discontinuation_judged", again).at
    asked = knows(state, back, again, returned)
    assert waits_for(asked) == "discontinuation"
    # A named person takes the ending back, or confirms it.
    given(DECIDER, state=asked).when(go_on(), again).then("authorization.extended")
    longer = given(DECIDER, state=asked).when(go_on(), again).state
    assert longer.term is not None
    assert (longer.term.ending, waits_for(longer)) == (None, "")
    given(DECIDER, state=asked).when(end(8), again).then("authorization.ending_confirmed")
    stands = given(DECIDER, state=asked).when(end(8), again).state
    assert (waits_for(stands), stands.term and stands.term.ending is not None) == ("", True)


def test_an_ending_made_for_something_else_is_not_asked_about(policy: Policy) -> None:
    state = served()
    state = given(DECIDER, *happens(policy, state, end(1), APRIL), state=state).state
    assert learned(policy, state, covered("confirmed", date(2026, 1, 1), date(2027, 1, 1)), APRIL) == []
    given(DECIDER, state=state).when(go_on(), APRIL + 30 * DAY).refused("term-ended")


def test_no_answer_of_a_roster_ends_or_denies_anything_2_5(policy: Policy) -> None:
    for answer in LOST:
        events = learned(policy, served(), answer, APRIL)
        assert not any(isinstance(event, AuthorizationEnded | AuthorizationDenied) for event in events)


def test_what_waited_for_the_roster_is_approved_when_it_answers_4_9(policy: Policy) -> None:
    fact = received(claim=None, eligibility=covered("not_found"), plan_change={"how": "member"})
    state = given(DECIDER, fact).state
    state = given(DECIDER, *happens(policy, state, OpenReview(fact=fact)), state=state).state
    assert wires(learned(policy, state, covered("confirmed", TODAY), MONDAY + DAY)) == ["approved"]
