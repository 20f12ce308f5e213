"""The clocks of a decision, as facts: what is said when, what the cap does, and that none of them decides."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from authorization.domain.commands import OpenReview
from authorization.domain.deadlines import due, timers
from authorization.domain.rules import DECIDER
from authorization.domain.state import status
from authorization.persistence.context import AuthorizationLoaded
from loopkeeper.contract.calendar import end_of_la_day, la_date
from loopkeeper.contract.events import AuthorizationDeemedAdverse, AuthorizationOverdue, Event
from loopkeeper.policy import Policy
from loopkeeper.policy.reading import installed, load
from loopkeeper.testing.rules import MONDAY, given
from tests.builders.authorization import (
    DENIAL,
    RIGHTS,
    RULES,
    Rules,
    approve,
    comes,
    deny,
    looked_up,
    opened,
    received,
)
from tests.builders.facts import closed

HOUR = timedelta(hours=1)
RISK, DUE, CAP = MONDAY + timedelta(days=3), MONDAY + timedelta(days=7), MONDAY + timedelta(days=9)
WATCHED = RULES.model_copy(update={"at_risk_at": RISK, "due_at": DUE, "cap_at": CAP, "automatic": {}})


def waiting(**changes: Any) -> Any:
    """A request that a person must decide, without a grant, its clocks watched."""
    fact = received(claim=None, **changes)
    return given(DECIDER, fact, *opened(fact, WATCHED)).state


@pytest.fixture(scope="module")
def policy() -> Policy:
    return load(installed())


# ── said ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_decision_at_risk_is_said_before_it_is_overdue_4_5() -> None:
    """loop.md 4.5: clocks escalate."""
    given(DECIDER, state=waiting()).when(comes("at_risk"), RISK - HOUR).then()
    (said,) = given(DECIDER, state=waiting()).when(comes("at_risk"), RISK).events
    assert isinstance(said, AuthorizationOverdue)
    assert (said.state, said.clock, said.due_at) == ("at_risk", "decision_routine", DUE)


def test_an_overdue_decision_is_said_as_it_falls_due_and_stays_open_4_5() -> None:
    state = waiting()
    (said,) = given(DECIDER, state=state).when(comes("due"), DUE).events
    assert isinstance(said, AuthorizationOverdue)
    assert said.state == "breached"
    assert status(given(DECIDER, said, state=state).state) == "pending"


@pytest.mark.parametrize("kind", ["at_risk", "due", "cap"])
def test_each_is_said_once(kind: str) -> None:
    state = waiting()
    said = given(DECIDER, state=state).when(comes(kind), CAP).events
    assert len(said) == 1
    assert kind not in timers(given(DECIDER, *said, state=state).state)
    given(DECIDER, *said, state=state).when(comes(kind), CAP).then()


def test_after_an_outage_what_is_overdue_is_not_said_to_be_at_risk() -> None:
    state = waiting()
    late = given(DECIDER, state=state).when(comes("due"), CAP).state
    given(DECIDER, state=late).when(comes("at_risk"), CAP).then()


@pytest.mark.parametrize("kind", ["at_risk", "due", "cap"])
@pytest.mark.parametrize("ends", ["approved", "denied", "withdrawn"])
def test_what_is_decided_or_over_is_never_overdue(kind: str, ends: str) -> None:
    state = waiting()
    done: list[Event] = {
        "approved": given(DECIDER, state=state).when(approve()).events,
        "denied": given(DECIDER, state=state).when(deny()).events,
        "withdrawn": [closed("withdrawn")],
    }[ends]
    over = given(DECIDER, *done, state=state).state
    given(DECIDER, state=over).when(comes(kind), CAP).then()
    assert not set(timers(over)) & {"at_risk", "due", "cap"}


def test_first_services_stop_no_clock_7_2() -> None:
    served = given(DECIDER, closed("services_received"), state=waiting()).state
    assert {"at_risk", "due", "cap"} <= set(timers(served))


# ── the cap ───────────────────────────────────────────────────────────────────────────────────────────────


def test_undecided_at_the_cap_is_adverse_by_law_and_stays_open_for_a_person_4_5() -> None:
    """loop.md 4.5, 42 CFR 438.404(c): deemed, never decided; the review goes on."""
    state = waiting()
    given(DECIDER, state=state).when(comes("cap"), CAP - HOUR).then()
    (deemed,) = given(DECIDER, state=state).when(comes("cap"), CAP).events
    assert isinstance(deemed, AuthorizationDeemedAdverse)
    assert (deemed.cap_at, deemed.notice_due_at) == (CAP, DENIAL.notice_due_at)
    assert (deemed.appeal_by, deemed.rights) == (RIGHTS.appeal_by, RIGHTS)
    late = given(DECIDER, deemed, state=state).state
    assert status(late) == "pending"
    given(DECIDER, state=late).when(approve(), CAP + timedelta(days=1)).then("authorization.approved")
    given(DECIDER, state=late).when(deny(), CAP + timedelta(days=1)).then("authorization.denied")


def test_the_cap_ends_no_grant_4_5() -> None:
    fact = received()
    state = given(DECIDER, fact, *opened(fact, WATCHED)).state
    assert state.grant_live
    assert given(DECIDER, state=state).when(comes("cap"), CAP).state.grant_live


def test_the_notice_of_a_deemed_denial_falls_due_on_the_caps_own_day_4_5(policy: Policy) -> None:
    fact = received(claim=None, urgency="routine")
    begun: Any = looked_up(
        AuthorizationLoaded(policy, {}, {}), "ref_1", given(DECIDER, fact).state, opening(fact)
    )
    rules: Rules = begun.rules
    state = given(DECIDER, fact, *opened(fact, rules)).state
    cap_at = rules.cap_at
    filled: Any = looked_up(AuthorizationLoaded(policy, {}, {}), "ref_1", state, comes("cap"), cap_at)
    assert la_date(filled.denial.notice_due_at - HOUR) == la_date(cap_at - HOUR) == date(2026, 3, 9)
    assert filled.denial.rights.appeal_by == date(2026, 5, 8)
    assert "clocks/deemed-notice@2022-01-01" in filled.denial.refs


def opening(fact: Any) -> OpenReview:
    return OpenReview(fact=fact)


# ── as every read shows it ────────────────────────────────────────────────────────────────────────────────

STANDINGS = [
    (MONDAY, "on_track"),
    (RISK - HOUR, "on_track"),
    (RISK, "at_risk"),
    (DUE - HOUR, "at_risk"),
    (DUE, "breached"),
]


@pytest.mark.parametrize(("now", "state"), STANDINGS)
def test_every_read_says_how_the_clock_stands(now: datetime, state: str) -> None:
    shown = due(waiting(), now)
    assert shown is not None
    assert (shown.clock, shown.due_at, shown.state) == ("decision_routine", DUE, state)


@pytest.mark.parametrize(("decided", "state"), [(DUE - HOUR, "met"), (DUE, "breached")])
def test_a_decision_met_its_clock_or_did_not(decided: datetime, state: str) -> None:
    done = given(DECIDER, state=waiting()).when(approve(), decided).state
    shown = due(done, CAP)
    assert shown is not None
    assert (shown.due_at, shown.state) == (DUE, state)


def test_where_the_cap_comes_first_it_is_the_cap_that_counts() -> None:
    """Five business days over Thanksgiving are longer than seven days."""
    fact = received(claim=None)
    rules = WATCHED.model_copy(update={"cap_at": DUE - timedelta(days=2)})
    shown = due(given(DECIDER, fact, *opened(fact, rules)).state, MONDAY)
    assert shown is not None
    assert (shown.clock, shown.due_at) == ("decision_cap", DUE - timedelta(days=2))


def test_what_was_closed_before_a_decision_has_no_clock() -> None:
    assert due(given(DECIDER, closed("withdrawn"), state=waiting()).state, DUE) is None


# ── as policy has it ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("urgency", "risk", "due_at"),
    [
        # Monday: at risk as Thursday ends, due as the next Monday does (daylight saving began on 8 March).
        ("routine", datetime(2026, 3, 6, 8, 0, tzinfo=UTC), datetime(2026, 3, 10, 7, 0, tzinfo=UTC)),
        ("expedited", MONDAY + timedelta(hours=48), MONDAY + timedelta(hours=72)),
    ],
)
def test_when_a_decision_is_at_risk_is_a_policy_row(
    policy: Policy, urgency: str, risk: datetime, due_at: datetime
) -> None:
    fact = received(claim=None, urgency=urgency)
    filled: Any = looked_up(
        AuthorizationLoaded(policy, {}, {}), "ref_1", given(DECIDER, fact).state, opening(fact)
    )
    rules: Rules = filled.rules
    assert (rules.at_risk_at, rules.due_at) == (risk, due_at)


def test_at_risk_is_always_before_due_and_due_on_a_working_day(policy: Policy) -> None:
    """Every day of ten years, across holidays, year ends and daylight saving."""
    day = date(2026, 1, 1)
    while day < date(2036, 1, 1):
        begun = end_of_la_day(day) - 6 * HOUR
        risk, late = policy.due("decision_routine_at_risk", begun), policy.due("decision_routine", begun)
        assert begun < risk.at < late.at
        assert policy.calendar.is_business_day(la_date(late.at - HOUR))
        day += timedelta(days=1)
