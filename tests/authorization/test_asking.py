"""A person asks for what is missing, approves in part, or denies: what may be asked, what a clock does, what is said."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from authorization.domain.commands import OpenReview
from authorization.domain.deadlines import due, timers
from authorization.domain.rules import DECIDER
from authorization.domain.state import Authorization
from authorization.persistence import policy_lookup
from authorization.persistence.context import AuthorizationLoaded
from loopkeeper.contract.calendar import la_date
from loopkeeper.contract.events import (
    AuthorizationApproved,
    AuthorizationDenied,
    AuthorizationExpedited,
    AuthorizationPended,
    AuthorizationResumed,
    Event,
    Question,
)
from loopkeeper.contract.vocabulary.decisions import ForbiddenAsk, ForbiddenReason
from loopkeeper.policy import Policy
from loopkeeper.policy.reading import installed, load
from loopkeeper.testing.rules import MONDAY, command_of, given
from tests.builders.authorization import (
    FREQUENT,
    RIGHTS,
    RULES,
    UNSURE,
    amend,
    amended,
    approval,
    approve,
    comes,
    deny,
    looked_up,
    modify,
    opened,
    pend,
    pending,
    received,
    resume,
)
from tests.builders.facts import HOMELESS, closed
from tests.builders.organizations import MARIA, NOBODY

DEMO = Path(__file__).parents[2] / "demo" / "policy"
DAY = timedelta(days=1)
BY = MONDAY + 14 * DAY
LATER = RULES.model_copy(update={"due_at": MONDAY + 20 * DAY, "at_risk_at": MONDAY + 18 * DAY})


@pytest.fixture(scope="module")
def policy() -> Policy:
    return load(installed(), DEMO)


def paused(*asks: str, **changes: Any) -> Authorization:
    state = pending(claim=None, **changes)
    return given(DECIDER, state=state).when(pend(*asks or ("birth-date",))).state


# ── asking ────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_named_person_asks_for_elements_of_the_standard_4_1() -> None:
    """loop.md 4.1: only a named person pends."""
    (asked,) = (
        given(DECIDER, state=pending(claim=None)).when(pend("birth-date", "county", "birth-date")).events
    )
    assert isinstance(asked, AuthorizationPended)
    assert (asked.asks, asked.by, asked.acted_by) == (("birth-date", "county"), BY, MARIA)


def test_nobody_pends_without_a_name_4_1() -> None:
    given(DECIDER, state=pending()).when(pend("birth-date", acted_by=NOBODY)).refused("person-required")


@pytest.mark.parametrize("ask", [*sorted(ForbiddenAsk.codes()), "credit-score", "", "answer-blood_type"])
def test_nothing_beyond_the_standard_may_be_asked_2_15(ask: str) -> None:
    """loop.md 2.15, ECMG26 p99-100: no ICD-10 code, no TAR, no proof of homelessness, whichever plan asks."""
    answer = given(DECIDER, state=pending()).when(pend("birth-date", ask)).refusal
    assert answer.slug == "reason-forbidden"
    assert "birth-date" in answer.fix


def test_what_may_be_asked_is_data_and_holds_every_criterion_2_15(policy: Policy) -> None:
    known = policy_lookup.askable(policy, date(2026, 3, 2))
    assert {"birth-date", "county", "answer-complex_need", "answer-avoidable_ed_visits_6m"} <= known
    assert not known & ForbiddenAsk.codes()
    assert not {"answer-age", "answer-disparity_group"} & known


def test_one_question_at_a_time_and_none_after_the_decision() -> None:
    given(DECIDER, state=paused()).when(pend("county")).refused("illegal-move")
    decided = given(DECIDER, state=pending()).when(approve()).state
    given(DECIDER, state=decided).when(pend("county")).refused("already-decided")
    given(DECIDER, closed("withdrawn"), state=pending()).when(pend("county")).refused("illegal-move")


def test_what_is_asked_may_be_decided_all_the_same() -> None:
    given(DECIDER, state=paused()).when(approve()).then("authorization.approved")
    given(DECIDER, state=paused()).when(deny()).then("authorization.denied")


# ── the pause ─────────────────────────────────────────────────────────────────────────────────────────────


def test_the_pause_stops_the_decisions_clock_and_not_the_cap_4_1() -> None:
    state = paused()
    assert set(timers(state)) == {"cap", "pause"}
    given(DECIDER, state=state).when(comes("due"), RULES.due_at).then()
    given(DECIDER, state=state).when(comes("cap"), RULES.cap_at).then("authorization.deemed_adverse")
    shown = due(state, MONDAY)
    assert shown is not None
    assert (shown.clock, shown.due_at) == ("decision_cap", RULES.cap_at)


@pytest.mark.parametrize("how", ["person", "time"])
def test_the_clock_runs_on_by_a_person_or_when_the_time_is_over(how: str) -> None:
    state = paused()
    command = resume(rules=LATER) if how == "person" else comes("pause", rules=LATER)
    (again,) = given(DECIDER, state=state).when(command, BY).events
    assert isinstance(again, AuthorizationResumed)
    assert (again.due_at, again.at_risk_at) == (LATER.due_at, LATER.at_risk_at)
    running = given(DECIDER, again, state=state).state
    assert timers(running)["due"] == LATER.due_at
    assert "pause" not in timers(running)


def test_before_its_time_no_pause_ends_by_itself() -> None:
    given(DECIDER, state=paused()).when(comes("pause"), BY - DAY).then()


def test_a_running_clock_cannot_be_resumed_nor_by_nobody() -> None:
    given(DECIDER, state=pending()).when(resume()).refused("illegal-move")
    given(DECIDER, state=paused()).when(resume(NOBODY)).refused("person-required")


QUESTION = Question(id="birth-date", pointer="/member/birth_date")
OTHER = Question(id="county", pointer="/member/county")


def test_the_answer_lets_the_clock_run_on_4_1() -> None:
    """A rule may resume: it asks or approves, and this does neither harm nor delay."""
    answer = amended(questions=(OTHER,))
    given(DECIDER, state=paused()).when(amend(answer, LATER)).then("authorization.resumed")


@pytest.mark.parametrize(
    "fact",
    [amended(questions=(QUESTION,)), amended(questions=None), amended("corrected", questions=())],
    ids=["still open", "nothing said", "no answer"],
)
def test_what_was_asked_must_have_come(fact: Any) -> None:
    given(DECIDER, state=paused()).when(amend(fact, LATER)).then()


def test_an_answer_that_makes_the_case_clear_lets_a_rule_approve_4_2() -> None:
    state = paused(eligibility=UNSURE)
    fact = amended(questions=(), eligibility={"state": "confirmed"})
    given(DECIDER, state=state).when(amend(fact, LATER)).then(
        "authorization.resumed", "authorization.approved"
    )


def test_what_was_drawn_for_the_sample_stays_with_a_person_4_2() -> None:
    sampled = RULES.model_copy(update={"automatic": {"homelessness": 0.05}})
    fact = received(claim=None)
    state = given(DECIDER, fact, *opened(fact, sampled, draw=0.01)).state
    given(DECIDER, state=state).when(amend(amended(questions=()), sampled, draw=0.9)).then()


def test_an_answer_never_denies() -> None:
    unmet = HOMELESS.model_copy(update={"result": "unmet"})
    fact = amended(populations=(unmet,), questions=(), eligibility={"state": "not_found"})
    given(DECIDER, state=pending(claim=None)).when(amend(fact)).then()


# ── urgent after all ──────────────────────────────────────────────────────────────────────────────────────


SOON = RULES.model_copy(
    update={
        "clock": "expedited", "due_at": MONDAY + 3 * DAY, "cap_at": MONDAY + 3 * DAY, "at_risk_at": MONDAY + 2 * DAY
    }
)  # fmt: skip


def test_an_urgency_learned_later_shortens_the_running_clock_and_its_cap_4_5() -> None:
    """42 CFR 438.210(d): what became urgent is decided within 72 hours of that."""
    state = pending(claim=None)
    urgent = amend(amended("corrected", urgency="expedited"), SOON)
    (sooner,) = given(DECIDER, state=state).when(urgent).events
    assert isinstance(sooner, AuthorizationExpedited)
    faster = given(DECIDER, command_of(urgent).fact, sooner, state=state).state
    assert faster.review is not None
    assert (faster.review.clock, faster.review.cap_at) == ("expedited", SOON.cap_at)
    assert timers(faster)["due"] == SOON.due_at
    # Said once, and never taken back: a clock is not lengthened.
    given(DECIDER, state=faster).when(urgent).then()
    given(DECIDER, state=faster).when(amend(amended("corrected", urgency="routine"))).then()


def test_where_the_routine_clock_ends_sooner_it_stays() -> None:
    late = SOON.model_copy(update={"due_at": RULES.due_at + DAY, "cap_at": RULES.cap_at})
    given(DECIDER, state=pending(claim=None)).when(
        amend(amended("corrected", urgency="expedited"), late)
    ).then()


# ── how long the pause was ────────────────────────────────────────────────────────────────────────────────


def resumed_at(policy: Policy, asked: datetime, again: datetime, urgency: str = "routine") -> Any:
    """The rules with which a clock that was stopped between these runs on; the referral came on Monday, 2 March."""
    fact = received(claim=None, eligibility=UNSURE, urgency=urgency)
    state = given(DECIDER, fact).state
    for command, at in ((opening(fact), MONDAY), (pend("county"), asked)):
        filled = looked_up(AuthorizationLoaded(policy, {}, {}), "ref_1", state, command, at)
        state = given(DECIDER, state=state).when(filled.asking, at).state
    filled = looked_up(AuthorizationLoaded(policy, {}, {}), "ref_1", state, resume(), again)
    return filled.rules


def opening(fact: Any) -> OpenReview:
    return OpenReview(fact=fact)


@pytest.mark.parametrize(
    ("asked", "again", "due_on", "risk_on"),
    [
        # Asked on Tuesday with four days left, answered on Thursday of the next week: four working days on.
        (MONDAY + DAY, MONDAY + 10 * DAY, date(2026, 3, 18), date(2026, 3, 16)),
        # Asked and answered within the same day: nothing changes.
        (MONDAY + DAY, MONDAY + DAY, date(2026, 3, 9), date(2026, 3, 5)),
        # Asked on the last day: none is left, and it ends with the day on which the answer comes.
        (MONDAY + 7 * DAY, MONDAY + 9 * DAY, date(2026, 3, 11), date(2026, 3, 9)),
        # Cesar Chavez Day, 31 March, counts for nobody.
        (MONDAY + DAY, MONDAY + 25 * DAY, date(2026, 4, 3), date(2026, 4, 1)),
    ],
)
def test_as_much_is_left_as_was_when_it_stopped(
    policy: Policy, asked: datetime, again: datetime, due_on: date, risk_on: date
) -> None:
    rules = resumed_at(policy, asked, again)
    hour = timedelta(hours=1)
    assert (la_date(rules.due_at - hour), la_date(rules.at_risk_at - hour)) == (due_on, risk_on)


def test_of_seventy_two_hours_those_left_run_on(policy: Policy) -> None:
    asked, again = MONDAY + timedelta(hours=10), MONDAY + timedelta(hours=40)
    rules = resumed_at(policy, asked, again, "expedited")
    assert rules.due_at == again + timedelta(hours=62)
    assert rules.at_risk_at == again + timedelta(hours=38)


def test_what_was_overdue_when_it_was_asked_stays_overdue(policy: Policy) -> None:
    rules = resumed_at(policy, MONDAY + 9 * DAY, MONDAY + 12 * DAY)
    assert rules.due_at == datetime(2026, 3, 10, 7, 0, tzinfo=UTC)


# ── a yes in part, a no, and what they say ────────────────────────────────────────────────────────────────

BOTH = (HOMELESS, FREQUENT)


def test_a_modification_carries_all_that_a_denial_does_4_1() -> None:
    decided = approval(given(DECIDER, state=pending(populations=BOTH)).when(modify(("homelessness",))).events)
    assert decided.modified
    assert decided.adverse is not None
    assert decided.adverse.populations == ("avoidable_utilization",)
    assert (decided.adverse.reason, decided.adverse.rights) == ("criteria_not_met", RIGHTS)
    assert decided.adverse.citation == "ECM Policy Guide"
    assert decided.adverse.notice_due_at == MONDAY + 2 * DAY


@pytest.mark.parametrize(
    ("changes", "slug"),
    [
        ({"acted_by": NOBODY}, "person-required"),
        ({"licensed": False, "denial": {"needs_license": True}}, "person-required"),
        ({"reason": "other"}, "reason-unknown"),
        *(({"reason": reason}, "reason-forbidden") for reason in sorted(ForbiddenReason.codes())),
    ],
)
def test_a_modification_is_refused_for_what_a_denial_is(changes: dict[str, Any], slug: str) -> None:
    given(DECIDER, state=pending(populations=BOTH)).when(modify(("homelessness",), **changes)).refused(slug)


@pytest.mark.parametrize("kept", [(), ("homelessness", "avoidable_utilization"), ("birth_equity",)])
def test_a_modification_keeps_some_of_what_was_asked_and_not_all(kept: tuple[str, ...]) -> None:
    given(DECIDER, state=pending(populations=BOTH)).when(modify(kept)).refused("illegal-move")


def test_fewer_populations_are_no_plain_approval() -> None:
    answer = (
        given(DECIDER, state=pending(populations=BOTH)).when(approve(populations=("homelessness",))).refusal
    )
    assert answer.slug == "illegal-move"
    assert ":modify" in answer.fix


def test_a_denial_says_why_by_what_right_and_until_when_it_can_be_fought(policy: Policy) -> None:
    command = deny("criteria_not_met", citation="", licensed=True)
    filled = looked_up(AuthorizationLoaded(policy, {}, {}), "ref_1", pending(), command)
    denied, *_ = given(DECIDER, state=pending()).when(filled.asking).events
    assert isinstance(denied, AuthorizationDenied)
    assert (denied.reason, denied.citation) == ("criteria_not_met", "ECM Policy Guide, Populations of Focus")
    assert denied.rights is not None
    assert (denied.rights.appeal_by, denied.rights.hearing_days, denied.rights.unanswered_days) == (
        date(2026, 5, 1),
        120,
        30,
    )
    assert denied.appeal_by == denied.rights.appeal_by
    assert {"clocks/appeal@2022-01-01", "clocks/hearing@2022-01-01"} <= set(denied.policy)


def test_decisions_of_the_plans_own_system_keep_its_number_everywhere() -> None:
    """loop.md 4.6."""
    both = pending(populations=BOTH)
    made: list[Event] = [
        *given(DECIDER, state=both).when(approve(external_number="HHP-1")).events,
        *given(DECIDER, state=both).when(modify(("homelessness",), external_number="HHP-1")).events,
        *given(DECIDER, state=both).when(deny(external_number="HHP-1")).events,
    ]
    decisions = [e for e in made if isinstance(e, AuthorizationApproved | AuthorizationDenied)]
    assert [decided.external_number for decided in decisions] == ["HHP-1"] * 3
