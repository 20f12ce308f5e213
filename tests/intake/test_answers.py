"""Questions of a referral: answered, asked again, given up; only what changed is told."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

import pytest

from loopkeeper.contract.decider import EventOn
from loopkeeper.contract.events import (
    AuthorizationPended,
    AuthorizationResumed,
    Eligibility,
    Event,
    Linked,
    OutreachContactChanged,
    Question,
    ReferralAmended,
    ReferralClosed,
    ReferralOverdue,
    ReferralQuestionsAsked,
    ReferralReceived,
    ScreenedPopulation,
)
from loopkeeper.testing.rules import MONDAY, AskedCommand, given
from referral_intake.domain.commands import (
    AnswerQuestions,
    Keys,
    MeetDeadline,
    RecordReleaseDate,
)
from referral_intake.domain.deadlines import timers
from referral_intake.domain.next_step import next_step
from referral_intake.domain.rules import DECIDER
from referral_intake.domain.state import Referral, Status, status
from tests.builders.intake import AGAIN, DUE, RECEIVED, answer, note, receive
from tests.builders.organizations import ROSA

POPULATIONS = Question(id="populations", pointer="/populations", blocking=True)
COUNTY = Question(id="county", pointer="/member/county")
ASKED = ReferralQuestionsAsked(
    occurred_at=MONDAY, questions=(POPULATIONS, COUNTY), due_at=DUE, remind_at=AGAIN
)
FORM = ReferralReceived(**(RECEIVED.model_dump() | {"sealed": {"form": "f1", "contact": "c1"}}))


def said(
    answered: Sequence[str] = (),
    *,
    questions: Sequence[Question] = (),
    based_on: str = "f1",
    keys: Keys = Keys(),
    possible: Linked | None = None,
    **changes: Any,
) -> AskedCommand:
    revised = FORM.model_copy(update=changes)
    command = AnswerQuestions(
        based_on=based_on,
        cause="answered",
        answered=tuple(answered),
        revised=revised,
        questions=tuple(questions),
        keys=keys,
    )
    return answer(command, possible)


def test_only_what_changed_is_told() -> None:
    state = given(DECIDER, FORM, ASKED).state
    (amended,) = (
        given(DECIDER, state=state).when(said(["county"], questions=[POPULATIONS], county="alameda")).events
    )
    assert amended == ReferralAmended(
        occurred_at=MONDAY, cause="answered", county="alameda", questions=(POPULATIONS,)
    )
    after = DECIDER.evolve(state, amended)
    assert (after.county, after.referrer, status(after)) == (
        "alameda",
        FORM.referrer,
        Status.NEEDS_INFORMATION,
    )


def test_an_answer_that_says_nothing_new_tells_nobody_anything() -> None:
    state = given(DECIDER, FORM, ASKED).state
    given(DECIDER, state=state).when(said(questions=[POPULATIONS, COUNTY])).then()


def test_the_last_blocking_answer_lets_the_loop_go_on_and_ends_its_deadlines() -> None:
    state = given(DECIDER, FORM, ASKED).state
    assert set(timers(state)) == {"remind-1", "remind-2", "information"}
    (amended,) = given(DECIDER, state=state).when(said(["populations"], questions=[COUNTY])).events
    after = DECIDER.evolve(state, amended)
    assert status(after) is Status.RECEIVED
    assert timers(after) == {}


def test_sealed_parts_travel_only_where_they_changed() -> None:
    state = given(DECIDER, FORM, ASKED).state
    (amended,) = (
        given(DECIDER, state=state).when(said(questions=[POPULATIONS, COUNTY], sealed={"form": "f2"})).events
    )
    assert amended.sealed == {"form": "f2"}
    assert DECIDER.evolve(state, amended).sealed == {"form": "f2", "contact": "c1"}


def test_a_question_that_arises_from_an_answer_is_asked_with_a_time_of_its_own() -> None:
    state = given(DECIDER, FORM, ASKED).state
    fresh = Question(id="consent-holder", pointer="/member/consent_holder")
    amended, asked = (
        given(DECIDER, state=state)
        .when(said(questions=[POPULATIONS, COUNTY, fresh], age_band="child_youth"))
        .events
    )
    assert amended.age_band == "child_youth"
    assert (asked.questions[-1], asked.due_at) == (fresh, DUE)


@pytest.mark.parametrize(
    ("command", "slug"),
    [
        (said(["shoe-size"]), "no-such-question"),
        (said(["county"], based_on="f0"), "stale"),
    ],
)
def test_an_answer_to_nothing_or_into_an_older_form_is_refused(command: AskedCommand, slug: str) -> None:
    given(DECIDER, FORM, ASKED).when(command).refused(slug)


def test_a_closed_loop_takes_no_answers_and_no_release_date() -> None:
    state = given(
        DECIDER, FORM, ASKED, ReferralClosed(occurred_at=MONDAY, outcome="withdrawn", clr_reason="other")
    ).state
    release = RecordReleaseDate(release_on=date(2026, 4, 1), acted_by=ROSA)
    for command in (said(["county"]), release):
        given(DECIDER, state=state).when(command).refused("already-closed")


def test_identity_that_comes_late_changes_the_member_id_and_shows_who_it_may_be() -> None:
    """loop.md 2.7, 2.12: the fact applies, and a person judges the rest."""
    state = given(DECIDER, FORM, ASKED).state
    possible = Linked(to="ref_other", why="possible_duplicate")
    known = Eligibility(state="confirmed")
    late = said(questions=[POPULATIONS, COUNTY], member="mem_known", eligibility=known, possible=possible)
    (amended,) = given(DECIDER, state=state).when(late).events
    assert (amended.member, amended.eligibility.state) == ("mem_known", "confirmed")
    assert amended.linked == possible


# ── the plan's own questions ──────────────────────────────────────────────────────────────────────────────

PENDED = AuthorizationPended(
    occurred_at=MONDAY,
    authorization="auth_1",
    asks=("answer-complex_need", "birth-date"),
    by=MONDAY + timedelta(days=7),
)


def noted(state: Referral, fact: Event) -> tuple[Referral, Sequence[Event | EventOn]]:
    after = DECIDER.evolve(state, fact)
    made = given(DECIDER, state=state).when(note(fact)).events
    for event in made:
        assert isinstance(event, Event)
        after = DECIDER.evolve(after, event)
    return after, made


def test_what_the_plan_asks_is_asked_of_the_referrer_and_holds_the_loop() -> None:
    state, made = noted(given(DECIDER, FORM).state, PENDED)
    (asked,) = made
    assert isinstance(asked, ReferralQuestionsAsked)
    assert [(q.id, q.pointer, q.blocking) for q in asked.questions] == [
        ("answer-complex_need", "/answers/complex_need", True),
        ("birth-date", "/member/birth_date", True),
    ]
    assert (asked.due_at, asked.remind_at) == (PENDED.by, AGAIN[:1])
    assert status(state) is Status.NEEDS_INFORMATION
    assert next_step(state).actor == "referrer"


def test_the_plans_question_stays_until_it_is_answered_or_the_clock_runs_again() -> None:
    state, _ = noted(given(DECIDER, FORM).state, PENDED)
    (amended,) = given(DECIDER, state=state).when(said(["birth-date"], age_band="adult")).events
    half = DECIDER.evolve(state, amended)
    assert [q.id for q in half.questions] == ["answer-complex_need"]
    resumed = AuthorizationResumed(occurred_at=MONDAY, authorization="auth_1", due_at=DUE)
    assert DECIDER.evolve(half, resumed).questions == ()


# ── deadlines ─────────────────────────────────────────────────────────────────────────────────────────────


def fire(state: Referral, kind: str) -> Sequence[Any]:
    return given(DECIDER, state=state).when(MeetDeadline(kind=kind, due_at=timers(state)[kind])).events


def test_reminders_come_twice_the_second_says_that_it_is_getting_late_and_the_end_that_it_is() -> None:
    state = given(DECIDER, FORM, ASKED).state
    (first,) = fire(state, "remind-1")
    assert (first.reminder, first.questions) == (1, state.questions)
    state = DECIDER.evolve(state, first)
    assert set(timers(state)) == {"remind-2", "information"}
    second, risk = fire(state, "remind-2")
    assert (second.reminder, risk.state) == (2, "at_risk")
    state = DECIDER.evolve(DECIDER.evolve(state, second), risk)
    (breach,) = fire(state, "information")
    assert breach == ReferralOverdue(occurred_at=MONDAY, clock="information", due_at=DUE, state="breached")
    state = DECIDER.evolve(state, breach)
    # Nothing is denied by it: the loop goes on with what is there, and the questions stay open.
    assert (status(state), timers(state)) == (Status.RECEIVED, {})
    assert state.questions == ASKED.questions


def test_a_deadline_that_no_longer_stands_does_nothing() -> None:
    state = given(DECIDER, FORM, ASKED).state
    moved = MeetDeadline(kind="information", due_at=DUE - timedelta(seconds=1))
    closed = given(
        DECIDER, FORM, ASKED, ReferralClosed(occurred_at=MONDAY, outcome="other", clr_reason="other")
    ).state
    answered = given(DECIDER, FORM).state
    given(DECIDER, state=state).when(moved).then()
    for other in (closed, answered):
        given(DECIDER, state=other).when(MeetDeadline(kind="information", due_at=DUE)).then()


def test_questions_that_block_nothing_have_no_deadline() -> None:
    _, asked = given(DECIDER).when(receive(FORM, questions=(COUNTY,))).events
    assert (asked.due_at, asked.remind_at) == (None, ())


def test_a_redirect_nobody_answers_closes_the_loop_and_an_answer_that_moves_the_member_drops_it() -> None:
    """loop.md 2.14"""
    redirect = Question(id="redirect-valley-care-plan", pointer="/plan", blocking=True)
    state = given(
        DECIDER,
        FORM,
        ReferralQuestionsAsked(occurred_at=MONDAY, questions=(redirect,), due_at=DUE, remind_at=AGAIN),
    ).state
    (closed,) = fire(state, "information")
    assert (closed.outcome, closed.clr_reason) == ("other", "other")
    assert closed.text.startswith("redirected")
    (amended,) = given(DECIDER, state=state).when(said(county="fresno")).events
    assert amended.questions == ()
    assert [
        q.id
        for q in (given(DECIDER, state=state).when(said(pcp="eastside")).events[0]).questions or (redirect,)
    ] == [redirect.id]


# ── other facts ───────────────────────────────────────────────────────────────────────────────────────────


def test_how_the_member_may_be_reached_is_as_the_provider_last_learned_it() -> None:
    """loop.md 6.2"""
    flagged = FORM.model_copy(update={"flags": ("interpreter", "safe_contact")})
    fact = OutreachContactChanged(
        occurred_at=MONDAY, flags=("interpreter", "do_not_contact"), sealed={"contact": "c2"}
    )
    state = given(DECIDER, flagged, fact).state
    assert state.flags == ("interpreter", "do_not_contact")
    assert state.sealed == {"form": "f1", "contact": "c2"}


def test_a_release_date_is_told_once() -> None:
    state = given(DECIDER, FORM.model_copy(update={"flags": ("pre_release_services",)})).state
    command = RecordReleaseDate(release_on=date(2026, 4, 1), acted_by=ROSA)
    (amended,) = given(DECIDER, state=state).when(command).events
    assert (amended.cause, amended.release_on) == ("release_date", date(2026, 4, 1))
    given(DECIDER, state=DECIDER.evolve(state, amended)).when(command).then()


def test_a_population_that_a_second_referral_brought_survives_the_first_ones_answers() -> None:
    brought = (*FORM.populations, ScreenedPopulation(code="ccs", result="met", claimed=True))
    joining = ReferralAmended(
        occurred_at=MONDAY, cause="joined", joined="ref_2", joined_referrer="bayview", populations=brought
    )
    state = given(DECIDER, FORM, joining).state
    (amended,) = given(DECIDER, state=state).when(said(county="alameda")).events
    assert amended.populations is None
    assert amended.county == "alameda"
