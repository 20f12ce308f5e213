"""The legal cap of each clock (loop.md 4.5): expedited is 72 hours, also at the end, from when the urgency arrived.

42 CFR 438.210(d)(1) and (2): seven calendar days, seventy-two hours. 438.404(c)(5): undecided then is adverse then, and
its notice is due that day. The rows are those of `shared/src/loopkeeper/policy/clocks.yaml`.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from authorization.domain.commands import OpenReview, RequestReauthorization
from authorization.domain.deadlines import timers
from authorization.domain.rules import DECIDER
from authorization.domain.state import Authorization
from authorization.persistence.context import AuthorizationLoaded
from loopkeeper.contract.calendar import end_of_la_day, la_date
from loopkeeper.contract.events import (
    AuthorizationDeemedAdverse,
    AuthorizationExpedited,
    AuthorizationReauthorizationRequested,
    AuthorizationReviewOpened,
    Event,
)
from loopkeeper.policy import Policy, check
from loopkeeper.policy.reading import installed, load
from loopkeeper.testing.rules import MONDAY, AskedCommand, given
from tests.builders import facts
from tests.builders.authorization import (
    TEAM,
    UNSURE,
    amend,
    amended,
    approve,
    comes,
    looked_up,
    pend,
    received,
    resume,
    wires,
)
from tests.builders.organizations import LUIS

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
THURSDAY = MONDAY + 72 * HOUR
# Seven calendar days after Monday, 2 March, and fourteen after a Monday of 2025.
NEXT_MONDAY = end_of_la_day(date(2026, 3, 9))
IN_2025 = datetime(2025, 12, 1, 18, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def policy() -> Policy:
    return load(installed())


def happened(policy: Policy, state: Authorization | None, asking: AskedCommand, at: datetime) -> list[Event]:
    """What follows, with the context that the service gives the command on that day."""
    return (
        given(DECIDER, state=state)
        .when(looked_up(AuthorizationLoaded(policy, {}, {}), "ref_1", state, asking, at).asking, at)
        .events
    )


def reviewed(policy: Policy, urgency: str = "routine", at: datetime = MONDAY) -> Authorization:
    """A referral that a person must decide, its review open."""
    fact = received(claim=None, eligibility=UNSURE, urgency=urgency, occurred_at=at)
    state = given(DECIDER, fact).state
    return given(DECIDER, *happened(policy, state, OpenReview(fact=fact), at), state=state).state


def urgent(policy: Policy, state: Authorization, arrived: datetime, heard: datetime) -> list[Event]:
    """The urgency arrives at intake, and is heard by authorization."""
    fact = amended("corrected", at=arrived, urgency="expedited")
    return happened(policy, given(DECIDER, fact, state=state).state, amend(fact), heard)


# ── from the start ────────────────────────────────────────────────────────────────────────────────────────

FROM_THE_START = [
    # asked for, received, the cap
    ("routine", MONDAY, NEXT_MONDAY),
    ("expedited", MONDAY, THURSDAY),
    ("routine", IN_2025, end_of_la_day(date(2025, 12, 15))),
    ("expedited", IN_2025, IN_2025 + 72 * HOUR),
    # Over the change of the clocks on 8 March an hour is an hour.
    ("expedited", MONDAY + 4 * DAY, MONDAY + 4 * DAY + 72 * HOUR),
]


@pytest.mark.parametrize(("urgency", "at", "cap_at"), FROM_THE_START)
def test_each_clock_has_its_own_cap_4_5(policy: Policy, urgency: str, at: datetime, cap_at: datetime) -> None:
    state = reviewed(policy, urgency, at)
    assert state.review is not None
    assert state.review.cap_at == timers(state)["cap"] == cap_at
    cap_row = "clocks/decision-expedited-cap@2022-01-01" if urgency == "expedited" else "clocks/decision-cap@"
    assert any(ref.startswith(cap_row) for ref in state.review.policy)


def test_undecided_after_seventy_two_hours_is_adverse_then_and_told_that_californian_day_4_5(
    policy: Policy,
) -> None:
    """42 CFR 438.404(c)(5): to the minute, not as the day or as the routine cap ends."""
    state = reviewed(policy, "expedited")
    assert happened(policy, state, comes("cap"), THURSDAY - timedelta(minutes=1)) == []
    (deemed,) = happened(policy, state, comes("cap"), THURSDAY)
    assert isinstance(deemed, AuthorizationDeemedAdverse)
    assert (deemed.cap_at, deemed.notice_due_at) == (THURSDAY, end_of_la_day(la_date(THURSDAY)))
    assert "cap" not in timers(given(DECIDER, deemed, state=state).state)


# ── an urgency that arrives later ─────────────────────────────────────────────────────────────────────────

LATER = [
    # the urgency arrives, paused since, heard, the cap
    (MONDAY + HOUR, None, MONDAY + HOUR, MONDAY + 73 * HOUR),
    (MONDAY + 2 * DAY, None, MONDAY + 2 * DAY, MONDAY + 2 * DAY + 72 * HOUR),
    # Authorization was away for a day: the urgency counts from when it arrived.
    (MONDAY + DAY, None, MONDAY + 2 * DAY, MONDAY + DAY + 72 * HOUR),
    # The clock is stopped; the cap does not.
    (MONDAY + DAY, MONDAY + HOUR, MONDAY + DAY, MONDAY + DAY + 72 * HOUR),
    # On the last days the routine cap comes first, paused or not.
    (MONDAY + 6 * DAY, None, MONDAY + 6 * DAY, NEXT_MONDAY),
    (MONDAY + 6 * DAY, MONDAY + HOUR, MONDAY + 6 * DAY, NEXT_MONDAY),
]


@pytest.mark.parametrize(("arrived", "paused", "heard", "cap_at"), LATER)
def test_the_cap_runs_from_when_the_urgency_arrived_and_never_past_the_routine_one_4_5(
    policy: Policy, arrived: datetime, paused: datetime | None, heard: datetime, cap_at: datetime
) -> None:
    state = reviewed(policy)
    if paused is not None:
        state = given(DECIDER, *happened(policy, state, pend("county"), paused), state=state).state
    state = given(
        DECIDER,
        amended("corrected", at=arrived, urgency="expedited"),
        *urgent(policy, state, arrived, heard),
        state=state,
    ).state
    assert timers(state)["cap"] == cap_at
    (deemed,) = happened(policy, state, comes("cap"), cap_at)
    assert isinstance(deemed, AuthorizationDeemedAdverse)
    assert la_date(deemed.notice_due_at - HOUR) == la_date(cap_at - timedelta(minutes=1))


def test_where_the_routine_clock_ends_first_the_expedited_cap_still_comes_4_5(policy: Policy) -> None:
    """Fourteen days in 2025: an urgency of the seventh day ends nothing sooner but the cap."""
    state = reviewed(policy, at=IN_2025)
    arrived = IN_2025 + 6 * DAY
    (sooner,) = urgent(policy, state, arrived, arrived)
    assert isinstance(sooner, AuthorizationExpedited)
    assert state.review is not None
    assert (sooner.due_at, sooner.cap_at) == (state.review.due_at, arrived + 72 * HOUR)


def test_what_became_urgent_in_a_pause_has_all_its_hours_when_the_clock_runs_on_4_5(policy: Policy) -> None:
    paused, arrived, again = MONDAY + HOUR, MONDAY + DAY, MONDAY + DAY + 10 * HOUR
    state = reviewed(policy)
    state = given(DECIDER, *happened(policy, state, pend("county"), paused), state=state).state
    state = given(
        DECIDER,
        amended("corrected", at=arrived, urgency="expedited"),
        *urgent(policy, state, arrived, arrived),
        state=state,
    ).state
    assert "due" not in timers(state)
    state = given(DECIDER, *happened(policy, state, resume(), again), state=state).state
    assert timers(state)["due"] == again + 72 * HOUR
    assert timers(state)["cap"] == arrived + 72 * HOUR


def test_an_answer_that_says_urgent_lets_the_clock_run_on_and_shortens_it_4_5(policy: Policy) -> None:
    state = reviewed(policy)
    state = given(DECIDER, *happened(policy, state, pend("county"), MONDAY + HOUR), state=state).state
    fact = amended("answered", at=MONDAY + DAY, urgency="expedited", questions=())
    follows = happened(policy, given(DECIDER, fact, state=state).state, amend(fact), MONDAY + DAY)
    assert wires(follows)[:2] == ["resumed", "expedited"]
    assert timers(given(DECIDER, fact, *follows, state=state).state)["cap"] == MONDAY + DAY + 72 * HOUR


def test_an_urgency_after_the_cap_brings_no_second_one_4_5(policy: Policy) -> None:
    state = reviewed(policy)
    state = given(DECIDER, *happened(policy, state, comes("cap"), NEXT_MONDAY), state=state).state
    assert urgent(policy, state, NEXT_MONDAY + DAY, NEXT_MONDAY + DAY) == []


def test_an_urgency_taken_back_lengthens_nothing_4_5(policy: Policy) -> None:
    state = reviewed(policy, "expedited")
    back = amended("corrected", at=MONDAY + HOUR, urgency="routine")
    assert happened(policy, given(DECIDER, back, state=state).state, amend(back), MONDAY + HOUR) == []
    assert timers(given(DECIDER, back, state=state).state)["cap"] == THURSDAY


# ── reauthorizations ──────────────────────────────────────────────────────────────────────────────────────


def served(policy: Policy) -> Authorization:
    """Approved, and served by the team."""
    state = reviewed(policy)
    held = facts.accepted()
    return given(DECIDER, *happened(policy, state, approve(), MONDAY), held, state=state).state


def asked(urgency: str) -> RequestReauthorization:
    return RequestReauthorization.model_validate({"acted_by": LUIS, "provider": TEAM, "urgency": urgency})


@pytest.mark.parametrize(
    ("urgency", "cap_at"), [("routine", end_of_la_day(date(2026, 12, 7))), ("expedited", None)]
)
def test_a_reauthorization_has_the_caps_of_any_decision_4_5(
    policy: Policy, urgency: str, cap_at: datetime | None
) -> None:
    december = datetime(2026, 11, 30, 18, 0, tzinfo=UTC)
    state = served(policy)
    (requested,) = happened(policy, state, asked(urgency), december)
    assert isinstance(requested, AuthorizationReauthorizationRequested)
    state = given(DECIDER, requested, state=state).state
    assert timers(state)["cap"] == (cap_at or december + 72 * HOUR)
    (deemed,) = happened(policy, state, comes("cap"), timers(state)["cap"])
    assert isinstance(deemed, AuthorizationDeemedAdverse)


def test_a_reauthorization_that_waits_is_made_urgent_by_asking_again_4_5(policy: Policy) -> None:
    december = datetime(2026, 11, 30, 18, 0, tzinfo=UTC)
    state = served(policy)
    state = given(DECIDER, *happened(policy, state, asked("routine"), december), state=state).state
    given(DECIDER, state=state).when(
        (asked("routine"), _context(policy, state, asked("routine"), december))
    ).refused("already-requested")
    (sooner,) = happened(policy, state, asked("expedited"), december + DAY)
    assert isinstance(sooner, AuthorizationExpedited)
    assert timers(given(DECIDER, sooner, state=state).state)["cap"] == december + DAY + 72 * HOUR


def _context(policy: Policy, state: Authorization, command: Any, at: datetime) -> Any:
    return looked_up(AuthorizationLoaded(policy, {}, {}), "ref_1", state, command, at).asking[1]


# ── whose choice it is ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("clock", ["decision_cap", "decision_expedited_cap"])
def test_no_plan_is_given_a_later_cap_4_5(tmp_path: Path, clock: str) -> None:
    own = {
        "id": "harbor-later", "plan": "harbor-health-plan", "clock": clock, "amount": 30, "unit": "calendar_days",
        "starts": "received", "ends": "decision", "effective_from": date(2026, 1, 1), "source": "the plan's wish",
        "confidence": "ours",
    }  # fmt: skip
    (tmp_path / "plans.yaml").write_text(yaml.safe_dump({"table": "clocks", "rows": [own]}))
    findings = [str(each) for each in check(load(installed(), tmp_path))]
    assert any("A plan has no say in clocks." in each for each in findings)


def test_a_review_names_the_cap_it_is_held_to(policy: Policy) -> None:
    fact = received(claim=None, eligibility=UNSURE, urgency="expedited")
    (review,) = happened(policy, given(DECIDER, fact).state, OpenReview(fact=fact), MONDAY)
    assert isinstance(review, AuthorizationReviewOpened)
    assert review.policy == (
        "clocks/decision-expedited@2022-01-01", "clocks/decision-expedited-cap@2022-01-01",
    )  # fmt: skip
