"""What the days of a turn change: limits at risk and breached, the day of release, the authorization's last day."""

from __future__ import annotations

from datetime import date, datetime, timedelta

import pytest

from assignment.domain.commands import EndTerm, Watch
from assignment.domain.deadlines import timers
from assignment.domain.rules import DECIDER
from assignment.domain.state import Assignment, over_because, status
from loopkeeper.contract.calendar import end_of_la_day
from loopkeeper.contract.events import (
    AssignmentAccepted,
    AssignmentEnded,
    AssignmentMade,
    AssignmentOverdue,
    AssignmentPlanAsked,
    AssignmentStarted,
    AssignmentWithdrawn,
    AuthorizationEnded,
    AuthorizationExtended,
    AuthorizationReauthorizationRequested,
    Event,
    ReferralAmended,
    ReferralBackInCustody,
)
from loopkeeper.testing.rules import MONDAY, given
from tests.builders.assignment import (
    ANSWER_DUE,
    APPROVED,
    GRANTED,
    OFFERED,
    PLAN_DUE,
    RECEIVED,
    TAKEN,
    accept,
    ask_plan,
    by_hand,
    decline,
    grant_over,
    heard,
    market,
    needs,
    start,
    wires,
)
from tests.builders.facts import TODAY, accepted, closed, made
from tests.builders.organizations import CLINIC, NAVIGATORS, STREET

DAY = timedelta(days=1)
SERVED = (*TAKEN, closed("services_received"))


def question(events: list[Event]) -> AssignmentPlanAsked:
    (found,) = [event for event in events if isinstance(event, AssignmentPlanAsked)]
    return found


# ── limits ────────────────────────────────────────────────────────────────────────────────────────────────

ANSWER_RISK, TOLD_RISK, TOLD_DUE = MONDAY + 4 * DAY, MONDAY + 10 * DAY, MONDAY + 14 * DAY


def limited() -> AssignmentMade:
    return made().model_copy(
        update={"answer_at_risk_at": ANSWER_RISK, "told_due_at": TOLD_DUE, "told_at_risk_at": TOLD_RISK}
    )


def overdue(events: list[Event]) -> list[tuple[str, str]]:
    return [(event.clock, event.state) for event in events if isinstance(event, AssignmentOverdue)]


def test_a_silence_is_at_risk_then_breached_and_then_the_plan_is_asked() -> None:
    """loop.md 5.6."""
    state = given(DECIDER, RECEIVED, APPROVED, limited()).state
    assert timers(state) == {"answer": ANSWER_DUE, "watch": ANSWER_RISK}
    risk = given(DECIDER, state=state).when(Watch(), ANSWER_RISK).events
    assert overdue(risk) == [("provider_answer", "at_risk")]
    warned = given(DECIDER, *risk, state=state).state
    assert timers(warned) == {"answer": ANSWER_DUE, "watch": TOLD_RISK}
    given(DECIDER, state=warned).when(Watch(), ANSWER_RISK).then()
    silent = given(DECIDER, state=warned).when(ask_plan(), ANSWER_DUE).events
    assert overdue(silent) == [("provider_answer", "breached")]
    assert question(silent).reason == "no_answer"
    assert timers(given(DECIDER, *silent, state=warned).state) == {"watch": TOLD_RISK}


def test_until_a_provider_accepts_nobody_has_been_told_whom_to_serve() -> None:
    """loop.md 5.8: an offer alone is not told; the limit is one, whichever provider is asked meanwhile."""
    state = given(DECIDER, RECEIVED, APPROVED, limited()).state
    next_one = given(DECIDER, state=state).when(decline()).state
    assert next_one.told_due_at == TOLD_DUE
    events = given(DECIDER, state=next_one).when(Watch(), TOLD_DUE).events
    assert overdue(events) == [("provider_told", "breached")]
    assert "watch" not in timers(given(DECIDER, *events, state=next_one).state)
    assert timers(given(DECIDER, accepted(), state=state).state) == {}


def test_an_approval_after_a_grant_that_ran_out_is_told_in_a_time_of_its_own() -> None:
    ran_out = (RECEIVED, GRANTED, limited(), accepted(), grant_over("expired"))
    gone = AssignmentEnded(occurred_at=MONDAY, assignment="asg_1", reason="grant_over", on=TODAY)
    state = given(DECIDER, *ran_out, gone).state
    assert (state.authorized_at, state.told_due_at, timers(state)) == (None, None, {})
    later = APPROVED.model_copy(update={"occurred_at": MONDAY + 40 * DAY})
    second = limited().model_copy(
        update={
            "assignment": "asg_2",
            "occurred_at": MONDAY + 40 * DAY,
            "told_due_at": MONDAY + 54 * DAY,
            "told_at_risk_at": None,
        }
    )
    again = given(DECIDER, later, second, state=state).state
    assert (again.authorized_at, again.told_due_at) == (MONDAY + 40 * DAY, MONDAY + 54 * DAY)
    assert overdue(given(DECIDER, state=again).when(Watch(), MONDAY + 54 * DAY).events)[-1] == (
        "provider_told",
        "breached",
    )


def test_with_nobody_left_the_limit_runs_on_for_the_plan() -> None:
    question = AssignmentPlanAsked(
        occurred_at=MONDAY, reason="none_left", due_at=TOLD_DUE, at_risk_at=TOLD_RISK
    )
    state = given(DECIDER, RECEIVED, APPROVED, question).state
    assert timers(state) == {"watch": TOLD_RISK}
    assert timers(given(DECIDER, closed("withdrawn"), state=state).state) == {}


def test_where_the_plan_turned_it_on_a_silent_offer_is_withdrawn_before_the_next_is_made() -> None:
    """loop.md 5.6."""
    state = given(
        DECIDER,
        *OFFERED,
    ).state
    events = given(DECIDER, state=state).when(ask_plan(market(NAVIGATORS, re_offer=True)), ANSWER_DUE).events
    assert wires(events) == ["overdue", "withdrawn", "made"]
    assert needs(given(DECIDER, *events, state=state).state, decline(provider=NAVIGATORS)).barred == {
        STREET: "no_answer"
    }
    nobody = given(DECIDER, state=state).when(ask_plan(market(re_offer=True)), ANSWER_DUE).events
    assert wires(nobody) == ["overdue", "plan_asked"]
    assert status(given(DECIDER, *nobody, state=state).state) == "offered"


def test_accepting_says_by_when_another_primary_care_provider_must_be_told() -> None:
    """loop.md 5.8."""
    found = market(pcp_due_at=PLAN_DUE)
    for pcp, told in ((CLINIC, (CLINIC, PLAN_DUE)), (STREET, (None, None)), (None, (None, None))):
        offered = given(DECIDER, RECEIVED.model_copy(update={"pcp": pcp}), APPROVED, made()).state
        (taken,) = given(DECIDER, state=offered).when(accept(found=found)).events
        assert isinstance(taken, AssignmentAccepted)
        assert (taken.pcp, taken.pcp_due_at) == told


# ── release ───────────────────────────────────────────────────────────────────────────────────────────────

RELEASE = TODAY + 20 * DAY
INSIDE = RECEIVED.model_copy(update={"release_on": RELEASE})


def planned(*facts: Event) -> Assignment:
    (offer,) = given(DECIDER, INSIDE).when(heard(APPROVED)).events
    assert isinstance(offer, AssignmentMade)
    offer = offer.model_copy(update={"assignment": "asg_1"})
    return given(DECIDER, INSIDE, APPROVED, offer, *facts).state


def release(on: date) -> ReferralAmended:
    return ReferralAmended(occurred_at=MONDAY, cause="release_date", release_on=on)


def morning(day: date) -> datetime:
    return end_of_la_day(day - DAY)


def test_before_release_an_assignment_is_planned_takes_a_place_and_may_be_accepted() -> None:
    """loop.md 3.7, 5.3."""
    state = planned()
    assert (state.live, state.held_offer and state.held_offer.starts_on) == (None, RELEASE)
    assert timers(state)["start"] == morning(RELEASE)
    taken = given(DECIDER, state=state).when(accept()).state
    assert (status(taken), taken.live, timers(taken)) == ("accepted", None, {"start": morning(RELEASE)})


def test_on_the_day_of_release_it_is_live() -> None:
    state = planned(accepted())
    given(DECIDER, state=state).when(start(), morning(RELEASE) - DAY.resolution).then()
    (started,) = given(DECIDER, state=state).when(start(), morning(RELEASE)).events
    assert isinstance(started, AssignmentStarted)
    assert started.on == RELEASE
    live = given(DECIDER, started, state=state).state
    assert live.live is not None
    assert timers(live) == {}
    given(DECIDER, state=live).when(start(), morning(RELEASE)).then()


@pytest.mark.parametrize("to", [TODAY + 5 * DAY, TODAY + 40 * DAY, TODAY], ids=["earlier", "later", "today"])
def test_a_release_date_that_moves_moves_the_planned_assignment(to: date) -> None:
    state = planned(release(to))
    assert timers(state)["start"] == morning(to)
    given(DECIDER, state=state).when(start(), morning(to)).then("assignment.started")


def test_once_begun_a_late_word_of_the_release_changes_nothing() -> None:
    begun = planned(
        accepted(), AssignmentStarted(occurred_at=MONDAY, assignment="asg_1", provider=STREET, on=RELEASE)
    )
    moved = given(DECIDER, release(RELEASE + 9 * DAY), state=begun).state
    assert moved.live is not None
    assert timers(moved) == {}


BACK = ReferralBackInCustody(occurred_at=MONDAY, on=MONDAY.date(), due_at=MONDAY)


def test_back_in_custody_takes_the_start_back_and_keeps_the_place_3_7() -> None:
    begun = planned(
        accepted(), AssignmentStarted(occurred_at=MONDAY, assignment="asg_1", provider=STREET, on=RELEASE)
    )
    inside = given(DECIDER, BACK, state=begun).state
    assert begun.live is not None
    assert inside.live is None
    assert inside.held_offer is not None
    assert (inside.held_offer.held, inside.held_offer.starts_on) == (True, None)
    assert "start" not in timers(inside)
    again = given(DECIDER, release(RELEASE + 30 * DAY), state=inside).state
    assert again.held_offer is not None
    assert again.held_offer.starts_on == RELEASE + 30 * DAY
    assert "start" in timers(again)


def test_a_release_that_is_past_makes_no_plan() -> None:
    out = RECEIVED.model_copy(update={"release_on": TODAY})
    (offer,) = given(DECIDER, out).when(heard(APPROVED)).events
    assert isinstance(offer, AssignmentMade)
    assert offer.starts_on is None


def test_a_planned_assignment_conflicts_when_it_begins() -> None:
    state = planned(accepted())
    other_assignment = market(assigned_elsewhere=True, other_assignment="asg_9", elsewhere_since=MONDAY - DAY)
    given(DECIDER, state=state).when(start(other_assignment), morning(RELEASE)).then(
        "assignment.started", "assignment.plan_asked"
    )
    known = heard(ReferralAmended(occurred_at=MONDAY, cause="answered", member="mem_known"), other_assignment)
    given(DECIDER, state=state).when(known).then()


# ── the term ──────────────────────────────────────────────────────────────────────────────────────────────

LAST = TODAY + 12 * DAY
TERM_OVER = end_of_la_day(LAST)


def ended(code: int = 1, on: date = LAST) -> AuthorizationEnded:
    return AuthorizationEnded(occurred_at=MONDAY, authorization="auth_1", code=code, on=on)


def test_the_assignment_ends_with_the_last_day_of_the_authorization_and_not_before() -> None:
    given(DECIDER, *SERVED).when(heard(ended())).then()
    state = given(DECIDER, *SERVED, ended()).state
    assert timers(state)["term"] == TERM_OVER
    given(DECIDER, state=state).when(EndTerm(), TERM_OVER - DAY.resolution).then()
    (gone,) = given(DECIDER, state=state).when(EndTerm(), TERM_OVER).events
    assert isinstance(gone, AssignmentEnded)
    assert (gone.reason, gone.on) == ("authorization_ended", LAST)
    over = given(DECIDER, gone, state=state).state
    assert (timers(over), over.live, over_because(over)) == ({}, None, "grant_over")


def test_an_ending_heard_of_late_ends_the_assignment_at_once() -> None:
    (gone,) = given(DECIDER, *TAKEN).when(heard(ended(on=TODAY - DAY))).events
    assert isinstance(gone, AssignmentEnded)
    assert (gone.reason, gone.on) == ("authorization_ended", TODAY - DAY)


EXTENDED = AuthorizationExtended.model_validate(
    {
        "occurred_at": MONDAY,
        "authorization": "auth_1",
        "number": "ECM-1",
        "from": "2026-03-02",
        "through": "2027-09-01",
    }
)
ASKED_FOR = AuthorizationReauthorizationRequested(
    occurred_at=MONDAY, authorization="auth_1", provider=STREET, through=LAST
)


@pytest.mark.parametrize(
    ("ending", "word", "goes_on"),
    [(ended(), EXTENDED, True), (ended(13), ASKED_FOR, True), (ended(1), ASKED_FOR, False)],
    ids=["extended", "asked for in time", "graduated"],
)
def test_an_ending_taken_back_ends_nothing(ending: Event, word: Event, goes_on: bool) -> None:
    """loop.md 4.7."""
    state = given(DECIDER, *SERVED, ending, word).state
    assert ("term" in timers(state)) is not goes_on


def test_after_the_last_day_nobody_is_offered_anything() -> None:
    state = given(DECIDER, *OFFERED, ended()).state
    (gone,) = given(DECIDER, state=state).when(EndTerm(), TERM_OVER).events
    assert isinstance(gone, AssignmentWithdrawn)
    given(DECIDER, gone, state=state).when(by_hand(), TERM_OVER).refused("not-eligible")
